"""Receivables with their age, and payables: who owes whom, and whether the books say the same."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from billing import ledger
from billing.chart_of_accounts import Account
from billing.models import BillImport, Invoice, LedgerEntry, LedgerLeg, SupplierBill
from billing.queries import DUE, OPEN
from billing.reports.tables import Cell, Column, Filters, Table, money_columns
from billing.supplier_bills import owed
from consortium.kernel.money import EXACT, exact_sum
from members.models import Institution

BUCKETS = ("Not due", "1 to 30", "31 to 60", "61 to 90", "Over 90")


def receivables(filters: Filters) -> list[Table]:
    """Return whether receivables agree, and what each member owes by days past due on the last day."""
    return [_agreement(filters), _ageing(filters), _credit(filters)]


def payables(filters: Filters) -> list[Table]:
    """Return every bill that is not paid in full, the earliest due first, and whether the books agree."""
    rows = [*_open_supplier_bills(filters), *_open_cloud_bills(filters)]
    open_items: dict[str, list[Decimal]] = defaultdict(list)
    for row in rows:
        assert isinstance(row[6], Decimal)  # noqa: S101 - the rest, as written above
        open_items[str(row[4])].append(row[6])
    books = _books(filters, Account.PAYABLES)
    checks: list[list[Cell]] = []
    for currency in sorted(open_items.keys() | books.keys()):
        listed, held = exact_sum(open_items.get(currency, ())), -books.get(currency, Decimal(0))
        checks.append(["Payables", currency, held, listed, EXACT.subtract(held, listed)])
    return [
        _check_table(checks, "Open bills"),
        Table(
            caption="Bills to be paid",
            columns=(
                Column("Supplier"), Column("Number"), Column("Billed on"), Column("Due on"), Column("Currency"),
                *money_columns("Total", "Rest"),
            ),
            rows=rows,
        ),
    ]  # fmt: skip


def _open_supplier_bills(filters: Filters) -> list[list[Cell]]:
    bills = SupplierBill.objects.filter(issuer=filters.issuer).order_by("due_on", "pk")
    return [
        [bill.supplier, bill.number, bill.billed_on, bill.due_on, bill.currency, bill.total, rest]
        for bill in bills
        if (rest := owed(bill))
    ]


def _open_cloud_bills(filters: Filters) -> list[list[Cell]]:
    posted = LedgerEntry.objects.filter(
        issuer=filters.issuer, kind="supplier_bill", source_type="billing.BillImport"
    ).values("source_id")
    bills = BillImport.objects.filter(pk__in=posted).select_related("cloud_account").order_by("month", "pk")
    return [
        [str(bill.cloud_account), f"{bill.month} v{bill.version}", None, None, bill.currency, bill.billed_total, rest]
        for bill in bills
        if (rest := owed(bill))
    ]


def _agreement(filters: Filters) -> Table:
    """Put the books beside the documents: receivables against open invoices, money that came in against payments."""
    rows: list[list[Cell]] = [
        ["Receivables", check.currency, check.ledger, check.invoices, EXACT.subtract(check.ledger, check.invoices)]
        for check in ledger.receivables(filters.issuer)
    ]
    rows += [
        ["Payments", check.currency, check.ledger, check.payments, EXACT.subtract(check.ledger, check.payments)]
        for check in ledger.payments_checks(filters.issuer)
    ]
    return _check_table(rows, "Documents")


def _check_table(rows: list[list[Cell]], documents: str) -> Table:
    agrees = not any(row[4] for row in rows)
    return Table(
        caption="Do the books agree with the documents?",
        columns=(Column("What"), Column("Currency"), *money_columns("Books", documents, "Difference")),
        rows=rows,
        note="They agree, to the cent." if agrees else "They do not agree: look for an entry without its document.",
        tone="" if agrees else "danger",
    )


def _ageing(filters: Filters) -> Table:
    """Sum what each member owes now by days past due on the last day of the filter."""
    found: dict[tuple[UUID, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(BUCKETS))
    invoices = Invoice.objects.filter(issuer=filters.issuer, status__in=OPEN).annotate(rest=DUE)
    for institution, currency, due_on, amount in invoices.values_list("institution_id", "currency", "due_on", "rest"):
        sums = found[institution, currency]
        place = _bucket(filters.until, due_on)
        sums[place] = EXACT.add(sums[place], amount)
    names = dict(Institution.objects.filter(pk__in={key for key, _currency in found}).values_list("pk", "name_en"))
    rows: list[list[Cell]] = [
        [names[institution], currency, *sums, exact_sum(sums)] for (institution, currency), sums in found.items()
    ]
    rows.sort(key=lambda row: (str(row[0]), str(row[1])))
    for currency in sorted({currency for _institution, currency in found}):
        columns = zip(*(sums for (_who, own), sums in found.items() if own == currency), strict=True)
        totals = [exact_sum(column) for column in columns]
        rows.append(["Total", currency, *totals, exact_sum(totals)])
    return Table(
        caption=f"What members owe, by days past due on {filters.until.isoformat()}",
        columns=(Column("Member"), Column("Currency"), *money_columns(*BUCKETS, "Total")),
        rows=rows,
        note="What is open now; a payment that has arrived since is taken off.",
    )


def _credit(filters: Filters) -> Table:
    """Show what is held for members: what they paid beyond what was due, or in advance."""
    return Table(
        caption="Credit held for members",
        columns=(Column("Member"), Column("Currency"), *money_columns("Held")),
        rows=[[row.member, row.currency, row.amount] for row in ledger.held_credit(filters.issuer)],
        note="Not taken off what they owe above: it is applied to an invoice, or paid back.",
    )


def _bucket(on: date, due_on: date | None) -> int:
    late = (on - (due_on or on)).days
    return 0 if late <= 0 else min((late - 1) // 30 + 1, 4)


def _books(filters: Filters, account: Account) -> dict[str, Decimal]:
    legs = LedgerLeg.objects.filter(entry__issuer=filters.issuer, account__code=account)
    return dict(legs.values_list("currency").annotate(sum=Sum("amount")))
