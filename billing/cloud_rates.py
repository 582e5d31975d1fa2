"""What a GiB-hour of memory cost in cloud: passed-through cost against measured use, for estimates alone.

Nothing is billed by these rates. A member's own months come first; where it has none, the members together speak, if
they are so many that no one's figures can be read from the sum.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Sum

from billing.models import InvoiceLine
from billing.queries import NOT_MEMBERS_BUSINESS
from consortium.kernel.money import EXACT
from consortium.kernel.periods import Month

PASSED_ON: Final = ("direct_cost", "shared_cost")
FEWEST_MEMBERS: Final = 3
_HOUR: Final = Decimal(3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What an institution used in a month: GiB-seconds of memory guaranteed, seconds of servers, active people."""

    memory_gib_seconds: Decimal
    server_seconds: int
    active_users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudRate:
    """The rate of one month: `per_gib_hour` in `currency`, `hours_each` of server time a person; unrounded.

    `of_members` is how many institutions' figures are in it; 1: the member's own.
    """

    month: Month
    currency: str
    per_gib_hour: Decimal
    hours_each: Decimal
    of_members: int


def passed_on_cost(months: Iterable[Month], *, currency: str) -> dict[Month, dict[UUID, Decimal]]:
    """Return the cloud cost that was invoiced, by month and institution. Sees what the open scope shows."""
    lines = InvoiceLine.objects.filter(
        kind__in=PASSED_ON, currency=currency, invoice__period__month__in=[str(month) for month in months]
    ).exclude(invoice__status__in=[*NOT_MEMBERS_BUSINESS, "void"])
    found: dict[Month, dict[UUID, Decimal]] = {}
    for month, institution, net in (
        lines.order_by().values_list("invoice__period__month", "institution_id").annotate(sum=Sum("net"))
    ):
        found.setdefault(Month.parse(month), {})[institution] = net
    return found


def cloud_rate(
    cost: Mapping[Month, Mapping[UUID, Decimal]],
    use: Mapping[Month, Mapping[UUID, Used]],
    *,
    institution_id: UUID,
    currency: str,
) -> CloudRate | None:
    """Will return the rate of the newest month that tells one: the institution's own, or that of three or more."""
    for own in (True, False):
        for month in sorted(cost, reverse=True):
            both = {key for key, net in cost[month].items() if net > 0 and _is_used(use.get(month, {}).get(key))}
            both = both & {institution_id} if own else both
            if len(both) < (1 if own else FEWEST_MEMBERS):
                continue
            used = [use[month][key] for key in both]
            return _rate(month, sum((cost[month][key] for key in both), Decimal(0)), used, currency)
    return None


def _is_used(used: Used | None) -> bool:
    return used is not None and used.memory_gib_seconds > 0 and used.active_users > 0


def _rate(month: Month, net: Decimal, used: list[Used], currency: str) -> CloudRate:
    gib_hours = sum((each.memory_gib_seconds for each in used), Decimal(0)) / _HOUR
    hours = EXACT.create_decimal(sum(each.server_seconds for each in used)) / _HOUR
    return CloudRate(
        month=month,
        currency=currency,
        per_gib_hour=net / gib_hours,
        hours_each=hours / sum(each.active_users for each in used),
        of_members=len(used),
    )
