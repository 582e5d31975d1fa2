"""Cloud bills in: all or nothing, once, versioned, and only into a month that is open."""

import gzip
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from billing import closing
from billing.bills import BillMonthUnclear, CloudAccountUnknown, current_bills, import_bill
from billing.facts import MemberFacts
from billing.fx import record_rate
from billing.models import BillImport, BillingPeriod, CloudAccount, CostRow, Pool
from billing.periods import PeriodClosed, open_period
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent
from tests.cast import Cast
from tests.integration.billing.stories import (
    CEDAR,
    MAPLE,
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    both,
    drafted,
    set_up,
    slugs,
    take_in,
    three_to_one,
)


@pytest.fixture
def period(cast: Cast, at: datetime) -> BillingPeriod:
    with consortium_scope(Scope.JOB):
        return set_up(cast, at)


def test_every_row_is_kept_exactly_and_placed_with_its_reason(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    seen: list[int] = []
    with consortium_scope(Scope.JOB):
        path = bill_file(tmp_path, *STORY_ROWS)
        bill = import_bill(
            path,
            issuer=cast.issuer,
            charged_month=MONTH,
            by=RUN,
            at=at,
            slugs=slugs(cast),
            create_account=True,
            progress=seen.append,
        )
        assert (bill.rows, bill.version, bill.month, bill.currency) == (6, 1, MONTH, "USD")
        assert str(bill.billed_total) == "472.50500000000"
        assert seen == [6]
        rows = list(CostRow.objects.filter(bill=bill))
        assert [(row.destination, row.hub_slug, row.pool_key) for row in rows] == [
            ("direct", "cedar-lab", ""),
            ("direct", "cedar-lab", ""),
            ("direct", "", ""),
            ("pool", "", "shared"),
            ("pool", "", "shared"),
            ("pool", "", "tax"),
        ]
        assert [str(row.billed_cost) for row in rows[:4]] == ["60.00000000000", "40.005", "50", "290"]
        assert rows[2].tags == {"university": "maple"}
        assert "tagged" in rows[0].because
        assert AuditEvent.objects.filter(action="billing.bill_imported", object_id=str(bill.pk)).count() == 1


def test_the_public_sample_sums_exactly_and_its_shares_sum_to_the_rounded_pool(
    cast: Cast, period: BillingPeriod, at: datetime, focus_sample: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(focus_sample, cast, at)
        assert (bill.rows, str(bill.billed_total), bill.currency) == (300, "5.16919349920", "USD")
        assert (bill.month, bill.charged_month) == ("2024-09", MONTH)
        kept = CostRow.objects.filter(bill=bill).aggregate(total=Sum("billed_cost"))["total"]
        assert kept == bill.billed_total
        drafted(period, both(cast), at)
        pools = list(Pool.objects.filter(bill=bill))
        assert sum(pool.exact_total for pool in pools) == bill.billed_total
        for pool in pools:
            assert pool.basis_month == MONTH
            assert sum(share.amount for share in pool.shares.all()) == pool.rounded_total
        shared = next(pool for pool in pools if pool.key == "shared")
        assert shared.rounded_total == Decimal("7.24")


def test_importing_the_same_content_again_changes_nothing(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        path = bill_file(tmp_path, *STORY_ROWS)
        first = take_in(path, cast, at)
        events = AuditEvent.objects.count()
        zipped = tmp_path / "bill.csv.gz"
        zipped.write_bytes(gzip.compress(path.read_bytes()))
        assert [take_in(each, cast, at).pk for each in (path, zipped)] == [first.pk, first.pk]
        assert CostRow.objects.count() == 6
        assert AuditEvent.objects.count() == events


def test_a_restatement_is_the_next_version_and_the_only_one_that_is_charged(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        second = take_in(bill_file(tmp_path, ("10.00", CEDAR), ("5.00", "")), cast, at)
        assert second.version == 2
        assert list(current_bills(period)) == [second]
        cedar, maple = closing.preview(period, three_to_one(cast), at=at).drafts
        direct = [line.net for line in cedar.lines if line.kind == "direct_cost"]
        assert direct == [Decimal("14.00")]
        assert not any(line.kind == "direct_cost" for line in maple.lines)


def test_a_closed_month_takes_nothing_more_but_still_knows_its_bill(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        path = bill_file(tmp_path, *STORY_ROWS)
        first = take_in(path, cast, at)
        drafted(period, three_to_one(cast), at)
        rows = CostRow.objects.count()
        restated = bill_file(tmp_path, ("1.00", ""), name="restated.csv")
        for charged in (MONTH, "2026-10"):  # not even as a late bill: its first version was charged
            with pytest.raises(PeriodClosed, match="2026-09"):
                take_in(restated, cast, at, charged=charged)
        closing.finish_closing(period, by=RUN, at=at)
        with pytest.raises(PeriodClosed, match="closed"):
            take_in(restated, cast, at)
        assert take_in(path, cast, at) == first
        assert (BillImport.objects.count(), CostRow.objects.count()) == (1, rows)


def test_a_late_bill_is_charged_in_an_open_month_by_the_frozen_use_of_its_own(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        drafted(period, three_to_one(cast), at)
        closing.finish_closing(period, by=RUN, at=at)
        late = bill_file(tmp_path, ("100.00", ""), name="late.csv", BillingAccountId="0043")
        take_in(late, cast, at, charged="2026-10")
        october = open_period(cast.issuer, "2026-10")
        record_rate(
            base="USD", quote="CAD", on=date(2026, 10, 14), rate=Decimal("1.50"), source="Bank of Canada", by=RUN, at=at
        )
        now_even = [_with_memory(each, "1") for each in three_to_one(cast)]
        closing.begin_closing(october, now_even, by=RUN, at=at, early=True)
        (pool,) = closing.allocate_pools(october, now_even, at=at)
        assert pool.basis_month == MONTH
        assert [share.amount for share in pool.shares.order_by("-amount")] == [Decimal("112.50"), Decimal("37.50")]


def _with_memory(facts: MemberFacts, memory: str) -> MemberFacts:
    return type(facts)(**{**facts.__dict__, "memory_gib_seconds": Decimal(memory)})


def test_a_bill_is_never_charged_before_its_own_month(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB), pytest.raises(BillMonthUnclear, match="before its own month"):
        take_in(bill_file(tmp_path, ("1.00", "")), cast, at, charged="2026-08")


def test_an_unknown_account_is_refused_with_the_known_names(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, ("1.00", "")), cast, at)
        other = bill_file(tmp_path, ("1.00", ""), name="other.csv", BillingAccountId="9999")
        with pytest.raises(CloudAccountUnknown, match=r"Demo Cloud 9999.*Known accounts: demo-cloud-0042 "):
            import_bill(other, issuer=cast.issuer, charged_month=MONTH, by=RUN, at=at, slugs={})
        assert CloudAccount.objects.count() == 1


def test_a_name_that_nobody_bears_is_unattributed_and_stops_the_close(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, ("1.25", '{"university": "atlantis"}')), cast, at)
        row = CostRow.objects.get()
        assert (row.destination, row.institution_id) == ("unattributed", None)
        assert "atlantis" in row.because
        members = three_to_one(cast)
        with pytest.raises(closing.CloseBlocked, match=r"1 rows of 1\.25 USD"):
            closing.begin_closing(period, members, by=RUN, at=at)
        closing.begin_closing(period, members, by=RUN, at=at, accepted={"unattributed"})
        (pool,) = closing.allocate_pools(period, members, at=at)
        assert (pool.key, pool.parked_reason, pool.shares.count()) == ("unattributed", "unattributed", 0)


def test_a_member_sees_its_own_rows_only(cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, ("1.00", CEDAR), ("2.00", MAPLE), ("3.00", "")), cast, at)
    with institution_scope(cast.university.pk):
        assert [row.billed_cost for row in CostRow.objects.all()] == [Decimal("1.00")]
    assert not CostRow.objects.exists()  # outside any scope


def test_only_finance_staff_import_bills(cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.STAFF), pytest.raises(Forbidden):
        import_bill(
            bill_file(tmp_path, ("1.00", "")),
            issuer=cast.issuer,
            charged_month=MONTH,
            by=cast.finance,
            at=at,
            slugs={},
            create_account=True,
        )


@pytest.mark.parametrize("table", ["billing_billimport", "billing_costrow", "billing_fxrate"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET currency = 'EUR'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_postgresql_refuses_to_change_what_was_imported(
    table: str, statement: str, cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    statement = statement.replace("currency", "source") if table == "billing_fxrate" else statement
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, ("1.00", "")), cast, at)
        with pytest.raises(Exception, match=r"append-only|permission denied") as refused, transaction.atomic():
            connection.cursor().execute(statement.format(table))
        assert isinstance(refused.value, IntegrityError) or "permission denied" in str(refused.value)
