"""How a pool is split: the policy in force on a day, or the house's default, and the weights that it makes of use."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from billing.allocation import Method, PoolParked, tier_weights
from billing.models import AllocationPolicy
from consortium.kernel.money import AmountInvalid, parse_amount
from members.models import Issuer

UNATTRIBUTED_POOL: Final = "unattributed"
# A policy with this method says that the tax office gives the money back: it is no cost, so nobody shares it.
RECOVERABLE: Final = "recoverable"
_BASES: Final = frozenset({"memory_gib_seconds", "server_seconds", "active_users"})
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
    """What a member's weight may be made of."""

    institution_id: UUID
    slug: str
    tier: str
    server_seconds: int
    memory_gib_seconds: Decimal
    active_users: int


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
        case Method.PROPORTIONAL if rule.basis in _BASES:
            return {slug: Decimal(getattr(member, rule.basis)) for slug, member in members.items()}
        case Method.FIXED:
            shares = _figures(rule, "percentages")
            if unknown := sorted(shares.keys() - members.keys()):
                raise PoolParked("member_invalid", f"The policy gives {unknown[0]} a share, but it is no member now.")
            return {slug: shares.get(slug, Decimal(0)) for slug in members}
        case Method.TIERED:
            return tier_weights({slug: member.tier for slug, member in members.items()}, _figures(rule, "tiers"))
        case _:
            raise PoolParked(
                "basis_unknown",
                f"The policy splits by {rule.method} of {rule.basis or 'nothing'}, which nobody measures.",
            )


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
