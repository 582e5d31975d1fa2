"""One real JupyterHub, made by the job, cut off in the middle, metered while a student works, and gone silent."""

import io
import json
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from consortium.kernel import crash, documents, jobs, outbox
from consortium.kernel.clock import now
from consortium.kernel.periods import Month, local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Document, Job, OutgoingMail
from members.keys import make_member_key
from provisioning.drift import look_for_drift, repair_hub
from provisioning.gateways.base import HubTarget
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.lifecycle import resume_hub, retire_hub, suspend_hub
from provisioning.metering import roll_day, sample_all, sample_hub
from provisioning.models import Hub, HubDay, HubDayUser, Sample, SamplingRun
from provisioning.queries import health_of, month_use
from provisioning.requests import approve_hub, reconcile_job, retry_hub, revise_hub, spec_of
from provisioning.service_level.proving import prove_hub
from tests.cast import Cast, make_cast
from tests.unit.provisioning.stories import WISH, requested_hub
from tests.verification.local_hubs import LocalSite, local_site

pytestmark = pytest.mark.slow

SLUG, STUDENT, INTERVAL = "cedar-stats", "grace.hopper", 2
TARGET = HubTarget(slug=SLUG, generation=1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSite]:
    """A hub supervisor and its folder; the hub in it outlives each test, its rows do not."""
    with local_site(tmp_path_factory.mktemp("portal") / "hubs") as made:
        yield made


@pytest.fixture(autouse=True)
def place(site: LocalSite, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "PORTAL_HOME", site.root.parent)
    monkeypatch.setattr(settings, "SAMPLE_INTERVAL_SECONDS", INTERVAL)
    yield
    crash.disarm()


@pytest.fixture
def cast(committed_db: str) -> Cast:
    return make_cast(now())


def approved(cast: Cast) -> tuple[Hub, Job]:
    wish = replace(WISH, users=frozenset({"ada", STUDENT}))
    hub = requested_hub(cast, at=now(), slug=SLUG, wish=wish)
    with consortium_scope(Scope.STAFF):
        make_member_key(cast.university, at=now())
        return hub, approve_hub(hub, by=cast.staff, at=now())


def provisioned(cast: Cast) -> Hub:
    hub, job = approved(cast)
    assert jobs.run(job.pk)
    hub = fresh(hub)
    assert hub.status == "running"
    return hub


def fresh(hub: Hub) -> Hub:
    with consortium_scope(Scope.JOB):
        return Hub.objects.select_related("cluster").get(pk=hub.pk)


def job_of(hub: Hub) -> Job:
    with consortium_scope(Scope.JOB):
        job = reconcile_job(hub)
    assert job is not None
    return job


def lease_runs_out(job: Job) -> None:
    with consortium_scope(Scope.JOB):
        Job.objects.filter(pk=job.pk).update(lease_until=now() - timedelta(seconds=1), run_after=now())


@contextmanager
def metering() -> Iterator[None]:
    """The meter at work beside the test, as its own process would be."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(INTERVAL / 2):
            sample_all(at=now())
        connection.close()

    meter = threading.Thread(target=look)
    meter.start()
    try:
        yield
    finally:
        stop.set()
        meter.join()


def everything_stored(*tables: str) -> str:
    with consortium_scope(Scope.JOB), connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE ALL(%s)", [list(tables)]
        )
        names = [row[0] for row in cursor.fetchall()]
        found = []
        for name in names:
            cursor.execute(f"SELECT coalesce(json_agg(t)::text, '') FROM \"{name}\" t")
            found.append(cursor.fetchone()[0])
    return "\n".join(found)


def run_again_and_again(job: Job) -> None:
    """A slow machine may send the job back to the queue before the hub answers: then it runs again, as it would."""
    for _ in range(6):
        jobs.run(job.pk)
        with consortium_scope(Scope.JOB):
            Job.objects.filter(pk=job.pk, state="queued").update(run_after=now())


def test_killed_in_the_middle_it_converges_to_one_hub_and_one_mail(cast: Cast, site: LocalSite) -> None:
    hub, job = approved(cast)
    for point in ("reconcile.begun", "reconcile.start", "reconcile.before_commit", "reconcile.settled"):
        crash.arm(point)
        with pytest.raises(crash.SimulatedCrash):
            run_again_and_again(job)
        crash.disarm()
        lease_runs_out(job)
        assert fresh(hub).status == ("running" if point == "reconcile.settled" else "provisioning")
    assert jobs.run(job.pk)

    hub, job = fresh(hub), job_of(hub)
    assert (hub.status, job.state, hub.observed_generation) == ("running", "succeeded", 1)
    assert (hub.url, hub.version) == (site.driver.observe(TARGET).url, site.driver.observe(TARGET).version)
    assert [path.parent.name for path in site.root.glob("*/desired.json")] == [SLUG]
    assert site.seen(TARGET).restarts == 0, "the hub that the first start made was taken over, not made again"
    with consortium_scope(Scope.JOB):
        assert AuditEvent.objects.filter(action="provisioning.hub_ready").count() == 1
    outbox.deliver_due(at=now())
    outbox.deliver_due(at=now())
    with consortium_scope(Scope.JOB):
        mail = OutgoingMail.objects.get(template="provisioning_hub_ready")
    assert (mail.recipient, hub.url in mail.body) == (cast.technical.email, True)


def test_a_students_use_is_metered_under_a_pseudonym(cast: Cast, site: LocalSite) -> None:
    hub = provisioned(cast)
    at = now()
    assert sample_hub(hub, at=at).ok
    with StudentSession(hub.url) as student:
        student.sign_in(STUDENT, site.password(TARGET, STUDENT))
        asked = now()
        with metering():
            student.start_server()
            time.sleep(3 * INTERVAL)
            student.stop_server()
            stopped = now()
    run = sample_hub(hub, at=now())
    assert (run.ok, run.servers) == (True, 0)
    assert sample_hub(hub, at=at).pk, "the same instant is looked at once"

    day = local_date(asked, hub.zone)
    first, again = (roll_day(hub, day=day, at=now()) for _ in range(2))

    with consortium_scope(Scope.JOB):
        assert SamplingRun.objects.filter(hub=hub, ok=True).count() >= 5
        assert (HubDay.objects.count(), HubDayUser.objects.count()) == (1, 1)
        use = month_use(month=Month.of(day))[cast.university.pk]
        started = Sample.objects.filter(hub=hub).first()
    assert started is not None
    truth = (stopped - started.started_at).total_seconds()
    assert abs(use.server_seconds - truth) <= INTERVAL + 1, "to the interval, and the rounding to whole seconds"
    assert (use.active_users, use.hubs[SLUG].sessions) == (1, 1)
    assert (again.pk, again.server_seconds) == (first.pk, first.server_seconds)
    # The spec names whom an administrator lets in; nothing that the meter or anybody else wrote names them.
    assert STUDENT not in json.dumps(everything_stored("provisioning_hubrevision"))


def test_the_synthetic_user_proves_that_people_can_work_and_is_not_metered(cast: Cast, site: LocalSite) -> None:
    hub = provisioned(cast)
    with metering():
        visit = prove_hub(hub, at=now())
    assert visit is not None
    assert (visit.ok, visit.step, visit.error) == (True, "", "")
    assert "portal-check.txt" in {path.name for path in site.root.glob(f"{SLUG}/run/home/portal-check/*")}
    with consortium_scope(Scope.JOB):
        assert SamplingRun.objects.filter(hub=hub, ok=True).exists()
        assert not Sample.objects.filter(hub=hub).exists(), "the visit is nobody's use"


def test_a_hub_that_cannot_start_servers_fails_its_proof_although_it_answers(cast: Cast, site: LocalSite) -> None:
    hub = provisioned(cast)
    homes = site.root / SLUG / "run" / "home"
    aside = homes.with_name("home.aside")
    homes.rename(aside)
    homes.write_text("not a folder any more")
    try:
        visit = prove_hub(hub, at=now())
        assert site.driver.observe(TARGET).healthy, "the hub itself notices nothing"
    finally:
        homes.unlink()
        aside.rename(homes)
    assert visit is not None
    assert (visit.ok, visit.step) == (False, "start")


def test_a_hub_that_is_gone_is_a_gap_and_never_zero(cast: Cast, site: LocalSite) -> None:
    hub = provisioned(cast)
    begun = now()
    site.stop(signal.SIGTERM)
    try:
        [run] = sample_all(at=now())
        assert (run.ok, run.servers) == (False, 0)
        assert "does not answer" in run.error
        hub = fresh(hub)
        assert health_of(hub, at=now()).state == "unreachable"
        row = roll_day(hub, day=local_date(begun, hub.zone), at=begun + timedelta(minutes=10))
        assert row.server_seconds == 0
        assert abs(row.gap_seconds - 600) <= 15, "nobody saw it for ten minutes"
    finally:
        site.start()


def test_without_a_supervisor_the_work_waits_and_then_asks_an_operator(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PORTAL_HOME", tmp_path)
    hub, job = approved(cast)
    assert jobs.run(job.pk)
    waiting = job_of(hub)
    assert (waiting.state, fresh(hub).status) == ("queued", "provisioning")
    assert "hub supervisor is not running" in waiting.error

    with consortium_scope(Scope.JOB):
        Job.objects.filter(pk=job.pk).update(attempts=11, run_after=now())
    assert jobs.run(job.pk)
    stopped = job_of(hub)
    assert (stopped.state, stopped.step, fresh(hub).status) == ("needs_operator", "reserve", "failed")

    with consortium_scope(Scope.STAFF):
        retry_hub(hub, by=cast.staff, at=now())
    assert job_of(hub).state == "queued"
    assert isinstance(waiting.created_at, datetime)


def ended(job: Job) -> Job:
    run_again_and_again(job)
    with consortium_scope(Scope.JOB):
        return Job.objects.get(pk=job.pk)


def test_a_hub_is_suspended_woken_changed_rolled_back_repaired_and_retired(cast: Cast, site: LocalSite) -> None:
    hub = provisioned(cast)
    with consortium_scope(Scope.STAFF):
        job = suspend_hub(hub, reason="The bill", by=cast.staff, at=now())
    assert (ended(job).state, fresh(hub).status) == ("succeeded", "suspended")
    assert site.driver.observe(TARGET).state == "suspended"
    with consortium_scope(Scope.STAFF):
        job = resume_hub(fresh(hub), by=cast.staff, at=now())
    assert (ended(job).state, fresh(hub).status) == ("succeeded", "running")

    with consortium_scope(Scope.STAFF):
        first = spec_of(hub.revisions.get())
        larger = first.model_copy(update={"max_servers": 7})
        revise_hub(hub, spec=larger, note="More", by=cast.technical, at=now())
        revise_hub(hub, spec=first, note="Back", by=cast.technical, at=now())
    ended(job_of(hub))
    assert fresh(hub).observed_generation == 3

    config = site.root / SLUG / "run" / "config.json"
    config.write_text(config.read_text().replace('"max_servers": ', '"max_servers": 9'))
    assert look_for_drift(at=now()) == 1
    with consortium_scope(Scope.STAFF):
        row = Hub.objects.get(pk=hub.pk)
        repair_hub(row, by=cast.staff, at=now())
    ended(job_of(fresh(hub)))
    assert (look_for_drift(at=now()), fresh(hub).observed_generation, fresh(hub).drift) == (0, 4, [])

    with consortium_scope(Scope.STAFF):
        job = retire_hub(fresh(hub), reason="We run it ourselves", by=cast.owner, at=now())
    for point in ("retire.exported", "retire.destroyed", "retire.certified"):
        crash.arm(point)
        with pytest.raises(crash.SimulatedCrash):
            jobs.run(job.pk)
        crash.disarm()
        lease_runs_out(job)
    assert (ended(job).state, fresh(hub).status) == ("succeeded", "retired")
    assert not list((site.root / SLUG).glob("run/*"))
    with consortium_scope(Scope.STAFF):
        kept = {row.kind: row for row in Document.objects.filter(subject_id=str(hub.pk))}
        homes = documents.read(kept["homes"])
    assert set(kept) == {"take_away", "homes", "decommission_certificate"}
    with tarfile.open(fileobj=io.BytesIO(homes)) as archive:
        assert f"{SLUG}/SHA256SUMS" in archive.getnames()
