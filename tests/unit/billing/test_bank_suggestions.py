"""What a bank's line may be: the reasons, their order, and when nobody needs to look."""

from decimal import Decimal

import pytest

from billing.bank_suggestions import Facts, OpenInvoice, clear_winner, suggest

CEDAR = OpenInvoice(
    key="1", number="ICC-2026-000007", due=Decimal("2367.90"), currency="CAD", member="Cedar University",
    names=("Cedar University", "Université Cedar"), paid_from=frozenset({"CED77"}),
)  # fmt: skip
MAPLE = OpenInvoice(
    key="2", number="ICC-2026-000070", due=Decimal("2367.90"), currency="CAD", member="Maple University",
    names=("Maple University",), po_number="PO-9",
)  # fmt: skip
CEDAR_TOO = OpenInvoice(
    key="3", number="ICC-2026-000008", due=Decimal("100.00"), currency="CAD", member="Cedar University",
    names=("Cedar University",),
)  # fmt: skip
ALL = [CEDAR, MAPLE, CEDAR_TOO]


def line(amount: str, text: str = "", *, payer: str = "", account: str = "", currency: str = "CAD") -> Facts:
    return Facts(amount=Decimal(amount), currency=currency, text=text, payer=payer, payer_account=account)


@pytest.mark.parametrize(
    ("facts", "first", "confidence", "reason"),
    [
        (line("2367.90", "inv. ICC 2026-000007"), "1", 90, "the text names ICC-2026-000007"),
        (line("2367.90", "ICC-2O26-OOOOO7"), "1", 75, "nearly names"),
        (line("2367.90", "2026 000070"), "2", 70, "nearly names"),
        (line("2367.90", "", account="CED-77"), "1", 50, "paid from this account before"),
        (line("2367.90", "", payer="MAPLE UNIV"), "2", 40, "name is like"),
        (line("2367.90", "per po-9"), "2", 60, "purchase order"),
        (line("2352.90", "ICC-2026-000007"), "1", 70, "15.00 are missing, as when banks"),
        (line("1000.00", "ICC-2026-000007"), "1", 60, "1367.90 would stay due"),
        (line("2400.00", "ICC-2026-000007"), "1", 60, "32.10 are more than is due"),
        (line("2467.90", "ICC-2026-000007 and ICC-2026-000008"), "1,3", 90, "exactly what is due"),
        (line("2467.90", "", payer="Cedar University"), "1,3", 40, "exactly what is due"),
        (line("1700.00", "ICC-2026-000007", currency="USD"), "1", 30, "it is in USD, the invoice in CAD"),
    ],
)
def test_the_likeliest_comes_first_with_its_reasons(facts: Facts, first: str, confidence: int, reason: str) -> None:
    found = suggest(facts, ALL)[0]
    assert (found.key, found.confidence) == (first, confidence)
    assert reason in "; ".join(found.reasons)


def test_what_is_like_nothing_is_no_suggestion() -> None:
    assert suggest(line("12.00", "coffee"), ALL) == []


def test_only_a_likely_exact_match_that_leads_is_accepted_by_itself() -> None:
    sure = suggest(line("2367.90", "ICC-2026-000007", account="CED-77"), ALL)
    assert (winner := clear_winner(sure, accept_from=95)) is not None
    assert (winner.key, winner.confidence) == ("1", 100)
    assert clear_winner(sure, accept_from=None) is None
    for doubtful in (
        line("2367.90"),  # two invoices of one amount
        line("2000.00", "ICC-2026-000007", account="CED-77"),  # not exact
        line("2367.90", "ICC-2026-000007", currency="USD"),
    ):
        assert clear_winner(suggest(doubtful, ALL), accept_from=60) is None
