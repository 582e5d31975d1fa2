"""The reconcile job where no hub is needed: what it leaves alone, how it fails, what the panel then says."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings

from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Job
from provisioning.gateways.base import GatewayError, Observed, StaleGenerationError
from provisioning.models import Cluster, Hub
from provisioning.progress import RECONCILE_STEPS, progress_panel
from provisioning.requests import approve_hub, reconcile_job
from tests.cast import Cast, make_cast
from tests.unit.provisioning.stories import requested_hub


@pytest.fixture
def cast(committed_db: str) -> Cast:
    return make_cast(now())


@pytest.fixture
def approved(cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Hub, Job]:
    """An approved hub on a cluster with a supervisor that nobody asks anything of."""
    monkeypatch.setattr(settings, "PORTAL_HOME", tmp_path)
    hub = requested_hub(cast, at=now())
    with consortium_scope(Scope.STAFF):
        job = approve_hub(hub, by=cast.staff, at=now())
    return hub, job


def reload(hub: Hub) -> tuple[Hub, Job]:
    with consortium_scope(Scope.JOB):
        job = reconcile_job(hub)
        assert job is not None
        return Hub.objects.get(pk=hub.pk), job


class Place:
    """A place for hubs that answers every wish in one way; the real driver's tests are elsewhere."""

    def __init__(self, error: GatewayError) -> None:
        self.error = error
        self.asked = 0

    def ensure(self, *_: object) -> Observed:
        self.asked += 1
        raise self.error


def answers(monkeypatch: pytest.MonkeyPatch, error: GatewayError) -> Place:
    place = Place(error)
    monkeypatch.setattr("provisioning.patience.driver_for", lambda _: place)
    monkeypatch.setattr("provisioning.patience.why_not_ready", lambda _: "")
    monkeypatch.setattr("provisioning.patience.WAIT_SECONDS", 0.0)
    return place


def test_a_permanent_refusal_fails_the_hub_with_step_and_reason(
    approved: tuple[Hub, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, GatewayError("the image does not exist; name another one", permanent=True))
    assert jobs.run(approved[1].pk)
    hub, job = reload(approved[0])
    assert (hub.status, job.state, job.step) == ("failed", "failed", "reserve")
    assert job.error == "the image does not exist; name another one"
    with consortium_scope(Scope.JOB):
        event = AuditEvent.objects.get(action="provisioning.hub_failed")
        assert event.after == {"status": "failed", "step": "reserve", "generation": 1}
        assert event.deliveries.get().receiver == "provisioning.mail_hub_failed"


def test_a_passing_refusal_is_tried_again_later(approved: tuple[Hub, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    place = answers(monkeypatch, GatewayError("busy", permanent=False))
    assert jobs.run(approved[1].pk)
    hub, job = reload(approved[0])
    assert (hub.status, job.state, job.error, place.asked) == ("provisioning", "queued", "busy", 1)


def test_a_cluster_that_filled_up_meanwhile_fails_the_hub(approved: tuple[Hub, Job]) -> None:
    Cluster.objects.update(capacity=0)
    assert jobs.run(approved[1].pk)
    hub, job = reload(approved[0])
    assert (hub.status, job.state, job.step) == ("failed", "failed", "reserve")
    assert "all it can" in job.error


def test_a_cluster_that_lacks_its_credentials_is_named(approved: tuple[Hub, Job]) -> None:
    Cluster.objects.update(driver="kubernetes")
    assert jobs.run(approved[1].pk)
    assert "has no credentials" in reload(approved[0])[1].error


def test_work_on_an_older_wish_leaves(approved: tuple[Hub, Job]) -> None:
    with consortium_scope(Scope.JOB):
        Hub.objects.filter(pk=approved[0].pk).update(generation=2)
    assert jobs.run(approved[1].pk)
    with consortium_scope(Scope.JOB):
        job = Job.objects.get(pk=approved[1].pk)
    assert (job.state, job.result) == ("succeeded", {"left": True})


def test_a_place_that_is_ahead_of_the_portal_is_not_overwritten(
    approved: tuple[Hub, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, StaleGenerationError(slug="cedar-stats", asked=1, stored=3))
    assert jobs.run(approved[1].pk)
    hub, job = reload(approved[0])
    assert (hub.status, job.state) == ("failed", "failed")
    assert "newer state" in job.error


def test_the_panel_says_which_step_failed_and_how_to_go_on(
    approved: tuple[Hub, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, GatewayError("no", permanent=True))
    jobs.run(approved[1].pk)
    hub, job = reload(approved[0])
    panel = progress_panel(hub, job, at=now())
    assert (panel.state, panel.message, panel.may_retry, panel.is_open) == ("failed", "no", True, False)
    states = [step.state for step in panel.steps]
    assert states == ["done", "failed", "waiting", "waiting", "waiting", "waiting"]
    assert panel.reference == str(job.pk)


def test_the_panel_stalls_after_a_minute_without_a_worker(approved: tuple[Hub, Job]) -> None:
    hub, job = reload(approved[0])
    waiting = progress_panel(hub, job, at=job.run_after + timedelta(seconds=59))
    stalled = progress_panel(hub, job, at=job.run_after + timedelta(seconds=61))
    assert (waiting.state, stalled.state) == ("queued", "stalled")
    assert len(waiting.steps) == len(RECONCILE_STEPS)


def test_the_panel_shows_how_long_each_step_took(approved: tuple[Hub, Job]) -> None:
    hub, job = reload(approved[0])
    begun = datetime.fromisoformat("2026-10-15T16:00:00+00:00")
    job.state, job.step, job.done, job.created_at = "running", "start", 3, begun
    job.heartbeat_at = begun + timedelta(seconds=20)
    steps = ["validate", "reserve", "validate", "reserve", "reserve", "write", "write", "start"]
    job.log = [
        {"at": (begun + timedelta(seconds=second)).isoformat(), "step": step, "message": ""}
        for second, step in enumerate(steps)
    ]
    panel = progress_panel(hub, job, at=begun + timedelta(seconds=20))
    took = [step.note.replace("\N{NO-BREAK SPACE}", " ") for step in panel.steps]
    assert took == ["1 s", "2 s", "2 s", "13 s", "", ""]
    assert panel.log[-1] == "09:00:07 start"
