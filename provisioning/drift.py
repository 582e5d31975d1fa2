"""Drift: what runs is compared with its specification on request, shown, and where wanted repaired.

Nothing is compared or repaired while other work on the hub goes on: that work ends with a comparison of its own.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit, jobs
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.jobs import RetryLater, Run, job_kind
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.drivers import driver_for, target_of, why_not_ready
from provisioning.gateways.base import Difference, GatewayError
from provisioning.models import Hub
from provisioning.requests import spec_of
from provisioning.specs import HubSpec
from provisioning.states import HUB

COMPARE = "compare_hub"
MAX_ATTEMPTS = 12
RETRY_SECONDS = 3.0
MOST_SHOWN = 50
_BY = audit.System("provisioning")
_SETTLED = ("running", "degraded")


class NothingToCompare(PortalError):
    """Only a hub that runs, with no other work on it, can be compared."""

    code = "nothing_to_compare"


class RepairFailed(PortalError):
    """The hub could not be made equal to its specification."""

    code = "repair_failed"


@transaction.atomic
def compare_hub(hub: Hub, *, by: User, at: datetime) -> Job:
    """Will want what runs compared with the hub's newest revision. Raises Forbidden, NothingToCompare."""
    return _want(hub, repair=False, by=by, at=at)


@transaction.atomic
def repair_hub(hub: Hub, *, by: User, at: datetime) -> Job:
    """Will want the same comparison, and what differs made equal again. Raises Forbidden, NothingToCompare."""
    return _want(hub, repair=True, by=by, at=at)


def last_comparison(hub: Hub) -> Job | None:
    """Will return the newest comparison of the hub, done or not."""
    return Job.objects.filter(kind=COMPARE, unique_key__startswith=f"{hub.pk}:").first()


def _want(hub: Hub, *, repair: bool, by: User, at: datetime) -> Job:
    check_staff(by, Permission.OPERATE_HUBS)
    if hub.status not in _SETTLED:
        text = _("%(hub)s is %(status)s. Only a hub that runs can be compared with its specification.")
        raise NothingToCompare(text % {"hub": hub.name, "status": hub.status})
    action = "provisioning.hub_repair_wanted" if repair else "provisioning.hub_comparison_wanted"
    audit.record(action, hub, by=by, at=at, institution_id=hub.institution_id, after={"generation": hub.generation})
    return jobs.enqueue(
        COMPARE,
        key=f"{hub.pk}:{at.isoformat()}:{'repair' if repair else 'compare'}",
        at=at,
        institution_id=hub.institution_id,
        arguments={"hub": str(hub.pk), "generation": hub.generation, "repair": repair},
    )


@job_kind(COMPARE, max_attempts=MAX_ATTEMPTS)
def compare(run: Run) -> dict[str, Any]:
    """Will return the differences found and whether they were repaired; leaves when the hub has newer work.

    Raises RetryLater while the cluster is not ready, RepairFailed when it says that repeating will not help.
    """
    found = _settled_hub(UUID(run.arguments["hub"]), int(run.arguments["generation"]))
    if found is None:
        return {"superseded": True}
    hub, spec = found
    run.report("compare", message=_("What runs is compared with the specification"))
    try:
        if reason := why_not_ready(hub.cluster):
            raise RetryLater(reason, seconds=RETRY_SECONDS)
        driver = driver_for(hub.cluster)
        differences = driver.drift(target_of(hub), spec)
        crash_point("compare.compared")
        if differences and run.arguments["repair"]:
            run.report("repair", message=_("The hub is made equal to its specification"))
            driver.ensure(target_of(hub), spec)
            crash_point("compare.repaired")
            left = driver.drift(target_of(hub), spec)
            return _note(hub, differences, left=left)
    except GatewayError as error:
        raise _ending(run, error) from error
    return _note(hub, differences, left=differences)


def _settled_hub(hub_id: UUID, generation: int) -> tuple[Hub, HubSpec] | None:
    with consortium_scope(Scope.JOB):
        hub = Hub.objects.select_related("cluster").get(pk=hub_id)
        if hub.generation != generation or hub.status not in _SETTLED:
            return None
        return hub, spec_of(hub.revisions.get(generation=generation))


def _ending(run: Run, error: GatewayError) -> Exception:
    """Later again, or for a person: an operator reads the reason on the hub's page."""
    if error.permanent:
        return RepairFailed(error.message)
    if run.job.attempts < MAX_ATTEMPTS:
        return RetryLater(error.message, seconds=RETRY_SECONDS)
    return jobs.NeedsOperator(error.message)


def _note(hub: Hub, found: list[Difference], *, left: list[Difference]) -> dict[str, Any]:
    """Write what was found to the trail, and move the hub: degraded while it differs, running when it is equal."""
    with consortium_scope(Scope.JOB):
        row = Hub.objects.select_for_update().get(pk=hub.pk)
        was, to = row.status, "degraded" if left else "running"
        if row.generation == hub.generation and HUB.allows(was, to):
            HUB.move(row, to)
        if found:
            audit.record(
                "provisioning.hub_drift_found" if left else "provisioning.hub_drift_repaired",
                row,
                by=_BY,
                at=now(),
                institution_id=row.institution_id,
                before={"status": was},
                after={"status": row.status, "differences": len(found), "left": len(left)},
            )
    return {
        "differences": [[one.path, one.wanted, one.found] for one in found[:MOST_SHOWN]],
        "count": len(found),
        "left": len(left),
    }
