"""Allocation never loses a cent, never depends on order, and parks what cannot be split honestly."""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.allocation import (
    Conversion,
    Method,
    PoolParked,
    SupportPool,
    allocate,
    idle_own_line,
    step_down,
    tier_weights,
)
from consortium.kernel.money import exact_sum, from_minor, plain, round_money

CURRENCIES = st.sampled_from(["CAD", "USD", "JPY", "KWD", "CLF"])
POOLS = st.decimals(min_value=-(10**9), max_value=10**9, places=11)
WEIGHTS = st.dictionaries(
    st.text("abcdefghij-éß0", min_size=1, max_size=8).filter(str.strip),
    st.decimals(min_value=0, max_value=10**6, places=7),
    min_size=1,
    max_size=12,
).filter(lambda weights: any(weights.values()))

# Weights that tie, where only the key and the weight decide who gets a cent that is left.
TIES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([Decimal(1), Decimal(2)]), min_size=2)


def cad(amount: str, members: dict[str, Any], method: Method = Method.PROPORTIONAL, **bounds: Decimal) -> list[str]:
    """Split Canadian dollars and write the shares down."""
    allocation = allocate(method, amount=Decimal(amount), currency="CAD", members=members, **bounds)  # type: ignore[arg-type]
    return [plain(share) for share in allocation.amounts.values()]


@given(POOLS, CURRENCIES, WEIGHTS)
def test_the_shares_sum_to_the_pool_rounded_once(pool: Decimal, currency: str, weights: dict[str, Decimal]) -> None:
    for method in (Method.PROPORTIONAL, Method.EVEN):
        allocation = allocate(method, amount=pool, currency=currency, members=weights)
        assert exact_sum(allocation.amounts.values()) == allocation.pool == round_money(pool, currency)
        unit = from_minor(1, currency)
        for share in allocation.shares:
            assert abs(Fraction(share.amount) - share.quotient) < Fraction(unit)
            assert share.amount == share.rounded_down + share.unit


@given(POOLS, CURRENCIES, st.one_of(WEIGHTS, TIES), st.randoms())
def test_the_order_of_the_members_changes_no_byte(
    pool: Decimal, currency: str, weights: dict[str, Decimal], random: Any
) -> None:
    first = allocate(Method.PROPORTIONAL, amount=pool, currency=currency, members=weights)
    shuffled = list(weights.items())
    random.shuffle(shuffled)
    with localcontext(prec=2):
        again = allocate(Method.PROPORTIONAL, amount=pool, currency=currency, members=dict(shuffled))
    assert again.to_json() == first.to_json()


@given(POOLS, CURRENCIES, WEIGHTS)
def test_a_credit_is_split_as_its_charge_was(pool: Decimal, currency: str, weights: dict[str, Decimal]) -> None:
    charge = allocate(Method.PROPORTIONAL, amount=pool, currency=currency, members=weights)
    credit = allocate(Method.PROPORTIONAL, amount=-pool, currency=currency, members=weights)
    assert {member: -amount for member, amount in credit.amounts.items()} == charge.amounts


@given(POOLS, WEIGHTS)
def test_who_used_nothing_pays_nothing_and_who_used_more_pays_no_less(
    pool: Decimal, weights: dict[str, Decimal]
) -> None:
    amounts = allocate(Method.PROPORTIONAL, amount=abs(pool), currency="CAD", members=weights).amounts
    by_weight = sorted(weights, key=lambda member: weights[member])
    assert all(amounts[member] == 0 for member in weights if not weights[member])
    for less, more in pairwise(by_weight):
        assert weights[less] == weights[more] or amounts[less] <= amounts[more]


@given(WEIGHTS, st.integers(0, 10**7), st.integers(0, 10**5), st.integers(0, 10**7), CURRENCIES)
def test_floors_and_caps_hold_or_the_pool_is_parked(
    weights: dict[str, Decimal], units: int, low: int, high: int, currency: str
) -> None:
    payers = sum(1 for weight in weights.values() if weight)
    pool, floor, cap = (from_minor(each, currency) for each in (units, low, high))

    def split(amount: Decimal) -> dict[str, Decimal]:
        return allocate(
            Method.PROPORTIONAL, amount=amount, currency=currency, members=weights, floor=floor, cap=cap
        ).amounts

    if low > high or low * payers > units or high * payers < units:
        with pytest.raises(PoolParked):
            split(pool)
        return
    amounts = split(pool)
    assert exact_sum(amounts.values()) == pool
    assert all(floor <= amounts[member] <= cap if weights[member] else amounts[member] == 0 for member in weights)
    assert split(-pool) == {member: -amount for member, amount in amounts.items()}


@given(WEIGHTS, st.integers(0, 10**9))
def test_a_floor_and_cap_that_bind_nobody_change_nothing(weights: dict[str, Decimal], units: int) -> None:
    pool = from_minor(units, "CAD")
    free = allocate(Method.PROPORTIONAL, amount=pool, currency="CAD", members=weights)
    held = allocate(Method.PROPORTIONAL, amount=pool, currency="CAD", members=weights, floor=Decimal("0.00"), cap=pool)
    assert held.to_json() == free.to_json()


@given(WEIGHTS, POOLS)
def test_idle_methods_sum_and_mirror(used: dict[str, Decimal], idle: Decimal) -> None:
    pool = exact_sum(used.values()) + abs(idle)
    for method in (Method.IDLE_EVEN, Method.IDLE_WEIGHTED):
        charge = allocate(method, amount=pool, currency="CAD", members=used)
        credit = allocate(method, amount=-pool, currency="CAD", members=used)
        assert exact_sum(charge.amounts.values()) == round_money(pool, "CAD")
        assert {member: -amount for member, amount in credit.amounts.items()} == charge.amounts


@given(WEIGHTS, WEIGHTS, POOLS, POOLS, st.integers(0, 100))
def test_step_down_loses_nothing_between_rounds(
    first: dict[str, Decimal], second: dict[str, Decimal], one: Decimal, two: Decimal, fed: int
) -> None:
    pools = [SupportPool("#net", one, {**first, "#support": fed}), SupportPool("#support", two, second)]
    spread = step_down(pools, direct={"a": Decimal("1.005")}, currency="CAD")
    assert spread.total == round_money(one, "CAD") + round_money(two, "CAD") + Decimal("1.01")
    assert exact_sum(spread.amounts.values()) == spread.total
    assert not {"#net", "#support"} & set(spread.amounts)


def test_equal_remainders_go_to_the_larger_weight_then_to_the_smaller_key() -> None:
    assert cad("0.02", {"A": 1, "B": 3, "C": 0}) == ["0.00", "0.02", "0.00"]  # 0.5 and 1.5 cents: B's half wins
    assert cad("0.01", {"A": 1, "B": 1, "C": 2}) == ["0.00", "0.00", "0.01"]
    assert cad("0.01", {"z": 1, "Z": 1, "é": 1}) == ["0.01", "0.00", "0.00"]  # Z is before z before é, by code point


def test_the_larger_weight_wins_a_true_tie() -> None:
    # 0.10 over 15:5 is 7.5 and 2.5 cents: both remainders are a half.
    assert cad("0.10", {"A": 5, "B": 15}) == ["0.02", "0.08"]


def test_caps_are_filled_before_a_floor_is_said_to_bind() -> None:
    # C's plain share is 14.21, below the floor; once A is capped, the re-spread lifts C to 57.14, so no floor holds it.
    weights = {"A": 90, "B": 9, "C": Decimal("1.5")}
    assert cad("1000.00", weights, floor=Decimal(50), cap=Decimal(600)) == ["600.00", "342.86", "57.14"]


def test_idle_capacity_can_stay_with_the_consortium() -> None:
    weights = idle_own_line(Decimal("500.00"), {"A": Decimal(120), "B": Decimal(60)}, own="consortium")
    assert cad("500.00", dict(weights)) == ["120.00", "60.00", "320.00"]
    with pytest.raises(PoolParked) as parked:
        idle_own_line(Decimal("500.00"), {"A": Decimal(120)}, own="A")
    assert parked.value.code == "own_line_taken"


def test_a_tier_without_weight_parks_the_pool() -> None:
    weights = {"small": Decimal(1), "large": Decimal(4)}
    assert tier_weights({"A": "large", "B": "small"}, weights) == {"A": Decimal(4), "B": Decimal(1)}
    with pytest.raises(PoolParked, match="medium") as parked:
        tier_weights({"A": "medium"}, weights)
    assert parked.value.code == "tier_unknown"


PARKED: list[tuple[str, dict[str, Any]]] = [
    ("members_empty", {"members": {}}),
    ("members_empty", {"members": {}, "method": Method.IDLE_EVEN}),
    ("member_invalid", {"members": {" ": 1}}),
    ("basis_all_zero", {"members": {"A": 0, "B": Decimal("0.0")}}),
    ("basis_all_zero", {"members": {"A": 0}, "amount": Decimal("0.00")}),
    ("weight_negative", {"members": {"A": 2, "B": -1}}),
    ("weight_negative", {"members": {"A": 2, "B": -1}, "method": Method.EVEN}),
    ("weight_invalid", {"members": {"A": 0.5}}),
    ("weight_invalid", {"members": {"A": True}}),
    ("weight_invalid", {"members": {"A": Decimal("NaN")}}),
    ("percentages_not_100", {"members": {"A": 50, "B": Decimal("49.99")}, "method": Method.FIXED}),
    ("direct_not_one", {"members": {"A": 1, "B": 1}, "method": Method.DIRECT}),
    ("used_above_total", {"members": {"A": 101}, "method": Method.IDLE_WEIGHTED}),
    ("used_above_total", {"members": {"A": 101}, "method": Method.IDLE_EVEN}),
    ("floor_infeasible", {"floor": Decimal("50.01")}),
    ("cap_infeasible", {"cap": Decimal("49.99")}),
    ("floor_above_cap", {"floor": Decimal(2), "cap": Decimal(1)}),
    ("floor_invalid", {"floor": Decimal("0.001")}),
    ("floor_invalid", {"floor": Decimal(-1)}),
    ("cap_invalid", {"cap": Decimal("NaN")}),
    ("currency_unknown", {"currency": "XXX"}),
    ("currency_unknown", {"conversion": Conversion(Decimal(1), "XXX")}),
    ("rate_invalid", {"conversion": Conversion(Decimal(0), "USD")}),
    ("rate_invalid", {"conversion": Conversion(Decimal("NaN"), "USD")}),
    ("amount_invalid", {"amount": Decimal("Infinity")}),
]


@pytest.mark.parametrize(("code", "change"), PARKED)
def test_odd_input_parks_the_pool_with_a_named_reason(code: str, change: dict[str, Any]) -> None:
    given_: dict[str, Any] = {
        "method": Method.PROPORTIONAL,
        "amount": Decimal("100.00"),
        "currency": "CAD",
        "members": {"A": 1, "B": 1},
    } | change
    with pytest.raises(PoolParked) as parked:
        allocate(given_.pop("method"), **given_)
    assert parked.value.code == code
    assert parked.value.message.endswith(".")


@pytest.mark.parametrize(
    ("code", "pools", "direct"),
    [
        ("pool_order", [SupportPool("a", Decimal(1), {"a": 1})], {}),
        ("pool_order", [SupportPool("a", Decimal(1), {"A": 1}), SupportPool("b", Decimal(1), {"a": 1})], {}),
        ("pool_name_taken", [SupportPool("a", Decimal(1), {"A": 1})], {"a": Decimal(1)}),
        ("pool_name_taken", [SupportPool("a", Decimal(1), {"A": 1}), SupportPool("a", Decimal(1), {"A": 1})], {}),
        ("basis_all_zero", [SupportPool("a", Decimal(1), {"A": 0})], {}),
        ("members_empty", [], {}),
    ],
)
def test_money_cannot_run_in_a_circle(code: str, pools: list[SupportPool], direct: dict[str, Decimal]) -> None:
    with pytest.raises(PoolParked) as parked:
        step_down(pools, direct=direct, currency="CAD")
    assert parked.value.code == code


def test_a_pool_that_rounds_to_nothing_charges_nothing() -> None:
    assert cad("0.004", {"A": 1, "B": 2}) == ["0.00", "0.00"]
    assert cad("0.00", {"A": 0, "B": 0}, Method.IDLE_EVEN) == ["0.00", "0.00"]


def test_the_explanation_has_one_spelling() -> None:
    allocation = allocate(Method.EVEN, amount=Decimal("-0.01"), currency="CAD", members={"é": 1, "A": 1})
    assert allocation.to_json().decode() == (
        '{"method":"even","source_amount":"-0.01","source_currency":"CAD","rate":null,"rate_source":"","exact":"-0.01",'
        '"pool":"-0.01","currency":"CAD","shares":[{"member":"A","weight":"1","quotient":"-1/200",'
        '"quotient_decimal":"-0.005000000000","rounded_down":"0.00","unit":"-0.01","bound":"","amount":"-0.01"},'
        '{"member":"é","weight":"1","quotient":"-1/200","quotient_decimal":"-0.005000000000","rounded_down":"0.00",'
        '"unit":"0.00","bound":"","amount":"0.00"}]}'
    )
