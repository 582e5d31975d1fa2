"""Splitting a pool by its rule: the plain methods, step-down through other pools, and idle that the consortium bears.

Pure but for the rules it is given. Step-down sends a part of a pool through the pools behind it, each split by its own
rule, before the rest reaches the members; it stays one pool of one bill, so that every cent still traces to that bill's
rows, and the calculator (`./portal manage apportion`) gives the same figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing import allocation
from billing.allocation import Conversion, Method, PoolParked, SupportPool, idle_own_line
from billing.allocation.result import Share as SplitShare
from billing.pool_rules import (
    IDLE_OWN,
    RECOVERABLE,
    STEP_DOWN,
    MemberBasis,
    PoolRules,
    Rule,
    bound_of,
    capacity_of,
    feeds_of,
    split_over,
    weights_of,
)
from consortium.kernel.money import EXACT, exact_sum, round_money

OWN: Final = "~"  # no institution's key: the consortium's own line, behind every member's
_POOL: Final = "pool "
_PLACES: Final = 12
_NO_WAY: Final = frozenset({RECOVERABLE, IDLE_OWN, Method.IDLE_EVEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A pool converted and rounded once, its shares, and what the consortium bears of it itself.

    Shares and `own` sum to `pool`. `weights` are what members' parts are made of, `own_weight` what nobody used.
    """

    pool: Decimal
    shares: tuple[SplitShare, ...]
    weights: Mapping[str, Decimal]
    own: Decimal = Decimal(0)
    own_weight: Decimal = Decimal(0)


def split_pool(
    key: str,
    rule: Rule,
    *,
    amount: Decimal,
    currency: str,
    conversion: Conversion | None,
    members: Mapping[str, MemberBasis],
    rules: PoolRules,
) -> Split:
    """Will convert, round and split a pool by its rule. Raises PoolParked for whatever cannot be split honestly."""
    if rule.method == STEP_DOWN:
        return _step_down(key, amount=amount, currency=currency, conversion=conversion, members=members, rules=rules)
    weights = weights_of(key, rule, members)
    over: Mapping[str, Decimal | Fraction]
    if rule.method == IDLE_OWN:
        over = idle_own_line(capacity_of(rule), weights, own=OWN)
    else:
        over = split_over(rule, weights, amount)
    found = allocation.allocate(
        Method.PROPORTIONAL if rule.method == IDLE_OWN else Method(rule.method),
        amount=amount,
        currency=currency,
        members=over,
        conversion=conversion,
        floor=bound_of(rule, "floor"),
        cap=bound_of(rule, "cap"),
    )
    shares = tuple(share for share in found.shares if share.member != OWN)
    own = exact_sum(share.amount for share in found.shares if share.member == OWN)
    idle = EXACT.subtract(capacity_of(rule), exact_sum(weights.values())) if rule.method == IDLE_OWN else Decimal(0)
    return Split(pool=found.pool, shares=shares, weights=weights, own=own, own_weight=idle)


def _step_down(
    key: str,
    *,
    amount: Decimal,
    currency: str,
    conversion: Conversion | None,
    members: Mapping[str, MemberBasis],
    rules: PoolRules,
) -> Split:
    to = {name: _receivers(name, members, rules) for name in order_of(key, rules)}
    pools = [
        SupportPool(f"{_POOL}{name}", amount if name == key else Decimal(0), receivers)
        for name, receivers in to.items()
    ]
    nothing = dict.fromkeys(members, Decimal(0))
    found = allocation.step_down(pools, direct=nothing, currency=currency, conversion=conversion)
    parts = _parts(key, to)
    total = round_money(found.total, found.currency)
    shares = tuple(
        SplitShare(
            member=member,
            weight=parts.get(member, Fraction(0)),
            quotient=Fraction(total) * parts.get(member, Fraction(0)),
            rounded_down=found.amounts[member],
            unit=Decimal(0),
            amount=found.amounts[member],
            bound="",
        )
        for member in sorted(members)
    )
    return Split(pool=total, shares=shares, weights={share.member: _percent(share.weight) for share in shares})


def order_of(key: str, rules: PoolRules) -> list[str]:
    """Will return the pool and every pool that it feeds, each before those it feeds. Raises PoolParked."""
    found: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            way = " to ".join((*path[path.index(name) :], name))
            raise PoolParked("pool_order", f"Pools feed each other in a circle: {way}. Correct one of the policies.")
        if name in found:
            return
        rule = rules.of(name)
        for fed in sorted(feeds_of(rule)) if rule.method == STEP_DOWN else ():
            visit(fed, (*path, name))
        found.append(name)

    visit(key, ())
    return found[::-1]


def check_fed(name: str, rule: Rule) -> None:
    """Raise PoolParked for a pool that nothing can go through: what reaches it must reach members, by their weights."""
    if rule.method in _NO_WAY or bound_of(rule, "floor") is not None or bound_of(rule, "cap") is not None:
        raise PoolParked(
            "feed_unfit",
            f"Part of this pool goes through {name}, which is split by {rule.method} or within bounds: only weights of "
            "members can pass it on.",
            field="parameters",
        )


def _receivers(name: str, members: Mapping[str, MemberBasis], rules: PoolRules) -> dict[str, Fraction]:
    """What a pool's cost goes to, in hundredths: the pools that it feeds, then members by its rule."""
    rule = rules.of(name)
    check_fed(name, rule)
    feeds = feeds_of(rule) if rule.method == STEP_DOWN else {}
    rest = Fraction(100) - sum(map(Fraction, feeds.values()), Fraction(0))
    found = {f"{_POOL}{fed}": Fraction(percent) for fed, percent in feeds.items()}
    if not rest:
        return found
    weights = {member: Fraction(weight) for member, weight in weights_of(name, rule, members).items()}
    whole = sum(weights.values(), Fraction(0))
    if not whole:
        raise PoolParked("basis_all_zero", f"Nobody has a weight in {name}, which part of this pool goes through.")
    if negative := sorted(member for member, weight in weights.items() if weight < 0):
        raise PoolParked("weight_negative", f"The weight of {negative[0]} in {name} is below zero.")
    return found | {member: rest * weight / whole for member, weight in weights.items()}


def _parts(key: str, to: Mapping[str, Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """Which part of the pool each member bears in the end, exactly."""
    flows: dict[str, Fraction] = {key: Fraction(1)}
    parts: dict[str, Fraction] = {}
    for name, receivers in to.items():
        for receiver, hundredths in receivers.items():
            part = flows.get(name, Fraction(0)) * hundredths / 100
            if receiver.startswith(_POOL):
                fed = receiver.removeprefix(_POOL)
                flows[fed] = flows.get(fed, Fraction(0)) + part
            else:
                parts[receiver] = parts.get(receiver, Fraction(0)) + part
    return parts


def _percent(part: Fraction) -> Decimal:
    """A part in hundredths, cut after twelve digits: shown, never reckoned with."""
    scaled = part * 100 * 10**_PLACES
    return EXACT.scaleb(Decimal(scaled.numerator // scaled.denominator), -_PLACES)


__all__ = ["Split", "check_fed", "order_of", "split_pool"]
