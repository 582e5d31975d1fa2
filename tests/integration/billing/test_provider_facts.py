"""What the provider says beside its rows: what its invoice comes to, and what was paid up front."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection, transaction

from billing import closing
from billing.bill_report import parts_of
from billing.commitments import commitments_of
from billing.models import BillImport, BillingPeriod, CostRow, ProviderTotal
from billing.pools import compute_pools, cost_sums
from billing.provider_totals import ProviderTotalInvalid, provider_findings, record_provider_total
from consortium.kernel.errors import Forbidden
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import CEDAR, RUN, STORY_ROWS, bill_file, set_up, take_in, three_to_one
from tests.unit.billing.bills import GOOD, bill_bytes

SEPTEMBER = {"BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z"}
COLUMNS = [*GOOD, "CommitmentDiscountId"]


@pytest.fixture
def period(cast: Cast, at: datetime) -> BillingPeriod:
    with consortium_scope(Scope.JOB):
        return set_up(cast, at)


def state(bill: BillImport, total: str, at: datetime) -> ProviderTotal:
    return record_provider_total(
        account=bill.cloud_account,
        month=Month.parse(bill.month),
        total=Decimal(total),
        currency="USD",
        reference="A-1",
        by=RUN,
        at=at,
    )


def test_a_bill_that_its_invoice_contradicts_waits_and_nobody_is_billed_for_it(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        state(bill, "999.99", at)
        members = three_to_one(cast)
        pools = compute_pools(period, members)
        assert {pool.parked_reason for pool in pools} == {"provider_total"}
        assert all("999.99" in pool.parked_message and "472.505" in pool.parked_message for pool in pools)
        kinds = {line.kind for draft in closing.preview(period, members, at=at).drafts for line in draft.lines}
        assert not kinds & {"direct_cost", "shared_cost"}
        (finding,) = provider_findings(period)
        assert (finding.code, finding.blocking) == ("provider_total", True)


def test_a_total_that_agrees_once_rounded_lets_the_bill_through_tax_rows_included(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        state(bill, "1.00", at)
        state(bill, "472.51", at)  # the newer statement holds
        assert not provider_findings(period)
        assert not any(pool.parked_reason for pool in compute_pools(period, three_to_one(cast)))


def test_a_total_finer_than_a_cent_is_no_invoice_s(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        with pytest.raises(ProviderTotalInvalid, match="finer"):
            state(bill, "472.505", at)
        with pytest.raises(Forbidden):
            record_provider_total(
                account=bill.cloud_account, month=Month(2026, 9), total=Decimal(1), currency="USD", reference="",
                by=cast.finance, at=at,
            )  # fmt: skip


def committed(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / f"commitments-{len(rows)}.csv"
    path.write_bytes(bill_bytes(*(SEPTEMBER | row for row in rows), columns=COLUMNS))
    return path


PLAN = {"ChargeCategory": "Purchase", "CommitmentDiscountId": "plan-1", "ChargeFrequency": "One-Time", "Tags": ""}


def test_what_is_paid_up_front_is_charged_as_it_is_used(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    """A plan of 1,200.00 is bought; Cedar used 100.00 of it; a row of nothing known is charged as it is billed."""
    with consortium_scope(Scope.JOB):
        bill = take_in(
            committed(
                tmp_path,
                {"CommitmentDiscountId": "plan-1", "BilledCost": "0", "EffectiveCost": "100.00", "Tags": CEDAR},
                PLAN | {"BilledCost": "1200.00", "EffectiveCost": "0"},
                {"CommitmentDiscountId": "someone else's", "BilledCost": "7.00", "EffectiveCost": "9", "Tags": ""},
            ),
            cast,
            at,
        )
        charged = {(cost.destination, cost.pool_key): cost.total for cost in cost_sums(period)}
        assert charged == {("direct", ""): Decimal("100.00"), ("pool", "shared"): Decimal("7.00")}
        assert parts_of(bill) == {
            "direct:cedar": Decimal("100.00"),
            "shared": Decimal("7.00"),
            "prepaid": Decimal("1100.00"),
        }
        assert exact_sum(parts_of(bill).values()) == bill.billed_total
        (plan,) = commitments_of(cast.issuer)
        assert (plan.key, plan.paid, plan.used, plan.left) == (
            "plan-1", Decimal("1200.00"), Decimal("100.00"), Decimal("1100.00"),
        )  # fmt: skip


def test_a_restated_plan_is_not_counted_twice(cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        take_in(committed(tmp_path, PLAN | {"BilledCost": "1200.00", "EffectiveCost": "0"}), cast, at)
        use = {"CommitmentDiscountId": "plan-1", "BilledCost": "0", "EffectiveCost": "40"}
        take_in(committed(tmp_path, PLAN | {"BilledCost": "600.00", "EffectiveCost": "0"}, use), cast, at)
        (plan,) = commitments_of(cast.issuer)
        assert (plan.paid, plan.used, plan.left) == (Decimal("600.00"), Decimal(40), Decimal("560.00"))


@pytest.mark.parametrize("table", ["billing_providertotal", "billing_commitment"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET currency = 'EUR'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_postgresql_refuses_to_change_what_was_stated(
    table: str, statement: str, cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(committed(tmp_path, PLAN | {"BilledCost": "1200.00", "EffectiveCost": "0"}), cast, at)
        state(bill, "1200.00", at)
        with pytest.raises(Exception, match=r"append-only|permission denied"), transaction.atomic():
            connection.cursor().execute(statement.format(table))
        assert CostRow.objects.count() == 1
