"""September 2026 of two universities, figure by figure, as a treasurer would check it with pencil and paper.

The cloud's bill, in US dollars; one US dollar was 1.40 Canadian on the last day of the month:

    Cedar's own hubs    60.00 + 40.005    100.005    140.007   -> 140.01
    Maple's own hubs                       50.00      70.00
    shared              290 + 10          300.00     420.00    3 : 1 by memory -> 315.00 and 105.00
    the cloud's tax                        22.50      31.50    3 : 1 -> 23.625 and 7.875: the cent goes to the larger
                                                               -> 23.63 and 7.87
    together                              472.505

    Cedar, BC                              Maple, Quebec
    dues 12,000.00, 9th of 12  1,000.00    6,000.00 x 169 / 365 = 2,778.08; 3rd of 6        463.01
    280 users: 10 at 10.00       100.00    4 users at 10.00                                  40.00
               90 at  5.00       450.00
              180 at  2.50       450.00
    own hubs                     140.01                                                      70.00
    shared                       315.00                                                     105.00
    the cloud's tax               23.63                                                       7.87
    net                        2,478.64                                                     685.88
    GST 5 %                      123.93    (34.294)                                          34.29
    QST 9.975 %                            (68.41653)                                        68.42
    total                      2,602.57                                                     788.59
"""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billing import closing, ledger
from billing.models import BillingPeriod, Invoice, InvoiceLineTax, Pool
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import RUN, STORY_ROWS, bill_file, drafted, issued, set_up, take_in, three_to_one


@pytest.fixture
def september(cast: Cast, at: datetime, tmp_path: Path) -> BillingPeriod:
    """The month with its bill, still open."""
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
    return period


def lines_of(invoice: Invoice) -> list[tuple[str, str, str]]:
    """Kind, quantity and net of each line, as text."""
    return [(line.kind, f"{line.quantity:f}", f"{line.net:f}") for line in invoice.lines.all()]


def test_the_month_comes_out_as_the_pencil_says(cast: Cast, september: BillingPeriod, at: datetime) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        cedar, maple = issued(drafted(september, members, at), at)
        assert lines_of(cedar) == [
            ("dues", "1", "1000.00"),
            ("active_users", "10", "100.00"),
            ("active_users", "90", "450.00"),
            ("active_users", "180", "450.00"),
            ("direct_cost", "1", "140.01"),
            ("shared_cost", "1", "315.00"),
            ("shared_cost", "1", "23.63"),
        ]
        assert lines_of(maple) == [
            ("dues", "1", "463.01"),
            ("active_users", "4", "40.00"),
            ("direct_cost", "1", "70.00"),
            ("shared_cost", "1", "105.00"),
            ("shared_cost", "1", "7.87"),
        ]
        assert (cedar.net_total, cedar.tax_total, cedar.total) == (
            Decimal("2478.64"),
            Decimal("123.93"),
            Decimal("2602.57"),
        )
        assert (maple.net_total, maple.tax_total, maple.total) == (
            Decimal("685.88"),
            Decimal("102.71"),
            Decimal("788.59"),
        )
        taxes = InvoiceLineTax.objects.filter(invoice=maple)
        assert sum(tax.amount for tax in taxes if tax.tax == "GST") == Decimal("34.29")
        assert sum(tax.amount for tax in taxes if tax.tax == "QST") == Decimal("68.42")
        assert (cedar.number, maple.number) == ("ICC-2026-000001", "ICC-2026-000002")
        assert cedar.due_on == date(2026, 11, 14)


def test_the_pools_hold_every_cent_of_the_bill(cast: Cast, september: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        drafted(september, three_to_one(cast), at)
        pools = {pool.key: pool for pool in Pool.objects.prefetch_related("shares")}
        assert {key: (pool.exact_total, pool.rounded_total) for key, pool in pools.items()} == {
            "shared": (Decimal("300.00"), Decimal("420.00")),
            "tax": (Decimal("22.50"), Decimal("31.50")),
        }
        for pool in pools.values():
            assert sum(share.amount for share in pool.shares.all()) == pool.rounded_total
            assert pool.fx_rate is not None
            assert pool.fx_rate.source == "Bank of Canada"


def test_the_preview_is_the_invoice_to_the_cent(cast: Cast, september: BillingPeriod, at: datetime) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        before = closing.preview(september, members, at=at)
        invoices = issued(drafted(september, members, at), at)
        for draft, invoice in zip(before.drafts, invoices, strict=True):
            assert (draft.slug, draft.net, draft.tax, draft.total) == (
                invoice.institution.slug,
                invoice.net_total,
                invoice.tax_total,
                invoice.total,
            )
            stored = [(line.description_en, line.net) for line in invoice.lines.all()]
            assert [(line.description_en, line.net) for line in draft.lines] == stored


def test_the_books_balance_and_owe_what_the_invoices_say(cast: Cast, september: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        issued(drafted(september, three_to_one(cast), at), at)
        closing.finish_closing(september, by=RUN, at=at)
        balances = {(row.code, row.currency): row.balance for row in ledger.trial_balance(cast.issuer)}
        assert balances == {
            ("1100", "CAD"): Decimal("3391.16"),
            ("2000", "USD"): Decimal("-472.51"),
            ("2110", "CAD"): Decimal("-158.22"),
            ("2130", "CAD"): Decimal("-68.42"),
            ("4000", "CAD"): Decimal("-1463.01"),
            ("4100", "CAD"): Decimal("-1040.00"),
            ("4200", "CAD"): Decimal("-661.51"),
            ("5000", "USD"): Decimal("472.51"),
        }
        assert ledger.is_balanced(cast.issuer)
        assert ledger.receivables_agree(cast.issuer)
