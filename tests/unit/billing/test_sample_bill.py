"""The made-up bill is always the same, is valid, and holds every oddity that the reader must bear."""

import csv
import hashlib
import io
from decimal import Decimal

import pytest

from billing.focus import CostRecord
from billing.sample_bill import SampleHub, sample_bill
from consortium.kernel.money import CurrencyUnknown, exact_sum, round_money
from consortium.kernel.periods import Month
from tests.unit.billing.bills import opened

HUBS = (SampleHub("ubc", "main"), SampleHub("mcgill", "stats"))
NOVEMBER = Month(2026, 11)
DATA = sample_bill(NOVEMBER, account="demo-1", hubs=HUBS)
ROWS = list(csv.DictReader(io.StringIO(DATA.decode(), newline="")))


@pytest.fixture
def read() -> list[CostRecord]:
    """The bill as the reader sees it."""
    bill = opened(DATA)
    rows = list(bill)
    bill.require_clean()
    return rows


def test_the_same_month_account_and_hubs_give_the_same_bytes() -> None:
    assert sample_bill(NOVEMBER, account="demo-1", hubs=HUBS) == DATA
    others = [
        sample_bill(NOVEMBER.next(), account="demo-1", hubs=HUBS),
        sample_bill(NOVEMBER, account="demo-2", hubs=HUBS),
        sample_bill(NOVEMBER, account="demo-1", hubs=HUBS[:1]),
    ]
    assert len({hashlib.sha256(data).digest() for data in (DATA, *others)}) == 4


def test_it_holds_the_oddities_of_real_bills(read: list[CostRecord]) -> None:
    assert {row["ChargeFrequency"] for row in ROWS} == {"Usage-Based", "Usage-based", "One-Time"}
    assert {"NULL", ""} <= {row["ChargeClass"] for row in ROWS}
    assert {len(row["ChargePeriodStart"]) for row in ROWS} == {19, 20}
    assert {row["ChargePeriodStart"][10] for row in ROWS} == {"T", " "}
    assert any(row["Tags"].startswith('{" university"') for row in ROWS)
    assert any("E-" in row["BilledCost"] for row in ROWS)
    assert any(row.billed_cost < 0 and row.charge_category == "Usage" for row in read)
    assert {row.charge_category for row in read} == {"Usage", "Credit", "Tax"}
    assert any(row.charge_period_end <= row.billing_period_start for row in read)
    assert all(row.effective_cost == int(row.effective_cost) for row in read)
    assert any(not row.tags for row in read if row.charge_category == "Usage")
    assert opened(DATA).unknown_columns == ("Id", "x_Environment")


def test_its_tagged_rows_name_every_university_and_hub(read: list[CostRecord]) -> None:
    found = {(row.tags["university"], row.tags["hub"]) for row in read if row.tags}
    assert found == {(hub.university, hub.hub) for hub in HUBS}


def test_its_tax_is_five_percent_of_its_rows(read: list[CostRecord]) -> None:
    net = exact_sum(row.billed_cost for row in read if row.charge_category != "Tax")
    (tax,) = [row.billed_cost for row in read if row.charge_category == "Tax"]
    assert tax == round_money(net * Decimal("0.05"), "USD")


def test_a_month_without_hubs_still_has_its_shared_rows() -> None:
    bill = opened(sample_bill(NOVEMBER, account="demo-1", hubs=()))
    assert all(not row.tags for row in bill)
    assert bill.rows > 30


def test_an_impossible_bill_is_refused() -> None:
    with pytest.raises(CurrencyUnknown):
        sample_bill(NOVEMBER, account="demo-1", hubs=HUBS, currency="XXX")
    with pytest.raises(ValueError, match="every_days"):
        sample_bill(NOVEMBER, account="demo-1", hubs=HUBS, every_days=0)
