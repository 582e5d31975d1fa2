"""The invoice of an earlier month that a later line stands beside, and the taxes that it bore."""

from collections.abc import Sequence
from typing import Any

from billing.models import Invoice, InvoiceLineTax
from billing.queries import NOT_MEMBERS_BUSINESS
from consortium.kernel.money import plain
from members.models import Institution, Issuer


def original_of(institution: Institution, issuer: Issuer, month: str, *, kinds: Sequence[str]) -> dict[str, Any]:
    """Return `invoice`, the number of the month's regular invoice, and `tax_as`, the taxes of its first such line.

    The kinds are tried in their order. Empty while no such invoice is issued. Needs a scope that sees it.
    """
    invoices = Invoice.objects.filter(
        institution=institution, issuer=issuer, period__month=month, kind="regular", number__isnull=False
    )
    invoice = invoices.exclude(status__in=[*NOT_MEMBERS_BUSINESS, "void"]).order_by("issued_at").first()
    if invoice is None:
        return {}
    for kind in kinds:
        taxes = InvoiceLineTax.objects.filter(invoice=invoice, line__kind=kind).order_by("line__position", "tax")
        if first := taxes.first():
            return {"invoice": invoice.number, "tax_as": [_kept(tax) for tax in taxes.filter(line=first.line_id)]}
    return {"invoice": invoice.number}


def _kept(tax: InvoiceLineTax) -> dict[str, str]:
    return {
        "jurisdiction": tax.jurisdiction,
        "tax": tax.tax,
        "rate": plain(tax.rate),
        "basis": tax.ground,
        "code": tax.reason,
        "reason_en": tax.reason_en,
        "reason_fr": tax.reason_fr,
    }
