"""The connection test and capability report of a cluster: wanted by staff, made by a job, shown on its page."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit, jobs
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.jobs import Run, job_kind
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.cluster_models import Cluster
from provisioning.clusters import access_of, chart_of, charts_folder, place_of
from provisioning.drivers import why_not_ready
from provisioning.gateways.kubernetes.capabilities import examine
from provisioning.gateways.kubernetes.chart import Charts

CHECK = "check_cluster"
_BY = audit.System("provisioning")


class NothingToCheck(PortalError):
    """Only a cluster elsewhere is reached over a connection."""

    code = "nothing_to_check"


@transaction.atomic
def want_check(cluster: Cluster, *, by: User, at: datetime) -> Job:
    """Will want the cluster examined once for this wish. Raises Forbidden, NothingToCheck."""
    check_staff(by, Permission.OPERATE_HUBS)
    if cluster.driver != "kubernetes":
        raise NothingToCheck(_("Hubs of this cluster run on this machine: there is no connection to test."))
    audit.record("provisioning.cluster_check_wanted", cluster, by=by, at=at, institution_id=None)
    key = f"{cluster.pk}:{at.isoformat()}"
    return jobs.enqueue(CHECK, key=key, at=at, institution_id=None, arguments={"cluster": str(cluster.pk)})


@job_kind(CHECK, max_attempts=3)
def check_cluster(run: Run) -> dict[str, Any]:
    """Will examine the cluster and write what was found; a cluster that does not answer is a finding, not a failure."""
    with consortium_scope(Scope.JOB):
        cluster = Cluster.objects.get(pk=UUID(run.arguments["cluster"]))
        try:
            access, place = access_of(cluster), place_of(cluster)
        except PortalError as refused:
            return _write(cluster, {}, [refused.message])
    run.report("connect", message=cluster.endpoint)
    if missing := why_not_ready(cluster):
        return _write(cluster, {}, [missing])
    report, problems = examine(
        access, place=place, chart=chart_of(cluster), charts=Charts(settings.HELM, charts_folder())
    )
    crash_point("check_cluster.examined")
    return _write(cluster, report, problems)


def _write(cluster: Cluster, report: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    with consortium_scope(Scope.JOB), transaction.atomic():
        Cluster.objects.filter(pk=cluster.pk).update(checked_at=now(), capabilities=report, check_problems=problems)
        facts: dict[str, audit.Fact] = {"problems": len(problems), "version": str(report.get("version", ""))}
        audit.record("provisioning.cluster_checked", cluster, by=_BY, at=now(), institution_id=None, after=facts)
    return {"problems": problems}
