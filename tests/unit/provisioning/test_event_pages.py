"""The pages of events: booking, moving and cancelling from the hub, in both languages; staff see them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.conf import settings
from django.core.exceptions import ValidationError

from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.local_times import instant_in
from provisioning.models import EventOverride, EventWindow, Hub
from tests.cast import Cast
from tests.unit.provisioning.support_stories import agreed_hub
from tests.unit.provisioning.test_support_pages import browser

NOW = datetime(2026, 12, 7, 17, 0, tzinfo=UTC)
EVENTS = "/en/i/cedar/hubs/cedar-stats/events/"
FORM = {
    "title": "Final exam",
    "kind": "exam",
    "starts_at": "2026-12-10T09:00",
    "ends_at": "2026-12-10T12:00",
    "expected_users": "120",
}


@pytest.fixture(autouse=True)
def place(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return agreed_hub(cast, at=datetime(2026, 10, 1, 7, 0, tzinfo=UTC))


def the_event() -> EventWindow:
    with consortium_scope(Scope.STAFF):
        return EventWindow.objects.latest("booked_at", "pk")


def test_an_event_is_booked_moved_and_called_off_from_the_hubs_page(cast: Cast, hub: Hub) -> None:
    client = browser(cast.technical)
    assert "Nothing is booked" in client.get(EVENTS).text
    for change, words in (
        ({"title": ""}, "This field is required"),
        ({"ends_at": "2026-12-10T08:00"}, "must come after the beginning"),
        ({"starts_at": "2026-12-07T10:30"}, "Book at least two hours ahead"),
    ):
        answer = client.post(f"{EVENTS}new/", FORM | change)
        assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert words in answer.text
    client.post(f"{EVENTS}new/", FORM)
    event = the_event()
    assert (event.starts_at, event.price) == (datetime(2026, 12, 10, 16, 0, tzinfo=UTC), Decimal(0))
    assert "Final exam" in client.get("/en/i/cedar/hubs/cedar-stats/").text
    assert "Examen" in client.get(EVENTS.replace("/en/", "/fr/")).text
    form = client.get(f"{EVENTS}{event.pk}/").text
    assert 'value="2026-12-10T09:00"' in form
    moved = client.post(f"{EVENTS}{event.pk}/", {"starts_at": "2026-12-11T09:00", "ends_at": "2026-12-11T12:00"})
    assert moved.status_code == HTTPStatus.FOUND
    assert the_event().starts_at == datetime(2026, 12, 11, 16, 0, tzinfo=UTC)
    client.post(f"{EVENTS}{event.pk}/cancel/")
    assert the_event().status == "cancelled"
    assert "Cancelled" in client.get(EVENTS).text


def test_a_second_event_shows_its_price_and_asks_for_acceptance(cast: Cast, hub: Hub) -> None:
    client = browser(cast.owner)
    client.post(f"{EVENTS}new/", FORM)
    second = FORM | {"starts_at": "2026-12-12T09:00", "ends_at": "2026-12-12T12:00"}
    assert "I accept the price" in client.get(f"{EVENTS}new/").text
    refused = client.post(f"{EVENTS}new/", second)
    assert "this one costs" in refused.text
    assert client.post(f"{EVENTS}new/", second | {"accepts_price": "on"}).status_code == HTTPStatus.FOUND
    assert "250.00" in client.get(EVENTS).text


def test_who_sees_and_who_books(cast: Cast, hub: Hub) -> None:
    for who, seen, books in (("viewer", 200, 403), ("finance", 200, 403), ("outsider", 404, 404)):
        client = browser(cast.person(who))
        assert client.get(EVENTS).status_code == seen
        assert client.post(f"{EVENTS}new/", FORM).status_code == books


def test_the_hubs_page_says_that_an_event_is_on_and_staff_act_in_an_emergency(cast: Cast, hub: Hub) -> None:
    browser(cast.technical).post(f"{EVENTS}new/", FORM)
    event = the_event()
    with time_machine.travel(datetime(2026, 12, 10, 18, 0, tzinfo=UTC), tick=False):
        page = browser(cast.viewer).get("/en/i/cedar/hubs/cedar-stats/").text
        assert "“Final exam” is on" in page
        assert "Idle servers may still be stopped" in page
        operator = browser(cast.staff)
        row = f"/en/staff/provisioning/eventwindow/{event.pk}/"
        assert "Final exam" in operator.get("/en/staff/provisioning/eventwindow/").text
        words = {"reason": "The disk is failing.", "until": "2026-12-10 19:00"}
        assert operator.post(f"{row}act/override/", words).status_code == HTTPStatus.FOUND
        assert "The disk is failing." in operator.get(f"{row}change/").text
    with consortium_scope(Scope.STAFF):
        assert EventOverride.objects.get().until - event.starts_at == timedelta(hours=3)


def test_a_clock_time_means_one_instant_or_is_refused() -> None:
    toronto = ZoneInfo("America/Toronto")
    twice = instant_in(datetime(2026, 11, 1, 1, 30), toronto)  # noqa: DTZ001 - as it is typed
    assert twice.astimezone(UTC) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    with pytest.raises(ValidationError, match="clocks skip"):
        instant_in(datetime(2027, 3, 14, 2, 30), toronto)  # noqa: DTZ001 - as it is typed
