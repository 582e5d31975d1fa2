"""The worked table of the money rules, figure by figure, and the step-down example finance people check us with."""

from decimal import Decimal

import pytest

from billing.allocation import Allocation, Conversion, Method, SupportPool, allocate, step_down
from billing.apportion import apportion
from consortium.kernel.money import exact_sum, plain, round_money


def shares(
    method: Method,
    amount: str,
    currency: str,
    weights: list[str],
    *,
    floor: str | None = None,
    cap: str | None = None,
) -> list[str]:
    """Split over A, B, C ... and write the shares down."""
    allocation = allocate(
        method,
        amount=Decimal(amount),
        currency=currency,
        members={chr(ord("A") + index): Decimal(weight) for index, weight in enumerate(weights)},
        floor=None if floor is None else Decimal(floor),
        cap=None if cap is None else Decimal(cap),
    )
    assert exact_sum(allocation.amounts.values()) == allocation.pool == round_money(Decimal(amount), currency)
    return [plain(amount) for amount in allocation.amounts.values()]


def test_a_hundred_dollars_over_three_even_with_a_tie() -> None:
    assert shares(Method.EVEN, "100.00", "CAD", ["1", "1", "1"]) == ["33.34", "33.33", "33.33"]


def test_proportional_with_a_member_who_used_nothing() -> None:
    weights = ["333.3333", "250", "0", "416.6667"]
    assert shares(Method.PROPORTIONAL, "1000.00", "USD", weights) == ["333.33", "250.00", "0.00", "416.67"]


def test_a_cloud_bill_with_long_decimals() -> None:
    assert shares(Method.PROPORTIONAL, "20.52022672899", "USD", ["1", "2", "4"]) == ["2.93", "5.86", "11.73"]


def test_a_credit_mirrors_its_charge() -> None:
    assert shares(Method.EVEN, "-100.00", "CAD", ["1", "1", "1"]) == ["-33.34", "-33.33", "-33.33"]


def test_a_currency_without_minor_unit() -> None:
    assert shares(Method.PROPORTIONAL, "10000", "JPY", ["1", "2", "4"]) == ["1429", "2857", "5714"]


def test_a_currency_with_three_decimals() -> None:
    assert shares(Method.EVEN, "100.000", "KWD", ["1", "1", "1"]) == ["33.334", "33.333", "33.333"]


def test_a_floor_of_50_and_a_cap_of_600() -> None:
    split = shares(Method.PROPORTIONAL, "1000.00", "USD", ["90", "9", "1"], floor="50", cap="600")
    assert split == ["600.00", "350.00", "50.00"]


def test_idle_capacity_spread_by_use() -> None:
    assert shares(Method.IDLE_WEIGHTED, "500.00", "USD", ["120", "60", "0"]) == ["333.33", "166.67", "0.00"]


def test_idle_capacity_spread_evenly() -> None:
    # 320.00 idle: 106.666... each on top of 120, 60 and 0; the two spare cents go to the larger bearers.
    assert shares(Method.IDLE_EVEN, "500.00", "USD", ["120", "60", "0"]) == ["226.67", "166.67", "106.66"]


def test_fixed_percentages() -> None:
    assert shares(Method.FIXED, "1234.56", "CAD", ["50", "33.3", "16.7"]) == ["617.28", "411.11", "206.17"]


def test_tiers_weigh_one_two_four() -> None:
    assert shares(Method.TIERED, "700.01", "CAD", ["4", "2", "1"]) == ["400.01", "200.00", "100.00"]


def test_a_direct_cost_stays_whole() -> None:
    assert shares(Method.DIRECT, "12.345", "CAD", ["1"]) == ["12.35"]


def step_down_example(sign: str = "") -> dict[str, str]:
    """Spread the network first (a fifth of it to support), then support."""
    spread = step_down(
        [
            SupportPool("net", Decimal(f"{sign}600.01"), {"support": 20, "A": 50, "B": 30}),
            SupportPool("support", Decimal(f"{sign}300.00"), {"A": 1, "B": 2}),
        ],
        direct={"A": Decimal(f"{sign}1000.00"), "B": Decimal(f"{sign}500.00")},
        currency="USD",
    )
    return {member: plain(amount) for member, amount in spread.amounts.items()}


def test_step_down_spreads_support_pools_first() -> None:
    assert step_down_example() == {"A": "1440.01", "B": "960.00"}
    assert step_down_example("-") == {"A": "-1440.01", "B": "-960.00"}


def test_the_calculator_gives_the_same_figures() -> None:
    assert apportion(
        {
            "currency": "USD",
            "method": "step_down",
            "pools": [
                {"name": "net", "total": "600.01", "to": {"support": "20", "A": "50", "B": "30"}},
                {"name": "support", "total": "300.00", "to": {"A": "1", "B": "2"}},
            ],
            "direct": {"A": "1000.00", "B": "500.00"},
        }
    ) == {"currency": "USD", "shares": {"A": "1440.01", "B": "960.00"}, "sum": "2400.01"}


def test_a_bill_is_converted_once_and_rounded_once() -> None:
    # 20.52022672899 USD at 1.3712 are 28.137334890791088 CAD: 28.14, not the sum of three rounded shares.
    allocation = allocate(
        Method.PROPORTIONAL,
        amount=Decimal("20.52022672899"),
        currency="USD",
        members={"A": 1, "B": 2, "C": 4},
        conversion=Conversion(Decimal("1.3712"), "CAD", "Bank of Canada, 2026-10-30"),
    )
    assert plain(allocation.exact) == "28.137334890791088"
    assert [plain(amount) for amount in allocation.amounts.values()] == ["4.02", "8.04", "16.08"]


@pytest.fixture
def explained() -> Allocation:
    """A split with a remainder."""
    return allocate(Method.EVEN, amount=Decimal("100.00"), currency="CAD", members={"A": 1, "B": 1, "C": 1})


def test_every_cent_is_explained(explained: Allocation) -> None:
    first, second, _ = explained.shares
    assert first.explain() == {
        "member": "A",
        "weight": "1",
        "quotient": "100/3",
        "quotient_decimal": "33.333333333333",
        "rounded_down": "33.33",
        "unit": "0.01",
        "bound": "",
        "amount": "33.34",
    }
    assert (plain(second.unit), plain(second.amount)) == ("0.00", "33.33")
