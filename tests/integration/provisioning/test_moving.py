"""A hub moves to another cluster: with its homes, its passwords and its address, or not at all."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings

from consortium.kernel import crash, jobs
from consortium.kernel.clock import now
from consortium.kernel.errors import Forbidden, Invalid, PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Job, OutgoingMail
from members.keys import make_member_key
from provisioning.catalogue import load_catalogue
from provisioning.clusters import store_credentials
from provisioning.drift import check_drift
from provisioning.drivers import target_of
from provisioning.gateways.base import HubState, HubTarget
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.gateways.kubernetes.driver import Limits
from provisioning.lifecycle import retire_hub, suspend_hub
from provisioning.metering import sample_hub
from provisioning.models import Cluster, Hub, HubMove
from provisioning.moving.wanting import MoveOver, cancel_move, job_of, move_hub
from provisioning.requests import revise_hub, spec_of
from tests.cast import Cast, make_cast
from tests.cluster.server import Call, Outcome
from tests.cluster.site import CHART, HELM, KubernetesSite, kubernetes_site
from tests.integration.provisioning.test_clusters_of_two_kinds import fresh, wanted, worked
from tests.unit.members.story import deliver
from tests.verification.local_hubs import local_site

pytestmark = pytest.mark.slow

SLUG = "cedar-stats"
FORWARD = (
    "move.begun_there", "move.secrets_kept", "kubernetes.released", "move.made", "move.closed", "move.home_read",
    "kubernetes.carrier_prepared", "kubernetes.carrier_made", "kubernetes.claim_made", "kubernetes.carrier_ended",
    "move.home_written", "move.home_carried", "move.carried", "move.proven", "move.before_commit", "move.switched",
    "kubernetes.namespace_deleted", "move.removed", "move.before_end", "job.move_hub.worked",
)  # fmt: skip
BACK = ("move.woken", "move.open_again", "kubernetes.uninstalled", "move.taken_back", "move.before_end")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesSite]:
    monkeypatch.setattr(settings, "PORTAL_HOME", tmp_path)
    monkeypatch.setattr(settings, "HELM", HELM)
    monkeypatch.setattr("provisioning.clusters.Limits", partial(Limits, hold=0.3, pause=0.02))
    with kubernetes_site(tmp_path / "old") as made:
        yield made
    crash.disarm()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[KubernetesSite]:
    with kubernetes_site(tmp_path / "new") as made:
        yield made


@pytest.fixture
def cast(committed_db: str) -> Cast:
    made = make_cast(now())
    with consortium_scope(Scope.STAFF):
        for institution in (made.university, made.other_university):
            make_member_key(institution, at=now())
    return made


def cluster_of(site: KubernetesSite, cast: Cast, slug: str) -> Cluster:
    with consortium_scope(Scope.STAFF):
        made = Cluster.objects.create(
            slug=slug, name=slug.capitalize(), driver="kubernetes", provider="metal", region="ca-west",
            hub_address=site.place.hub_address, ingress_class="memory", storage_class="standard",
            chart_reference=str(CHART), chart_version="1.0.0", capacity=2,
        )  # fmt: skip
        store_credentials(made, kubeconfig=site.server.kubeconfig(), by=cast.staff, at=now())
    return made


def running(cast: Cast, cluster: Cluster) -> Hub:
    load_catalogue(now())
    hub, job = wanted(cast, cast.university, cast.technical, cluster, SLUG)
    job = worked(job)
    assert (job.state, job.error) == ("succeeded", "")
    return fresh(hub)


def work_of(name: str, hub: Hub, password: str) -> None:
    """A year of work of one person, as files of the home."""
    with StudentSession(hub.url) as person:
        person.sign_in(name, password)
        person.start_server()
        person.write_and_read_back()


def wanted_move(hub: Hub, cluster: Cluster, cast: Cast) -> tuple[HubMove, Job]:
    with consortium_scope(Scope.STAFF):
        move = move_hub(hub, cluster=cluster, reason="The old machines are switched off.", by=cast.staff, at=now())
        job = job_of(move)
    assert job is not None
    return move, job


def after(move: HubMove) -> HubMove:
    with consortium_scope(Scope.JOB):
        return HubMove.objects.get(pk=move.pk)


def crashed_at(point: str, job: Job) -> bool:
    """Runs the job as a worker that is killed there; false when it never came by."""
    crash.arm(point)
    try:
        worked(job)
    except crash.SimulatedCrash:
        return True
    finally:
        crash.disarm()
        with consortium_scope(Scope.JOB):
            left = Job.objects.filter(pk=job.pk, state="running")
            left.update(lease_until=now() - timedelta(seconds=1), attempts=0)
    return False


def hubs_on(*sites: KubernetesSite) -> list[list[str]]:
    return [
        [name for one in site.store.find("namespaces") if (name := one["metadata"]["name"]).startswith("hub-")]
        for site in sites
    ]


def files_of(site: KubernetesSite, user: str) -> set[str]:
    home = site.server.volumes.of(f"hub-{SLUG}", f"claim-{user}")
    return {path.name for path in home.iterdir()}


def test_killed_after_every_step_a_moving_hub_arrives_once_with_its_homes_and_passwords(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    hub = running(cast, first)
    password = old.password(target_of(hub), "bob")
    work_of("bob", hub, password)
    work_of("ada", hub, old.driver.password(target_of(hub), of_admin=True))
    (old.server.volumes.of(f"hub-{SLUG}", "claim-bob") / "thesis.tex").write_text("a year of work")

    move, job = wanted_move(hub, second, cast)
    passed = [point for point in FORWARD if crashed_at(point, job)]

    assert passed == list(FORWARD)
    assert worked(job).state == "succeeded"
    hub, move = fresh(hub), after(move)
    assert (hub.status, hub.cluster_id, hub.generation, hub.observed_generation) == ("running", second.pk, 2, 2)
    assert (move.status, move.old_url, move.new_url) == ("moved", f"{old.hubs.address}/{SLUG}/", hub.url)
    assert hubs_on(old, new) == [[], [f"hub-{SLUG}"]], "one live release and no orphan"
    assert new.releases(target_of(hub))[-1][1] == "deployed"
    assert check_drift(hub, at=now()) == []
    assert len(move.homes) == move.homes_total == 2
    assert not re.search(r"\bada\b", json.dumps(move.homes)), "people are named by pseudonyms"
    assert files_of(new, "bob") == {"portal-check.txt", "thesis.tex"}
    assert not [name for name in new.everything(target_of(hub)) if "carr" in name]
    assert not list(Path(settings.PORTAL_HOME, "moves").iterdir()), "no home stays on the portal's disk"
    work_of("bob", hub, password)
    assert password not in caplog.text
    with consortium_scope(Scope.JOB):
        done = AuditEvent.objects.filter(action__in=["provisioning.hub_switched", "provisioning.hub_moved"]).count()
        assert done == 2, "each once"
    deliver(now())
    with consortium_scope(Scope.JOB):
        mails = list(OutgoingMail.objects.filter(template__startswith="provisioning_move").order_by("template"))
    told = {(mail.template.removeprefix("provisioning_move_"), mail.recipient) for mail in mails}
    people = {cast.owner.email, cast.technical.email}
    assert told == {(name, person) for name in ("begun", "done") for person in people}
    assert all(f"{old.hubs.address}/{SLUG}/" in mail.body for mail in mails if mail.template.endswith("done"))


def test_a_move_that_is_taken_back_leaves_everything_as_it_was_and_can_be_tried_again(
    cast: Cast, old: KubernetesSite, new: KubernetesSite
) -> None:
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    hub = running(cast, first)
    work_of("bob", hub, old.password(target_of(hub), "bob"))
    move, job = wanted_move(hub, second, cast)
    assert crashed_at("move.carried", job)
    assert fresh(hub).status == "moving"
    assert hubs_on(old, new) == [[f"hub-{SLUG}"], [f"hub-{SLUG}"]]

    with consortium_scope(Scope.STAFF):
        cancel_move(fresh(hub), reason="The deans want it after the exams.", by=cast.staff, at=now())
    assert [point for point in BACK if crashed_at(point, job)] == list(BACK)
    assert worked(job).state == "succeeded"

    back = fresh(hub)
    assert (back.status, back.cluster_id, back.url) == ("running", first.pk, hub.url)
    assert (back.generation, back.observed_generation) == (2, 2)
    assert (after(move).status, after(move).why) == ("cancelled", "The deans want it after the exams.")
    assert hubs_on(old, new) == [[f"hub-{SLUG}"], []]
    assert old.driver.observe(target_of(back)).healthy
    assert check_drift(back, at=now()) == []
    work_of("bob", back, old.password(target_of(back), "bob"))
    with consortium_scope(Scope.STAFF), pytest.raises(MoveOver):
        cancel_move(back, reason="Again", by=cast.staff, at=now())

    again, job = wanted_move(back, second, cast)
    assert worked(job).state == "succeeded"
    assert (after(again).status, fresh(hub).cluster_id) == ("moved", second.pk)
    there, job = wanted_move(fresh(hub), first, cast)
    assert worked(job).state == "succeeded", "and back where it came from"
    assert (after(there).status, hubs_on(old, new)) == ("moved", [[f"hub-{SLUG}"], []])


def test_a_move_that_cannot_be_finished_is_taken_back_by_itself_with_the_reason(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    hub = running(cast, first)
    work_of("bob", hub, old.password(target_of(hub), "bob"))
    monkeypatch.setattr("provisioning.clusters.ACT_SECONDS", 2.0)
    monkeypatch.setattr("provisioning.patience.WAIT_SECONDS", 0.0)
    monkeypatch.setattr("provisioning.patience.MAX_ATTEMPTS", 2)
    new.server.pods.stuck = True
    move, job = wanted_move(hub, second, cast)

    assert worked(job).state == "succeeded"

    assert (after(move).status, fresh(hub).status, fresh(hub).cluster_id) == ("cancelled", "running", first.pk)
    assert "ImagePullBackOff" in after(move).why
    assert hubs_on(old, new) == [[f"hub-{SLUG}"], []]
    deliver(now())
    with consortium_scope(Scope.JOB):
        mail = OutgoingMail.objects.filter(template="provisioning_move_cancelled").first()
    assert mail is not None
    assert "ImagePullBackOff" in mail.body


def test_an_old_cluster_that_does_not_let_go_asks_an_operator_while_people_work_at_the_new_one(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    hub = running(cast, first)
    move, job = wanted_move(hub, second, cast)
    assert crashed_at("move.switched", job)
    monkeypatch.setattr("provisioning.clusters.ACT_SECONDS", 0.3)
    monkeypatch.setattr("provisioning.patience.WAIT_SECONDS", 0.0)
    monkeypatch.setattr("provisioning.patience.MAX_ATTEMPTS", 2)

    def refuses(call: Call) -> Outcome | None:
        return Outcome(status=500) if call.method == "DELETE" and call.path.endswith(f"/hub-{SLUG}") else None

    with old.server.failing(refuses):
        ended = worked(job)
    assert ended.state == "needs_operator"
    assert "DELETE" in ended.error
    assert (fresh(hub).status, fresh(hub).cluster_id, after(move).status) == ("running", second.pk, "switched")
    with consortium_scope(Scope.STAFF):
        jobs.retry(ended, at=now())
    monkeypatch.setattr("provisioning.clusters.ACT_SECONDS", 10.0)
    assert worked(job).state == "succeeded"
    assert (after(move).status, hubs_on(old, new)) == ("moved", [[], [f"hub-{SLUG}"]])


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The home of the portal on this machine."""
    home = tmp_path / "machine"
    home.mkdir()
    return home


def test_a_hub_moves_from_this_machine_to_a_second_place_on_it_and_on_to_a_cluster(
    cast: Cast, new: KubernetesSite, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PORTAL_HOME", machine)
    monkeypatch.setattr(settings, "HELM", HELM)
    here, third = load_catalogue(now()), cluster_of(new, cast, "third")
    with consortium_scope(Scope.STAFF):
        annex = Cluster.objects.create(
            slug="annex", name="Annex", driver="local", provider="local", settings={"place": "annex"}
        )
    with local_site(machine / "hubs") as one, local_site(machine / "hubs-annex") as two:
        hub = running(cast, here)
        target = HubTarget(slug=SLUG, generation=hub.generation)
        password = one.password(target, "bob")
        home = one.root / SLUG / "run" / "home" / "bob"
        (home / "work").mkdir(parents=True)
        (home / "work" / "thesis.tex").write_text("a year of work")
        (home / "latest").symlink_to("work/thesis.tex")

        move, job = wanted_move(hub, annex, cast)
        assert worked(job).state == "succeeded"
        hub = fresh(hub)
        assert (after(move).status, hub.cluster_id, hub.status) == ("moved", annex.pk, "running")
        assert hub.url == two.driver.observe(target_of(hub)).url
        assert one.driver.observe(target_of(hub)).state is HubState.ABSENT
        assert one.processes(target_of(hub)) == {}
        moved = two.root / SLUG / "run" / "home" / "bob"
        assert (moved / "latest").read_text() == "a year of work"
        assert moved.owner() == (two.root / SLUG / "run").owner()
        with StudentSession(hub.url) as bob:
            bob.sign_in("bob", password)
        assert sample_hub(hub, at=now()).ok, "the meter looks at the new place"

        move, job = wanted_move(hub, third, cast)
        assert worked(job).state == "succeeded"
        hub = fresh(hub)
        assert (after(move).status, hub.url) == ("moved", f"{new.hubs.address}/{SLUG}/")
        assert two.processes(target_of(hub)) == {}
    assert files_of(new, "bob") == {"work", "latest"}
    work_of("bob", hub, new.password(target_of(hub), "bob"))


def test_nothing_else_is_done_to_a_hub_that_moves(cast: Cast, old: KubernetesSite, new: KubernetesSite) -> None:
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    hub = running(cast, first)
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Forbidden):
            move_hub(hub, cluster=second, reason="Mine", by=cast.owner, at=now())
        with pytest.raises(Invalid, match="already"):
            move_hub(hub, cluster=first, reason="Why", by=cast.staff, at=now())
        with pytest.raises(Invalid, match="reason"):
            move_hub(hub, cluster=second, reason=" ", by=cast.staff, at=now())
        Cluster.objects.filter(pk=second.pk).update(capacity=0)
        with pytest.raises(PortalError, match="holds 0 hubs"):
            move_hub(hub, cluster=second, reason="Why", by=cast.staff, at=now())
        Cluster.objects.filter(pk=second.pk).update(capacity=1)
        move_hub(hub, cluster=second, reason="Why", by=cast.staff, at=now())
        moving = fresh(hub)
        spec = spec_of(moving.revisions.get(generation=2))
        acts = (
            lambda: suspend_hub(moving, reason="Unpaid", by=cast.staff, at=now()),
            lambda: retire_hub(moving, reason="Over", by=cast.staff, at=now()),
            lambda: move_hub(moving, cluster=first, reason="Back", by=cast.staff, at=now()),
            lambda: revise_hub(
                moving, spec=spec.model_copy(update={"max_servers": 3}), note="", by=cast.technical, at=now()
            ),
        )
        for act in acts:
            with pytest.raises(PortalError):
                act()
