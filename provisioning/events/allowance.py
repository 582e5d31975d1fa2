"""How many events an agreement includes in a year, and what each further one costs."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from consortium.kernel.periods import local_date
from members.entitlements import EntitlementExceeded, entitlements
from provisioning.models import EventWindow, Hub


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """Of a calendar year in the agreement's zone: `used` of `included` are booked; `price` is of each further one."""

    year: int
    included: int
    used: int
    price: Decimal
    currency: str
    longest_days: int

    @property
    def is_priced(self) -> bool:
        """Whether the next one costs its price."""
        return self.used >= self.included and self.price > 0


def allowance_of(hub: Hub, *, starting: datetime, at: datetime, leaving_out: EventWindow | None = None) -> Allowance:
    """Will return the allowance of the year in which an event starts, without the one that is left out.

    Raises NoAgreement, and EntitlementExceeded where the agreement knows no events.
    """
    entitled = entitlements(hub.institution_id, at=at)
    agreed = entitled.schedule.event_hubs
    if agreed is None:
        raise EntitlementExceeded(_("Your agreement does not cover events. Ask the consortium to amend it."))
    year = local_date(starting, entitled.zone).year
    booked = EventWindow.objects.filter(institution_id=hub.institution_id).exclude(status="cancelled")
    if leaving_out is not None:
        booked = booked.exclude(pk=leaving_out.pk)
    starts = booked.values_list("starts_at", flat=True)
    return Allowance(
        year=year,
        included=agreed.included_per_year,
        used=sum(local_date(start, entitled.zone).year == year for start in starts),
        price=agreed.price_each,
        currency=entitled.currency,
        longest_days=agreed.longest_days,
    )
