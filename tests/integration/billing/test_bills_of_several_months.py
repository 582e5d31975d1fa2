"""A file that holds several months: a bill of each, versioned by itself, split by the use of its own month."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billing.bill_report import report_of
from billing.bills import current_bills
from billing.focus import BillRefused
from billing.models import BillImport, BillingPeriod, CostRow
from billing.periods import PeriodClosed, open_period
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import CEDAR, RUN, drafted, issued, set_up, slugs, three_to_one
from tests.unit.billing.bills import bill_bytes


@pytest.fixture
def period(cast: Cast, at: datetime) -> BillingPeriod:
    """September, without a bill."""
    with consortium_scope(Scope.JOB):
        return set_up(cast, at)


def days(month: int) -> dict[str, str]:
    """A month of 2026 as a row names it."""
    return {
        "BillingPeriodStart": f"2026-{month:02}-01T00:00:00Z",
        "BillingPeriodEnd": f"2026-{month + 1:02}-01T00:00:00Z",
    }


def rolling(folder: Path, *rows: tuple[int, str, str], name: str = "rolling.csv") -> Path:
    """A file of rows of (month, cost, tags)."""
    path = folder / name
    path.write_bytes(bill_bytes(*(days(month) | {"BilledCost": cost, "Tags": tags} for month, cost, tags in rows)))
    return path


def bring(path: Path, cast: Cast, at: datetime, *, charged: str = "") -> BillImport:
    """Import a file, each month of it in its own or the first open one."""
    from billing.bills import import_bill  # noqa: PLC0415

    return import_bill(
        path, issuer=cast.issuer, charged_month=charged, by=RUN, at=at, slugs=slugs(cast), create_account=True
    )


def test_each_month_of_a_file_is_a_bill_of_its_own(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    rows = [(9, "60.00", CEDAR), (8, "7.005", ""), (9, "300.00", ""), (8, "1E-7", ""), (10, "5.00", "")]
    with consortium_scope(Scope.JOB):
        august = bring(rolling(tmp_path, *rows), cast, at)
        september, october = august.siblings
        bills = [august, september, october]
        assert [(bill.month, bill.charged_month, bill.version, bill.rows) for bill in bills] == [
            ("2026-08", "2026-08", 1, 2), ("2026-09", "2026-09", 1, 2), ("2026-10", "2026-10", 1, 1),
        ]  # fmt: skip
        assert [bill.billed_total for bill in bills] == [Decimal("7.0050001"), Decimal("360.00"), Decimal("5.00")]
        for bill in bills:
            assert exact_sum(bill.cost_rows.values_list("billed_cost", flat=True)) == bill.billed_total
        assert list(august.cost_rows.values_list("line", flat=True)) == [3, 5]  # of the file, where people look
        assert list(current_bills(period)) == [september]
        report = report_of(august)
        assert (report["periods"], report["rows"]) == (["2026-08", "2026-09", "2026-10"], 5)
        assert (report["billed_total"], report["by_pool"]) == (
            "372.0050001", {"shared": "312.0050001", "direct:cedar": "60.00"},
        )  # fmt: skip


def test_only_the_months_that_changed_become_new_versions(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    old = [(8, "7.00", ""), (9, "300.00", ""), (9, "60.00", CEDAR)]
    with consortium_scope(Scope.JOB):
        bring(rolling(tmp_path, *old), cast, at)
        again = bring(rolling(tmp_path, *old), cast, at)
        assert again.already_imported
        assert report_of(again)["already_imported"]
        august = bring(rolling(tmp_path, (9, "301.00", ""), (8, "7.00", "")), cast, at)  # in another order, restated
        (september,) = august.siblings
        assert (august.already_imported, august.version) == (True, 1)
        assert (september.already_imported, september.version, september.rows) == (False, 2, 1)
        alone = bring(rolling(tmp_path, (9, "301.00", ""), name="alone.csv"), cast, at)
        assert (alone.already_imported, alone.pk) == (True, september.pk)
        assert BillImport.objects.count() == 3


def test_a_month_that_was_closed_is_taken_back_where_it_changed_and_left_where_not(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    from billing import closing  # noqa: PLC0415

    with consortium_scope(Scope.JOB):
        bring(rolling(tmp_path, (9, "300.00", "")), cast, at)
        issued(drafted(period, three_to_one(cast), at), at)
        closing.finish_closing(period, by=RUN, at=at)
        before = CostRow.objects.count()
        with pytest.raises(PeriodClosed):
            bring(rolling(tmp_path, (9, "290.00", ""), (10, "5.00", "")), cast, at, charged="2026-09")
        assert CostRow.objects.count() == before
        september = bring(rolling(tmp_path, (9, "290.00", ""), (10, "5.00", "")), cast, at)
        (october,) = september.siblings
        assert (september.version, september.charged_month, october.charged_month) == (2, "2026-10", "2026-10")
        charged = current_bills(open_period(cast.issuer, "2026-10"))
        assert [(bill.month, bill.kind, bill.billed_total) for bill in charged] == [
            ("2026-09", "reversal", Decimal("-300.00")), ("2026-09", "bill", Decimal("290.00")),
            ("2026-10", "bill", Decimal("5.00")),
        ]  # fmt: skip


def test_one_bad_row_of_one_month_keeps_all_of_them_out(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB), pytest.raises(BillRefused) as refusal:
        bring(rolling(tmp_path, (8, "1.00", ""), (9, "NaN", "")), cast, at)
    assert [(error.line, error.column) for error in refusal.value.errors] == [(3, "BilledCost")]
    with consortium_scope(Scope.JOB):
        assert not BillImport.objects.exists()
