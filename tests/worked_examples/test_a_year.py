"""The year of docs/explanation/a-year-in-figures.md, told to the portal month by month and compared to the cent."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from billing import closing, ledger
from billing.accruals import accrue
from billing.books_export import export_books
from billing.chart_of_accounts import Account
from billing.crediting import issue_credit_note
from billing.fiscal_years import lock_year, open_year, result_of
from billing.member_charges import Charge, record_charge
from billing.models import BillImport, BillingPeriod, Invoice, InvoiceLine
from billing.queries import ageing
from billing.reports import REPORTS, Filters
from billing.revaluation import revalue
from billing.supplier_bills import Paid, owed, pay_bill
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, enter_scope
from tests.cast import Cast
from tests.integration.billing.stories import (
    CEDAR,
    MAPLE,
    RUN,
    bill_file,
    take_in,
)
from tests.worked_examples.purse import Purse
from tests.worked_examples.year import Year, days, found_consortium


@pytest.mark.slow
def test_invoices_statements_and_ledger_agree_all_year(cast: Cast, tmp_path: Path) -> None:
    enter_scope(Scope.JOB)  # and no block: paying opens a transaction that may not stand inside another one
    start = datetime(2026, 1, 2, 18, tzinfo=UTC)
    year = Year(cast, Purse(), tmp_path, found_consortium(cast, start))
    books_year = open_year(cast.issuer, since=date(2026, 1, 1), by=RUN, at=start)
    for number in range(1, 12):
        tell_month(year, Month(2026, number))
    december = tell_end(year)
    lock_year(books_year, by=RUN, at=Year.issue_day(Month(2026, 12)) + timedelta(days=1))
    assert result_of(books_year) == {"CAD": Decimal("54927.67"), "USD": Decimal("-5134.07")}
    check_end(year, december)


def tell_month(year: Year, month: Month) -> None:
    """One month: its bill, its close on the fifth, its payments on the twentieth."""
    accepted: tuple[str, ...] = ()
    if month.number == 3:
        tell_restated_bill(year, month)
    elif month.number == 6:
        year.bill(month, "1000.00", "-200.00")
    else:
        year.bill(month, "1000.00")
    if month.number == 9:
        tell_missed_promise(year, month)
    if month.number == 10:
        late = bill_file(
            year.folder, ("100.00", ""), name="late.csv", BillingAccountId="archive", **days(Month(2026, 9))
        )
        take_in(late, year.cast, year.issue_day(month), charged="2026-10")
        accepted = ("bill_missing",)  # the other provider has nothing for October
    if month.number == 11:
        tell_restated_after_close(year, month)
    invoices = year.close(month, accepted=accepted)
    year.check_invoices(month, invoices)
    year.unpaid += invoices
    paid_at = year.issue_day(month) + timedelta(days=15)
    for invoice in invoices:
        disputed = month.number == 4 and invoice.institution.slug == "maple"
        if not disputed:
            year.purse.pay(invoice, at=paid_at)
            year.unpaid.remove(invoice)
    if month.number == 7:
        tell_july(year, paid_at)
    year.check_books(month, at=paid_at)


def tell_restated_bill(year: Year, month: Month) -> None:
    """The first version says 100 dollars too much; what is previewed follows the second, and only it is invoiced."""
    at = year.issue_day(month)
    totals = []
    for version, shared in enumerate(("1100.00", "1000.00"), start=1):
        assert year.bill(month, shared, name=f"march-{version}.csv").version == version
        period = BillingPeriod.objects.get(month=str(month))
        (cedar, *_others) = [
            each for each in closing.preview(period, year.facts(month), at=at).drafts if each.slug == "cedar"
        ]
        totals.append(cedar.net)
    assert totals == [Decimal("2460.00"), Decimal("2390.00")]


def tell_missed_promise(year: Year, month: Month) -> None:
    """Cedar's hub was up for less than it was promised: a tenth of its fee of 500.00 is credited, once."""
    charge = Charge(
        kind="sla_credit", description_en="Service credit for cedar-lab", description_fr="Crédit de service, cedar-lab",
        quantity=Decimal(1), unit_price=Decimal("-50.00"), currency="CAD", source_type="statement", source_id=uuid4(),
        evidence={"availability": "99.31 %", "promised": "99.5 %"},
    )  # fmt: skip
    cedar, issuer, at = year.members["cedar"], year.cast.issuer, year.issue_day(month)
    rows = [
        record_charge(institution=cedar, issuer=issuer, month=str(month), charge=charge, by=RUN, at=at) for _ in "12"
    ]
    assert rows[0] == rows[1]


def tell_restated_after_close(year: Year, month: Month) -> None:
    """October is closed when its bill turns out 200 dollars too high; October's invoices stay as they are."""
    october = month.previous()
    before = list(Invoice.objects.filter(period__month=str(october)).order_by("number").values("number", "total"))
    rows = [("100.00", CEDAR), ("50.00", MAPLE), ("800.00", "")]
    path = bill_file(year.folder, *rows, name="october-2.csv", **days(october))
    assert take_in(path, year.cast, year.issue_day(month), charged=str(month)).version == 2
    again = list(Invoice.objects.filter(period__month=str(october)).order_by("number").values("number", "total"))
    assert again == before


def tell_july(year: Year, paid_at: datetime) -> None:
    """Maple's April invoice grows old; a credit note ends the dispute and the rest of it is paid. The cloud is paid."""
    (disputed,) = year.unpaid
    for day, bucket in ((date(2026, 6, 30), "to_30"), (date(2026, 7, 31), "to_60")):
        (aged,) = ageing(on=day, institution_id=year.members["maple"].pk)
        assert getattr(aged, bucket) == aged.total == Decimal("1092.26")
    own = InvoiceLine.objects.get(invoice=disputed, kind="direct_cost")
    reason = "A server of yours ran on after its course: 20.00 of its cost is ours"
    note = issue_credit_note(disputed, nets={own.pk: Decimal("20.00")}, reason=reason, by=RUN, at=paid_at)
    assert (note.net_total, note.tax_total, note.applied) == (Decimal("20.00"), Decimal("2.99"), Decimal("22.99"))
    disputed.refresh_from_db()
    year.purse.pay(disputed, at=paid_at, amount=Decimal("1069.27"))
    year.unpaid.remove(disputed)
    for bill in BillImport.objects.filter(month__lt="2026-07").exclude(month="2026-03", version=1):
        amount = owed(bill)
        took = Paid(
            on=date(2026, 7, 31), amount=amount, bank_amount=amount * Decimal("1.36"), bank_currency="CAD",
            reference="wire of 31 July",
        )  # fmt: skip
        pay_bill(bill, took, key=f"wire:{bill.pk}", by=RUN, at=paid_at)
    rows = {(row.code, row.currency): row.balance for row in ledger.trial_balance(year.cast.issuer)}
    assert rows["1000", "CAD"] == Decimal("-9112.00")
    assert rows["2000", "USD"] == Decimal("-1150.00")  # July's


def tell_end(year: Year) -> list[Invoice]:
    """December: accrued and revalued on its last day, invoiced on 5 January."""
    month, on = Month(2026, 12), date(2026, 12, 31)
    at = year.issue_day(month)
    year.bill(month, "1000.00")
    for account, amount, currency in (
        (Account.DUES_INCOME, "2075.00", "CAD"),
        (Account.USAGE_INCOME, "690.00", "CAD"),
        (Account.RECOVERY_INCOME, "1417.50", "CAD"),
        (Account.DUES_INCOME, "500.00", "USD"),
        (Account.USAGE_INCOME, "100.00", "USD"),
        (Account.RECOVERY_INCOME, "99.90", "USD"),
    ):
        accrue(
            year.cast.issuer, kind="income", account=account, amount=Decimal(amount), currency=currency, on=on,
            grounds="December, as previewed", key=f"december:{account}:{currency}", by=RUN, at=at,
        )  # fmt: skip
    invoices = year.close(month)
    year.check_invoices(month, invoices)
    year.unpaid += invoices
    year.check_books(month, at=at)
    (row,) = revalue(year.cast.issuer, on=on, by=RUN, at=at)
    assert (row.carried, row.value) == (Decimal("1987.8315"), Decimal("2114.0055"))
    assert row.difference == Decimal("126.17")
    return invoices


def check_end(year: Year, december: list[Invoice]) -> None:
    """The books of 2026 are closed, those of 2027 hold December's invoices and nothing twice, and beancount agrees."""
    issuer = year.cast.issuer
    closed = ledger.trial_balance(issuer, until=date(2026, 12, 31))
    assert {row.balance for row in closed if row.kind in {"income", "expense"}} == {Decimal(0)}
    today = ledger.trial_balance(issuer)
    income = {(row.code, row.currency): row.balance for row in today if row.kind == "income" and row.balance}
    assert income == {}  # December was income of 2026: its invoices only replace the accruals that were taken back
    assert exact_sum(each.total for each in december if each.currency == "CAD") == Decimal("4569.41")
    (table, *_others) = REPORTS["receivables"].build(
        Filters(issuer=issuer, since=date(2026, 1, 1), until=date(2027, 1, 31))
    )
    assert [row[2:] for row in table.rows if row[0] == "Receivables"] == [
        [Decimal("4569.41"), Decimal("4569.41"), Decimal("0.00")],
        [Decimal("699.90"), Decimal("699.90"), Decimal("0.00")],
    ]
    (written,) = export_books([issuer], form="beancount", folder=year.folder / "books")
    checker = Path(sys.executable).with_name("bean-check")
    done = subprocess.run([str(checker), "--no-cache", str(written.path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
