"""Events reach their receivers at least once and take effect once; mail goes out once, in its language."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMessage

from consortium.kernel import audit, crash, mail, outbox
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Delivery, Document, OutgoingMail
from members.models import Institution
from tests.cast import make_institution

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[AuditEvent], list[Exception]]]:
    """A receiver that notes what it got, and fails as often as there are errors in the second list."""
    name = f"tests.{uuid4().hex[:8]}"
    got: list[AuditEvent] = []
    errors: list[Exception] = []

    @outbox.receiver(name)
    def take(event: AuditEvent) -> None:
        if errors:
            raise errors.pop()
        got.append(event)

    yield name, got, errors
    crash.disarm()


def happen(receiver: str, at: datetime) -> tuple[Institution, AuditEvent]:
    institution = make_institution("birch")
    with consortium_scope(Scope.COMMAND):
        event = audit.record(
            "tests.happened",
            institution,
            by=audit.System("test"),
            at=at,
            institution_id=institution.pk,
            deliver_to=[receiver],
        )
    return institution, event


def test_an_event_is_delivered_once(receiver: tuple[str, list[AuditEvent], list[Exception]], at: datetime) -> None:
    name, got, _errors = receiver
    _institution, event = happen(name, at)
    assert outbox.deliver_due(at=at) == 1
    assert outbox.deliver_due(at=at + timedelta(hours=1)) == 0
    assert [each.pk for each in got] == [event.pk]


def test_a_receiver_that_fails_is_tried_again_later(
    receiver: tuple[str, list[AuditEvent], list[Exception]], at: datetime
) -> None:
    name, got, errors = receiver
    happen(name, at)
    errors.append(RuntimeError("the wire is cut"))
    assert outbox.deliver_due(at=at) == 0
    with consortium_scope(Scope.COMMAND):
        assert "the wire is cut" in Delivery.objects.get(receiver=name).error
    assert outbox.deliver_due(at=at) == 0, "not before its time"
    assert outbox.deliver_due(at=at + timedelta(minutes=1)) == 1
    assert len(got) == 1


def test_a_sweeper_that_dies_before_its_commit_leaves_the_event_to_the_next(
    receiver: tuple[str, list[AuditEvent], list[Exception]], at: datetime
) -> None:
    name, _got, _errors = receiver
    happen(name, at)
    crash.arm("delivery.before_commit")
    with pytest.raises(crash.SimulatedCrash):
        outbox.deliver_due(at=at)
    crash.disarm()
    assert outbox.deliver_due(at=at + outbox.LEASE / 2) == 0, "the lease still runs"
    assert outbox.deliver_due(at=at + outbox.LEASE * 2) == 1


def compose(event: AuditEvent, at: datetime, language: str = "fr") -> OutgoingMail:
    with consortium_scope(Scope.JOB):
        return mail.compose(
            event,
            recipient="olivia@people.example",
            template="members_welcome_test",
            language=language,
            context={},
            at=at,
        )


@pytest.fixture
def letter(
    receiver: tuple[str, list[AuditEvent], list[Exception]], at: datetime, monkeypatch: pytest.MonkeyPatch
) -> AuditEvent:
    monkeypatch.setattr(mail, "render_to_string", lambda _name, context: f"Sujet {context['language']}\n\nCorps.")
    return happen(receiver[0], at)[1]


def test_mail_is_composed_once_for_an_event_and_a_person(letter: AuditEvent, at: datetime) -> None:
    first, second = compose(letter, at), compose(letter, at)
    assert first.pk == second.pk
    assert (first.subject, first.language) == ("Sujet fr", "fr")


def test_mail_goes_out_once(letter: AuditEvent, at: datetime) -> None:
    compose(letter, at)
    assert mail.send_due(at=at) == 1
    assert mail.send_due(at=at + timedelta(days=1)) == 0
    assert [message.subject for message in django_mail.outbox] == ["Sujet fr"]


def test_mail_that_fails_waits_and_at_last_asks_an_operator(
    letter: AuditEvent, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose(letter, at)

    def refuse(_message: EmailMessage) -> int:
        raise ConnectionRefusedError("no mail server")

    monkeypatch.setattr(EmailMessage, "send", refuse)
    for attempt in range(mail.MAX_ATTEMPTS):
        mail.send_due(at=at + timedelta(days=attempt))
    with consortium_scope(Scope.COMMAND):
        kept = OutgoingMail.objects.get()
    assert (kept.state, kept.attempts) == ("failed", mail.MAX_ATTEMPTS)
    assert "no mail server" in kept.error


def test_a_letter_whose_attachment_is_gone_does_not_hold_up_the_next(letter: AuditEvent, at: datetime) -> None:
    broken = compose(letter, at)
    with consortium_scope(Scope.COMMAND):
        lost = Document.objects.create(
            kind="note", name="note.txt", subject_type="x", subject_id="1", sha256="0", media_type="text/plain", size=1,
            storage_key="nowhere", created_at=at,
        )  # fmt: skip
        OutgoingMail.objects.filter(pk=broken.pk).update(attachment_ids=[lost.pk])
        mail.compose(letter, recipient="sam@people.example", template="t", language="en", context={}, at=at)
    assert mail.send_due(at=at) == 0
    assert mail.send_due(at=at) == 1, "the broken one waits its turn"
    with consortium_scope(Scope.COMMAND):
        assert OutgoingMail.objects.get(pk=broken.pk).attempts == 1
