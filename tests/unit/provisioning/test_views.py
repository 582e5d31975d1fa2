"""The pages of hubs: who sees them, what they say, what they cost."""

import csv
import io
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from consortium.kernel.clock import now
from consortium.kernel.exports import safe_cell
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import User
from provisioning.forms import GIB, HubRequestForm
from provisioning.models import Environment, Hub, HubDay, HubDayUser
from provisioning.requests import approve_hub, reconcile_job
from tests.cast import Cast
from tests.unit.provisioning.stories import requested_hub, running_hub

HUB = "/en/i/cedar/hubs/cedar-stats/"
USAGE = "/en/i/cedar/usage/"
MOST_QUERIES = 8


@pytest.fixture
def hub(cast: Cast, at: datetime) -> Hub:
    hub = running_hub(cast, at=at)
    use(hub, days=3)
    return hub


def use(hub: Hub, *, days: int, slug: str = "") -> None:
    today = local_date(now(), hub.zone)
    with consortium_scope(Scope.JOB):
        for back in range(days):
            day = today - timedelta(days=back)
            HubDay.objects.create(
                institution_id=hub.institution_id,
                hub=hub,
                day=day,
                zone=hub.zone,
                server_seconds=5400,
                memory_gib_seconds=5400,
                active_users=1,
                sessions=1,
                gap_seconds=120 if back == 0 else 0,
                rolled_at=now(),
            )
            HubDayUser.objects.create(institution_id=hub.institution_id, hub=hub, day=day, pseudonym="a" * 32)


def browser(user: User) -> Client:
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def technical(cast: Cast) -> Client:
    return browser(cast.technical)


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)


@pytest.mark.parametrize("path", [HUB, USAGE, f"{HUB}progress/", f"{USAGE}export.csv"])
def test_for_a_stranger_the_pages_do_not_exist(cast: Cast, hub: Hub, path: str) -> None:
    assert browser(cast.stranger).get(path).status_code == HTTPStatus.NOT_FOUND


def test_another_universitys_hub_does_not_exist_among_ones_own(cast: Cast, hub: Hub) -> None:
    response = browser(cast.viewer).get("/en/i/cedar/hubs/maple-stats/")
    assert response.status_code == HTTPStatus.NOT_FOUND


def test_a_viewer_sees_the_hub_but_not_its_use(cast: Cast, hub: Hub) -> None:
    viewer = browser(cast.viewer)
    page = viewer.get(HUB)
    assert page.status_code == HTTPStatus.OK
    assert "Use of the last 30 days" not in page.text
    assert viewer.get(USAGE).status_code == HTTPStatus.FORBIDDEN
    assert viewer.get(f"{USAGE}export.csv").status_code == HTTPStatus.FORBIDDEN
    assert viewer.post(f"{HUB}retry/").status_code == HTTPStatus.FORBIDDEN


def test_the_hubs_page_shows_health_use_and_revisions_and_opens_it(technical: Client, hub: Hub) -> None:
    page = technical.get(HUB).text
    for text in ("Open the hub", "JupyterHub 5.4.2", "Server-hours by day", "First version", "ada", "Not observed"):
        assert text in page
    assert page.count("<h1") == 1


def test_the_page_says_since_when_a_hub_is_unreachable(technical: Client, hub: Hub) -> None:
    with consortium_scope(Scope.JOB):
        Hub.objects.filter(pk=hub.pk).update(unreachable_since=datetime(2026, 11, 1, 20, 5, tzinfo=UTC))
    page = technical.get(HUB).text
    assert "The hub does not answer" in page
    assert "1 Nov 2026, 13:05" in page


def test_the_pages_speak_french(technical: Client, hub: Hub) -> None:
    assert technical.get(HUB.replace("/en/", "/fr/")).status_code == HTTPStatus.OK
    assert technical.get(USAGE.replace("/en/", "/fr/")).status_code == HTTPStatus.OK


@pytest.mark.parametrize("days", [3, 30])
def test_the_hubs_page_costs_few_queries_at_any_size(cast: Cast, hub: Hub, days: int) -> None:
    with consortium_scope(Scope.JOB):
        HubDay.objects.all().delete()
        HubDayUser.objects.all().delete()
    use(hub, days=days)
    client = browser(cast.technical)
    client.get(HUB)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(HUB).status_code == HTTPStatus.OK
    own = [query["sql"] for query in queries if "provisioning_" in query["sql"] or "consortium_job" in query["sql"]]
    assert len(own) <= MOST_QUERIES, own


def test_use_is_filtered_by_month_and_hub_in_the_address(technical: Client, hub: Hub) -> None:
    this = technical.get(USAGE)
    assert "Partial day" in this.text
    assert "month to date" in this.text
    assert "No use in this month" in technical.get(f"{USAGE}?month=2024-01").text
    assert "No use in this month" in technical.get(f"{USAGE}?hub=other").text
    assert technical.get(f"{USAGE}?month=nonsense").status_code == HTTPStatus.NOT_FOUND


def test_the_export_has_the_days_and_no_formula(technical: Client, hub: Hub) -> None:
    with consortium_scope(Scope.JOB):
        Hub.objects.filter(pk=hub.pk).update(name='=HYPERLINK("http://bad.example")')
    response = technical.get(f"{USAGE}export.csv?hub=cedar-stats")
    rows = list(csv.DictReader(io.StringIO(response.text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"))))
    assert response.headers["Content-Disposition"].startswith('attachment; filename="usage-cedar-cedar-stats-')
    assert rows[-1]["server_hours"] == "1.5000"
    assert rows[-1]["partial"] == "yes"
    assert {row["hub_name"][:2] for row in rows} == {"'="}


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠a", "|x", "\u00a0=1"]
)
def test_what_a_spreadsheet_could_run_is_quoted(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["Statistics", "1.5", "", "Été", "a=b"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


def test_the_progress_of_a_new_hub_polls_itself(cast: Cast, at: datetime, technical: Client) -> None:
    hub = requested_hub(cast, at=at)
    waiting = technical.get(HUB).text
    assert "Waiting for approval" in waiting
    assert "hub-progress" not in waiting
    with consortium_scope(Scope.STAFF):
        approve_hub(hub, by=cast.staff, at=now())
    page = technical.get(HUB).text
    assert f'hx-get="{HUB}progress/"' in page
    partial = technical.get(f"{HUB}progress/", headers={"HX-Request": "true"})
    assert partial.text.strip().startswith('<div id="hub-progress" hx-get')
    assert "<html" not in partial.text
    assert technical.get(f"{HUB}progress/").headers["Location"] == HUB


def test_a_failed_hub_offers_a_retry_that_queues_the_work(cast: Cast, at: datetime, technical: Client) -> None:
    hub = requested_hub(cast, at=at)
    with consortium_scope(Scope.STAFF):
        job = approve_hub(hub, by=cast.staff, at=now())
        type(job).objects.filter(pk=job.pk).update(state="running", step="reserve")
        type(job).objects.filter(pk=job.pk).update(state="failed", error="The cluster is full.")
        Hub.objects.filter(pk=hub.pk).update(status="provisioning")
        Hub.objects.filter(pk=hub.pk).update(status="failed")
    page = technical.get(HUB).text
    assert "The cluster is full." in page
    assert "Retry from the failed step" in page
    response = technical.post(f"{HUB}retry/")
    assert (response.status_code, response.headers["Location"]) == (HTTPStatus.FOUND, HUB)
    with consortium_scope(Scope.STAFF):
        again = reconcile_job(hub)
    assert again is not None
    assert again.state == "queued"
    assert "Nothing has failed here" in technical.post(f"{HUB}retry/", follow=True).text


class Limits:
    """An agreement that allows little."""

    memory_limit_bytes = GIB
    max_servers = 5


def filled(**changes: str) -> dict[str, str]:
    return {
        "name": "Statistics 2026",
        "purpose": "A course",
        "environment": "standard",
        "memory": str(GIB),
        "max_servers": "5",
        "expected_users": "40",
        "accounts": "ada, bob\nada",
    } | changes


def form(**changes: str) -> HubRequestForm:
    return HubRequestForm(filled(**changes), environments=Environment.objects.all(), entitlement=Limits())


def test_the_form_makes_a_wish(cast: Cast, hub: Hub) -> None:
    valid = form()
    assert valid.is_valid(), valid.errors
    wish = valid.wish()
    assert (wish.users, wish.admins, wish.memory_bytes) == (frozenset({"ada", "bob"}), frozenset({"ada"}), GIB)
    assert wish.spec(slug="cedar-two").size.memory_guarantee_mib == 512


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accounts", "Ada Lovelace!"),
        ("accounts", "  \n"),
        ("accounts", " ".join(f"s{n}" for n in range(60))),
        ("memory", str(8 * GIB)),
        ("environment", "cobol"),
        ("max_servers", "0"),
        ("name", ""),
    ],
)
def test_the_form_refuses_what_cannot_be(cast: Cast, hub: Hub, field: str, value: str) -> None:
    assert list(form(**{field: value}).errors) == [field]
