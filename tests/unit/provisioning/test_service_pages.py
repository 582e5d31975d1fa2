"""The pages of the service level: a hub's statements, the public status with its feed and JSON, staff's acts."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from xml.etree import ElementTree as ET

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from consortium.kernel.periods import Month, Period, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import User
from provisioning.models import Hub, Incident, Maintenance, ServiceDay, StatementQuestion, WorkCheck
from provisioning.service_level.statements import make_statement
from tests.cast import Cast
from tests.unit.provisioning.service_stories import promised_hub, visited

OCTOBER = Month(2026, 10)
MONTH = month_period(OCTOBER, "America/Vancouver")
NOW = datetime(2026, 11, 5, 20, 0, tzinfo=UTC)
NOON = datetime(2026, 10, 12, 19, 0, tzinfo=UTC)
PAGE = "/en/i/cedar/hubs/cedar-stats/service/"
QUESTION = {"starts_at": "2026-10-12T12:00", "ends_at": "2026-10-12T13:30", "text": "Nobody could work."}


@pytest.fixture(autouse=True)
def place(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return promised_hub(cast, at=datetime(2026, 10, 1, 7, 0, tzinfo=UTC))


def stated(hub: Hub, *, hours_down: int = 8) -> None:
    visited(hub, MONTH, down=Period(NOON, NOON + timedelta(hours=hours_down)))
    with consortium_scope(Scope.JOB):
        make_statement(hub, month=OCTOBER, at=NOW)


def browser(user: User) -> Client:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize(
    ("who", "code"),
    [("owner", 200), ("finance", 200), ("technical", 200), ("viewer", 403), ("outsider", 404), ("stranger", 404)],
)
def test_who_sees_the_service_level(cast: Cast, hub: Hub, who: str, code: int) -> None:
    assert browser(cast.person(who)).get(PAGE).status_code == code


@pytest.mark.parametrize(("language", "kept"), [("en", "98.925%"), ("fr", "98,925 %")])
def test_a_missed_month_is_shown_with_its_evidence_and_credit(cast: Cast, hub: Hub, language: str, kept: str) -> None:
    stated(hub)
    page = (
        browser(cast.owner).get(PAGE.replace("/en/", f"/{language}/")).text.replace("\xa0", " ").replace("\u202f", " ")
    )
    assert kept in page
    assert "the server did not come up" in page
    assert "50" in page


def test_without_a_statement_the_page_says_when_the_first_one_comes(cast: Cast, hub: Hub) -> None:
    assert "No statement yet" in browser(cast.owner).get(PAGE).text


def test_a_question_is_sent_in_the_hubs_own_zone(cast: Cast, hub: Hub) -> None:
    stated(hub)
    answer = browser(cast.technical).post(PAGE, QUESTION)
    assert answer.status_code == HTTPStatus.FOUND
    with consortium_scope(Scope.JOB):
        question = StatementQuestion.objects.get()
    assert question.starts_at == NOON
    assert question.asked_by == cast.technical


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": ""}, "This field is required"),
        ({"ends_at": "2026-10-12T11:00"}, "The end must come after the beginning"),
        ({"starts_at": "yesterday"}, "Enter a valid date/time"),
        ({"ends_at": "2026-12-01T11:00"}, "within the statement"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_and_kept(
    cast: Cast, hub: Hub, change: dict[str, str], words: str
) -> None:
    stated(hub)
    answer = browser(cast.owner).post(PAGE, QUESTION | change)
    assert answer.status_code == 422
    assert words in answer.text
    assert (QUESTION | change)["starts_at"] in answer.text


def test_a_viewer_cannot_send_a_question(cast: Cast, hub: Hub) -> None:
    stated(hub)
    browser(cast.viewer).post(PAGE, QUESTION)
    with consortium_scope(Scope.JOB):
        assert not StatementQuestion.objects.exists()


@pytest.mark.parametrize("month", ["2026-13", "nonsense", "2026-1"])
def test_a_month_that_is_none_does_not_exist(cast: Cast, hub: Hub, month: str) -> None:
    assert browser(cast.owner).get(PAGE, {"month": month}).status_code == 404


def fresh(hub: Hub, *, ok: bool = True, healthy: bool = True, minutes_ago: int = 1) -> None:
    with consortium_scope(Scope.JOB):
        Hub.objects.filter(pk=hub.pk).update(healthy_at=NOW if healthy else None)
        for back in (minutes_ago, minutes_ago + 5):
            WorkCheck.objects.create(
                institution_id=hub.institution_id, hub=hub, at=NOW - timedelta(minutes=back), ok=ok,
                step="" if ok else "start", error="" if ok else "no", interval_seconds=300,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("visits", "state", "overall"),
    [
        ({}, "working", "working"),
        ({"ok": False}, "down", "down"),
        ({"healthy": False}, "unknown", "unknown"),
        ({"minutes_ago": 15}, "unknown", "unknown"),
    ],
)
def test_a_hub_is_called_working_only_with_a_fresh_proof(
    hub: Hub, visits: dict[str, int], state: str, overall: str
) -> None:
    fresh(hub, **visits)  # type: ignore[arg-type]
    told = json.loads(Client(headers={"host": "localhost"}).get("/en/status/status.json").content)
    assert (told["hubs"][0]["state"], told["state"]) == (state, overall)


def test_a_portal_without_hubs_claims_nothing(cast: Cast) -> None:
    told = json.loads(Client(headers={"host": "localhost"}).get("/en/status/status.json").content)
    assert (told["state"], told["hubs"]) == ("unknown", [])
    assert "No hubs yet" in Client(headers={"host": "localhost"}).get("/en/status/").text


def test_a_day_without_data_is_none_and_never_good(hub: Hub) -> None:
    day = NOW.date() - timedelta(days=3)
    with consortium_scope(Scope.JOB):
        ServiceDay.objects.create(
            institution_id=hub.institution_id, hub=hub, day=day, zone=hub.zone, served_seconds=80_000,
            down_seconds=6_400, counted_at=NOW,
        )  # fmt: skip
    days = json.loads(Client(headers={"host": "localhost"}).get("/en/status/status.json").content)["hubs"][0]["days"]
    states = [each["state"] for each in days]
    assert len(states) == 90
    assert states.count("down") == 1
    assert states.count(None) == 89


def test_the_status_page_costs_the_same_for_many_hubs(hub: Hub) -> None:
    fresh(hub)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert Client(headers={"host": "localhost"}).get("/fr/status/").status_code == 200
    reads = [query for query in queries if query["sql"].startswith("SELECT") and "set_config" not in query["sql"]]
    assert len([query for query in reads if "current_setting" not in query["sql"]]) <= 9


def test_staff_announce_and_the_feed_tells(cast: Cast, hub: Hub) -> None:
    operator = browser(cast.staff)
    words = {
        "title_en": "Storage is slow",
        "title_fr": "Stockage lent",
        "text_en": "We look.",
        "text_fr": "On regarde.",
    }
    when = {"started_at_0": "2026-11-05", "started_at_1": "19:30:00", "hub_slugs": "cedar-stats", "excluded_as": ""}
    answer = operator.post("/en/staff/provisioning/incident/add/", words | when)
    assert answer.status_code == HTTPStatus.FOUND, answer.text
    incident = Incident.objects.get()
    act = f"/en/staff/provisioning/incident/{incident.pk}/act/update/"
    operator.post(act, {"status": "resolved", "text_en": "Over.", "text_fr": "Fini."})
    feed = ET.fromstring(Client(headers={"host": "localhost"}).get("/fr/status/feed.atom").content)
    titles = [each.text for each in feed.iter("{http://www.w3.org/2005/Atom}title")]
    assert titles[1:] == ["Stockage lent: Résolu"]
    assert "Storage is slow" in Client(headers={"host": "localhost"}).get("/en/status/").text


@pytest.mark.parametrize(
    ("change", "words"),
    [({"hub_slugs": "maple-x"}, "There is no hub maple-x"), ({"text_fr": "  "}, "This field is required")],
)
def test_an_incident_that_cannot_be_told_is_refused_and_kept(
    cast: Cast, hub: Hub, change: dict[str, str], words: str
) -> None:
    form = {
        "title_en": "Storage", "title_fr": "Stockage", "text_en": "We look.", "text_fr": "On regarde.",
        "started_at_0": "2026-11-05", "started_at_1": "19:30:00", "hub_slugs": "cedar-stats", "excluded_as": "",
    }  # fmt: skip
    page = browser(cast.staff).post("/en/staff/provisioning/incident/add/", form | change)
    assert page.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert words in page.text
    assert "Stockage" in page.text
    assert not Incident.objects.exists()


def test_staff_announce_maintenance_and_call_it_off(cast: Cast, hub: Hub) -> None:
    operator = browser(cast.staff)
    form = {
        "cluster": "", "title_en": "Nodes", "title_fr": "Nœuds", "text_en": "", "text_fr": "",
        "starts_at_0": "2026-11-10", "starts_at_1": "08:00:00", "ends_at_0": "2026-11-10", "ends_at_1": "09:00:00",
    }  # fmt: skip
    backwards = operator.post("/en/staff/provisioning/maintenance/add/", form | {"ends_at_0": "2026-11-09"})
    assert "must end after it begins" in backwards.text
    assert operator.post("/en/staff/provisioning/maintenance/add/", form).status_code == HTTPStatus.FOUND
    row = Maintenance.objects.get()
    assert "Nodes" in Client(headers={"host": "localhost"}).get("/en/status/").text
    action = {"action": "cancel", "_selected_action": str(row.pk)}
    assert "is called off" in operator.post("/en/staff/provisioning/maintenance/", action, follow=True).text
    assert "Nodes" not in Client(headers={"host": "localhost"}).get("/en/status/").text
