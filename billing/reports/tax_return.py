"""The figures of a tax return, by issuer and period: what was collected, what comes back, what is to be paid.

The amounts come from the books; beside them stands what the invoices' tax lines say, so that a difference shows. Lines
are those of the federal GST/HST return and of the Québec return. An adviser confirms the filing.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Q, QuerySet, Sum

from billing.chart_of_accounts import Account
from billing.models import InvoiceLineTax, LedgerEntry, LedgerLeg
from billing.reports.tables import Cell, Column, Filters, Table, money_columns
from consortium.kernel.money import EXACT

# Per return: its taxes, the accounts it is collected on, those it comes back on, and the numbers of its lines.
RETURNS: Final = (
    (
        "GST/HST", ("GST", "HST"), (Account.GST_PAYABLE, Account.HST_PAYABLE), (Account.GST_RECOVERABLE,),
        ("101", "105", "108", "109"),
    ),
    ("QST", ("QST",), (Account.QST_PAYABLE,), (Account.QST_RECOVERABLE,), ("201", "205", "208", "209")),
    ("PST and RST", ("PST", "RST"), (Account.PST_PAYABLE, Account.RST_PAYABLE), (), ("", "", "", "")),
)  # fmt: skip


def tax_return(filters: Filters) -> list[Table]:
    """Return the lines of each return, the tax decisions behind them, and whether books and invoices agree."""
    return [_lines(filters), _decisions(filters), _agreement(filters)]


def collected(filters: Filters, accounts: tuple[Account, ...]) -> dict[str, Decimal]:
    """Return what was credited to tax accounts in the period, by currency: tax charged less tax credited."""
    return {currency: -amount for currency, amount in _moved(filters, accounts).items()}


def _lines(filters: Filters) -> Table:
    rows: list[list[Cell]] = []
    for name, taxes, payable, recoverable, (sales, tax, credits_, net) in RETURNS:
        charged = _charged(filters, taxes)
        own, back = collected(filters, payable), _moved(filters, recoverable)
        for currency in sorted(charged.keys() | own.keys() | back.keys()):
            owed, returned = own.get(currency, Decimal(0)), back.get(currency, Decimal(0))
            figures = [
                (sales, "Supplies on which it was charged", charged.get(currency, Decimal(0))),
                (tax, "Tax collected", owed),
                (credits_, "Tax paid on purchases that comes back", returned),
                (net, "Net tax: to be paid, or below zero to come back", EXACT.subtract(owed, returned)),
            ]
            rows += [[name, line, words, currency, amount] for line, words, amount in figures]
    for currency, amount in sorted(_moved(filters, (Account.INPUT_TAX,)).items()):
        rows.append(["To be assigned", "", "Tax in cloud bills that comes back", currency, amount])
    return Table(
        caption=f"Tax return, {filters.since.isoformat()} to {filters.until.isoformat()}",
        columns=(Column("Return"), Column("Line"), Column("What"), Column("Currency"), *money_columns("Amount")),
        rows=rows,
        note="From the books, by accounting day in the issuer’s zone. An adviser confirms the filing.",
    )


def _decisions(filters: Filters) -> Table:
    """Sum the tax lines of the period's invoices by decision: also what bore no tax, and why."""
    groups = (
        _tax_lines(filters)
        .values("tax", "jurisdiction", "rate", "reason", "currency")
        .annotate(base=Sum("basis"), charged=Sum("amount"))
        .order_by("tax", "jurisdiction", "rate", "reason", "currency")
    )
    return Table(
        caption="The decisions on the invoices of the period",
        columns=(
            Column("Tax"), Column("Jurisdiction"), Column("Rate in percent"), Column("Reason"), Column("Currency"),
            *money_columns("Charged on", "Tax"),
        ),
        rows=[
            [
                group["tax"], group["jurisdiction"], group["rate"], group["reason"].replace("_", " "),
                group["currency"], group["base"], group["charged"],
            ]
            for group in groups
        ],
    )  # fmt: skip


def _agreement(filters: Filters) -> Table:
    """Compare what invoices charged with what was posted because of invoices, tax by tax."""
    rows: list[list[Cell]] = []
    for name, taxes, payable, _back, _numbers in RETURNS:
        posted = {key: -sum_ for key, sum_ in _moved(filters, payable, kind="invoice").items()}
        lines = _tax_lines(filters).filter(tax__in=taxes).values_list("currency").annotate(sum=Sum("amount"))
        documents = {currency: amount for currency, amount in lines if amount}
        for currency in sorted(posted.keys() | documents.keys()):
            held, listed = posted.get(currency, Decimal(0)), documents.get(currency, Decimal(0))
            rows.append([name, currency, held, listed, EXACT.subtract(held, listed)])
    agrees = not any(row[4] for row in rows)
    return Table(
        caption="Do the books agree with the invoices?",
        columns=(Column("Return"), Column("Currency"), *money_columns("Books", "Invoices", "Difference")),
        rows=rows,
        note="They agree, to the cent." if agrees else "They do not agree: file nothing before this is explained.",
        tone="" if agrees else "danger",
    )


def _charged(filters: Filters, taxes: tuple[str, ...]) -> dict[str, Decimal]:
    """Return the net of lines on which one of the taxes was charged; GST and HST never meet on one line."""
    lines = _tax_lines(filters).filter(~Q(amount=0), tax__in=taxes)
    return dict(lines.values_list("currency").annotate(sum=Sum("basis")))


def _tax_lines(filters: Filters) -> QuerySet[InvoiceLineTax]:
    """The tax lines of invoices that were posted in the period."""
    posted = _entries(filters).filter(kind="invoice", source_type="billing.Invoice")
    return InvoiceLineTax.objects.filter(invoice_id__in=posted.values("source_id"))


def _moved(filters: Filters, accounts: tuple[Account, ...], *, kind: str = "") -> dict[str, Decimal]:
    legs = LedgerLeg.objects.filter(
        entry__in=_entries(filters), account__code__in=[str(account) for account in accounts]
    )
    if kind:
        legs = legs.filter(entry__kind=kind)
    return {currency: amount for currency, amount in legs.values_list("currency").annotate(sum=Sum("amount")) if amount}


def _entries(filters: Filters) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(
        issuer=filters.issuer, on__gte=filters.since, on__lt=filters.until + timedelta(days=1)
    )
