"""A FOCUS bill is read exactly, as providers really write it, or refused with line and column."""

import gzip
import io
import random
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.focus import Bill, BillRefused
from billing.focus.bill import MAX_ERRORS
from consortium.kernel.money import exact_sum, plain
from tests.unit.billing.bills import GOOD, bill_bytes, errors, opened, records

SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "focus-1.0-sample-300.csv"


def test_the_public_sample_has_300_rows_and_its_exact_total() -> None:
    if not SAMPLE.exists():
        pytest.skip("The public FOCUS sample (../shared/data/focus-1.0-sample-300.csv) is not present.")
    for data in (SAMPLE.read_bytes(), gzip.compress(SAMPLE.read_bytes())):
        bill = opened(data)
        rows = list(bill)
        bill.require_clean()
        assert len(rows) == bill.rows == 300
        assert (plain(bill.total), bill.currency) == ("5.16919349920", "USD")
        assert plain(exact_sum(row.billed_cost for row in rows)) == "5.16919349920"
        assert bill.unknown_columns == ("Id",)
        assert bill.periods == {(datetime(2024, 9, 1, tzinfo=UTC), datetime(2024, 10, 1, tzinfo=UTC)): 300}


def test_a_row_becomes_a_frozen_record() -> None:
    (row,) = records({})
    assert row.line == 2
    assert plain(row.billed_cost) == "1.50000000000"
    assert plain(row.effective_cost) == "1.5"
    assert row.billing_account_id == "0042"
    assert row.charge_period_start == datetime(2026, 11, 2, tzinfo=UTC)
    assert (row.sub_account_id, row.sub_account_name, row.charge_class) == ("sub-1", "", "")
    assert dict(row.tags) == {"university": "ubc"}
    assert dict(row.extras) == {"RegionId": "ca-central-1", "x_Note": "kept"}
    with pytest.raises(AttributeError):
        row.billed_cost = Decimal(0)  # type: ignore[misc]
    with pytest.raises(TypeError):
        row.tags["university"] = "mcgill"  # type: ignore[index]


def test_unknown_columns_are_kept_and_reported() -> None:
    bill = opened(bill_bytes())
    assert bill.unknown_columns == ("x_Note",)
    assert next(iter(bill)).extras["x_Note"] == "kept"


def test_a_bill_of_focus_1_3_names_its_provider_in_another_column() -> None:
    columns = ["ServiceProviderName" if name == "ProviderName" else name for name in GOOD]
    bill = opened(bill_bytes({"ServiceProviderName": "New Cloud"}, columns=columns))
    assert next(iter(bill)).provider == "New Cloud"


def test_the_same_content_has_the_same_digest_gzipped_or_not() -> None:
    bills = [opened(data) for data in (bill_bytes(), gzip.compress(bill_bytes()), bill_bytes({"x_Note": "other"}))]
    for bill in bills:
        list(bill)
    assert bills[0].sha256 == bills[1].sha256 != bills[2].sha256


@pytest.mark.parametrize("null", ["", "NULL", "null"])
def test_null_is_written_in_several_ways(null: str) -> None:
    (row,) = records({"ResourceId": null, "Tags": null, "ChargeClass": null, "x_Note": null})
    assert (row.resource_id, dict(row.tags), row.charge_class) == ("", {}, "")
    assert "x_Note" not in row.extras


@pytest.mark.parametrize("text", ["Usage-Based", "Usage-based", "usage-based"])
def test_capitals_of_focus_words_do_not_count(text: str) -> None:
    (row,) = records({"ChargeFrequency": text, "ChargeCategory": "usage"})
    assert (row.charge_frequency, row.charge_category) == ("Usage-Based", "Usage")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-02T00:00:00Z",
        "2026-11-02 00:00:00",
        "2026-11-02T00:00:00",
        "2026-11-02 00:00:00Z",
        "2026-11-02 00:00:00 UTC",
        "2026-11-02T00:00:00.000Z",
        "2026-11-02T00:00Z",
        "2026-11-01T19:00:00-05:00",
    ],
)
def test_times_without_t_or_z_are_utc(text: str) -> None:
    assert records({"ChargePeriodStart": text})[0].charge_period_start == datetime(2026, 11, 2, tzinfo=UTC)


def test_negative_usage_keeps_its_sign_and_a_late_charge_its_period() -> None:
    early = {"ChargePeriodStart": "2026-10-31T00:00:00Z", "ChargePeriodEnd": "2026-11-01T00:00:00Z"}
    bill = opened(bill_bytes({"BilledCost": "-2.5"}, early))
    rows = list(bill)
    assert (plain(rows[0].billed_cost), rows[0].charge_category) == ("-2.5", "Usage")
    assert rows[1].billing_period_start == datetime(2026, 11, 1, tzinfo=UTC)
    assert rows[1].charge_period_start == datetime(2026, 10, 31, tzinfo=UTC)
    assert (plain(bill.total), bill.errors) == ("-1.00000000000", [])


def test_e_notation_and_what_once_was_a_double_are_exact() -> None:
    bill = opened(bill_bytes({"BilledCost": "1.6E-7"}, {"BilledCost": "0.30000000000000004"}))
    with localcontext(prec=4):
        assert [plain(row.billed_cost) for row in bill] == ["0.00000016", "0.30000000000000004"]
    assert plain(bill.total) == "0.30000016000000004"


def test_blanks_around_tag_keys_are_taken_off_without_losing_a_tag() -> None:
    rows = records(
        {"Tags": '{" org": "a", "team ": "b"}'},
        {"Tags": '{" org": "blank", "org": "plain"}'},
        {"Tags": '{" org": "same", "org": "same"}'},
        {"Tags": '{"n": 12.50, "b": true, "none": null}'},
        {"Tags": "{}"},
    )
    assert [dict(row.tags) for row in rows] == [
        {"org": "a", "team": "b"},
        {"org": "plain", " org": "blank"},
        {"org": "same"},
        {"n": "12.50", "b": "true", "none": ""},
        {},
    ]


def test_totals_are_kept_by_category_and_period() -> None:
    october = {"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z"}
    bill = opened(bill_bytes({"BilledCost": "10"}, {"BilledCost": "1.30", "ChargeCategory": "Tax"}, october))
    list(bill)
    assert {name: plain(total) for name, total in bill.total_by_category.items()} == {
        "Usage": "11.50000000000",
        "Tax": "1.30",
    }
    assert sorted(bill.periods.values()) == [1, 2]


def test_cells_may_hold_line_breaks_and_errors_name_the_line_a_row_starts_on() -> None:
    data = bill_bytes({"x_Note": "two\nlines"}, {"BilledCost": "x"}, {"BilledCost": "y"})
    assert [error.line for error in errors(data)] == [4, 5]


CELLS: list[tuple[str, str]] = [
    ("BilledCost", ""),
    ("BilledCost", "NULL"),
    ("BilledCost", "NaN"),
    ("BilledCost", "Infinity"),
    ("BilledCost", "1E+400"),
    ("BilledCost", "1,234.56"),
    ("BilledCost", "1_000"),
    ("BilledCost", "$5.00"),
    ("BilledCost", "٥"),
    ("BilledCost", " 5"),
    ("BilledCost", "=1+1"),
    ("EffectiveCost", "free"),
    ("BillingCurrency", "dollars"),
    ("BillingCurrency", "XXX"),
    ("BillingAccountId", ""),
    ("BillingPeriodStart", "2026-11-01"),
    ("BillingPeriodStart", "2026-13-01T00:00:00Z"),
    ("BillingPeriodStart", "01/11/2026 00:00"),
    ("BillingPeriodEnd", "2026-11-01T00:00:00Z"),
    ("ChargePeriodEnd", "2026-11-01T00:00:00Z"),
    ("ChargePeriodStart", "0000-01-01T00:00:00Z"),
    ("ChargePeriodStart", "0001-01-01T00:00:00+23:00"),
    ("ChargeCategory", "Gift"),
    ("ChargeClass", "Sometimes"),
    ("ChargeFrequency", "Often"),
    ("ProviderName", "NULL"),
    ("Tags", "university=ubc"),
    ("Tags", '["ubc"]'),
    ("Tags", '{"a": {"b": "c"}}'),
    ("Tags", '{"a": "b", "a": "c"}'),
    ("Tags", '{"a": NaN}'),
    ("Tags", "[" * 50_000),
    ("x_Note", "a\x00b"),
    ("ResourceId", "x" * 120_000),
]


@pytest.mark.parametrize(("column", "text"), CELLS)
def test_a_cell_that_cannot_be_read_is_refused_with_its_line(column: str, text: str) -> None:
    found = errors(bill_bytes({}, {column: text}, {}))
    assert [error.line for error in found] == [3]
    assert found[0].column in {column, ""}
    assert len(found[0].message) < 400
    assert found[0].message.isascii()


@pytest.mark.parametrize(("column", "other"), [("BillingCurrency", "CAD"), ("BillingAccountId", "0043")])
def test_one_bill_has_one_currency_and_one_account(column: str, other: str) -> None:
    (error,) = errors(bill_bytes({}, {column: other}))
    assert (error.line, error.column) == (3, column)


@pytest.mark.parametrize(
    "column", ["BilledCost", "BillingCurrency", "ChargePeriodStart", "ProviderName", "ServiceName"]
)
def test_a_missing_column_is_named(column: str) -> None:
    (error,) = errors(bill_bytes(columns=[name for name in GOOD if name != column]))
    assert (error.line, error.column) == (1, column)


@pytest.mark.parametrize("twin", ["BilledCost", "billedcost", " BilledCost", "x_Note"])
def test_a_column_given_twice_is_refused(twin: str) -> None:
    head, body = bill_bytes().decode().split("\n", 1)
    (error,) = errors(f"{head},{twin}\n{body.rstrip()},1\n".encode())
    assert (error.line, "twice" in error.message) == (1, True)


def test_a_column_in_other_capitals_is_not_overlooked() -> None:
    data = bill_bytes().replace(b"BilledCost", b"billedcost").replace(b"Tags", b"TAGS")
    assert {error.column for error in errors(data)} == {"BilledCost", "Tags"}


def test_ragged_rows_are_refused() -> None:
    good = bill_bytes().decode()
    row = good.split("\n")[1]
    found = errors(f"{good}{row},extra\n{row.rsplit(',', 1)[0]}\n".encode())
    assert [error.line for error in found] == [3, 4]


GOOD_BYTES = bill_bytes({}, {})

FILES: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("only blanks", b" \n\n"),
    ("only a byte order mark", b"\xef\xbb\xbf"),
    ("a heading without rows", GOOD_BYTES.split(b"\n")[0] + b"\n"),
    ("a sign-in page", b"<!DOCTYPE html><html><body>Sign in</body></html>"),
    ("XML", b'\n<?xml version="1.0"?><bill/>'),
    ("JSON", b'{"BilledCost": 1}'),
    ("another CSV", b"name,amount\nubc,1\n"),
    ("semicolons", GOOD_BYTES.replace(b",", b";")),
    ("tabs", GOOD_BYTES.replace(b",", b"\t")),
    ("UTF-16", GOOD_BYTES.decode().encode("utf-16")),
    ("UTF-16 without mark", GOOD_BYTES.decode().encode("utf-16-le")),
    ("Latin-1", bill_bytes({"x_Note": "Québec"}).decode().encode("latin-1")),
    ("a damaged Parquet file", b"PAR1" + bytes(100)),
    ("a spreadsheet", b"PK\x03\x04" + bytes(100)),
    ("a PDF", b"%PDF-1.7\n"),
    ("binary", random.Random(7).randbytes(5000)),
    ("an open quotation mark", GOOD_BYTES.replace(b"0042", b'"0042', 1)),
    ("text after a quotation mark", GOOD_BYTES.replace(b"0042", b'"00"42', 1)),
    ("gzip, cut off", gzip.compress(GOOD_BYTES * 50)[:-20]),
    ("gzip, damaged", gzip.compress(GOOD_BYTES)[:40] + b"\x00" * 30 + gzip.compress(GOOD_BYTES)[70:]),
    ("gzip of nothing", gzip.compress(b"")),
    ("gzip twice", gzip.compress(gzip.compress(GOOD_BYTES))),
    ("old Macintosh line ends", GOOD_BYTES.replace(b"\n", b"\r")),
    ("a thousand columns", b",".join(b"x_%d" % number for number in range(2000)) + b",BilledCost\n"),
]


@pytest.mark.parametrize(("what", "data"), FILES, ids=[what for what, _ in FILES])
def test_what_is_no_readable_bill_is_refused_with_a_sentence(what: str, data: bytes) -> None:
    found = errors(data)
    assert found, what
    assert all(error.message for error in found)


@pytest.mark.parametrize("bomb", [b"A" * (64 << 20), b'"' + b"a\n" * (8 << 20)], ids=["one line", "one cell"])
def test_a_file_that_unpacks_to_a_bomb_is_stopped_early(bomb: bytes) -> None:
    packed = gzip.compress(bomb)
    tracemalloc.start()
    try:
        (error,) = errors(packed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.message
    assert peak < 20 << 20


def test_a_bill_full_of_errors_is_read_no_further_than_a_hundred() -> None:
    found = errors(bill_bytes(*[{"BilledCost": "x"}] * 500))
    assert len(found) == MAX_ERRORS + 1
    assert "stopped" in found[-1].message


def test_a_bill_with_errors_is_never_clean() -> None:
    bill = opened(bill_bytes({}, {"BilledCost": "x"}, {}))
    assert [row.line for row in bill] == [2, 4]
    with pytest.raises(BillRefused, match=r"bill\.csv, line 3") as refusal:
        bill.require_clean()
    assert refusal.value.errors[0].as_dict()["column"] == "BilledCost"


def test_a_bill_is_streamed_from_any_readable_thing() -> None:
    class Slow(io.RawIOBase):
        """Gives three bytes at a time, like a bad connection."""

        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def read(self, size: int = -1, /) -> bytes:
            return self._data.read(min(size, 3) if size >= 0 else -1)

    from billing.focus import read_bill  # noqa: PLC0415 - only here

    bill: Bill = read_bill(Slow(gzip.compress(GOOD_BYTES)), "slow")  # type: ignore[arg-type]
    assert len(list(bill)) == 2


@given(st.binary(max_size=200), st.integers(0, len(GOOD_BYTES)))
def test_noise_never_crashes_the_reader(noise: bytes, at: int) -> None:
    for data in (noise, GOOD_BYTES[:at] + noise + GOOD_BYTES[at:]):
        errors(data)


@given(st.data())
def test_the_total_is_the_exact_sum_of_what_was_written(data: Any) -> None:
    costs = data.draw(st.lists(st.decimals(-(10**6), 10**6, places=11), min_size=1, max_size=20))
    bill = opened(bill_bytes(*({"BilledCost": str(cost)} for cost in costs)))
    assert len(list(bill)) == len(costs)
    assert bill.total == exact_sum(costs)
