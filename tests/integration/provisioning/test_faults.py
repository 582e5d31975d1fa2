"""A cluster that fails: the work converges, or says so by its deadline to an operator with the reason, or goes back."""

from collections.abc import Callable

import pytest

from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from provisioning.drivers import target_of
from provisioning.lifecycle import resume_hub, retire_hub, suspend_hub
from provisioning.requests import revise_hub, spec_of
from tests.cast import Cast
from tests.cluster.server import Call, Outcome
from tests.cluster.site import KubernetesSite
from tests.integration.provisioning.test_clusters_of_two_kinds import fresh, worked
from tests.integration.provisioning.test_moving import (
    SLUG,
    after,
    cast,
    cluster_of,
    hubs_on,
    new,
    old,
    running,
    wanted_move,
    work_of,
)

pytestmark = pytest.mark.slow
__all__ = ["cast", "new", "old"]

NAMESPACE = f"hub-{SLUG}"
KINDS = {
    "timeout": Outcome(delay=0.3),
    "conflict": Outcome(status=409),
    "too_many": Outcome(status=429),
    "error": Outcome(status=500),
    "reset": Outcome(reset=True),
    "answer_lost": Outcome(lose_answer=True),
}


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.patience.WAIT_SECONDS", 0.0)
    monkeypatch.setattr("provisioning.patience.MAX_ATTEMPTS", 2)


def hasty(monkeypatch: pytest.MonkeyPatch, seconds: float = 1.0) -> None:
    monkeypatch.setattr("provisioning.clusters.ACT_SECONDS", seconds)


def never_ready(site: KubernetesSite) -> None:
    site.controllers.never_ready.add((NAMESPACE, "hub"))


def test_a_hub_that_never_gets_ready_asks_an_operator_whatever_was_wanted(
    cast: Cast, old: KubernetesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cluster_of(old, cast, "first")
    hub = running(cast, first)
    hasty(monkeypatch)
    with consortium_scope(Scope.STAFF):
        spec = spec_of(hub.revisions.get())
        job = revise_hub(
            hub, spec=spec.model_copy(update={"image": "registry.example/notebook:gone"}), note="", by=cast.technical,
            at=now(),
        )  # fmt: skip
    never_ready(old)
    ended = worked(job)
    assert (ended.state, fresh(hub).status) == ("needs_operator", "failed")
    assert "hub starts" in ended.error
    old.controllers.never_ready.clear()
    hasty(monkeypatch, 10.0)
    with consortium_scope(Scope.STAFF):
        jobs.retry(ended, at=now())
    old.store.patch(old.key(target_of(hub), "apps/v1", "deployments", "hub"), dict, manager="test", dry_run=False)
    assert (worked(job).state, fresh(hub).status) == ("succeeded", "running")

    hasty(monkeypatch)
    with consortium_scope(Scope.STAFF):
        job = suspend_hub(fresh(hub), reason="Unpaid", by=cast.staff, at=now())
    assert worked(job).state == "succeeded"
    never_ready(old)
    with consortium_scope(Scope.STAFF):
        job = resume_hub(fresh(hub), by=cast.staff, at=now())
    assert (worked(job).state, fresh(hub).status) == ("needs_operator", "suspended")


def test_a_new_place_that_never_gets_ready_gives_the_hub_back(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = running(cast, cluster_of(old, cast, "first"))
    never_ready(new)
    hasty(monkeypatch)
    move, job = wanted_move(hub, cluster_of(new, cast, "second"), cast)
    assert worked(job).state == "succeeded"
    assert (after(move).status, fresh(hub).status, hubs_on(old, new)) == ("cancelled", "running", [[NAMESPACE], []])
    assert "hub starts" in after(move).why


@pytest.mark.parametrize("method", ["DELETE", "GET", "PUT"])
def test_a_retirement_that_the_cluster_refuses_asks_an_operator_and_goes_on_later(
    cast: Cast, old: KubernetesSite, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    hub = running(cast, cluster_of(old, cast, "first"))
    hasty(monkeypatch, 0.5)
    with consortium_scope(Scope.STAFF):
        job = retire_hub(hub, reason="Over", by=cast.owner, at=now())

    def refuses(call: Call) -> Outcome | None:
        return KINDS["error"] if call.method == method and SLUG in call.path else None

    with old.server.failing(refuses):
        ended = worked(job)
    assert (ended.state, fresh(hub).status) == ("needs_operator", "retiring")
    assert method in ended.error or "500" in ended.error
    hasty(monkeypatch, 10.0)
    with consortium_scope(Scope.STAFF):
        jobs.retry(ended, at=now())
    assert (worked(job).state, fresh(hub).status, hubs_on(old)) == ("succeeded", "retired", [[]])


@pytest.mark.parametrize("shift", [0, 3])
def test_when_each_call_of_either_cluster_fails_once_the_hub_is_made_updated_moved_and_retired(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    """Call after call takes the next kind of fault; another shift gives each call another kind."""
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    monkeypatch.setattr("provisioning.patience.MAX_ATTEMPTS", 40)
    struck: set[tuple[str, str]] = set()
    with old.server.failing(each_once(struck, shift)), new.server.failing(each_once(struck, shift)):
        hub = running(cast, first)
        work_of("bob", hub, old.password(target_of(hub), "bob"))
        with consortium_scope(Scope.STAFF):
            spec = spec_of(hub.revisions.get())
            job = revise_hub(hub, spec=spec.model_copy(update={"max_servers": 3}), note="", by=cast.technical, at=now())
        assert again(job).state == "succeeded"
        move, job = wanted_move(fresh(hub), second, cast)
        assert again(job).state == "succeeded"
        assert (after(move).status, after(move).why, hubs_on(old, new)) == ("moved", "", [[], [NAMESPACE]])
        with consortium_scope(Scope.STAFF):
            job = retire_hub(fresh(hub), reason="Over", by=cast.owner, at=now())
        assert again(job).state == "succeeded"
    assert (fresh(hub).status, hubs_on(old, new)) == ("retired", [[], []])
    assert len(struck) > 60, "the faults did strike"


def each_once(struck: set[tuple[str, str]], shift: int) -> Callable[[Call], Outcome | None]:
    kinds = list(KINDS.values())

    def fault(call: Call) -> Outcome | None:
        if call.agent != "portal" or (call.name, call.path) in struck:
            return None
        struck.add((call.name, call.path))
        return kinds[(len(struck) + shift) % len(kinds)]

    return fault


def again(job: Job) -> Job:
    for _ in range(5):
        job = worked(job)
        if job.state not in {"queued", "running"}:
            break
    return job
