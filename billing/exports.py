"""Invoice lines as CSV for accounting packages and spreadsheets."""

import csv
import io
from collections.abc import Iterable
from typing import Final

from billing.models import Invoice
from billing.snapshot import InvoiceSnapshot, LinePart
from consortium.kernel.exports import safe_cell
from consortium.kernel.money import exact_sum, plain

COLUMNS: Final = (
    "invoice",
    "issued_on",
    "due_on",
    "month",
    "status",
    "purchase_order",
    "line",
    "kind",
    "description",
    "quantity",
    "unit",
    "unit_price",
    "net",
    "taxes",
    "tax",
    "currency",
)


def lines_csv(invoices: Iterable[Invoice], *, language: str) -> str:
    """Will write one row for each line of issued invoices, amounts with a decimal point, UTF-8 with a mark for Excel.

    Text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    file = io.StringIO()
    file.write("\N{BYTE ORDER MARK}")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for invoice in invoices:
        snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
        for line in snapshot.lines:
            writer.writerow(_row(invoice, snapshot, line, language))
    return file.getvalue()


def _row(invoice: Invoice, snapshot: InvoiceSnapshot, line: LinePart, language: str) -> list[str]:
    words = [
        snapshot.number,
        snapshot.issued_on.isoformat(),
        snapshot.due_on.isoformat(),
        snapshot.month,
        invoice.status,
        line.po_number or snapshot.po_number,
        str(line.position),
        line.kind,
        line.word("description", language),
    ]
    taxes = [tax for tax in line.taxes if tax.amount]
    figures = [plain(line.quantity), safe_cell(line.unit), plain(line.unit_price), plain(line.net)]
    tax_words = [safe_cell("; ".join(f"{tax.tax} {plain(tax.amount)}" for tax in taxes))]
    return [
        *map(safe_cell, words),
        *figures,
        *tax_words,
        plain(exact_sum(tax.amount for tax in taxes)),
        snapshot.currency,
    ]
