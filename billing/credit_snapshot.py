"""The frozen copy of a credit note: the invoice's own, with only what is taken back. Reads no clock and no database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from billing.models import Invoice, InvoiceLine, InvoiceLineTax
from billing.snapshot import InvoiceSnapshot, LinePart, TaxPart
from consortium.kernel.money import EXACT, exact_sum

Taken = tuple[UUID, Decimal, Mapping[UUID, Decimal]]  # line, what is taken back of it, and of each of its taxes


def credit_snapshot(
    invoice: Invoice, taken: Sequence[Taken], *, number: str, on: date, at: datetime
) -> InvoiceSnapshot:
    """Will return the snapshot of a credit note on the invoice. Raises SnapshotError when figures do not agree."""
    frozen = InvoiceSnapshot.from_json(invoice.snapshot)
    parts = {part.position: part for part in frozen.lines}
    positions = dict(InvoiceLine.objects.filter(invoice=invoice).values_list("pk", "position"))
    taxes = {tax.pk: tax for tax in InvoiceLineTax.objects.filter(invoice=invoice)}
    lines = tuple(_line(parts[positions[key]], net, amounts, taxes) for key, net, amounts in taken)
    net, tax = exact_sum(line.net for line in lines), exact_sum(tax.amount for line in lines for tax in line.taxes)
    return frozen.model_copy(
        update={
            "number": number,
            "kind": "credit_note",
            "issued_at": at,
            "issued_on": on,
            "due_on": on,
            "lines": lines,
            "taxes": _totals(frozen, lines),
            "net_total": net,
            "tax_total": tax,
            "total": EXACT.add(net, tax),
        }
    ).checked()


def _line(
    part: LinePart, net: Decimal, amounts: Mapping[UUID, Decimal], taxes: Mapping[UUID, InvoiceLineTax]
) -> LinePart:
    by_tax = {(taxes[key].jurisdiction, taxes[key].tax): amount for key, amount in amounts.items()}
    reduced = tuple(
        tax.model_copy(update={"basis": net, "amount": by_tax.get((tax.jurisdiction, tax.tax), Decimal("0.00"))})
        for tax in part.taxes
    )
    whole = net == part.net
    return part.model_copy(
        update={
            "net": net,
            "quantity": part.quantity if whole else Decimal(1),
            "unit": part.unit if whole else "",
            "unit_price": part.unit_price if whole else net,
            "taxes": reduced,
            "steps": (),
            "share": None,
        }
    )


def _totals(frozen: InvoiceSnapshot, lines: Sequence[LinePart]) -> tuple[TaxPart, ...]:
    """One part per tax of the invoice, summed over the lines that are taken back."""
    found = []
    for whole in frozen.taxes:
        key = (whole.jurisdiction, whole.tax, whole.rate, whole.reason)
        mine = [tax for line in lines for tax in line.taxes if (tax.jurisdiction, tax.tax, tax.rate, tax.reason) == key]
        if mine:
            sums = {"basis": exact_sum(tax.basis for tax in mine), "amount": exact_sum(tax.amount for tax in mine)}
            found.append(whole.model_copy(update=sums))
    return tuple(found)
