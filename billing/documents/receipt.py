"""What stands on a receipt, as text in the active language."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from billing.documents import words
from billing.documents.invoice import Fact, Party, issuer_of, payer_of, registrations_of
from billing.models import Payment
from billing.snapshot import InvoiceSnapshot
from billing.ways_of_paying import method_name


@dataclass(frozen=True, kw_only=True)
class ReceiptPage:
    """All of a receipt, as text."""

    language: str
    number: str
    created: datetime
    amount: str
    received_on: str
    issuer: Party
    payer: Party
    registrations: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    invoice: tuple[Fact, ...]
    total: str


def receipt_page(snapshot: InvoiceSnapshot, payment: Payment) -> ReceiptPage:
    """Will write out a payment that arrived, and the invoice it pays, in the active language."""
    arrived = payment.succeeded_at or payment.created_at
    return ReceiptPage(
        language=words.language(),
        number=snapshot.number,
        created=arrived,
        amount=words.money(payment.amount, payment.currency),
        received_on=words.instant(arrived, snapshot.issuer.zone),
        issuer=issuer_of(snapshot),
        payer=payer_of(snapshot),
        registrations=registrations_of(snapshot),
        facts=(
            Fact(label=_("Paid by"), value=method_name(payment)),
            Fact(label=_("Reference"), value=payment.intent_id or str(payment.pk)),
            Fact(label=_("Invoice"), value=snapshot.number),
            Fact(label=_("Purchase order"), value=snapshot.po_number or _("none")),
        ),
        invoice=(
            Fact(label=_("Amount before tax"), value=words.figure(snapshot.net_total, snapshot.currency)),
            *(
                Fact(
                    label=f"{words.tax_name(tax.tax)} {words.percent(tax.rate)}",
                    value=words.figure(tax.amount, snapshot.currency),
                )
                for tax in snapshot.taxes
                if tax.amount
            ),
        ),
        total=words.money(snapshot.total, snapshot.currency),
    )
