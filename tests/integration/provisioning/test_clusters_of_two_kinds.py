"""Two universities on two kinds of clusters: hubs made by the job, metered, drifting and repaired; no secret leaks."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client

from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, Job
from members.keys import make_member_key
from members.models import Institution, User
from provisioning.catalogue import load_catalogue
from provisioning.cluster_checks import want_check
from provisioning.clusters import store_credentials
from provisioning.drift import check_drift, repair_hub
from provisioning.drivers import driver_for
from provisioning.gateways.base import HubTarget
from provisioning.models import Cluster, Hub
from provisioning.requests import approve_hub, reconcile_job, request_hub
from provisioning.wishes import HubWish
from tests.cast import Cast, make_cast
from tests.cluster.merging import merged
from tests.cluster.server import TOKEN, Call, Outcome
from tests.cluster.site import CHART, HELM, KubernetesSite, kubernetes_site
from tests.integration.provisioning.test_real_hub import everything_stored
from tests.unit.provisioning.stories import WISH

pytestmark = pytest.mark.slow

TARGET = HubTarget(slug="cedar-stats", generation=1)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesSite]:
    monkeypatch.setattr(settings, "PORTAL_HOME", tmp_path)
    monkeypatch.setattr(settings, "HELM", HELM)
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with kubernetes_site(tmp_path) as made:
        yield made


@pytest.fixture
def cast(committed_db: str) -> Cast:
    made = make_cast(now())
    with consortium_scope(Scope.STAFF):
        make_member_key(made.university, at=now())
        make_member_key(made.other_university, at=now())
    return made


@pytest.fixture
def cluster(cast: Cast, site: KubernetesSite) -> Cluster:
    """The in-memory cluster as staff describe it."""
    with consortium_scope(Scope.STAFF):
        made = Cluster.objects.create(
            slug="memory", name="In memory", driver="kubernetes", provider="metal", region="ca-west",
            hub_address=site.place.hub_address, ingress_class="memory", storage_class="standard",
            chart_reference=str(CHART), chart_version="1.0.0", cost_tags={"consortium": "demo"},
        )  # fmt: skip
        store_credentials(made, kubeconfig=site.server.kubeconfig(), by=cast.staff, at=now())
    return made


def wanted(
    cast: Cast, institution: Institution, by: User, cluster: Cluster, slug: str, *, wish: HubWish = WISH
) -> tuple[Hub, Job]:
    with institution_scope(institution.pk):
        hub = request_hub(
            institution=institution, cluster=cluster, spec=replace(wish, name=slug).spec(slug=slug),
            agreement_id=uuid4(), zone=institution.zone, by=by, at=now(), purpose=WISH.purpose,
        )  # fmt: skip
    with consortium_scope(Scope.STAFF):
        return hub, approve_hub(hub, by=cast.staff, at=now())


def worked(job: Job) -> Job:
    """Runs the job as workers do, again when it was sent back to the queue."""
    for _ in range(8):
        with consortium_scope(Scope.JOB):
            Job.objects.filter(pk=job.pk, state="queued").update(run_after=now())
        jobs.run(job.pk)
        with consortium_scope(Scope.JOB):
            job = Job.objects.get(pk=job.pk)
        if job.state not in {"queued", "running"}:
            break
    return job


def fresh(hub: Hub) -> Hub:
    with consortium_scope(Scope.JOB):
        return Hub.objects.select_related("cluster").get(pk=hub.pk)


def running(cast: Cast, cluster: Cluster) -> Hub:
    load_catalogue(now())
    hub, job = wanted(cast, cast.university, cast.technical, cluster, TARGET.slug)
    job = worked(job)
    assert (job.state, job.error) == ("succeeded", "")
    return fresh(hub)


def test_what_a_hub_runs_bears_the_labels_by_which_a_bill_is_read(
    cast: Cast, cluster: Cluster, site: KubernetesSite
) -> None:
    running(cast, cluster)
    labels = site.objects(TARGET, "deployments")[0]["metadata"]["labels"]
    assert (labels["hub"], labels["consortium"]) == ("cedar-stats", "demo")


def changed_by_hand(site: KubernetesSite) -> None:
    """A Service is deleted and an image is changed, as with kubectl."""
    site.store.delete(site.key(TARGET, "v1", "services", "proxy-public"))
    evil = {"spec": {"template": {"spec": {"containers": [{"name": "hub", "image": "elsewhere.example/hub:evil"}]}}}}
    deployment = site.key(TARGET, "apps/v1", "deployments", "hub")
    site.store.patch(deployment, lambda live: merged(live, evil), manager="kubectl-edit", dry_run=False)


def test_what_was_changed_by_hand_is_found_and_repaired_on_request(
    cast: Cast, cluster: Cluster, site: KubernetesSite
) -> None:
    hub = running(cast, cluster)
    assert check_drift(hub, at=now()) == []
    changed_by_hand(site)

    paths = {each.path for each in check_drift(hub, at=now())}
    assert "Service/proxy-public" in paths
    assert "Deployment/hub.spec.template.spec.containers" in paths
    assert fresh(hub).status == "degraded"
    shown = browser(cast.staff).get(f"/en/staff/provisioning/hub/{hub.pk}/act/repair/").text
    assert "Differs: Service/proxy-public" in shown

    with consortium_scope(Scope.STAFF):
        job = repair_hub(fresh(hub), by=cast.staff, at=now())
    assert worked(job).state == "succeeded"
    repaired = fresh(hub)
    assert (repaired.status, repaired.generation, repaired.drift) == ("running", 2, [])
    assert check_drift(repaired, at=now()) == []
    with consortium_scope(Scope.JOB):
        assert AuditEvent.objects.filter(action="provisioning.drift_found").count() == 1


def test_a_hub_that_was_revised_meanwhile_is_not_compared_with_what_it_was(
    cast: Cast, cluster: Cluster, site: KubernetesSite
) -> None:
    hub = running(cast, cluster)
    changed_by_hand(site)
    with consortium_scope(Scope.STAFF):
        Hub.objects.filter(pk=hub.pk).update(generation=2)
    assert check_drift(hub, at=now()) != []
    assert (fresh(hub).drift, fresh(hub).status) == ([], "running")


def test_a_cluster_that_never_answers_ends_with_an_operator_who_reads_why(
    cast: Cast, cluster: Cluster, site: KubernetesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_catalogue(now())
    monkeypatch.setattr("provisioning.clusters.ACT_SECONDS", 0.3)
    monkeypatch.setattr("provisioning.patience.WAIT_SECONDS", 0.2)
    hub, job = wanted(cast, cast.university, cast.technical, cluster, TARGET.slug)

    def down(call: Call) -> Outcome | None:
        return Outcome(status=503) if "/namespaces/" in call.path else None

    with site.server.failing(down):
        assert jobs.run(job.pk)
        with consortium_scope(Scope.JOB):
            waiting = reconcile_job(hub)
            assert waiting is not None
            Job.objects.filter(pk=job.pk).update(attempts=11, run_after=now())
        assert waiting.state == "queued"
        assert jobs.run(job.pk)
    with consortium_scope(Scope.JOB):
        ended = reconcile_job(hub)
    assert ended is not None
    assert (ended.state, fresh(hub).status) == ("needs_operator", "failed")
    assert "the cluster does not answer" in ended.error
    assert "503" in ended.error


def test_secrets_appear_nowhere(
    cast: Cast,
    cluster: Cluster,
    site: KubernetesSite,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    commands, texts = watched_processes(monkeypatch)
    hub = running(cast, cluster)
    canaries = {TOKEN, site.password(TARGET, "ada"), site.driver.password(TARGET, of_admin=True)}
    assert all(canaries)
    assert any("upgrade" in command for command in commands)
    places = {
        "helm's arguments and environment": "\n".join(commands),
        "helm's values": "\n".join(texts),
        "helm's stored releases": site.release_texts(TARGET),
        "the log": caplog.text,
        "the database": everything_stored(),
        "the cluster's records": json.dumps(site.store.find("configmaps")) + json.dumps(site.store.find("events")),
        "the driver's own words": repr(driver_for(hub.cluster)) + repr(vars(driver_for(hub.cluster))),
    }
    found = [(name, canary) for name, text in places.items() for canary in canaries if canary in text]
    assert found == []
    assert hub.slug in places["helm's stored releases"]


def watched_processes(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """What every Helm is started with, and what is written to it."""
    import subprocess  # noqa: PLC0415

    commands: list[str] = []
    texts: list[str] = []

    class Watched(subprocess.Popen[bytes]):
        def __init__(self, command, **how) -> None:  # type: ignore[no-untyped-def]
            commands.append(json.dumps([*command, how.get("env", {})]))
            super().__init__(command, **how)

        def communicate(self, input=None, timeout=None):  # type: ignore[no-untyped-def]  # noqa: A002
            texts.append((input or b"").decode())
            return super().communicate(input, timeout)

    monkeypatch.setattr("provisioning.gateways.kubernetes.helm.subprocess.Popen", Watched)
    return commands, texts


def browser(user: User) -> Client:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_staff_connect_and_check_a_cluster_in_the_admin_site(
    cast: Cast, cluster: Cluster, site: KubernetesSite
) -> None:
    site.server.forbidden.add("delete namespaces")
    row = f"/en/staff/provisioning/cluster/{cluster.pk}"
    page = f"{row}/change/"
    staff = browser(cast.staff)
    refused = staff.post(f"{row}/act/credentials/", {"kubeconfig": f"users: [{{token: {TOKEN}}}]"})
    assert (refused.status_code, TOKEN in refused.text) == (422, False)
    assert "names no context" in refused.text
    stored = staff.post(f"{row}/act/credentials/", {"kubeconfig": site.server.kubeconfig()}, follow=True)
    assert site.server.url in stored.text
    assert TOKEN not in stored.text

    assert staff.post(f"{row}/act/check/").status_code == 302
    assert "It is being made" in staff.get(page).text
    with consortium_scope(Scope.JOB):
        job = Job.objects.get(kind="check_cluster")
    assert worked(job).state == "succeeded"
    shown = staff.get(page).text
    for text in ("v1.37.0", "delete namespaces", "It has no nodes yet", "It has no storage class standard"):
        assert text in shown
    with consortium_scope(Scope.JOB):
        found = Cluster.objects.get(pk=cluster.pk)
    assert found.capabilities["chart"]["version"] == "1.0.0"
    assert staff.post(f"{row}/act/pin/").status_code == 302
    with consortium_scope(Scope.JOB):
        assert Cluster.objects.get(pk=cluster.pk).chart_digest == found.capabilities["chart"]["digest"]
    assert "icon-no" in staff.get("/en/staff/provisioning/cluster/").text


def test_a_cluster_that_refuses_the_portal_is_a_finding_and_not_a_crash(
    cast: Cast, cluster: Cluster, site: KubernetesSite
) -> None:
    with site.server.failing(lambda _: Outcome(status=401)), consortium_scope(Scope.STAFF):
        job = want_check(cluster, by=cast.staff, at=now())
    with site.server.failing(lambda _: Outcome(status=401)):
        assert worked(job).state == "succeeded"
    with consortium_scope(Scope.JOB):
        problems = Cluster.objects.get(pk=cluster.pk).check_problems
    assert len(problems) == 1
    assert "store new credentials" in problems[0]
