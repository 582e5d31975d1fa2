"""Which part of the yearly dues a month's invoice asks for, and which days that part pays for. Pure.

Dues are agreed by the calendar year and invoiced by the month, by the quarter or by the year, the longer ones in
advance: what covers months to come is deferred and becomes income month by month (`billing.deferral_plan`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from billing.prices import INSTALMENTS, dues_by_month
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month

Every = Literal["month", "quarter", "year"]
MONTHS: Final[Mapping[str, int]] = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instalment:
    """One instalment of a year's dues: `amount` pays for the days from `since` up to, not including, `until`.

    It is the `number`-th of `count`; `year_total` is what the whole year comes to, from `first_day` of it on.
    """

    first: Month
    last: Month
    amount: Decimal
    since: date
    until: date
    number: int
    count: int
    year_total: Decimal
    first_day: date
    is_whole_year: bool

    @property
    def covers(self) -> dict[str, str]:
        """The days that it pays for, as a line's evidence says them."""
        return {"from": self.since.isoformat(), "until": self.until.isoformat()}


def instalment_of(
    month: Month,
    *,
    yearly: Decimal,
    currency: str,
    joined: date,
    ends_on: date | None = None,
    every: Every = "month",
    covered_until: date | None = None,
) -> Instalment | None:
    """Will return what the month's invoice asks for; None where nothing is due with it.

    An instalment asks for the month itself and for the months after it in the same quarter or year, as far as the
    agreement is known to last, each at its own part of the prorated dues: so the instalments of a year sum to its dues
    whatever their length. Months before `covered_until`, the first day that no earlier invoice paid for, are not asked
    for again. Raises PriceInvalid.
    """
    year_start, length = date(month.year, 1, 1), MONTHS[every]
    parts = dues_by_month(yearly, currency=currency, joined=joined, year_start=year_start)
    group = _group(month, length)
    wanted = [
        each
        for each in parts
        if _group(each, length) == group
        and each >= month
        and (covered_until is None or each.first_day >= covered_until)
        and (ends_on is None or each.first_day < ends_on)
    ]
    if month not in wanted:
        return None
    groups = sorted({_group(each, length) for each in parts})
    end = wanted[-1].next().first_day
    return Instalment(
        first=wanted[0],
        last=wanted[-1],
        amount=exact_sum(parts[each] for each in wanted),
        since=max(joined, month.first_day),
        until=end if ends_on is None else min(end, ends_on),
        number=groups.index(group) + 1,
        count=len(groups),
        year_total=exact_sum(parts.values()),
        first_day=max(joined, year_start),
        is_whole_year=len(parts) == INSTALMENTS,
    )


def _group(month: Month, length: int) -> int:
    return (month.number - 1) // length


__all__ = ["MONTHS", "Every", "Instalment", "instalment_of"]
