"""The prices of an agreement, and what dues, users and support hours come to under them.

A `PriceList` is the consortium's; `PriceList.schedule(tier)` is what one agreement carries. Both are frozen pydantic
models whose JSON holds every amount as a string, so that a version can be stored, hashed and compared for ever. All
results are exact and end at the currency's exponent; nothing here reads the clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from consortium.kernel.errors import Invalid
from consortium.kernel.money import (
    EXACT,
    exact_sum,
    exponent,
    from_minor,
    multiply,
    plain,
    round_money,
    scale,
    to_minor,
)
from consortium.kernel.periods import Month
from members.schedule import Amount, Currency

INSTALMENTS: Final = 12


class PriceInvalid(Invalid, ValueError):
    """A price schedule contradicts itself, or is asked something it does not cover."""

    code = "price_invalid"


class _Frozen(BaseModel):
    """What is written in an agreement neither changes nor carries words nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Slab(_Frozen):
    """The price of each monthly active user up to, and including, the `up_to`-th; the last slab has no end."""

    up_to: int | None = Field(gt=0, strict=True)
    unit_price: Amount


class Support(_Frozen):
    """Support hours included in a month, and the price of each hour beyond them."""

    included_hours: Amount
    hourly_rate: Amount


class Tier(_Frozen):
    """A class of member by size: its yearly dues."""

    code: str = Field(min_length=1)
    name_en: str = Field(min_length=1)
    name_fr: str = Field(min_length=1)
    yearly_dues: Amount


class PriceSchedule(_Frozen):
    """What one agreement says about prices. `version` counts its amendments."""

    version: int = Field(default=1, ge=1, strict=True)
    currency: Currency
    tier: Tier
    slabs: tuple[Slab, ...]
    support: Support
    creditable_fee: Amount  # per hub and month: what an SLA credit is a percentage of; never pass-through cost

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        """Refuse slabs that overlap or end, and prices finer than the currency."""
        check_slabs(self.slabs)
        prices = [self.tier.yearly_dues, self.support.hourly_rate, self.creditable_fee]
        _check_scale([*prices, *(slab.unit_price for slab in self.slabs)], self.currency)
        return self


class PriceList(_Frozen):
    """The consortium's price list: the same prices for every tier, only the dues differ."""

    version: int = Field(default=1, ge=1, strict=True)
    currency: Currency
    tiers: tuple[Tier, ...] = Field(min_length=1)
    slabs: tuple[Slab, ...]
    support: Support
    creditable_fee: Amount

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        """Refuse a tier named twice, and whatever a schedule would refuse."""
        codes = [tier.code for tier in self.tiers]
        if len(set(codes)) != len(codes):
            raise PriceInvalid("Two tiers of the price list have the same code.", field="tiers")
        for code in codes:
            self.schedule(code)
        return self

    def schedule(self, tier: str) -> PriceSchedule:
        """Will return what an agreement of that tier carries. Raises PriceInvalid for an unknown tier."""
        for each in self.tiers:
            if each.code == tier:
                return PriceSchedule(
                    version=self.version,
                    currency=self.currency,
                    tier=each,
                    slabs=self.slabs,
                    support=self.support,
                    creditable_fee=self.creditable_fee,
                )
        known = ", ".join(each.code for each in self.tiers)
        raise PriceInvalid(f"The price list has no tier {tier!a}. It has: {known}.", field="tier")


STANDARD_SLABS: Final = (
    Slab(up_to=10, unit_price=Decimal("10.00")),
    Slab(up_to=100, unit_price=Decimal("5.00")),
    Slab(up_to=1_000, unit_price=Decimal("2.50")),
    Slab(up_to=10_000, unit_price=Decimal("1.25")),
    Slab(up_to=None, unit_price=Decimal("0.00")),
)


@dataclass(frozen=True, slots=True)
class SlabLine:
    """How many users fell into one slab, and what they cost."""

    first: int
    last: int
    users: int
    unit_price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class UserCharge:
    """The charge for a month's active users, slab by slab; the lines sum to the total exactly."""

    users: int
    lines: tuple[SlabLine, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class SupportCharge:
    """The charge for a month's support hours beyond the included ones."""

    hours: Decimal
    billable_hours: Decimal
    hourly_rate: Decimal
    total: Decimal


def user_charge(users: int, *, slabs: Sequence[Slab], currency: str) -> UserCharge:
    """Will price the month's active users marginally: each user at the price of the slab they fall into.

    280 users under the standard slabs are 1,000.00; from 10,000 users on it is 14,050.00. Raises PriceInvalid.
    """
    if isinstance(users, bool) or not isinstance(users, int) or users < 0:
        raise PriceInvalid(f"{users!a} is no number of users.", field="users")
    check_slabs(slabs)
    _check_scale([slab.unit_price for slab in slabs], currency)
    lines: list[SlabLine] = []
    done = 0
    for slab in slabs:
        last = users if slab.up_to is None else min(users, slab.up_to)
        if last <= done:
            break
        amount = multiply(slab.unit_price, Decimal(last - done))
        lines.append(SlabLine(done + 1, last, last - done, slab.unit_price, round_money(amount, currency)))
        done = last
    return UserCharge(users, tuple(lines), round_money(exact_sum(line.amount for line in lines), currency))


def support_charge(hours: Decimal, *, support: Support, currency: str) -> SupportCharge:
    """Will price the hours beyond the included ones, rounded once. Raises PriceInvalid for hours below zero."""
    if hours < 0:
        raise PriceInvalid("Support hours cannot be below zero.", field="hours")
    billable = max(EXACT.subtract(hours, support.included_hours), Decimal(0))
    total = round_money(multiply(billable, support.hourly_rate), currency)
    return SupportCharge(hours, billable, support.hourly_rate, total)


def prorated_dues(yearly: Decimal, *, currency: str, joined: date, year_start: date) -> Decimal:
    """Will return the dues of a dues year for who joined in it: by the day, from the day of joining on, rounded once.

    The year runs from `year_start` up to, not including, the same day a year later. Who joined before owes all of it.
    Raises PriceInvalid when the member joined after the year ended.
    """
    year_end = _a_year_after(year_start)
    if joined >= year_end:
        raise PriceInvalid(f"The dues year ends on {year_end}, before the member joined on {joined}.", field="joined")
    days = (year_end - year_start).days
    member_days = (year_end - max(joined, year_start)).days
    return _round_fraction(Fraction(yearly) * member_days / days, currency)


def instalments(total: Decimal, *, currency: str, count: int = INSTALMENTS) -> tuple[Decimal, ...]:
    """Will cut an amount into instalments that sum to it exactly and differ by one smallest unit at most.

    The earlier ones are the larger ones. Raises AmountInvalid when the amount is finer than its currency, PriceInvalid
    for no instalment at all.
    """
    if count < 1:
        raise PriceInvalid("There must be at least one instalment.", field="count")
    minor = to_minor(total, currency)
    sign = -1 if minor < 0 else 1
    each, rest = divmod(abs(minor), count)
    return tuple(from_minor(sign * (each + (index < rest)), currency) for index in range(count))


def dues_by_month(yearly: Decimal, *, currency: str, joined: date, year_start: date) -> dict[Month, Decimal]:
    """Will spread a dues year over its months: equal instalments from the month of joining to the year's last month.

    A full year has twelve. A joiner's dues are prorated by the day first, so the months sum to them exactly. The year
    must begin with a month. Raises PriceInvalid.
    """
    if year_start.day != 1:
        raise PriceInvalid("A dues year that is paid by the month begins on the first of one.", field="year_start")
    total = prorated_dues(yearly, currency=currency, joined=joined, year_start=year_start)
    first = Month.of(max(joined, year_start))
    end = Month.of(year_start).plus(INSTALMENTS)
    count = (end.year - first.year) * 12 + end.number - first.number
    parts = instalments(total, currency=currency, count=count)
    return {first.plus(index): part for index, part in enumerate(parts)}


def check_slabs(slabs: Sequence[Slab]) -> None:
    """Will refuse slabs that do not rise, or that leave users without a price. Raises PriceInvalid."""
    ends = [slab.up_to for slab in slabs]
    if not ends or ends[-1] is not None:
        raise PriceInvalid("The last slab must have no end, so that every user has a price.", field="slabs")
    bounded = [end for end in ends[:-1] if end is not None]
    if len(bounded) != len(ends) - 1 or any(one >= two for one, two in pairwise(bounded)):
        raise PriceInvalid("Every slab must end above the one before it, and only the last may be open.", field="slabs")


def _check_scale(prices: Sequence[Decimal], currency: str) -> None:
    """Refuse prices finer than the currency: their lines would not sum to their total."""
    for price in prices:
        if scale(price) > exponent(currency):
            raise PriceInvalid(f"{plain(price)} is finer than the smallest unit of {currency}.", field="currency")


def _round_fraction(value: Fraction, currency: str) -> Decimal:
    """Round an exact fraction half away from zero to the currency's exponent."""
    minor = value * 10 ** exponent(currency)
    doubled = 2 * abs(minor.numerator) + minor.denominator
    rounded = doubled // (2 * minor.denominator)
    return from_minor(rounded if minor >= 0 else -rounded, currency)


def _a_year_after(day: date) -> date:
    """Return the same day of the next year; a year begun on 29 February ends on 1 March."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date(day.year + 1, 3, 1)
