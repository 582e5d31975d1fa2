"""May I touch this hub now? The one place that knows: an operator's hold, and the events that its university booked.

Whoever wants something done to a hub asks `refuse_hands_off` first, which heeds the quiet hour before an event too;
whoever does it asks again through `provisioning.patience.wait_for_hold`, because time has passed since then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from consortium.kernel.errors import PortalError
from consortium.kernel.spoken import spoken_instant
from provisioning.holds import HubHeld, hold_on
from provisioning.models import EventOverride, EventWindow, Hub

# So long before an event nothing new is begun on its hub.
QUIET: Final = timedelta(hours=1)


class HubInEvent(PortalError):
    """An event is on, or about to begin."""

    code = "hub_in_event"


@dataclass(frozen=True, kw_only=True)
class HandsOff:
    """Why a hub is left alone, and until when; `event` None: an operator holds it."""

    until: datetime
    words: str
    event: EventWindow | None = None


def why_hands_off(hub: Hub, *, at: datetime, ahead: timedelta = timedelta(0)) -> HandsOff | None:
    """Will say why the hub must not be touched at that instant, or within `ahead` of it; None when it may be."""
    hold = hold_on(hub, at=at)
    if hold is not None:
        text = _("An operator holds this hub until %(until)s: %(reason)s")
        words = text % {"until": spoken_instant(hold.until), "reason": hold.reason}
        return HandsOff(until=hold.until, words=words)
    event = protecting_events(at=at, ahead=ahead).filter(hub=hub).first()
    if event is None:
        return None
    text = _("“%(title)s” is on from %(from)s to %(until)s. Until it is over nothing is done to this hub.")
    words = text % {
        "title": event.title,
        "from": spoken_instant(event.starts_at),
        "until": spoken_instant(event.ends_at),
    }
    return HandsOff(until=event.ends_at, words=words, event=event)


def refuse_hands_off(hub: Hub, *, at: datetime) -> None:
    """Raise HubHeld while an operator holds the hub, HubInEvent during an event and in the quiet hour before it."""
    reason = why_hands_off(hub, at=at, ahead=QUIET)
    if reason is not None:
        raise (HubHeld if reason.event is None else HubInEvent)(reason.words)


def protecting_events(*, at: datetime, ahead: timedelta = timedelta(0)) -> "QuerySet[EventWindow]":
    """Will return the events that are on, or begin within `ahead`, and that no operator has overridden for now."""
    overridden = EventOverride.objects.filter(event=OuterRef("pk"), at__lte=at, until__gt=at)
    booked = EventWindow.objects.filter(status="booked", starts_at__lte=at + ahead, ends_at__gt=at)
    return booked.filter(~Exists(overridden)).order_by("starts_at")
