"""What a GiB-hour of memory cost lately: the member's own month first, else three members' or nobody's."""

from decimal import Decimal
from uuid import UUID

import pytest

from billing.cloud_rates import CloudRate, Used, cloud_rate
from consortium.kernel.periods import Month

SEPTEMBER, OCTOBER = Month(2026, 9), Month(2026, 10)
CEDAR, MAPLE, OAK, BIRCH = (UUID(int=number) for number in range(1, 5))
# 1,000 GiB-hours, 40 hours, 8 people: five hours each.
USED = Used(memory_gib_seconds=Decimal(3_600_000), server_seconds=144_000, active_users=8)


def rate(
    cost: dict[Month, dict[UUID, str]], *, of: UUID = CEDAR, idle: frozenset[UUID] = frozenset()
) -> CloudRate | None:
    sums = {month: {key: Decimal(net) for key, net in each.items()} for month, each in cost.items()}
    nothing = Used(memory_gib_seconds=Decimal(0), server_seconds=0, active_users=0)
    use = {month: {key: nothing if key in idle else USED for key in each} for month, each in cost.items()}
    return cloud_rate(sums, use, institution_id=CEDAR, currency="CAD")


def test_the_newest_month_of_ones_own_speaks() -> None:
    found = rate({SEPTEMBER: {CEDAR: "50.00"}, OCTOBER: {CEDAR: "213.48", MAPLE: "9999.00"}})
    assert found == CloudRate(
        month=OCTOBER, currency="CAD", per_gib_hour=Decimal("0.21348"), hours_each=Decimal(5), of_members=1
    )


def test_without_a_month_of_ones_own_three_members_together_speak() -> None:
    found = rate({OCTOBER: {MAPLE: "100.00", OAK: "200.00", BIRCH: "600.00"}})
    assert found is not None
    assert (found.per_gib_hour, found.hours_each, found.of_members) == (Decimal("0.3"), Decimal(5), 3)


@pytest.mark.parametrize(
    ("cost", "idle"),
    [
        ({}, frozenset()),
        ({OCTOBER: {MAPLE: "100.00", OAK: "200.00"}}, frozenset()),
        ({OCTOBER: {MAPLE: "100.00", OAK: "200.00", BIRCH: "-5.00"}}, frozenset()),
        ({OCTOBER: {MAPLE: "100.00", OAK: "200.00", BIRCH: "600.00"}}, frozenset({OAK})),
        ({OCTOBER: {CEDAR: "100.00"}}, frozenset({CEDAR})),
    ],
)
def test_from_two_members_a_third_could_read_the_other_so_nothing_is_said(
    cost: dict[Month, dict[UUID, str]], idle: frozenset[UUID]
) -> None:
    assert rate(cost, idle=idle) is None
