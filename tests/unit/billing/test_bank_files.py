"""Bank files: four formats say the same; what is damaged, hostile or does not add up is refused with its place."""

from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.bank_files import BankFileRefused, Mapping, guess_format, read_statements
from tests.unit.billing.bank_files import BAI2, CAMT, CSV, OFX

MAPPING = Mapping(
    booked_on="Date", date_format="%d/%m/%Y", credit="Credit", debit="Debit", text="Description", delimiter=";",
    decimal_mark=",", account="000123456789",
)  # fmt: skip


@pytest.mark.parametrize(("content", "kind"), [(CAMT, "camt"), (OFX, "ofx"), (BAI2, "bai2"), (CSV, "csv")])
def test_every_format_says_the_same_of_the_same_lines(content: bytes, kind: str) -> None:
    (found,) = read_statements(content, mapping=MAPPING)
    assert (guess_format(content), found.account, found.currency) == (kind, "000123456789", "CAD")
    first, last = found.lines[0], found.lines[-1]
    assert (first.booked_on, first.amount) == (date(2026, 11, 20 if kind != "bai2" else 21), Decimal("2367.90"))
    assert "2026-0007" in first.text
    assert (last.booked_on, last.amount) == (date(2026, 11, 21), Decimal("-15.00"))
    if kind in {"camt", "bai2"}:
        assert found.opening == Decimal("1000.00")


def test_camt_tells_who_paid_and_leaves_out_what_is_pending() -> None:
    (found,) = read_statements(CAMT)
    assert [line.amount for line in found.lines] == [Decimal("2367.90"), Decimal("40.00"), Decimal("-15.00")]
    assert (found.lines[0].payer, found.lines[0].payer_account) == ("CEDAR UNIVERSITY", "CED-77")


BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Document>&a;</Document>'
REFUSED = {
    "empty": (b"  ", "is empty"),
    "entities": (BOMB, "Do not trust it"),
    "another document": (b"<Document><BkToCstmrDbtCdtNtfctn/></Document>", "no CAMT.053"),
    "cut off": (CAMT[:-40], "no well-formed XML"),
    "balances that do not meet": (CAMT.replace(b"3392.90", b"3392.91"), "statement 1: the lines come to 2392.90 CAD"),
    "a line left out": (CAMT.replace(b"<Sts><Cd>BOOK</Cd></Sts>", b"<Sts><Cd>INFO</Cd></Sts>", 1), "Lines are missing"),
    "another currency inside": (CAMT.replace(b'<Amt Ccy="CAD">40', b'<Amt Ccy="USD">40'), "a line is in USD"),
    "an amount that is none": (CAMT.replace(b"40.00", b"4O.00"), "statement 1, entry 2"),
    "too exact an amount": (CAMT.replace(b"40.00", b"40.001"), "more decimals than CAD"),
    "no such day": (CAMT.replace(b"2026-11-20", b"2026-11-31"), "entry 1: the booking date"),
    "an OFX cut off": (OFX[:-60], "no readable OFX"),
    "an OFX amount": (OFX.replace(b"-15.00", b"NaN"), "readable OFX|no number"),
    "BAI2 totals": (BAI2.replace(b"16,195,236790", b"16,195,236791"), "no whole BAI2"),
    "CSV column": (CSV.replace(b"Credit", b"Kredit"), "line 1: the column 'Credit' is missing"),
    "CSV cells": (CSV.replace(b"15,00;", b"15,00"), "line 3: 3 cells"),
    "CSV amount": (CSV.replace(b"2 367,90", b"much"), "line 2"),
    "CSV day": (CSV.replace(b"20/11/2026", b"2026-11-20"), "line 2: '2026-11-20' is no date"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_with_its_place_and_what_to_do(name: str) -> None:
    content, words = REFUSED[name]
    with pytest.raises(BankFileRefused, match=words):
        read_statements(content, mapping=MAPPING)


@settings(max_examples=60, deadline=None)
@given(
    whole=st.sampled_from([CAMT, OFX, BAI2, CSV]), place=st.integers(0, 3000), length=st.integers(0, 30),
    noise=st.binary(max_size=12),
)  # fmt: skip
def test_a_file_with_noise_is_read_whole_or_refused_and_nothing_else(
    whole: bytes, place: int, length: int, noise: bytes
) -> None:
    damaged = whole[:place] + noise + whole[place + length :]
    with suppress(BankFileRefused):  # and no other error
        found = read_statements(damaged, mapping=MAPPING)
        assert all(line.amount and line.currency == each.currency for each in found for line in each.lines)
