"""Bills that are no bills: refused with the line and the column at fault, and nothing of them is kept."""

import gzip
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from billing.focus import BillRefused
from billing.models import BillImport, BillingPeriod, CloudAccount, CostRow
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent
from tests.cast import Cast
from tests.integration.billing.stories import set_up, take_in
from tests.unit.billing.bills import GOOD, bill_bytes

ROW = {"BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z"}


def second(**cells: str) -> bytes:
    """A bill whose second row, on line 3, has other cells."""
    return bill_bytes(ROW, ROW | cells)


def as_parquet(**columns: Any) -> bytes:
    """A bill of one row in Parquet, with columns replaced by arrays of their own type."""
    table = {name: pa.array([value]) for name, value in (GOOD | ROW).items()} | columns
    file = io.BytesIO()
    parquet.write_table(pa.table(table), file)
    return file.getvalue()


BROKEN: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 0, ""),
    "a heading only": (bill_bytes(ROW).splitlines(keepends=True)[0], 1, ""),
    "no bill": (b"name,amount\nx,1\n", 1, ""),
    "a sign-in page": (b"<!doctype html><title>Sign in</title>", 1, ""),
    "a column missing": (bill_bytes(ROW).replace(b"EffectiveCost", b"x_Cost", 1), 1, "EffectiveCost"),
    "a column twice": (bill_bytes(ROW).replace(b"x_Note", b"BilledCost", 1), 1, "BilledCost"),
    "an infinity": (second(BilledCost="Infinity"), 3, "BilledCost"),
    "not a number": (second(EffectiveCost="NaN"), 3, "EffectiveCost"),
    "a huge exponent": (second(BilledCost="1E+400"), 3, "BilledCost"),
    "underscores": (second(BilledCost="1_000"), 3, "BilledCost"),
    "a thousands separator": (second(BilledCost="1,000.00"), 3, "BilledCost"),
    "another script's digits": (second(BilledCost="\u0661\u0662"), 3, "BilledCost"),
    "a formula for a cost": (second(BilledCost="=1+1"), 3, "BilledCost"),
    "no cost": (second(BilledCost=""), 3, "BilledCost"),
    "another currency": (second(BillingCurrency="EUR"), 3, "BillingCurrency"),
    "no currency": (second(BillingCurrency="XXQ"), 3, "BillingCurrency"),
    "a second account": (second(BillingAccountId="7"), 3, "BillingAccountId"),
    "a month after the one that charges it": (
        second(BillingPeriodStart="2026-10-01T00:00:00Z", BillingPeriodEnd="2026-09-01T00:00:00Z"), 3,
        "BillingPeriodEnd",
    ),
    "a day that is none": (second(ChargePeriodStart="2026-09-31T00:00:00Z"), 3, "ChargePeriodStart"),
    "a period that ends first": (second(ChargePeriodStart="2026-11-04T00:00:00Z"), 3, "ChargePeriodEnd"),
    "a category of no standard": (second(ChargeCategory="Fee"), 3, "ChargeCategory"),
    "a ragged row": (bill_bytes(ROW) + b"1,2,3\n", 3, ""),
    "an open quotation mark": (bill_bytes(ROW) + b'"1,2,3\n', 3, ""),
    "tags that are no object": (second(Tags="[1]"), 3, "Tags"),
    "tags within tags": (second(Tags='{"a": {"b": 1}}'), 3, "Tags"),
    "a tag with a NUL": (second(Tags='{"a": "\\u0000"}'), 3, "Tags"),
    "half a character": (second(Tags='{"a": "\\ud800"}'), 3, "Tags"),
    "a NUL byte": (bill_bytes(ROW) + b"\x00\n", 3, ""),
    "cut off while it was sent": (gzip.compress(bill_bytes(ROW))[:-12], 0, ""),
    "in Latin-1": (bill_bytes(ROW | {"ServiceName": "Qu\u00e9bec"}).decode().encode("latin-1"), 2, ""),
    "an account's name of a novel's length": (bill_bytes(ROW | {"BillingAccountId": "7" * 3_000}), 2,
                                              "BillingAccountId"),
    "a cell of a novel's length": (second(ServiceName="x" * 100_001), 3, "ServiceName"),
    "Parquet, cut off": (as_parquet()[:-20], 0, ""),
    "Parquet with a double that is no number": (as_parquet(BilledCost=pa.array([float("nan")])), 2, "BilledCost"),
    "Parquet without a cost": (as_parquet(BilledCost=pa.array([None], pa.string())), 2, "BilledCost"),
    "Parquet with a NUL": (as_parquet(ServiceName=pa.array(["a\x00b"])), 2, ""),
}  # fmt: skip


@pytest.fixture
def period(cast: Cast, at: datetime) -> BillingPeriod:
    with consortium_scope(Scope.JOB):
        return set_up(cast, at)


@pytest.mark.parametrize("name", BROKEN)
def test_of_a_broken_bill_nothing_is_kept_and_the_fault_is_named(
    name: str, cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    data, line, column = BROKEN[name]
    path = tmp_path / "broken.csv"
    path.write_bytes(data)
    with consortium_scope(Scope.JOB):
        events = AuditEvent.objects.count()
        with pytest.raises(BillRefused) as refusal:
            take_in(path, cast, at)
        assert [(error.line, error.column) for error in refusal.value.errors[:1]] == [(line, column)]
        assert all(error.message.isascii() for error in refusal.value.errors)  # harmless in any log
        assert not BillImport.objects.exists()
        assert not CostRow.objects.exists()
        assert not CloudAccount.objects.exists()
        assert AuditEvent.objects.count() == events


def test_every_fault_of_a_bill_is_named_at_once(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "bill.csv"
    wrong = ({"BilledCost": "x", "Tags": "["}, {"BilledCost": "?"}, {"EffectiveCost": ""})
    path.write_bytes(bill_bytes(ROW, *(ROW | cells for cells in wrong)))
    with consortium_scope(Scope.JOB), pytest.raises(BillRefused) as refusal:
        take_in(path, cast, at)
    assert [(error.line, error.column) for error in refusal.value.errors] == [
        (3, "BilledCost"), (3, "Tags"), (4, "BilledCost"), (5, "EffectiveCost"),
    ]  # fmt: skip
    assert refusal.value.rows == 4


HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["=cmd|' /C calc'!A0", "'; DROP TABLE billing_costrow; --", "\\.", "\\N", "a\tb", 'x"y', "\u202e"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(GOOD), HOSTILE)))
def test_whatever_a_cell_holds_the_bill_is_kept_exactly_or_refused_whole(
    cells: dict[str, str], cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "bill.csv"
    path.write_bytes(bill_bytes(ROW, ROW | cells))
    with consortium_scope(Scope.JOB):
        before = (BillImport.objects.count(), CostRow.objects.count())
        try:
            bill = take_in(path, cast, at)
        except BillRefused:
            assert (BillImport.objects.count(), CostRow.objects.count()) == before
        else:
            kept = CostRow.objects.filter(bill=bill).order_by("-line")[0]
            wanted = cells.get("ServiceName", GOOD["ServiceName"])
            assert kept.service_name == ("" if wanted in {"NULL", "null"} else wanted)
