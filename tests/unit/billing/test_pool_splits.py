"""Pools that go through other pools, and idle capacity that the consortium bears: to the cent."""

from collections.abc import Mapping
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.allocation import Conversion, PoolParked
from billing.apportion import apportion
from billing.pool_rules import MemberBasis, PoolRules, Rule
from billing.pool_splits import Split, split_pool
from consortium.kernel.money import exact_sum, plain

STEPS = Rule(policy=None, method="step_down", basis="fte", parameters={"feeds": {"support": "20"}})


class Rules(PoolRules):
    """Policies that are written here."""

    def __init__(self, **rules: Rule) -> None:
        self.rules = rules

    def of(self, key: str) -> Rule:
        """As it is written, or in equal shares."""
        return self.rules.get(key, Rule(policy=None, method="even", basis="", parameters={}))


def members(**fte: int) -> dict[str, MemberBasis]:
    """Universities of so many students."""
    return {
        slug: MemberBasis(
            institution_id=uuid4(), slug=slug, tier="", server_seconds=0, memory_gib_seconds=Decimal(0),
            active_users=0, fte=number,
        )
        for slug, number in fte.items()
    }  # fmt: skip


def split(amount: str, rules: Rules, of: Mapping[str, MemberBasis], *, conversion: Conversion | None = None) -> Split:
    """Split the pool "net" of a US bill."""
    return split_pool(
        "net", rules.of("net"), amount=Decimal(amount), currency="USD", conversion=conversion, members=of, rules=rules
    )


def amounts(found: Split) -> dict[str, str]:
    """The shares as text."""
    return {share.member: plain(share.amount) for share in found.shares}


def test_a_fifth_goes_through_support_and_the_rest_by_students() -> None:
    """600.01: 120.00 through support, 300.01 and 180.00 by 5 : 3; support's 120.00 by 1 : 2."""
    support = Rule(policy=None, method="fixed", basis="", parameters={"percentages": {"a": "25", "b": "75"}})
    found = split("600.01", Rules(net=STEPS, support=support), members(a=5, b=3))
    assert amounts(found) == {"a": "330.01", "b": "270.00"}
    assert {name: plain(weight) for name, weight in found.weights.items()} == {
        "a": "55.000000000000", "b": "45.000000000000",
    }  # fmt: skip


def test_the_calculator_says_the_same_of_three_pools_behind_each_other() -> None:
    rules = Rules(
        net=Rule(policy=None, method="step_down", basis="fte", parameters={"feeds": {"desk": "10", "support": "30"}}),
        desk=Rule(policy=None, method="step_down", basis="fte", parameters={"feeds": {"support": "50"}}),
    )
    found = split("1000.07", rules, members(a=7, b=2, c=1))
    told = apportion(
        {
            "currency": "USD",
            "method": "step_down",
            "pools": [
                {
                    "name": "net",
                    "total": "1000.07",
                    "to": {"desk": "10", "support": "30", "a": "42", "b": "12", "c": "6"},
                },
                {"name": "desk", "total": "0.00", "to": {"support": "50", "a": "35", "b": "10", "c": "5"}},
                {"name": "support", "total": "0.00", "to": {"a": "1", "b": "1", "c": "1"}},
            ],
            "direct": {},
        }
    )  # fmt: skip
    assert amounts(found) == told["shares"]


def test_a_bill_is_converted_once_before_the_steps() -> None:
    rate = Conversion(Decimal("1.3712"), "CAD", "Bank of Canada")
    found = split("20.52022672899", Rules(net=STEPS), members(a=1, b=2, c=4), conversion=rate)
    assert plain(found.pool) == "28.14"
    assert exact_sum(share.amount for share in found.shares) == found.pool


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"net": STEPS, "support": Rule(policy=None, method="step_down", basis="fte",
                                        parameters={"feeds": {"net": "5"}})}, "pool_order"),
        ({"net": STEPS, "support": Rule(policy=None, method="even", basis="", parameters={"cap": "1"})}, "feed_unfit"),
        ({"net": STEPS, "support": Rule(policy=None, method="recoverable", basis="", parameters={})}, "feed_unfit"),
        ({"net": STEPS, "support": Rule(policy=None, method="proportional", basis="gpu_seconds", parameters={})},
         "basis_all_zero"),
        ({"net": Rule(policy=None, method="step_down", basis="fte", parameters={"feeds": {"support": "101"}})},
         "percentages_not_100"),
        ({"net": Rule(policy=None, method="step_down", basis="fte", parameters={})}, "parameters_missing"),
        ({"net": Rule(policy=None, method="step_down", basis="fte", parameters={"feeds": {"unattributed": "5"}})},
         "unattributed"),
    ],
)  # fmt: skip
def test_steps_that_lead_nowhere_park_the_pool(rules: dict[str, Rule], reason: str) -> None:
    with pytest.raises(PoolParked) as parked:
        split("100.00", Rules(**rules), members(a=1, b=1))
    assert parked.value.code == reason


@given(
    minor=st.integers(-10_000_000, 10_000_000),
    fte=st.lists(st.integers(0, 50_000), min_size=1, max_size=9).filter(any),
    percent=st.integers(1, 100),
)
def test_no_cent_is_lost_between_the_steps(minor: int, fte: list[int], percent: int) -> None:
    rule = Rule(policy=None, method="step_down", basis="fte", parameters={"feeds": {"support": str(percent)}})
    of = members(**{f"u{number}": size for number, size in enumerate(fte)})
    amount = Decimal(minor).scaleb(-2)
    found = split(plain(amount), Rules(net=rule), of)
    assert exact_sum(share.amount for share in found.shares) == amount == found.pool
    mirrored = split(plain(-amount), Rules(net=rule), of)
    assert [share.amount for share in mirrored.shares] == [-share.amount for share in found.shares]


@given(minor=st.integers(-10_000_000, 10_000_000), used=st.lists(st.integers(0, 900), min_size=1, max_size=5))
def test_what_nobody_used_is_the_consortiums_own(minor: int, used: list[int]) -> None:
    rule = Rule(policy=None, method="idle_own", basis="fte", parameters={"capacity": "5000"})
    amount = Decimal(minor).scaleb(-2)
    found = split(plain(amount), Rules(net=rule), members(**{f"u{n}": size for n, size in enumerate(used)}))
    assert exact_sum([found.own, *(share.amount for share in found.shares)]) == amount
    assert found.own_weight == 5000 - sum(used)
    assert abs(found.own - amount * found.own_weight / 5000) < Decimal("0.01")
