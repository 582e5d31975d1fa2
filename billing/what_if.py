"""What a month would have cost under another key: replayed from the same bills and the same use, touching nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from billing.allocation import Method
from billing.charges import PoolView, pools_of, view_of_computed
from billing.closing import frozen
from billing.facts import MemberFacts
from billing.models import BillingPeriod
from billing.pool_rules import Rule
from billing.pools import compute_pools
from consortium.kernel.money import EXACT

# The keys that need nothing but what is measured of every member.
KEYS: Final[Mapping[str, tuple[Method, str]]] = {
    "even": (Method.EVEN, ""),
    "memory": (Method.PROPORTIONAL, "memory_gib_seconds"),
    "servers": (Method.PROPORTIONAL, "server_seconds"),
    "users": (Method.PROPORTIONAL, "active_users"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One pool as it is split and as it would be, by institution. `parked` says why the other key splits nothing."""

    pool: PoolView
    actual: Mapping[UUID, Decimal]
    other: Mapping[UUID, Decimal]
    parked: str

    def difference(self, institution_id: UUID) -> Decimal:
        """What the institution would pay more (or less, below zero)."""
        zero = Decimal(0)
        return EXACT.subtract(self.other.get(institution_id, zero), self.actual.get(institution_id, zero))


def rule_of(key: str) -> Rule:
    """Will return the rule of a key of KEYS."""
    method, basis = KEYS[key]
    return Rule(policy=None, method=str(method), basis=basis, parameters={})


def replay(
    period: BillingPeriod, facts: Sequence[MemberFacts], *, rule: Rule, pools: Sequence[str] = ()
) -> list[Compared]:
    """Return every pool of the period beside itself under `rule`; of named pools, only those change.

    A closed month is replayed from its frozen use. Nothing is written. Needs a consortium scope.
    """
    actual = pools_of(period, facts)
    keys = {pool.key for pool in actual if not pools or pool.key in pools}
    replayed = compute_pools(period, frozen(period, facts), instead=dict.fromkeys(keys, rule))
    other = {(pool.bill.pk, pool.key): pool for pool in replayed}
    compared = []
    for pool in actual:
        twin = other.get((pool.bill_id, pool.key))
        if twin is None:
            continue
        compared.append(
            Compared(
                pool=pool,
                actual=_amounts(pool),
                other=_amounts(view_of_computed(twin)),
                parked=twin.parked_message,
            )
        )
    return compared


def _amounts(pool: PoolView) -> dict[UUID, Decimal]:
    return {institution: amount for institution, (_, _, amount) in pool.parts.items()}
