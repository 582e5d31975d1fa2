"""Requests for support: asked, answered, waited for, resolved, reopened, closed, and what the clocks say of it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.periods import Month
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.kernel.uploads import Upload
from consortium.models import AuditEvent, Document, OutgoingMail
from members.models import Seat
from provisioning.models import ClosedDay, Hub, SupportClock, SupportMessage, SupportRequest
from provisioning.service_level.statements import make_statement
from provisioning.support.attachments import files_of
from provisioning.support.exports import support_csv
from provisioning.support.running import running_clock
from provisioning.support.talking import answer, change_severity, close, note, open_request, reply
from provisioning.support.watching import near_clocks, watch_support
from tests.cast import Cast
from tests.unit.members.story import deliver
from tests.unit.provisioning.support_stories import agreed_hub, opened

MORNING = datetime(2026, 10, 15, 16, 0, tzinfo=UTC)  # a Thursday, nine o'clock in Vancouver
HOUR = timedelta(hours=1)
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return agreed_hub(cast, at=datetime(2026, 10, 1, 7, 0, tzinfo=UTC))


def clocks(request: SupportRequest) -> list[tuple[str, str]]:
    with consortium_scope(Scope.STAFF):
        return list(request.clocks.values_list("kind", "stopped_by"))


def test_a_request_lives_from_the_first_word_to_its_end(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=MORNING)
    assert (request.reference, request.status) == ("cedar-stats#1", "open")
    with consortium_scope(Scope.STAFF):
        clock = running_clock(request)
        assert clock is not None
        assert (clock.kind, clock.due_at) == ("response", MORNING + HOUR)
        answer(request, text="We look.", by=cast.staff, at=MORNING + HOUR / 2)
        news = running_clock(request)
        assert news is not None
        assert (request.status, news.kind, news.due_at) == ("answered", "update", MORNING + HOUR / 2 + 2 * HOUR)
        answer(request, text="Which class?", to="waiting", by=cast.staff, at=MORNING + HOUR)
        assert running_clock(request) is None
        reply(request, text="All of them.", by=cast.technical, at=MORNING + timedelta(days=2))
        again = running_clock(request)
        assert again is not None
        assert (request.status, again.due_at) == ("open", MORNING + timedelta(days=2) + 2 * HOUR)
        answer(request, text="Mended.", to="resolved", by=cast.staff, at=MORNING + timedelta(days=2, hours=1))
        reply(request, text="It is back.", by=cast.technical, at=MORNING + timedelta(days=3))
        reopened = running_clock(request)
        assert reopened is not None
        assert (request.status, reopened.kind) == ("open", "response")
        close(request, by=cast.technical, at=MORNING + timedelta(days=4))
        assert request.status == "closed"
        with pytest.raises(TransitionRefused, match="is closed"):
            reply(request, text="One more thing", by=cast.technical, at=MORNING + timedelta(days=5))
    assert clocks(request) == [
        ("response", "answer"), ("update", "answer"), ("update", "answer"), ("response", "member"),
    ]  # fmt: skip


def test_numbers_count_within_a_hub_and_a_question_waits_for_business_hours(cast: Cast, hub: Hub) -> None:
    ClosedDay.objects.create(day=date(2026, 10, 19), name_en="Inventory", name_fr="Inventaire")
    opened(cast, hub, at=MORNING)
    request = opened(cast, hub, severity="question", at=datetime(2026, 10, 16, 23, 0, tzinfo=UTC))  # Friday, 16:00
    with consortium_scope(Scope.STAFF):
        clock = running_clock(request)
    assert clock is not None
    # One hour on Friday, none on the closed Monday, eight on Tuesday, seven on Wednesday.
    assert (request.number, clock.due_at) == (2, datetime(2026, 10, 21, 23, 0, tzinfo=UTC))


@pytest.mark.parametrize("who", ["finance", "viewer", "outsider", "stranger", "staff"])
def test_others_neither_ask_nor_reply(cast: Cast, hub: Hub, who: str) -> None:
    request = opened(cast, hub, at=MORNING)
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Forbidden):
            open_request(hub, severity="outage", title="x", text="x", by=cast.person(who), at=MORNING)
        with pytest.raises(Forbidden):
            reply(request, text="x", by=cast.person(who), at=MORNING)
        if who != "staff":
            with pytest.raises(Forbidden):
                answer(request, text="x", by=cast.person(who), at=MORNING)


@pytest.mark.parametrize(
    ("change", "field"), [({"title": " "}, "title"), ({"text": " "}, "text"), ({"severity": "doom"}, "severity")]
)
def test_a_request_that_says_nothing_is_refused(cast: Cast, hub: Hub, change: dict[str, str], field: str) -> None:
    words: dict[str, str] = {"severity": "outage", "title": "Servers", "text": "They stop."} | change
    with institution_scope(cast.university.pk), pytest.raises(Invalid) as refused:
        open_request(hub, **words, by=cast.technical, at=MORNING)  # type: ignore[arg-type] # words alone
    assert refused.value.field == field
    with consortium_scope(Scope.STAFF):
        assert not SupportRequest.objects.exists()


def test_without_an_agreement_one_may_ask_and_nothing_is_promised(cast: Cast, hub: Hub) -> None:
    before = datetime(2026, 9, 1, tzinfo=UTC)
    with institution_scope(cast.university.pk):
        request = open_request(hub, severity="urgent", title="T", text="T", by=cast.technical, at=before)
    assert (request.response_hours, clocks(request)) == (None, [])


def test_mails_go_once_to_the_other_side_in_the_readers_language(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=MORNING)
    cast.technical.language = "fr"
    cast.technical.save()
    with consortium_scope(Scope.STAFF):
        note(request, text="The node is full.", by=cast.staff, at=MORNING)
        answer(request, text="We look.", by=cast.staff, at=MORNING + HOUR)
    for _ in range(2):
        deliver(MORNING + 2 * HOUR)
    with consortium_scope(Scope.STAFF):
        mails = OutgoingMail.objects.filter(template__startswith="provisioning_support")
        told = {(mail.recipient, mail.template) for mail in mails}
        assert told == {
            (cast.staff.email, "provisioning_support_staff"), (cast.technical.email, "provisioning_support_member"),
        }  # fmt: skip
        french = mails.get(recipient=cast.technical.email)
        assert "Le consortium répond à votre demande" in french.body
        assert f"/fr/i/cedar/support/{request.pk}/" in french.body
        assert not any("The node is full." in mail.body for mail in mails)


def test_who_lost_the_seat_is_not_written_to(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=MORNING)
    with consortium_scope(Scope.STAFF):
        Seat.objects.filter(user=cast.technical).update(ended_at=MORNING)
        answer(request, text="We look.", by=cast.staff, at=MORNING + HOUR)
        deliver(MORNING + HOUR)
        assert not OutgoingMail.objects.filter(template="provisioning_support_member").exists()


def test_operators_are_warned_once_before_a_promise_is_broken_and_silence_closes(cast: Cast, hub: Hub) -> None:
    late, done = opened(cast, hub, at=MORNING), opened(cast, hub, at=MORNING)
    with consortium_scope(Scope.STAFF):
        answer(done, text="Mended.", to="resolved", by=cast.staff, at=MORNING)
        assert not near_clocks(at=MORNING + HOUR / 2).exists()
        assert [clock.request for clock in near_clocks(at=MORNING + 0.75 * HOUR)] == [late]
    assert [watch_support(at=MORNING + 0.8 * HOUR) for _ in range(2)] == [1, 0]
    deliver(MORNING + HOUR)
    with consortium_scope(Scope.STAFF):
        assert OutgoingMail.objects.filter(template="provisioning_support_due").count() == 1
    assert [watch_support(at=MORNING + timedelta(days=14)) for _ in range(2)] == [1, 0]
    with consortium_scope(Scope.STAFF):
        assert SupportRequest.objects.get(pk=done.pk).status == "closed"
        assert AuditEvent.objects.filter(action="provisioning.support_moved", actor_kind="support").count() == 1


def test_another_severity_counts_from_the_opening(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=MORNING)
    with consortium_scope(Scope.STAFF):
        change_severity(request, severity="question", text="One class alone.", by=cast.staff, at=MORNING + HOUR / 2)
        clock = running_clock(request)
        assert clock is not None
        assert (clock.started_at, clock.due_at) == (MORNING, datetime(2026, 10, 17, 0, 0, tzinfo=UTC))
        for severity in ("question", "doom"):
            with pytest.raises(Invalid):
                change_severity(request, severity=severity, text="x", by=cast.staff, at=MORNING + HOUR)
    assert request.severity_fr == "Une question"


def test_the_months_statement_says_which_answers_came_in_time(cast: Cast, hub: Hub) -> None:
    kept, missed, never, dropped = (opened(cast, hub, at=MORNING) for _ in range(4))
    with consortium_scope(Scope.STAFF):
        answer(kept, text="Here.", to="waiting", by=cast.staff, at=MORNING + HOUR)
        answer(missed, text="Sorry.", to="waiting", by=cast.staff, at=MORNING + 2 * HOUR)
        close(dropped, by=cast.technical, at=MORNING + HOUR / 2)
    with consortium_scope(Scope.JOB):
        statement = make_statement(hub, month=Month(2026, 10), at=datetime(2026, 11, 3, tzinfo=UTC))
    assert statement is not None
    told = {each["reference"]: (each["in_time"], each["answered"]) for each in statement.evidence["support"]}
    assert told == {
        kept.reference: (True, (MORNING + HOUR).isoformat()),
        missed.reference: (False, (MORNING + 2 * HOUR).isoformat()),
        never.reference: (False, None),
    }


def test_files_are_kept_as_they_came(cast: Cast, hub: Hub) -> None:
    sent = (Upload("../screen\x00shot.png", PNG), Upload("hub.log", "accès refusé".encode()))
    request = opened(cast, hub, at=MORNING, attachments=sent)
    with consortium_scope(Scope.STAFF):
        found = list(files_of(request.messages.all()))
    assert [(each.name, each.media_type) for each in found] == [
        ("screenshot.png", "image/png"), ("hub.log", "text/plain; charset=utf-8"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((Upload("run.exe", b"MZ"),), "cannot be taken"),
        ((Upload("page.svg", b"<svg/>"),), "cannot be taken"),
        ((Upload("picture.png", b"<script>"),), "not what its name says"),
        ((Upload("notes.txt", b"a\x00b"),), "not what its name says"),
        ((Upload("empty.txt", b""),), "is empty"),
        ((Upload("large.log", b"x" * 10_000_001),), "larger than 10 MB"),
        (tuple(Upload(f"{n}.txt", b"x") for n in range(6)), "at most 5"),
        (tuple(Upload(f"{n}.txt", b"x" * 9_000_000) for n in range(3)), "larger than 25 MB in all"),
    ],
    ids=["program", "svg", "script", "binary", "empty", "large", "many", "heavy"],
)
def test_files_that_cannot_be_taken_leave_nothing_behind(
    cast: Cast, hub: Hub, files: tuple[Upload, ...], words: str
) -> None:
    with pytest.raises(Invalid, match=words):
        opened(cast, hub, at=MORNING, attachments=files)
    with consortium_scope(Scope.STAFF):
        assert not SupportRequest.objects.exists()
        assert not Document.objects.filter(kind__startswith="support").exists()


def test_the_export_guards_its_cells(cast: Cast, hub: Hub) -> None:
    with institution_scope(cast.university.pk):
        open_request(hub, severity="outage", title="=1+1", text="x", by=cast.technical, at=MORNING)
    with consortium_scope(Scope.STAFF):
        rows = SupportRequest.objects.select_related("hub").prefetch_related("clocks")
        text = support_csv(rows, at=MORNING + 2 * HOUR)
    assert text.splitlines()[1] == (
        '"cedar-stats#1","Statistics","\'=1+1","Nobody can work","open",'
        '"2026-10-15T16:00:00+00:00","2026-10-15T17:00:00+00:00","","no","",""'
    )


def test_postgresql_keeps_what_was_said_one_clock_and_the_table_of_moves(cast: Cast, hub: Hub) -> None:
    request = opened(cast, hub, at=MORNING)
    with consortium_scope(Scope.STAFF):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            SupportMessage.objects.update(text="Never said")
        values = SupportClock.objects.values("institution_id", "request_id", "kind", "started_at", "due_at").get()
        with pytest.raises(IntegrityError, match="supportclock_one_runs"), transaction.atomic():
            SupportClock.objects.create(**values)
        close(request, by=cast.technical, at=MORNING)
        for change in ({"status": "open", "closed_at": None}, {"title": "Another"}):
            with pytest.raises(DatabaseError, match=r"may not become|is frozen"), transaction.atomic():
                SupportRequest.objects.filter(pk=request.pk).update(**change)
        with pytest.raises(DatabaseError, match="is frozen"), transaction.atomic():
            SupportClock.objects.update(due_at=MORNING + timedelta(days=9))
        with pytest.raises(IntegrityError, match="supportmessage_internal"), transaction.atomic():
            SupportMessage.objects.create(
                institution_id=request.institution_id, request=request, side="member", internal=True,
                status="open", text="x", author=cast.technical, at=MORNING,
            )  # fmt: skip
