"""Holds: an operator keeps everybody's hands, and the portal's, off a hub for a while."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.spoken import spoken_instant
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.models import Hub, HubHold


class HubHeld(PortalError):
    """An operator holds the hub."""

    code = "hub_held"


@transaction.atomic
def hold_hub(hub: Hub, *, reason: str, until: datetime, by: User, at: datetime) -> HubHold:
    """Will hold the hub until then: updates, suspension and repair wait. Raises Forbidden, Invalid, HubHeld."""
    check_staff(by, Permission.OPERATE_HUBS)
    if not reason.strip():
        raise Invalid(_("Write the reason: colleagues and the university read it."), field="reason")
    if until <= at:
        raise Invalid(_("A hold must end in the future."), field="until")
    Hub.objects.select_for_update(no_key=True).get(pk=hub.pk)
    refuse_held(hub, at=at)
    # One that ran out is closed by who comes next, at the instant it ran out.
    for over in HubHold.objects.filter(hub=hub, released_at=None):
        HubHold.objects.filter(pk=over.pk).update(released_at=over.until, released_by=over.held_by)
    hold = HubHold.objects.create(
        institution_id=hub.institution_id, hub=hub, reason=reason.strip()[:300], held_by=by, held_at=at, until=until
    )
    audit.record(
        "provisioning.hub_held",
        hub,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        after={"until": until},
        reason=reason,
    )
    return hold


@transaction.atomic
def release_hub(hub: Hub, *, by: User, at: datetime) -> None:
    """Will end the hold; what waits goes on within seconds. Raises Forbidden, Invalid when none is open."""
    check_staff(by, Permission.OPERATE_HUBS)
    if not HubHold.objects.filter(hub=hub, released_at=None).update(released_at=at, released_by=by):
        raise Invalid(_("Nobody holds this hub."))
    audit.record("provisioning.hub_released", hub, by=by, at=at, institution_id=hub.institution_id)


def hold_on(hub: Hub, *, at: datetime) -> HubHold | None:
    """Will return the hold that is open at that instant."""
    return HubHold.objects.filter(hub=hub, released_at=None, until__gt=at).select_related("held_by").first()


def refuse_held(hub: Hub, *, at: datetime) -> None:
    """Raise HubHeld, with the reason and the end, while an operator holds the hub."""
    hold = hold_on(hub, at=at)
    if hold is not None:
        raise HubHeld(
            _("An operator holds this hub until %(until)s: %(reason)s")
            % {"until": spoken_instant(hold.until), "reason": hold.reason}
        )
