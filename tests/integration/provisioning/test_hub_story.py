"""Two universities, two kinds of clusters, and the whole life of a hub: from the request to the certificate."""

from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Document, Job
from provisioning.catalogue import load_catalogue
from provisioning.drift import check_drift, repair_hub
from provisioning.drivers import driver_for, target_of
from provisioning.gateways.base import HubState
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.lifecycle import resume_hub, retire_hub, suspend_hub
from provisioning.metering import sample_all
from provisioning.models import Hub, WorkCheck
from provisioning.requests import reconcile_job, revise_hub, spec_of
from provisioning.service_level.proving import prove_all
from tests.cast import Cast
from tests.cluster.site import HELM, KubernetesSite
from tests.integration.provisioning.test_clusters_of_two_kinds import changed_by_hand, fresh, wanted, worked
from tests.integration.provisioning.test_moving import SLUG, cast, cluster_of, machine, new, old, wanted_move
from tests.unit.provisioning.stories import WISH
from tests.verification.local_hubs import local_site

pytestmark = pytest.mark.slow
__all__ = ["cast", "machine", "new", "old"]


def done(job: Job | None) -> None:
    assert job is not None
    ended = worked(job)
    assert (ended.state, ended.error) == ("succeeded", "")


def revised(hub: Hub, cast: Cast, **changes: object) -> Hub:
    """The hub as its technical person wants it next."""
    with consortium_scope(Scope.STAFF):
        spec = spec_of(hub.revisions.get(generation=hub.generation))
        job = revise_hub(hub, spec=spec.model_copy(update=changes), note="", by=cast.technical, at=now())
    done(job)
    return fresh(hub)


def test_two_universities_two_kinds_of_clusters_and_the_whole_life_of_a_hub(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PORTAL_HOME", machine)
    monkeypatch.setattr(settings, "HELM", HELM)
    here = load_catalogue(now())
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    with local_site(machine / "hubs") as local:
        cedar, cedar_job = wanted(cast, cast.university, cast.technical, first, SLUG)
        maple, maple_job = wanted(
            cast, cast.other_university, cast.outsider, here, "maple-stats",
            wish=replace(WISH, memory_bytes=2 * 1024**3, max_servers=4, users=frozenset({"eve"}), admins=frozenset()),
        )  # fmt: skip
        done(cedar_job)
        done(maple_job)
        cedar, maple = fresh(cedar), fresh(maple)
        assert cedar.url == f"{old.hubs.address}/{SLUG}/"
        assert maple.url == local.driver.observe(target_of(maple)).url
        assert_metered_and_proven(cedar, maple, old.password(target_of(cedar), "bob"))
        assert local.driver.observe(target_of(maple)).healthy

    cedar = revised(cedar, cast, max_servers=7)
    assert old.hubs.configuration(f"hub-{SLUG}")["hub"]["activeServerLimit"] == 7
    cedar = revised(cedar, cast, max_servers=WISH.max_servers)
    assert (cedar.generation, cedar.observed_generation) == (3, 3)
    assert old.hubs.configuration(f"hub-{SLUG}")["hub"]["activeServerLimit"] == WISH.max_servers

    changed_by_hand(old)
    paths = {each.path for each in check_drift(cedar, at=now())}
    assert {"Service/proxy-public", "Deployment/hub.spec.template.spec.containers"} <= paths
    with consortium_scope(Scope.STAFF):
        job = repair_hub(fresh(cedar), by=cast.staff, at=now())
    done(job)
    assert (check_drift(fresh(cedar), at=now()), fresh(cedar).status) == ([], "running")

    with consortium_scope(Scope.STAFF):
        job = suspend_hub(fresh(cedar), reason="Unpaid since July.", by=cast.staff, at=now())
    done(job)
    assert (fresh(cedar).status, old.processes(target_of(cedar))) == ("suspended", {})
    with consortium_scope(Scope.STAFF):
        job = resume_hub(fresh(cedar), by=cast.staff, at=now())
    done(job)

    _move, job = wanted_move(fresh(cedar), second, cast)
    done(job)
    cedar = fresh(cedar)
    assert (cedar.cluster_id, cedar.url) == (second.pk, f"{new.hubs.address}/{SLUG}/")

    with consortium_scope(Scope.STAFF):
        job = retire_hub(cedar, reason="We run it ourselves.", by=cast.owner, at=now())
    done(job)
    assert fresh(cedar).status == "retired"
    assert driver_for(second).observe(target_of(cedar)).state is HubState.ABSENT
    with consortium_scope(Scope.STAFF):
        kept = set(Document.objects.filter(subject_id=str(cedar.pk)).values_list("kind", "language"))
        events = set(AuditEvent.objects.filter(object_id=str(cedar.pk)).values_list("action", flat=True))
    certificates = {("decommission_certificate", language) for language in ("en", "fr")}
    assert kept == {("take_away", ""), ("homes", ""), *certificates}
    told = ("requested", "approved", "ready", "revised", "updated", "suspended", "resumed", "switched", "retired")
    assert {f"provisioning.hub_{each}" for each in told} <= events
    assert reconcile_job(cedar) is None, "a move is its own work, and not a reconciliation"


def assert_metered_and_proven(cedar: Hub, maple: Hub, password: str) -> None:
    """The meter sees both, each on its own kind of cluster, and a synthetic user can work on both."""
    with StudentSession(cedar.url) as bob:
        bob.sign_in("bob", password)
        bob.start_server()
        runs = {run.hub_id: (run.ok, run.servers) for run in sample_all(at=now())}
    assert runs == {cedar.pk: (True, 1), maple.pk: (True, 0)}
    checks = prove_all(at=now())
    assert {(check.hub_id, check.ok, check.step) for check in checks} == {(cedar.pk, True, ""), (maple.pk, True, "")}
    with consortium_scope(Scope.JOB):
        assert WorkCheck.objects.count() == 2
