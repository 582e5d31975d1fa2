"""A simple forecast that says what it is: the average of the last invoiced months. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from consortium.kernel.money import exact_sum, round_money
from consortium.kernel.periods import Month

LOOKS_BACK: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a month may come to, before tax, and how many months it is the average of."""

    amount: Decimal
    currency: str
    months: int


def forecast(month: Month, *, history: Mapping[Month, Decimal], so_far: Decimal, currency: str) -> Forecast | None:
    """Will return the average of the last three invoiced months before `month`, and never less than what is known.

    None without an invoiced month: nothing is made up. Rounded half away from zero, once.
    """
    before = [history[each] for each in sorted(history, reverse=True) if each < month][:LOOKS_BACK]
    if not before:
        return None
    average = exact_sum(before) / len(before)
    return Forecast(amount=max(round_money(average, currency), so_far), currency=currency, months=len(before))
