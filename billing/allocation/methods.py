"""The methods: from what a policy names (even, by use, by percentage, by tier, with idle) to weights and shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.allocation.parking import PoolParked
from billing.allocation.remainder import Part, split
from billing.allocation.result import Allocation, Share
from consortium.kernel.money import (
    EXACT,
    AmountInvalid,
    CurrencyUnknown,
    exponent,
    from_minor,
    multiply,
    plain,
    round_money,
    to_minor,
)

type Weight = Decimal | int | Fraction


class Method(StrEnum):
    """How a pool is split. Step-down spreads several pools at once and has a function of its own."""

    DIRECT = "direct"
    EVEN = "even"
    PROPORTIONAL = "proportional"
    FIXED = "fixed"
    TIERED = "tiered"
    IDLE_WEIGHTED = "idle_weighted"
    IDLE_EVEN = "idle_even"


@dataclass(frozen=True, slots=True)
class Conversion:
    """The one rate of a pool: units of `currency` for one unit of the pool's own, and where the rate was published."""

    rate: Decimal
    currency: str
    source: str = ""


def allocate(
    method: Method,
    *,
    amount: Decimal,
    currency: str,
    members: Mapping[str, Weight],
    conversion: Conversion | None = None,
    floor: Decimal | None = None,
    cap: Decimal | None = None,
) -> Allocation:
    """Will convert the pool once, round it once, and split it so that the shares sum to it exactly.

    `amount` is the exact pool in `currency`; it may be negative (a credit). `members` are weights; for FIXED they are
    percentages that sum to exactly 100; for the IDLE methods the amounts used, in the pool's currency, while `amount`
    includes the idle part; for EVEN and DIRECT only the keys count. `floor` and `cap` are in the resulting currency, on
    the absolute share; what they take or leave is spread again over the others. Raises PoolParked.
    """
    weights = _weights(method, amount, {member: _weight(member, weight) for member, weight in members.items()})
    exact, target = converted(amount, currency, conversion)
    pool = round_money(exact, target)
    units = to_minor(pool, target)
    parts = split(abs(units), weights, floor=_bound("floor", floor, target), cap=_bound("cap", cap, target))
    return Allocation(
        method=str(method),
        source_amount=amount,
        source_currency=currency,
        rate=conversion.rate if conversion else None,
        rate_source=conversion.source if conversion else "",
        exact=exact,
        pool=pool,
        currency=target,
        shares=tuple(_share(part, -1 if units < 0 else 1, target) for part in parts),
    )


def converted(amount: Decimal, currency: str, conversion: Conversion | None) -> tuple[Decimal, str]:
    """Will return the exact amount in the currency it is charged in. Raises PoolParked for an odd rate or currency."""
    target = conversion.currency if conversion else currency
    try:
        exponent(currency)
        exponent(target)
        if conversion is None:
            return Decimal(plain(amount)), target
        if not conversion.rate.is_finite() or conversion.rate <= 0:
            raise PoolParked("rate_invalid", "The conversion rate must be above zero.", field="fx_rate")
        return multiply(amount, conversion.rate), target
    except CurrencyUnknown as error:
        raise PoolParked("currency_unknown", error.message, field="currency") from error
    except AmountInvalid as error:
        raise PoolParked("amount_invalid", error.message, field="total") from error


def tier_weights(tiers: Mapping[str, str], weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Will give each member the weight of its tier (small 1, medium 2, large 4). Raises PoolParked: tier_unknown."""
    unknown = sorted(member for member, tier in tiers.items() if tier not in weights)
    if unknown:
        raise PoolParked(
            "tier_unknown",
            f"{unknown[0]} is in tier {tiers[unknown[0]]!r}, which the policy gives no weight. Add it to the policy.",
            field=f"members.{unknown[0]}",
        )
    return {member: weights[tier] for member, tier in tiers.items()}


def idle_own_line(amount: Decimal, used: Mapping[str, Weight], *, own: str) -> dict[str, Fraction]:
    """Will leave the idle part on the consortium's own line, as weights for PROPORTIONAL. Raises PoolParked."""
    if own in used:
        raise PoolParked("own_line_taken", f"{own!r} is a member's key and cannot be the consortium's own line.")
    exact = {member: _weight(member, value) for member, value in used.items()}
    return {**exact, own: _idle(amount, exact)}


def _weights(method: Method, amount: Decimal, members: Mapping[str, Fraction]) -> Mapping[str, Fraction]:
    """Turn what the policy names into weights."""
    match method:
        case Method.PROPORTIONAL | Method.TIERED:
            return members
        case Method.EVEN:
            return dict.fromkeys(members, Fraction(1))
        case Method.DIRECT:
            if len(members) != 1:
                raise PoolParked("direct_not_one", "A direct cost goes to exactly one member.", field="members")
            return dict.fromkeys(members, Fraction(1))
        case Method.FIXED:
            return _percentages(members)
        case Method.IDLE_WEIGHTED:
            _idle(amount, members)
            return members
        case Method.IDLE_EVEN:
            return _with_idle_spread_evenly(amount, members)


def _percentages(members: Mapping[str, Fraction]) -> Mapping[str, Fraction]:
    """Refuse percentages that leave a rest or go beyond the whole."""
    total = sum(members.values(), Fraction(0))
    if members and total != 100:
        raise PoolParked(
            "percentages_not_100",
            f"The percentages sum to {plain_fraction(total)}, not to exactly 100. Correct them in the policy.",
            field="members",
        )
    return members


def _with_idle_spread_evenly(amount: Decimal, used: Mapping[str, Fraction]) -> Mapping[str, Fraction]:
    """Each listed member bears what it used and the same part of the idle rest."""
    idle = _idle(amount, used)
    if not idle and not any(used.values()):
        return dict.fromkeys(used, Fraction(1))  # an empty pool: everybody's part of nothing
    return {member: value + idle / len(used) for member, value in used.items()}


def _idle(amount: Decimal, used: Mapping[str, Fraction]) -> Fraction:
    """Return what nobody used, of the pool's absolute value, so that a credit mirrors its charge."""
    idle = _weight("total", amount.copy_abs()) - sum(used.values(), Fraction(0))
    if used and idle < 0:
        raise PoolParked(
            "used_above_total",
            "The members used more than the pool with its idle part holds. Check the pool's total.",
            field="total",
        )
    return idle


def _weight(member: str, weight: Weight) -> Fraction:
    """Read one weight exactly."""
    if not isinstance(member, str) or not member.strip():
        raise PoolParked("member_invalid", "A member's key is empty. Use the institution's key.", field="members")
    if isinstance(weight, bool) or not isinstance(weight, Decimal | int | Fraction):
        raise PoolParked(
            "weight_invalid",
            f"The weight of {member} is a {type(weight).__name__}; only exact numbers are weights.",
            field=f"members.{member}",
        )
    if isinstance(weight, Decimal) and not weight.is_finite():
        raise PoolParked("weight_invalid", f"The weight of {member} is not a finite number.", field=f"members.{member}")
    if weight < 0:
        raise PoolParked(
            "weight_negative",
            f"The weight of {member} is below zero. Correct the measurement; nothing is billed until then.",
            field=f"members.{member}",
        )
    return Fraction(weight)


def _bound(name: str, bound: Decimal | None, currency: str) -> int | None:
    """Read a floor or cap as minor units of the resulting currency."""
    if bound is None:
        return None
    try:
        units = to_minor(bound, currency)
    except AmountInvalid as error:
        raise PoolParked(
            f"{name}_invalid", f"The {name} is no amount of {currency}: {error.message}", field=name
        ) from error
    if units < 0:
        raise PoolParked(f"{name}_invalid", f"The {name} is below zero.", field=name)
    return units


def _share(part: Part, sign: int, currency: str) -> Share:
    """Put the pool's sign back and turn minor units into an amount."""
    minor_per_unit = 10 ** exponent(currency)
    return Share(
        member=part.member,
        weight=part.weight,
        quotient=sign * part.quotient / minor_per_unit,
        rounded_down=from_minor(sign * part.down, currency),
        unit=from_minor(sign * part.extra, currency),
        amount=from_minor(sign * (part.down + part.extra), currency),
        bound=part.bound,
    )


def plain_fraction(value: Fraction) -> str:
    """Will write a fraction of decimals as a decimal where it ends, else as a fraction."""
    digits = 0
    while digits <= 40:
        scaled = value * 10**digits
        if scaled.denominator == 1:
            return plain(EXACT.scaleb(Decimal(scaled.numerator), -digits))
        digits += 1
    return str(value)
