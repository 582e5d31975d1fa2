"""The promises of the money book that bills and pools keep: 6, 11, 17, 18 and 20, each where it would break first."""

import gzip
import random
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.facts import MemberFacts
from billing.models import BillImport, BillingPeriod, CostRow
from billing.pools import ComputedPool, compute_pools, cost_sums
from consortium.kernel.money import exact_sum, round_money
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.costs import tell_costs
from tests.cast import Cast
from tests.integration.billing.stories import CEDAR, MAPLE, STORY_ROWS, bill_file, set_up, take_in, three_to_one

COSTS = st.decimals(min_value=Decimal(-500), max_value=Decimal(500), places=11, allow_nan=False, allow_infinity=False)


@pytest.fixture
def period(cast: Cast, at: datetime) -> BillingPeriod:
    with consortium_scope(Scope.JOB):
        return set_up(cast, at)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(costs=st.lists(st.tuples(COSTS, st.sampled_from([CEDAR, MAPLE, "", "tax"])), min_size=1, max_size=12))
def test_whatever_a_bill_holds_its_parts_sum_to_it_and_shares_to_their_pool(
    costs: list[tuple[Decimal, str]], cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, *[(format(cost, "f"), tags) for cost, tags in costs]), cast, at)
        assert bill.billed_total == exact_sum(cost for cost, _ in costs)
        assert exact_sum(cost.total for cost in cost_sums(period)) == bill.billed_total
        for pool in compute_pools(period, three_to_one(cast)):
            assert exact_sum(share.amount for share in pool.shares) == pool.rounded_total
            assert pool.rounded_total == round_money(pool.exact_total * Decimal("1.40"), "CAD")


def told(pools: list[ComputedPool]) -> str:
    facts = [(p.key, p.exact_total, p.rounded_total, p.shares, p.basis_month, sorted(p.weights.items())) for p in pools]
    return repr(facts)


def test_the_order_of_rows_and_members_changes_no_byte_of_the_allocation(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    facts: list[MemberFacts] = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        rows = list(STORY_ROWS) * 3
        take_in(bill_file(tmp_path, *rows), cast, at)
        first = told(compute_pools(period, facts))
        assert told(compute_pools(period, facts[::-1])) == first
        random.Random(7).shuffle(rows)
        take_in(bill_file(tmp_path, *rows, name="shuffled.csv"), cast, at)
        assert told(compute_pools(period, facts)) == first


@pytest.mark.parametrize("name", ["bill.csv", "bill.csv.gz"])
def test_importing_again_is_nothing_however_often(
    name: str, cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        path = bill_file(tmp_path, *STORY_ROWS)
        first = take_in(path, cast, at)
        again = tmp_path / name
        if name.endswith("gz"):
            again.write_bytes(gzip.compress(path.read_bytes()))
        answers = [take_in(again, cast, at) for _ in range(3)]
        assert {answer.pk for answer in answers} == {first.pk}
        assert all(answer.already_imported for answer in answers)
        assert (BillImport.objects.count(), CostRow.objects.count()) == (1, 6)


def test_the_demonstration_s_costs_are_told_once(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    for _ in range(2):
        tell_costs(issuer=cast.issuer, month=Month(2026, 9), at=at)
    with consortium_scope(Scope.JOB):
        (bill,) = BillImport.objects.all()
        assert (bill.kind, bill.billed_total) == ("manual", Decimal("4200.00"))
