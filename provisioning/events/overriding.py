"""An operator's emergency during an event: the hub may be touched for a while, for a reason that everybody reads."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.models import EventOverride, EventWindow

LONGEST: Final = timedelta(hours=12)


@transaction.atomic
def override_event(event: EventWindow, *, reason: str, until: datetime, by: User, at: datetime) -> EventOverride:
    """Will let the hub be touched until then although its event is on; who booked it is told the reason at once.

    Raises Forbidden, and Invalid without a reason, for more than twelve hours, or for an event that is over.
    """
    check_staff(by, Permission.OPERATE_HUBS)
    if not reason.strip():
        raise Invalid(_("Write the reason: colleagues and the university read it."), field="reason")
    if not at < until <= at + LONGEST:
        raise Invalid(_("An emergency ends within twelve hours."), field="until")
    if event.status != "booked" or event.ends_at <= at:
        raise Invalid(_("This event is over or cancelled: it protects nothing."))
    row = EventOverride.objects.create(
        institution_id=event.institution_id, event=event, reason=reason.strip()[:300], until=until, by=by, at=at
    )
    audit.record(
        "provisioning.event_overridden",
        row,
        by=by,
        at=at,
        institution_id=event.institution_id,
        after={"event": event.pk, "until": until},
        reason=reason,
        deliver_to=("provisioning.mail_event_override",),
    )
    return row
