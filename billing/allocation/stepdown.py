"""Step-down: support pools are spread first, one after the other, over the members and over the pools behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.allocation.methods import Conversion, Method, Weight, allocate, converted
from billing.allocation.parking import PoolParked
from billing.allocation.result import Allocation, canonical
from consortium.kernel.money import EXACT, exact_sum, plain, round_money


@dataclass(frozen=True, slots=True)
class SupportPool:
    """A pool of one round: its own cost, and the weights of the members and later pools it feeds."""

    name: str
    amount: Decimal
    to: Mapping[str, Weight]


@dataclass(frozen=True, slots=True)
class StepDown:
    """The rounds in their order, and what each member bears in the end; the amounts sum to all that came in."""

    currency: str
    direct: dict[str, Decimal]  # converted and rounded once each
    rounds: tuple[Allocation, ...]  # each over the pool's own cost and what earlier pools fed it
    own_costs: tuple[tuple[str, Decimal], ...]  # each pool's own cost, converted and rounded once
    amounts: dict[str, Decimal]  # ascending member key
    total: Decimal

    def to_json(self) -> bytes:
        """Will return every step as bytes that are equal for equal inputs."""
        return canonical(
            {
                "method": "step_down",
                "currency": self.currency,
                "direct": {member: plain(amount) for member, amount in self.direct.items()},
                "own_costs": [{"pool": name, "amount": plain(amount)} for name, amount in self.own_costs],
                "rounds": [allocation.explain() for allocation in self.rounds],
                "amounts": {member: plain(amount) for member, amount in self.amounts.items()},
                "total": plain(self.total),
            }
        )


def step_down(
    pools: Sequence[SupportPool],
    *,
    direct: Mapping[str, Decimal],
    currency: str,
    conversion: Conversion | None = None,
) -> StepDown:
    """Will spread the pools in the order given; a pool may feed members and later pools, never itself or earlier ones.

    Each pool's own cost and each direct cost is converted and rounded once; every round splits by largest remainder, so
    that no cent appears or is lost between rounds. Raises PoolParked.
    """
    _check_order(pools, direct)
    own = {pool.name: _rounded(pool.amount, currency, conversion) for pool in pools}
    target = conversion.currency if conversion else currency
    members = {member: _rounded(amount, currency, conversion) for member, amount in sorted(direct.items())}
    borne = dict(members)
    fed = dict(own)
    rounds = []
    for pool in pools:
        allocation = allocate(Method.PROPORTIONAL, amount=fed[pool.name], currency=target, members=pool.to)
        rounds.append(allocation)
        for receiver, amount in allocation.amounts.items():
            book = fed if receiver in fed else borne
            book[receiver] = EXACT.add(book.get(receiver, Decimal(0)), amount)
    return StepDown(
        currency=target,
        direct=members,
        rounds=tuple(rounds),
        own_costs=tuple(own.items()),
        amounts=dict(sorted(borne.items())),
        total=exact_sum(borne.values()),
    )


def _rounded(amount: Decimal, currency: str, conversion: Conversion | None) -> Decimal:
    """Convert once and round once."""
    exact, target = converted(amount, currency, conversion)
    return round_money(exact, target)


def _check_order(pools: Sequence[SupportPool], direct: Mapping[str, Decimal]) -> None:
    """Refuse names that mean two things and money that would run in a circle."""
    if not pools and not direct:
        raise PoolParked("members_empty", "There are neither pools nor direct costs to spread.", field="pools")
    names = [pool.name for pool in pools]
    for index, pool in enumerate(pools):
        if names.index(pool.name) != index or pool.name in direct:
            raise PoolParked(
                "pool_name_taken",
                f"{pool.name!r} names two things. Give every pool a name of its own, unlike any member's key.",
                field=f"pools.{index}.name",
            )
        backwards = sorted(set(pool.to).intersection(names[: index + 1]))
        if backwards:
            raise PoolParked(
                "pool_order",
                f"Pool {pool.name!r} feeds {backwards[0]!r}, which is not behind it. Only later pools can be fed.",
                field=f"pools.{index}.to.{backwards[0]}",
            )
