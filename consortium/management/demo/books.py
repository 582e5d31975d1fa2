"""What the demonstration's treasurer did to the books: a fiscal year, a supplier's bill, a grant, a revaluation.

Every step carries a key, so that a second run finds what the first one did.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from billing.books_check import check_books
from billing.chart_of_accounts import Account
from billing.fiscal_years import open_year
from billing.models import BooksCheck
from billing.restricted_funds import open_fund, receive, spend
from billing.revaluation import revalue
from billing.supplier_bills import Bill, Paid, pay_bill, record_supplier_bill
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Issuer, User

KEY = "demonstration"


def tell_books(*, issuer: Issuer, staff: User, months: list[Month], at: datetime) -> None:
    """Make what is missing of the treasurer's work in the months of history; safe to start over."""
    with consortium_scope(Scope.COMMAND):
        for number in sorted({month.year for month in months}):
            open_year(issuer, since=Month(number, 1).first_day, by=staff, at=at)
        _supplier(issuer, staff, months[0], at)
        _grant(issuer, staff, months[0], at)
        revalue(issuer, on=months[-1].next().first_day - timedelta(days=1), by=staff, at=at)
        if not BooksCheck.objects.exists():
            check_books(at=at)


def _supplier(issuer: Issuer, staff: User, month: Month, at: datetime) -> None:
    """A licence with GST and QST that come back, paid at the end of its month."""
    billed_on = month.first_day + timedelta(days=11)
    licence = Bill(
        supplier="Demonstration Software Inc.",
        number="D-1042",
        billed_on=billed_on,
        due_on=billed_on + timedelta(days=30),
        expense=Account.OPERATING_COST,
        description="Monitoring and alerting, one year",
        net=Decimal("1800.00"),
        gst=Decimal("90.00"),
        gst_recovered=Decimal("90.00"),
        qst=Decimal("179.55"),
        qst_recovered=Decimal("179.55"),
        currency="CAD",
    )
    row = record_supplier_bill(issuer, licence, key=f"{KEY}:licence", by=staff, at=at)
    wire = Paid(
        on=billed_on + timedelta(days=14),
        amount=row.total,
        bank_amount=row.total,
        bank_currency="CAD",
        reference="Demonstration wire 1",
    )
    pay_bill(row, wire, key=f"{KEY}:licence-paid", by=staff, at=at)


def _grant(issuer: Issuer, staff: User, month: Month, at: datetime) -> None:
    """A grant for students' servers, and what was spent of it."""
    fund = open_fund(
        issuer,
        code="open-teaching",
        kind="grant",
        name_en="Open teaching grant",
        name_fr="Subvention pour l’enseignement ouvert",
        purpose="Servers for first-year students",
        giver="Demonstration Foundation",
        currency="CAD",
        by=staff,
        at=at,
    )
    first = month.first_day
    receive(
        fund, amount=Decimal("25000.00"), on=first, grounds="Grant letter DF-7", key=f"{KEY}:grant", by=staff, at=at
    )
    spend(
        fund,
        amount=Decimal("3200.00"),
        on=first + timedelta(days=20),
        grounds="Servers of the first term",
        key=f"{KEY}:grant-spent",
        by=staff,
        at=at,
    )
