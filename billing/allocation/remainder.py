"""The core: a whole number of minor units over weights, exactly, by largest remainder, within floors and caps."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from billing.allocation.parking import PoolParked


@dataclass(frozen=True, slots=True)
class Part:
    """One member's part of an unsigned number of minor units."""

    member: str
    weight: Fraction
    quotient: Fraction
    down: int
    extra: int
    bound: str  # "floor", "cap" or ""


def split(units: int, weights: Mapping[str, Fraction], *, floor: int | None, cap: int | None) -> tuple[Part, ...]:
    """Will split `units` (not negative) over the weights; the parts come in ascending order of member key.

    Floor and cap are in units; the floor holds for positive weights only. Raises PoolParked.
    """
    _check(weights)
    quotients = _quotients(units, weights, floor=floor, cap=cap)
    down = {member: quotient.numerator // quotient.denominator for member, (quotient, _) in quotients.items()}
    left = units - sum(down.values())
    # A remainder of zero never gets a unit: there are always at least `left` members with a positive one.
    by_claim = sorted(weights, key=lambda member: (down[member] - quotients[member][0], -weights[member], member))
    lucky = frozenset(by_claim[:left])
    return tuple(
        Part(member, weights[member], quotients[member][0], down[member], int(member in lucky), quotients[member][1])
        for member in sorted(weights)
    )


def _check(weights: Mapping[str, Fraction]) -> None:
    """Park what has no honest split; a negative weight was refused when it was read."""
    if not weights:
        raise PoolParked("members_empty", "The pool has no members to share it. Name at least one.", field="members")
    if not any(weights.values()):
        raise PoolParked(
            "basis_all_zero",
            "Every weight of the pool is zero: nothing says who should pay. Choose another basis or share it evenly.",
            field="members",
        )


def _quotients(
    units: int, weights: Mapping[str, Fraction], *, floor: int | None, cap: int | None
) -> dict[str, tuple[Fraction, str]]:
    """Return each member's exact quotient and which bound holds it."""
    payers = [weight for weight in weights.values() if weight > 0]
    low = Fraction(floor or 0)
    high = None if cap is None else Fraction(cap)
    _check_bounds(units, len(payers), low, high)
    unbounded = not low and high is None
    level = Fraction(units) / sum(payers) if unbounded else _level(Fraction(units), payers, low, high)
    return {member: _held(level * weight, weight, low, high) for member, weight in weights.items()}


def _check_bounds(units: int, payers: int, low: Fraction, high: Fraction | None) -> None:
    """Refuse bounds that no split can keep."""
    if high is not None and low > high:
        raise PoolParked(
            "floor_above_cap", "The floor is above the cap. Lower the floor or raise the cap.", field="floor"
        )
    if low * payers > units:
        raise PoolParked(
            "floor_infeasible",
            f"The floor for {payers} paying members is more than the whole pool. Lower the floor.",
            field="floor",
        )
    if high is not None and high * payers < units:
        raise PoolParked(
            "cap_infeasible",
            f"The cap for {payers} paying members does not reach the whole pool. Raise the cap.",
            field="cap",
        )


def _held(wanted: Fraction, weight: Fraction, low: Fraction, high: Fraction | None) -> tuple[Fraction, str]:
    """Hold one quotient within the bounds; a zero weight pays nothing and has no floor."""
    if weight > 0 and wanted < low:
        return low, "floor"
    if high is not None and wanted > high:
        return high, "cap"
    return wanted, ""


def _level(units: Fraction, payers: list[Fraction], low: Fraction, high: Fraction | None) -> Fraction:
    """Return the one price per weight at which the held quotients add up to the pool.

    The sum of the held quotients rises with the price and bends only where somebody reaches a bound. So the bend just
    below the pool is found, and between bends the sum is a straight line. Unlike freezing members round by round, this
    has one answer whatever the order: nobody is held at a floor that the re-spread would have lifted them above.
    """

    def filled(level: Fraction) -> Fraction:
        return sum((_held(level * weight, weight, low, high)[0] for weight in payers), Fraction(0))

    bends = sorted({bound / weight for weight in payers for bound in (low, high) if bound is not None})
    index = bisect_left(bends, units, key=filled)
    if index < len(bends) and filled(bends[index]) == units:
        return bends[index]
    below = bends[index - 1]
    floored = sum(1 for weight in payers if low / weight > below)
    capped = 0 if high is None else sum(1 for weight in payers if high / weight <= below)
    free = sum(
        (weight for weight in payers if low / weight <= below and (high is None or high / weight > below)), Fraction(0)
    )
    return (units - low * floored - (high or Fraction(0)) * capped) / free
