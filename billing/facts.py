"""What a billing run is told about each member, and what it finds before and while it bills. Pure.

Agreements and measured use live in other apps; a use case reads them and hands them over as these values.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from consortium.kernel.periods import Month, Period, day_period, month_period
from members.schedule import Schedule

# What a closing freezes of a member, under the same names on MemberFacts, PeriodBasis and, but gaps, MemberBasis.
MEASURES: Final = (
    "server_seconds", "memory_gib_seconds", "active_users", "storage_gib_seconds", "gpu_seconds", "fte",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """One member's agreement and its use of one month, in the month of the agreement's own zone.

    `starts_on` is the first day that the agreement covers, `ends_on` the first that it does not (None: open).
    `active_users` are unique people of the institution over all of its hubs, `fte` its students in full-time
    equivalents. What no meter tells is zero, so that a pool which is split by it waits.
    """

    institution_id: UUID
    slug: str
    zone: str
    agreement_id: UUID
    currency: str
    schedule: Schedule
    starts_on: date
    ends_on: date | None = None
    server_seconds: int = 0
    memory_gib_seconds: Decimal = Decimal(0)
    active_users: int = 0
    gap_seconds: int = 0
    storage_gib_seconds: Decimal = Decimal(0)
    gpu_seconds: int = 0
    fte: int = 0
    statements_missing: tuple[str, ...] = ()  # hubs without a service level statement of the month
    statements_insufficient: tuple[str, ...] = ()  # hubs of whose month too little was checked for a result

    def billed_period(self, month: Month) -> Period | None:
        """Will return the part of the month that the agreement covers, as instants; None when it covers nothing."""
        whole = month_period(month, self.zone)
        start = max(whole.start, day_period(self.starts_on, self.zone).start)
        end = whole.end if self.ends_on is None else min(whole.end, day_period(self.ends_on, self.zone).start)
        return Period(start, end) if start < end else None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that a billing run found. A blocking one stops the close unless staff accept it by its code."""

    code: str
    blocking: bool
    message: str
    institution_id: UUID | None = None


def covered(facts: Iterable[MemberFacts], month: Month) -> list[MemberFacts]:
    """Will return the members whose agreement covers some of the month, by slug: their order never matters."""
    return sorted((each for each in facts if each.billed_period(month)), key=lambda each: each.slug)
