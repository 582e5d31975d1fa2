"""Drift: where what runs is not what the spec says. It is looked for, shown, and repaired when somebody asks.

A repair is a revision like any other, equal to the one before: so it has an author, waits for a hold, survives a killed
worker, and stands in the hub's history.
"""

from datetime import datetime

import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.drivers import driver_for, target_of
from provisioning.gateways.base import Difference, GatewayError
from provisioning.hands_off import refuse_hands_off
from provisioning.models import Hub
from provisioning.requests import NothingToRetry, spec_of, write_next_revision
from provisioning.states import HUB

log = structlog.get_logger(__name__)

MOST_SHOWN = 50
SETTLED = ("running", "degraded")


def look_for_drift(*, at: datetime) -> int:
    """Will compare every hub that is settled with its spec, and write what differs; returns how many differ."""
    with consortium_scope(Scope.JOB):
        settled = Hub.objects.filter(status__in=SETTLED).select_related("cluster").order_by("pk")
        hubs = [hub for hub in settled if hub.observed_generation == hub.generation]
    return sum(bool(check_drift(hub, at=at)) for hub in hubs)


def check_drift(hub: Hub, *, at: datetime) -> list[Difference]:
    """Will compare one hub with its newest revision and write what differs; a hub that cannot be asked stays as it was.

    The first time that it differs is audited, and so is the first time that it no longer does.
    """
    try:
        with consortium_scope(Scope.JOB):
            spec = spec_of(hub.revisions.get(generation=hub.generation))
        found = driver_for(hub.cluster).drift(target_of(hub), spec)
    except (GatewayError, PortalError) as error:
        log.warning("drift.not_seen", hub=hub.slug, error=error.message)
        return []
    shown = [{"path": each.path, "wanted": each.wanted, "found": each.found} for each in found[:MOST_SHOWN]]
    _note(hub, shown, at=at)
    hub.drift, hub.drift_seen_at = shown, at
    return found


def _note(hub: Hub, shown: list[dict[str, str]], *, at: datetime) -> None:
    """Write what differs, and move the hub: degraded while it differs, running when it is equal."""
    with consortium_scope(Scope.JOB):
        row = Hub.objects.select_for_update().get(pk=hub.pk)
        if row.generation != hub.generation:
            return  # it was revised meanwhile: this compared it with what it was
        was, to = row.status, "degraded" if shown else "running"
        Hub.objects.filter(pk=hub.pk).update(drift=shown, drift_seen_at=at)
        if was in SETTLED and HUB.allows(was, to):
            HUB.move(row, to)
        if bool(shown) != bool(row.drift):
            audit.record(
                "provisioning.drift_found" if shown else "provisioning.drift_gone",
                row,
                by=audit.System("provisioning"),
                at=at,
                institution_id=row.institution_id,
                before={"status": was},
                after={"status": row.status, "differences": len(shown)},
            )


@transaction.atomic
def repair_hub(hub: Hub, *, by: User, at: datetime) -> Job:
    """Will want the hub made equal to its spec again, as a new revision.

    Raises Forbidden, NothingToRetry, HubHeld, HubInEvent.
    """
    check_staff(by, Permission.OPERATE_HUBS)
    refuse_hands_off(hub, at=at)
    if not hub.drift:
        raise NothingToRetry(_("This hub is as its specification says; there is nothing to repair."))
    spec = spec_of(hub.revisions.get(generation=hub.generation))
    return write_next_revision(hub, spec=spec, note=_("Repair of drift"), by=by, at=at)
