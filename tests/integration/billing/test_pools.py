"""How a close splits its pools: the policy of the month's last day, and what parks a pool instead."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest

from billing import closing, ledger
from billing.facts import MemberFacts
from billing.models import (
    AllocationPolicy,
    BillingPeriod,
    PeriodBasis,
    Pool,
    Share,
)
from consortium.kernel.dated import since
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast, make_institution
from tests.integration.billing.paperwork import refused
from tests.integration.billing.stories import (
    RUN,
    drafted,
    issued,
    three_to_one,
)


def test_a_basis_of_zeros_parks_its_pool_and_bills_the_rest(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    members = [replace(each, memory_gib_seconds=Decimal(0)) for each in three_to_one(cast)]
    with consortium_scope(Scope.JOB):
        cedar, _ = drafted(period, members, at)
        pools = list(Pool.objects.all())
        assert {pool.parked_reason for pool in pools} == {"basis_all_zero"}
        assert not Share.objects.exists()
        assert not cedar.lines.filter(kind="shared_cost").exists()
        assert cedar.net_total == Decimal("2140.01")
        assert [found.code for found in closing.parked(period, members, at=at)] == ["basis_all_zero"] * 2


def measured(cast: Cast) -> list[MemberFacts]:
    """Cedar used three times the memory, a third of the students and twice the storage of Maple."""
    cedar, maple = three_to_one(cast)
    return [
        replace(cedar, fte=10_000, storage_gib_seconds=Decimal("0.2")),
        replace(maple, fte=30_000, storage_gib_seconds=Decimal("0.1")),
    ]


@pytest.mark.parametrize(
    ("method", "basis", "parameters", "cedar"),
    [
        ("even", "", {}, "210.00"),
        ("proportional", "active_users", {}, "414.08"),
        ("fixed", "", {"percentages": {"cedar": "60", "maple": "40"}}, "252.00"),
        ("tiered", "", {"tiers": {"medium": "1", "small": "2"}}, "210.00"),
        ("proportional", "memory_gib_seconds", {"cap": "300.00"}, "300.00"),
        ("proportional", "fte", {}, "105.00"),
        ("proportional", "storage_gib_seconds", {}, "280.00"),
        ("step_down", "memory_gib_seconds", {"feeds": {"support": "20"}}, "294.00"),  # 252.00, and 42.00 even
        ("idle_own", "memory_gib_seconds", {"capacity": "9600000"}, "236.25"),  # 105.00 are the consortium's
    ],
)
def test_the_policy_of_the_months_last_day_splits_the_pool(
    method: str,
    basis: str,
    parameters: dict[str, object],
    cedar: str,
    cast: Cast,
    period: BillingPeriod,
    at: datetime,
) -> None:
    AllocationPolicy.objects.create(
        issuer=cast.issuer,
        pool_key="shared",
        method=method,
        basis=basis,
        parameters=parameters,
        valid=since(date(2026, 9, 30)),
    )
    with consortium_scope(Scope.JOB):
        drafted(period, measured(cast), at)
        share = Share.objects.select_related("pool").get(pool__key="shared", institution=cast.university)
        assert share.amount == Decimal(cedar)
        assert share.pool.policy is not None
        assert share.pool.own_amount == (Decimal("105.00") if method == "idle_own" else 0)
        frozen = PeriodBasis.objects.get(institution=cast.university)
        assert (frozen.fte, frozen.storage_gib_seconds, frozen.tier) == (10_000, Decimal("0.2"), "medium")
        preview = closing.preview(period, measured(cast), at=at).drafts[0]
        (line,) = [line for line in preview.lines if line.evidence.get("share", {}).get("pool") == "shared"]
        assert line.net == Decimal(cedar)
        refused(
            "INSERT INTO billing_share (pool_id, institution_id, weight, exact, amount, currency)"
            " SELECT pool_id, %s, 1, '0', 0.01, 'CAD' FROM billing_share WHERE id = %s",
            make_institution("aspen").pk, share.pk, words="do not sum to 420",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "basis", "parameters", "reason"),
    [
        ("proportional", "phase of the moon", {}, "basis_unknown"),
        ("fixed", "", {}, "parameters_missing"),
        ("fixed", "", {"percentages": {"cedar": "60", "maple": "39"}}, "percentages_not_100"),
        ("fixed", "", {"percentages": {"atlantis": "100"}}, "member_invalid"),
        ("tiered", "", {"tiers": {"small": "1"}}, "tier_unknown"),
        ("even", "", {"floor": "1000.00"}, "floor_infeasible"),
        ("even", "", {"floor": "much"}, "parameters_invalid"),
    ],
)
def test_an_odd_policy_parks_the_pool_with_a_named_reason(
    method: str,
    basis: str,
    parameters: dict[str, object],
    reason: str,
    cast: Cast,
    period: BillingPeriod,
    at: datetime,
) -> None:
    AllocationPolicy.objects.create(
        issuer=cast.issuer,
        pool_key="shared",
        method=method,
        basis=basis,
        parameters=parameters,
        valid=since(date(2026, 1, 1)),
    )
    with consortium_scope(Scope.JOB):
        drafted(period, three_to_one(cast), at)
        pool = Pool.objects.get(key="shared")
        assert (pool.parked_reason, pool.rounded_total, pool.shares.count()) == (reason, Decimal("420.00"), 0)
        assert pool.parked_message


def test_recoverable_tax_is_shared_by_nobody_and_posted_as_input_tax(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    AllocationPolicy.objects.create(
        issuer=cast.issuer, pool_key="tax", method="recoverable", valid=since(date(2026, 1, 1))
    )
    with consortium_scope(Scope.JOB):
        issued(drafted(period, three_to_one(cast), at), at)
        closing.finish_closing(period, by=RUN, at=at)
        assert not Pool.objects.filter(key="tax").exists()
        balances = {row.code: row.balance for row in ledger.trial_balance(cast.issuer) if row.currency == "USD"}
        assert balances == {"1200": Decimal("22.50"), "2000": Decimal("-472.51"), "5000": Decimal("450.01")}
