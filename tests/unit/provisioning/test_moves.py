"""What is seen of a move, and what PostgreSQL refuses about one; moves themselves are tried in integration tests."""

from datetime import datetime, timedelta
from http import HTTPStatus

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import Job
from members.models import User
from provisioning.models import Cluster, Hub, HubMove
from provisioning.moving.wanting import job_of, move_hub
from provisioning.service_level.status_page import service_status
from provisioning.states import HUB
from tests.cast import Cast
from tests.unit.provisioning.stories import running_hub

PAGE = "/en/i/cedar/hubs/cedar-stats/"
REASON = "The old machines are switched off."


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return running_hub(cast, at=now())


@pytest.fixture
def annex(hub: Hub) -> Cluster:
    with consortium_scope(Scope.STAFF):
        return Cluster.objects.create(slug="annex", name="Annex", driver="local", settings={"place": "annex"})


@pytest.fixture
def move(cast: Cast, hub: Hub, annex: Cluster) -> HubMove:
    with consortium_scope(Scope.STAFF):
        return move_hub(hub, cluster=annex, reason=REASON, by=cast.staff, at=now())


def browser(user: User) -> Client:
    if user.is_staff:
        Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def at_step(move: HubMove, step: str, done: int, **values: object) -> Job:
    with consortium_scope(Scope.JOB):
        job = job_of(move)
        assert job is not None
        Job.objects.filter(pk=job.pk).update(
            state="running", step=step, done=done, started_at=now(), heartbeat_at=now(), **values
        )
        return job


def test_whoever_reads_the_hubs_page_sees_why_it_is_closed_and_how_far_its_move_is(cast: Cast, move: HubMove) -> None:
    at_step(move, "carry", 3)
    with consortium_scope(Scope.JOB):
        HubMove.objects.filter(pk=move.pk).update(homes_total=12, homes={"a" * 32: {}})
    member = browser(cast.viewer)

    shown = member.get(PAGE).text
    for text in (REASON, "Annex", "Homes that have arrived whole: 1 of 12.", "Carry people&#x27;s files", "Moving"):
        assert text in shown
    assert "Retry from the failed step" not in shown
    polled = member.get(f"{PAGE}progress/", headers={"HX-Request": "true"}).text
    assert 'aria-current="step"' in polled
    assert "Le hub déménage vers une autre grappe" in member.get(PAGE.replace("/en/", "/fr/")).text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("switched",), "the old one is being ended"),
        (("switched", "moved"), "The hub has moved"),
        (("cancelling", "cancelled"), "The hub stays where it was"),
    ],
)
def test_how_a_move_ended_is_told_for_a_week(
    cast: Cast, hub: Hub, move: HubMove, path: tuple[str, ...], text: str
) -> None:
    at = now()
    with consortium_scope(Scope.JOB):
        HUB.move(Hub.objects.get(pk=hub.pk), "running", observed_generation=2)
        for status in path:
            values: dict[str, object] = {"switched_at": at} if status == "switched" else {}
            values |= {"ended_at": at} if status in {"moved", "cancelled"} else {"why": "No room"}
            HubMove.objects.filter(pk=move.pk).update(status=status, **values)
    member = browser(cast.viewer)
    assert text in member.get(PAGE).text
    if path[-1] != "switched":
        with consortium_scope(Scope.JOB), pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            HubMove.objects.filter(pk=move.pk).update(why="Another story")


def test_an_operator_types_the_hubs_name_to_move_it_and_takes_it_back(cast: Cast, hub: Hub, annex: Cluster) -> None:
    staff = browser(cast.staff)
    act = f"/en/staff/provisioning/hub/{hub.pk}/act"
    page = staff.get(f"{act}/move/").text
    for text in ("Servers that would be stopped", "Annex", "0 of 20 places taken", "72 hours"):
        assert text in page
    form = {"cluster": annex.pk, "reason": REASON, "typed": "cedar"}
    refused = staff.post(f"{act}/move/", form)
    assert (refused.status_code, REASON in refused.text) == (HTTPStatus.UNPROCESSABLE_ENTITY, True)
    assert staff.post(f"{act}/move/", {**form, "typed": hub.slug}).status_code == HTTPStatus.FOUND
    assert "Homes carried" in staff.get(f"{act}/take-back/").text
    assert staff.post(f"{act}/take-back/", {"reason": "Not today"}).status_code == HTTPStatus.FOUND
    with consortium_scope(Scope.STAFF):
        move = HubMove.objects.get(hub=hub)
    assert (move.status, move.why) == ("cancelling", "Not today")
    again = staff.post(f"{act}/take-back/", {"reason": "Not today"})
    assert "not moving any more" in again.text


def test_an_operator_retries_a_move_that_stands_still(cast: Cast, hub: Hub, move: HubMove) -> None:
    job = at_step(move, "remove", 6)
    with consortium_scope(Scope.JOB):
        Job.objects.filter(pk=job.pk).update(state="needs_operator", error="the cluster does not answer")
    staff = browser(cast.staff)
    act = f"/en/staff/provisioning/hub/{hub.pk}/act/retry/"
    assert "the cluster does not answer" in staff.get(act).text
    assert staff.post(act).status_code == HTTPStatus.FOUND
    with consortium_scope(Scope.JOB):
        assert Job.objects.get(pk=job.pk).state == "queued"


def test_a_closed_hub_is_on_the_status_page_and_not_good(hub: Hub, move: HubMove) -> None:
    with consortium_scope(Scope.PUBLIC):
        (row,) = service_status(at=now()).hubs
    assert (row.hub.status, row.state == "working") == ("moving", False)


def test_postgresql_refuses_a_second_move_a_move_to_where_it_is_and_one_without_its_dates(
    cast: Cast, hub: Hub, move: HubMove, annex: Cluster
) -> None:
    row = {
        "institution_id": hub.institution_id, "hub": hub, "from_cluster_id": hub.cluster_id, "to_cluster": annex,
        "generation": 2, "reason": REASON, "wanted_by": cast.staff, "wanted_at": now(),
    }  # fmt: skip
    refused: list[tuple[str, dict[str, object]]] = [
        ("hubmove_one_open", row),
        ("hubmove_elsewhere", row | {"from_cluster_id": annex.pk}),
        ("hubmove_switched_at", row | {"switched_at": now()}),
        ("hubmove_ended_at", row | {"ended_at": now()}),
        ("begins as carrying", row | {"status": "moved", "switched_at": now(), "ended_at": now()}),
    ]
    for said, values in refused:
        with consortium_scope(Scope.STAFF), pytest.raises(IntegrityError, match=said), transaction.atomic():
            HubMove.objects.create(**values)
    skipping = pytest.raises(IntegrityError, match="carrying may not become moved")
    with consortium_scope(Scope.STAFF), skipping, transaction.atomic():
        HubMove.objects.filter(pk=move.pk).update(status="moved")
    with institution_scope(cast.other_university.pk):
        assert not HubMove.objects.exists(), "another university does not see it"


def test_a_move_counts_as_a_place_on_both_clusters(cast: Cast, move: HubMove, annex: Cluster) -> None:
    from provisioning.requests import ClusterFull, check_room_on  # noqa: PLC0415 - what this test is about

    Cluster.objects.update(capacity=1)
    other = running_hub(cast, at=now() - timedelta(days=1), slug="cedar-maths")
    for cluster in (annex, move.from_cluster):
        with consortium_scope(Scope.STAFF), pytest.raises(ClusterFull):
            check_room_on(cluster, other)
    assert isinstance(move.wanted_at, datetime)
