"""Canadian tax: the right tax, at the rate of the day, only once registered, with its reason in two languages."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tax import (
    LineKind,
    ProvincialRule,
    Registration,
    Tax,
    TaxableLine,
    TaxDecision,
    TaxUndecided,
    compute,
    decide,
    tax_point,
)
from billing.tax_reasons import PROVINCES
from consortium.kernel.money import exact_sum, from_minor, plain

START = date(2020, 1, 1)
GST = Registration("CA", Tax.GST, "123456789 RT0001", START)
QST = Registration("CA-QC", Tax.QST, "1234567890 TQ0001", START)
BC_PST = Registration("CA-BC", Tax.PST, "PST-1234-5678", START)
BC_RULE = ProvincialRule("CA-BC", LineKind.USAGE, "adviser's letter of 2026-05-01", date(2026, 7, 1))


def decisions(province: str, at: date = date(2026, 11, 1), **changes: Any) -> list[TaxDecision]:
    """Decide for a Canadian buyer."""
    facts: dict[str, Any] = {
        "place_of_supply": province,
        "buyer_country": "CA",
        "at": at,
        "kind": LineKind.USAGE,
        "registrations": (GST, QST),
    }
    return decide(**(facts | changes))


def charged(*arguments: Any, **changes: Any) -> list[tuple[str, str, str]]:
    """What is charged, in short."""
    found = decisions(*arguments, **changes)
    return [(each.jurisdiction, str(each.tax), plain(each.rate)) for each in found if each.rate]


@pytest.mark.parametrize(
    ("province", "expected"),
    [
        ("AB", [("CA", "GST", "5")]),
        ("YT", [("CA", "GST", "5")]),
        ("NT", [("CA", "GST", "5")]),
        ("NU", [("CA", "GST", "5")]),
        ("BC", [("CA", "GST", "5")]),
        ("SK", [("CA", "GST", "5")]),
        ("MB", [("CA", "GST", "5")]),
        ("QC", [("CA", "GST", "5"), ("CA-QC", "QST", "9.975")]),
        ("ON", [("CA-ON", "HST", "13")]),
        ("NB", [("CA-NB", "HST", "15")]),
        ("NL", [("CA-NL", "HST", "15")]),
        ("PE", [("CA-PE", "HST", "15")]),
        ("NS", [("CA-NS", "HST", "14")]),
    ],
)
def test_each_province_in_november_2026(province: str, expected: list[tuple[str, str, str]]) -> None:
    assert charged(province) == expected
    assert charged(f"CA-{province}") == expected


@pytest.mark.parametrize(
    ("province", "at", "rate"),
    [
        ("NS", date(2025, 3, 31), "15"),
        ("NS", date(2025, 4, 1), "14"),
        ("NB", date(2016, 6, 30), "13"),
        ("NB", date(2016, 7, 1), "15"),
        ("PE", date(2016, 9, 30), "14"),
        ("PE", date(2016, 10, 1), "15"),
    ],
)
def test_a_rate_holds_from_its_day_on(province: str, at: date, rate: str) -> None:
    old = Registration("CA", Tax.GST, "1", date(2000, 1, 1))
    assert charged(province, at, registrations=(old,)) == [(f"CA-{province}", "HST", rate)]


def test_the_earlier_of_invoice_and_payment_fixes_the_rate() -> None:
    assert tax_point(date(2025, 4, 2), date(2025, 3, 30)) == date(2025, 3, 30)
    assert tax_point(date(2025, 4, 2), date(2025, 5, 1)) == date(2025, 4, 2)
    assert tax_point(date(2025, 4, 2)) == date(2025, 4, 2)


def test_nothing_is_charged_before_the_issuer_is_registered() -> None:
    late = Registration("CA", Tax.GST, "1", date(2026, 11, 2))
    (decision,) = decisions("ON", registrations=(late,))
    assert (decision.rate, decision.code, decision.tax) == (Decimal(0), "not_registered", Tax.HST)
    assert charged("ON", date(2026, 11, 2), registrations=(late,)) == [("CA-ON", "HST", "13")]


def test_nothing_is_charged_after_a_registration_ended() -> None:
    ended = Registration("CA", Tax.GST, "1", START, date(2026, 11, 1))
    assert charged("ON", registrations=(ended,)) == []
    assert charged("ON", date(2026, 10, 31), registrations=(ended,)) == [("CA-ON", "HST", "13")]


def test_each_tax_has_its_own_registration() -> None:
    found = decisions("QC", registrations=(GST,))
    assert [(each.tax, each.code) for each in found] == [(Tax.GST, "charged"), (Tax.QST, "not_registered")]
    found = decisions("QC", registrations=(QST,))
    assert [(each.tax, each.code) for each in found] == [(Tax.GST, "not_registered"), (Tax.QST, "charged")]


def test_provincial_sales_tax_needs_a_dated_rule_and_a_registration() -> None:
    all_registered = (GST, BC_PST)
    assert [each.code for each in decisions("BC", registrations=all_registered)] == ["charged", "no_provincial_rule"]
    rules = (BC_RULE,)
    assert charged("BC", registrations=all_registered, provincial_rules=rules)[1] == ("CA-BC", "PST", "7")
    found = decisions("BC", registrations=(GST,), provincial_rules=rules)
    assert [each.code for each in found] == ["charged", "not_registered"]
    before = decisions("BC", date(2026, 6, 30), registrations=all_registered, provincial_rules=rules)
    assert before[1].code == "no_provincial_rule"
    other = decisions("BC", kind=LineKind.DUES, registrations=all_registered, provincial_rules=rules)
    assert other[1].code == "no_provincial_rule"
    assert decisions("BC", registrations=all_registered, provincial_rules=rules)[1].basis == BC_RULE.source


@pytest.mark.parametrize(("province", "tax", "rate"), [("SK", Tax.PST, "6"), ("MB", Tax.RST, "7")])
def test_the_prairie_taxes_have_their_own_rates(province: str, tax: Tax, rate: str) -> None:
    rule = ProvincialRule(f"CA-{province}", LineKind.USAGE, "x", START)
    registrations = (GST, Registration(f"CA-{province}", tax, "1", START))
    found = charged(province, registrations=registrations, provincial_rules=(rule,))
    assert found[1] == (f"CA-{province}", str(tax), rate)


@pytest.mark.parametrize("kind", [LineKind.EXEMPT_DUES, LineKind.AGENCY, LineKind.DEPOSIT])
def test_exempt_dues_agency_and_deposits_bear_no_tax_by_their_code(kind: LineKind) -> None:
    (decision,) = decisions("QC", kind=kind)
    assert (decision.rate, decision.code) == (Decimal(0), str(kind))


def test_a_buyer_outside_canada_is_zero_rated_with_proof() -> None:
    (decision,) = decisions("", buyer_country="US", non_residence_evidence="Form on file, 2026-01-05")
    assert (decision.rate, decision.code) == (Decimal(0), "zero_rated_export")
    assert "Form on file" in decision.basis
    with pytest.raises(TaxUndecided) as undecided:
        decisions("", buyer_country="US")
    assert undecided.value.code == "non_residence_unproven"


@pytest.mark.parametrize(
    ("code", "province", "changes"),
    [
        ("place_unknown", "", {}),
        ("place_unknown", "XX", {}),
        ("place_unknown", "US-NY", {}),
        ("country_unknown", "ON", {"buyer_country": "Canada"}),
        ("country_unknown", "ON", {"buyer_country": ""}),
        (
            "rate_missing",
            "ON",
            {"at": date(2009, 1, 1), "registrations": (Registration("CA", Tax.GST, "1", date.min),)},
        ),
    ],
)
def test_a_missing_fact_is_named_not_guessed(code: str, province: str, changes: dict[str, Any]) -> None:
    with pytest.raises(TaxUndecided) as undecided:
        decisions(province, **changes)
    assert undecided.value.code == code


@pytest.mark.parametrize("province", sorted(PROVINCES))
def test_every_decision_says_why_in_both_languages(province: str) -> None:
    for registrations in ((), (GST, QST)):
        for decision in decisions(province, registrations=registrations):
            assert decision.reason_en.endswith(".")
            assert decision.reason_fr.endswith(".")
            assert "{" not in decision.reason_en + decision.reason_fr


def test_a_quebec_invoice_carries_gst_and_qst_on_the_same_base() -> None:
    found = tuple(decisions("QC"))
    totals = compute([TaxableLine(Decimal("100.00"), found), TaxableLine(Decimal("33.33"), found)], "CAD")
    assert [(plain(tax.taxable), plain(tax.amount)) for tax in totals.taxes] == [
        ("133.33", "6.67"),
        ("133.33", "13.30"),
    ]
    assert (plain(totals.net), plain(totals.tax), plain(totals.total)) == ("133.33", "19.97", "153.30")
    assert found[1].reason_fr == "TVQ de 9,975\xa0%\xa0: le lieu de fourniture est Québec."


def test_a_tax_is_rounded_once_on_the_whole_base_not_line_by_line() -> None:
    lines = [TaxableLine(Decimal("0.09"), tuple(decisions("AB")))] * 10
    assert plain(compute(lines, "CAD").tax) == "0.05"  # each line alone would round to 0.00


def test_untaxed_lines_count_in_the_total_only() -> None:
    lines = [
        TaxableLine(Decimal("100.00"), tuple(decisions("ON"))),
        TaxableLine(Decimal("50.00"), tuple(decisions("ON", kind=LineKind.DEPOSIT))),
    ]
    totals = compute(lines, "CAD")
    assert [(tax.decision.code, plain(tax.amount)) for tax in totals.taxes] == [
        ("charged", "13.00"),
        ("deposit", "0.00"),
    ]
    assert plain(totals.total) == "163.00"


@given(st.lists(st.tuples(st.integers(-(10**7), 10**7), st.sampled_from(sorted(PROVINCES))), max_size=8))
def test_net_and_taxes_sum_to_the_total_and_a_credit_mirrors_it(lines: list[tuple[int, str]]) -> None:
    charge = [TaxableLine(from_minor(minor, "CAD"), tuple(decisions(place))) for minor, place in lines]
    credit = [TaxableLine(-line.amount, line.decisions) for line in charge]
    totals, mirrored = compute(charge, "CAD"), compute(credit, "CAD")
    assert totals.net + exact_sum(tax.amount for tax in totals.taxes) == totals.total
    assert (mirrored.net, mirrored.tax, mirrored.total) == (-totals.net, -totals.tax, -totals.total)
