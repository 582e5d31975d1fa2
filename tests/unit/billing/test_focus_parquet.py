"""A Parquet bill says what its CSV twin says, whatever types its provider chose."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import parquet

from billing.focus import Bill, CostRecord, read_bill
from tests.unit.billing.bills import bill_bytes

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def twin(data: bytes) -> pa.Table:
    """The CSV's cells as text columns."""
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    return pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]})


def opened(table: pa.Table, **options: object) -> tuple[Bill, list[CostRecord]]:
    """Write the table, and read it as a bill."""
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    file.seek(0)
    bill = read_bill(file, "bill.parquet")
    records = list(bill)
    bill.require_clean()
    return bill, records


def test_parquet_and_csv_give_the_same_records() -> None:
    data = bill_bytes({}, {"BilledCost": "1.6E-7"}, {"Tags": '{" org": "x"}', "SubAccountName": ""})
    bill, records = opened(twin(data), row_group_size=2)
    csv_bill = read_bill(io.BytesIO(data), "bill.csv")
    assert records == list(csv_bill)
    assert (bill.total, bill.periods, bill.unknown_columns) == (csv_bill.total, csv_bill.periods, ("x_Note",))
    assert [record.line for record in records] == [2, 3, 4]


def test_native_types_are_read_exactly() -> None:
    table = twin(bill_bytes())
    native = {
        "BilledCost": pa.array([Decimal("1.50000000000")], pa.decimal128(38, 11)),
        "EffectiveCost": pa.array([0.1], pa.float64()),
        "BillingPeriodStart": pa.array([START], pa.timestamp("ns", "UTC")),
        "BillingPeriodEnd": pa.array([END.replace(tzinfo=None)], pa.timestamp("us")),
        "ChargePeriodEnd": pa.array([datetime(2026, 11, 3).date()], pa.date32()),  # noqa: DTZ001 - a day
        "ServiceName": pa.array(["Virtual Machines"]).dictionary_encode(),
        "Tags": pa.array([[("university", "ubc"), (" org", None)]], pa.map_(pa.string(), pa.string())),
    }
    for name, column in native.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    _, (record,) = opened(table)
    assert (str(record.billed_cost), str(record.effective_cost)) == ("1.50000000000", "0.1")
    assert (record.billing_period_start, record.billing_period_end) == (START, END)
    assert record.charge_period_end == datetime(2026, 11, 3, tzinfo=UTC)
    assert dict(record.tags) == {"university": "ubc", "org": ""}
    assert record.service_name == "Virtual Machines"


def test_a_tag_key_that_comes_twice_in_a_map_is_refused() -> None:
    tags = pa.array([[("a", "1"), ("a", "2")]], pa.map_(pa.string(), pa.string()))
    table = twin(bill_bytes())
    table = table.set_column(table.schema.get_field_index("Tags"), "Tags", tags)
    with pytest.raises(ValueError, match="gives a tag key twice"):
        opened(table)


def test_the_digest_of_a_parquet_bill_is_that_of_its_file() -> None:
    first, _ = opened(twin(bill_bytes()))
    again, _ = opened(twin(bill_bytes()))
    other, _ = opened(twin(bill_bytes({"BilledCost": "2"})))
    assert first.sha256 == again.sha256 != other.sha256


def test_structures_that_focus_does_not_know_are_kept_as_json() -> None:
    table = twin(bill_bytes()).append_column("x_List", pa.array([[{"a": 1}]]))
    _, (record,) = opened(table)
    assert json.loads(record.extras["x_List"]) == [{"a": 1}]
