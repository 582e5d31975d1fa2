"""How a pool is split: the policy in force on a day, or the house's default, and the weights that it makes of use."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID

from billing.allocation import Method, PoolParked, tier_weights
from billing.models import AllocationPolicy
from consortium.kernel.money import AmountInvalid, exact_sum, parse_amount
from members.models import Issuer

UNATTRIBUTED_POOL: Final = "unattributed"
# A policy with this method says that the tax office gives the money back: it is no cost, so nobody shares it.
RECOVERABLE: Final = "recoverable"
# Part of the pool goes through other pools first, each by its own rule; the rest by the basis.
STEP_DOWN: Final = "step_down"
# Members pay for what they used of the capacity, the consortium for what nobody used.
IDLE_OWN: Final = "idle_own"
BASES: Final = (
    "memory_gib_seconds", "server_seconds", "active_users", "storage_gib_seconds", "gpu_seconds", "fte",
)  # fmt: skip
_IDLE: Final = (Method.IDLE_WEIGHTED, Method.IDLE_EVEN, IDLE_OWN)
_MEASURED: Final = (Method.PROPORTIONAL, STEP_DOWN, *_IDLE)
_NEEDS: Final = {
    Method.FIXED: "percentages", Method.TIERED: "tiers", Method.DIRECT: "member", STEP_DOWN: "feeds",
} | dict.fromkeys(_IDLE, "capacity")  # fmt: skip
_DEFAULT: Final = (Method.PROPORTIONAL, "memory_gib_seconds")
_DEFAULTS: Final = {"support": (Method.EVEN, "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a pool is split, and the policy that says so (None: the default)."""

    policy: AllocationPolicy | None
    method: str
    basis: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberBasis:
    """What a member's weight may be made of: its use of the month, its size, the tier of its agreement."""

    institution_id: UUID
    slug: str
    tier: str
    server_seconds: int
    memory_gib_seconds: Decimal
    active_users: int
    storage_gib_seconds: Decimal = Decimal(0)
    gpu_seconds: int = 0
    fte: int = 0


class PoolRules:
    """The policies in force on a day."""

    def __init__(self, issuer: Issuer, day: date, instead: Mapping[str, Rule] | None = None) -> None:
        policies = AllocationPolicy.objects.filter(issuer=issuer, valid__contains=day)
        self._policies = {policy.pool_key: policy for policy in policies}
        self._instead = instead or {}

    def of(self, key: str) -> Rule:
        """Return how the pool of that key is split."""
        if key in self._instead:
            return self._instead[key]
        policy = self._policies.get(key)
        if policy is not None:
            return Rule(policy=policy, method=policy.method, basis=policy.basis, parameters=policy.parameters)
        method, basis = _DEFAULTS.get(key, _DEFAULT)
        return Rule(policy=None, method=str(method), basis=basis, parameters={})


def weights_of(key: str, rule: Rule, members: Mapping[str, MemberBasis]) -> dict[str, Decimal]:
    """Will return the members' weights under the rule. Raises PoolParked."""
    if key == UNATTRIBUTED_POOL:
        raise PoolParked(UNATTRIBUTED_POOL, "No rule claims these rows. Add one, or accept that nobody is billed.")
    match rule.method:
        case Method.EVEN:
            return dict.fromkeys(members, Decimal(1))
        case _ if rule.method in _MEASURED and rule.basis in BASES:
            return {slug: Decimal(getattr(member, rule.basis)) for slug, member in members.items()}
        case Method.FIXED:
            shares = _figures(rule, "percentages")
            if unknown := sorted(shares.keys() - members.keys()):
                raise PoolParked("member_invalid", f"The policy gives {unknown[0]} a share, but it is no member now.")
            return {slug: shares.get(slug, Decimal(0)) for slug in members}
        case Method.TIERED:
            return tier_weights({slug: member.tier for slug, member in members.items()}, _figures(rule, "tiers"))
        case Method.DIRECT:
            bearer = _bearer(rule)
            if bearer not in members:
                raise PoolParked("member_invalid", f"The policy lets {bearer} bear it, but it is no member now.")
            return {bearer: Decimal(1)}
        case _:
            raise PoolParked(
                "basis_unknown",
                f"The policy splits by {rule.method} of {rule.basis or 'nothing'}, which nobody measures.",
            )


def split_over(rule: Rule, weights: Mapping[str, Decimal], amount: Decimal) -> Mapping[str, Decimal | Fraction]:
    """Will return what `allocate` is told of each member: its weight or, with idle capacity, the cost of its use.

    Capacity is in units of the basis; a member's use of it costs that part of the pool. Raises PoolParked.
    """
    if rule.method not in _IDLE:
        return weights
    capacity = Fraction(capacity_of(rule))
    pool = Fraction(amount.copy_abs())
    return {slug: pool * Fraction(weight) / capacity for slug, weight in weights.items()}


def capacity_of(rule: Rule) -> Decimal:
    """Will return how much of its basis an idle rule's pool could have served. Raises PoolParked."""
    return _positive(rule, "capacity")


def feeds_of(rule: Rule) -> dict[str, Decimal]:
    """Will return which part of a step-down pool, in percent, goes through which other pools. Raises PoolParked."""
    feeds = _figures(rule, "feeds")
    if any(percent <= 0 for percent in feeds.values()) or exact_sum(feeds.values()) > 100:
        raise PoolParked("percentages_not_100", "What goes to other pools is above zero, and together at most 100 %.")
    return feeds


def check_rule(rule: Rule) -> None:
    """Raise PoolParked, with `field`, for a rule that could split nothing whoever the members are."""
    method = rule.method
    if method not in {*Method, STEP_DOWN, IDLE_OWN}:
        raise PoolParked("method_unknown", f"There is no method {method!a}.", field="method")
    if (method in _MEASURED) != bool(rule.basis) or (rule.basis and rule.basis not in BASES):
        wanted = f"one of {', '.join(BASES)}" if method in _MEASURED else "no basis"
        raise PoolParked("basis_unknown", f"The method {method} takes {wanted}.", field="basis")
    needed = _NEEDS.get(method)
    bounds = set() if method in {STEP_DOWN, IDLE_OWN} else {"floor", "cap"}
    known = bounds | ({needed} if needed else set())
    if unknown := sorted(rule.parameters.keys() - known):
        message = f"The parameter {unknown[0]!a} means nothing here. Known are: {', '.join(sorted(known))}."
        raise PoolParked("parameters_invalid", message, field="parameters")
    bound_of(rule, "floor"), bound_of(rule, "cap")
    match method:
        case Method.FIXED:
            _check_percentages(_figures(rule, "percentages"))
        case Method.TIERED:
            _figures(rule, "tiers")
        case Method.DIRECT:
            _bearer(rule)
        case _ if method in _IDLE:
            capacity_of(rule)
        case _ if method == STEP_DOWN:
            feeds_of(rule)


def _check_percentages(shares: Mapping[str, Decimal]) -> None:
    if exact_sum(shares.values()) != 100 or any(share < 0 for share in shares.values()):
        raise PoolParked("percentages_not_100", "The percentages sum to exactly 100, and none is below zero.")


def _bearer(rule: Rule) -> str:
    member = rule.parameters.get("member")
    if not isinstance(member, str) or not member:
        raise PoolParked("parameters_missing", "The policy names no member that bears the pool.")
    return member


def _positive(rule: Rule, name: str) -> Decimal:
    value = rule.parameters.get(name)
    if value is None:
        raise PoolParked("parameters_missing", f"The policy splits by {rule.method}, but lacks its {name}.")
    figure = _figure(value, name)
    if figure <= 0:
        raise PoolParked("parameters_invalid", f"The policy's {name} must be above zero.")
    return figure


def _figures(rule: Rule, name: str) -> dict[str, Decimal]:
    """Read exact figures, written as text, from the policy's parameters. Raises PoolParked."""
    figures = rule.parameters.get(name)
    if not isinstance(figures, Mapping) or not figures:
        raise PoolParked("parameters_missing", f"The policy splits by {rule.method}, but lacks its {name}.")
    return {str(each): _figure(figure, name) for each, figure in figures.items()}


def bound_of(rule: Rule, name: str) -> Decimal | None:
    """Will return the floor or cap that the policy names. Raises PoolParked."""
    value = rule.parameters.get(name)
    return None if value is None else _figure(value, name)


def _figure(value: object, name: str) -> Decimal:
    try:
        return parse_amount(value)
    except AmountInvalid as error:
        raise PoolParked("parameters_invalid", f"The policy's {name}: {error.message}") from error
