"""The status page by mail: confirmed by a link, told once each in the reader's language, left with one click."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from http import HTTPStatus
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core import mail as outbox_of_django
from django.db import IntegrityError, transaction
from django.test import Client
from redis.exceptions import RedisError

from consortium.kernel import mail
from consortium.kernel.secret_links import without_secret_links
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, OutgoingMail
from provisioning.models import Hub, StatusSubscription
from provisioning.service_level.incidents import (
    announce_maintenance,
    cancel_maintenance,
    open_incident,
    update_incident,
)
from provisioning.status_mail.subscribing import forget_unconfirmed
from tests.cast import Cast
from tests.unit.members.story import deliver
from tests.unit.provisioning.stories import running_hub
from tests.unit.provisioning.test_support_pages import browser

NOW = datetime(2026, 11, 5, 20, 0, tzinfo=UTC)
LINK = re.compile(r"https?://[^/\s]+(/\S+)")
READER = "reader@elsewhere.example"


@pytest.fixture(autouse=True)
def place(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def visitor() -> Client:
    return Client(headers={"host": "localhost"})


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return running_hub(cast, at=NOW - timedelta(days=30))


def mails() -> list[OutgoingMail]:
    deliver(NOW + timedelta(days=5))
    with consortium_scope(Scope.STAFF):
        return list(OutgoingMail.objects.filter(template__startswith="status_").order_by("event__at", "pk"))


def link_in(body: str) -> str:
    found = LINK.findall(body)
    return str(found[-1])


def subscribed(visitor: Client, *, language: str = "en", email: str = READER, **more: Any) -> StatusSubscription:
    assert visitor.post(f"/{language}/status/subscribe/", {"email": email, **more}).status_code == HTTPStatus.OK
    newest = [each for each in mails() if each.recipient == email and each.template == "status_confirm"][-1]
    assert visitor.post(link_in(newest.body)).status_code == HTTPStatus.OK
    return StatusSubscription.objects.get(email=email)


def incident(cast: Cast, *slugs: str) -> Any:
    with consortium_scope(Scope.STAFF):
        return open_incident(
            title_en="Storage is slow", title_fr="Stockage lent", text_en="We look.", text_fr="On regarde.",
            hub_slugs=slugs, started_at=NOW, by=cast.staff, at=NOW,
        )  # fmt: skip


def test_an_address_is_subscribed_only_by_the_button_behind_the_link(cast: Cast, hub: Hub, visitor: Client) -> None:
    page = visitor.get("/fr/status/subscribe/").text
    assert "Statistics (Université Cedar)" in page
    assert visitor.get("/fr/status/").text.count("/fr/status/subscribe/") == 1
    visitor.post("/fr/status/subscribe/", {"email": READER, "hubs": ["cedar-stats"]})
    (sent,) = mails()
    assert (sent.recipient, sent.language) == (READER, "fr")
    assert "Statistics" in sent.body
    link = link_in(sent.body)
    row = StatusSubscription.objects.get()
    assert row.token_hash not in link
    assert row.confirmed_at is None
    shown = visitor.get(link)
    assert READER in shown.text
    assert (shown["Referrer-Policy"], shown["X-Robots-Tag"]) == ("no-referrer", "noindex")
    assert StatusSubscription.objects.get().confirmed_at is None, "reading changes nothing"
    assert "Vous êtes abonné" in visitor.post(link).text
    row.refresh_from_db()
    told = (row.language, row.hub_slugs, str(row.confirmed_at))
    assert told == ("fr", ["cedar-stats"], str(NOW))
    assert visitor.post(link).status_code == HTTPStatus.NOT_FOUND, "it works once"
    assert without_secret_links(link) == "/fr/status/confirm/…/"


@pytest.mark.parametrize(
    ("form", "words"),
    [({"email": "nonsense"}, "valid email"), ({"email": READER, "hubs": ["maple-x"]}, "not one of the available")],
)
def test_what_cannot_be_subscribed_is_refused(hub: Hub, visitor: Client, form: dict[str, Any], words: str) -> None:
    answer = visitor.post("/en/status/subscribe/", form)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert words in answer.text
    assert not StatusSubscription.objects.exists()


def test_nobody_learns_who_is_subscribed_and_nobody_is_flooded(cast: Cast, hub: Hub, visitor: Client) -> None:
    subscribed(visitor)
    first = visitor.post("/en/status/subscribe/", {"email": "new@elsewhere.example"}).text
    again = visitor.post("/en/status/subscribe/", {"email": READER.upper()}).text
    assert first.replace("new@elsewhere.example", "") == again.replace(READER.upper(), "")
    assert len([each for each in mails() if each.recipient == READER]) == 1, "within the hour nothing more is sent"
    for _ in range(7):
        visitor.post("/en/status/subscribe/", {"email": READER})
    assert visitor.post("/en/status/subscribe/", {"email": READER}).status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_without_the_limiter_no_mail_goes_to_anybody(
    hub: Hub, visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise RedisError

    monkeypatch.setattr("provisioning.status_mail.limits.cache.add", down)
    assert visitor.post("/en/status/subscribe/", {"email": READER}).status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert not StatusSubscription.objects.exists()


def test_incidents_and_maintenance_are_told_once_each_to_whom_they_concern(
    cast: Cast, hub: Hub, visitor: Client
) -> None:
    subscribed(visitor, language="fr", email="fr@elsewhere.example")
    subscribed(visitor, email="other@elsewhere.example", hubs=["cedar-stats"])
    StatusSubscription.objects.filter(email__startswith="other").update(hub_slugs=["maple-hub"])
    row = incident(cast, "cedar-stats")
    with consortium_scope(Scope.STAFF):
        update_incident(
            row, status="resolved", text_en="Over.", text_fr="Fini.", by=cast.staff, at=NOW + timedelta(hours=1)
        )
        work = announce_maintenance(
            cluster=None, title_en="Nodes", title_fr="Nœuds", text_en="", text_fr="",
            starts_at=NOW + timedelta(days=4), ends_at=NOW + timedelta(days=4, hours=1), by=cast.staff, at=NOW,
        )  # fmt: skip
        cancel_maintenance(work, by=cast.staff, at=NOW + timedelta(hours=2))
    told = [(each.recipient, each.subject) for each in mails() if each.template != "status_confirm"]
    assert told == [
        ("fr@elsewhere.example", "Incident, nous cherchons la cause : Stockage lent"),
        ("fr@elsewhere.example", "Un entretien est annoncé : Nœuds"),
        ("other@elsewhere.example", "Maintenance is announced: Nodes"),
        ("fr@elsewhere.example", "Incident, résolu : Stockage lent"),
        ("fr@elsewhere.example", "L'entretien est annulé : Nœuds"),
        ("other@elsewhere.example", "Maintenance is called off: Nodes"),
    ]
    assert len(mails()) == len(told) + 2, "a second delivery adds nothing"


def test_one_click_unsubscribes_and_deletes_the_address_everywhere(cast: Cast, hub: Hub, visitor: Client) -> None:
    subscribed(visitor)
    incident(cast)
    mails()
    mail.send_due(at=NOW + timedelta(days=6))
    sent = message_from_string(outbox_of_django.outbox[-1].message().as_string())
    assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = link_in(sent["List-Unsubscribe"].strip("<>"))
    with consortium_scope(Scope.STAFF):
        assert OutgoingMail.objects.get(template="status_incident").headers == {}, "no link stays once it is out"
    assert "Unsubscribe this address?" in visitor.get(link).text
    assert StatusSubscription.objects.exists(), "reading changes nothing"
    strict = Client(headers={"host": "localhost"}, enforce_csrf_checks=True)
    answer = strict.post(link, {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == HTTPStatus.OK
    assert not StatusSubscription.objects.exists()
    with consortium_scope(Scope.STAFF):
        assert not OutgoingMail.objects.filter(recipient__icontains="reader").exists()
        assert not AuditEvent.objects.filter(after__icontains="reader").exists()
        assert AuditEvent.objects.filter(action="provisioning.status_left").count() == 1
    assert "You are not subscribed" in strict.post(link).text
    assert visitor.post(link[:-3] + "x/").status_code == HTTPStatus.NOT_FOUND, "forged"
    assert without_secret_links(link) == "/en/status/leave/…/"


def test_who_does_not_confirm_is_forgotten_and_other_wishes_lapse(cast: Cast, hub: Hub, visitor: Client) -> None:
    kept = subscribed(visitor)
    visitor.post("/en/status/subscribe/", {"email": "idle@elsewhere.example"})
    StatusSubscription.objects.filter(pk=kept.pk).update(asked_at=NOW - timedelta(hours=2))
    visitor.post("/fr/status/subscribe/", {"email": READER})
    late = [each for each in mails() if each.recipient == READER][-1]
    with consortium_scope(Scope.JOB):
        assert [forget_unconfirmed(at=NOW + timedelta(hours=49)) for _ in range(2)] == [2, 0]
    assert list(StatusSubscription.objects.values_list("email", "language", "token_hash")) == [(READER, "en", "")]
    assert visitor.post(link_in(late.body)).status_code == HTTPStatus.NOT_FOUND
    with consortium_scope(Scope.STAFF):
        assert not OutgoingMail.objects.filter(recipient="idle@elsewhere.example").exists()


def test_postgresql_keeps_an_address_once_and_a_language_with_its_confirmation(hub: Hub) -> None:
    StatusSubscription.objects.create(email=READER, asked_at=NOW)
    for values, name in (
        ({"email": READER.upper()}, "statussubscription_email_once"),
        ({"email": "a@b.example", "confirmed_at": NOW}, "statussubscription_confirmed"),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            StatusSubscription.objects.create(asked_at=NOW, **values)


def test_operators_unsubscribe_whoever_asks_them_to(cast: Cast, hub: Hub, visitor: Client) -> None:
    row = subscribed(visitor)
    operator = browser(cast.staff)
    page = "/en/staff/provisioning/statussubscription/"
    assert READER in operator.get(page).text
    operator.post(page, {"action": "unsubscribe", "_selected_action": str(row.pk)})
    assert not StatusSubscription.objects.exists()
