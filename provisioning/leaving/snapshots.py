"""Snapshots of a hub's volumes: taken before an end, kept as many days as the cluster says, then deleted for good."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from consortium.kernel import audit, documents, jobs
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.jobs import Run, job_kind
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from provisioning.certificate import deletion_pdf
from provisioning.drivers import target_of
from provisioning.gateways.base import HubDriver, SnapshotKeeper
from provisioning.models import Cluster, Hub
from provisioning.patience import MAX_ATTEMPTS, OutsideErrors, keep_asking_at, ready_driver_of

RELEASE: Final = "release_snapshots"
DAYS: Final = 30


def keep_snapshots(run: Run, hub: Hub, cluster: Cluster, driver: HubDriver) -> tuple[int, datetime | None]:
    """Will snapshot the hub's volumes where the cluster can, and want them deleted when their days are over.

    Returns how many and until when; `settings.snapshot_days` of the cluster says how long, else thirty days. Raises
    GatewayError.
    """
    if not isinstance(driver, SnapshotKeeper):
        return 0, None
    with consortium_scope(Scope.JOB):
        known = Job.objects.filter(kind=RELEASE, unique_key=_key(hub, cluster)).first()
    if known is not None:  # a worker before this one took them; the volumes themselves may be gone
        return int(known.arguments["count"]), known.run_after
    count = keep_asking_at(run, cluster, lambda: driver.snapshot(target_of(hub)))
    crash_point("snapshots.taken")
    if not count:
        return 0, None
    with consortium_scope(Scope.JOB), transaction.atomic():
        return count, _want_release(hub, cluster, count=count, at=now())


def _want_release(hub: Hub, cluster: Cluster, *, count: int, at: datetime) -> datetime:
    """Want their deletion once for each end of a hub on a cluster; a second call returns the first date."""
    job = jobs.enqueue(
        RELEASE,
        key=_key(hub, cluster),
        at=at,
        institution_id=hub.institution_id,
        arguments={"hub": str(hub.pk), "cluster": str(cluster.pk), "count": count},
    )
    if job.created_at == at:
        job.run_after = at + timedelta(days=int(cluster.settings.get("snapshot_days", DAYS)))
        Job.objects.filter(pk=job.pk).update(run_after=job.run_after)
        audit.record(
            "provisioning.snapshots_kept",
            hub,
            by=audit.System("provisioning"),
            at=at,
            institution_id=hub.institution_id,
            after={"cluster": cluster.slug, "volumes": count, "until": job.run_after},
        )
    return job.run_after


def _key(hub: Hub, cluster: Cluster) -> str:
    return f"{hub.pk}:{cluster.pk}:{hub.generation}"


@job_kind(RELEASE, max_attempts=MAX_ATTEMPTS)
def release(run: Run) -> dict[str, Any]:
    """Delete what was kept of the hub on that cluster, and certify it."""
    with consortium_scope(Scope.JOB):
        hub = Hub.objects.select_related("institution").get(pk=UUID(run.arguments["hub"]))
        cluster = Cluster.objects.get(pk=UUID(run.arguments["cluster"]))
    with OutsideErrors(run):
        driver = ready_driver_of(cluster)
        assert isinstance(driver, SnapshotKeeper)  # noqa: S101 - it kept them
        count = keep_asking_at(run, cluster, lambda: driver.release_snapshots(target_of(hub)))
    crash_point("snapshots.released")
    with consortium_scope(Scope.JOB):
        _certify(hub, cluster, count=int(run.arguments["count"]), at=now())
    return {"released": count}


def _certify(hub: Hub, cluster: Cluster, *, count: int, at: datetime) -> None:
    """Write the certificate of a retired hub in both languages; a hub that moved has nothing to certify."""
    audit.record(
        "provisioning.snapshots_released",
        hub,
        by=audit.System("provisioning"),
        at=at,
        institution_id=hub.institution_id,
        after={"cluster": cluster.slug, "volumes": count},
    )
    if hub.status != "retired":
        return
    for language in ("en", "fr"):
        documents.store(
            deletion_pdf(hub, cluster, count=count, language=language, at=at),
            kind="deletion_certificate",
            name=f"{hub.slug}-deletion-{language}.pdf",
            media_type="application/pdf",
            subject=hub,
            institution_id=hub.institution_id,
            at=at,
            language=language,
        )
