"""Money that went back, as the timeline of an invoice and the statement of account tell it. Read only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from billing.gateways.stripe_reasons import reason_words
from billing.models import Invoice, TakenBack


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyBack:
    """One movement: `amount` above zero was taken back of a payment, below zero it came again."""

    at: datetime
    reference: str
    title: str
    body: str
    tone: str
    amount: Decimal
    currency: str
    invoice_id: UUID
    invoice_number: str


def of_institution(institution_id: UUID) -> Iterator[MoneyBack]:
    """Return all that went back of an institution's payments, or came again. Needs its scope."""
    return (_told(row) for row in _rows().filter(institution_id=institution_id))


def of_invoice(invoice: Invoice) -> Iterator[MoneyBack]:
    """Return all that went back of an invoice's payments, or came again. Needs its institution's scope."""
    return (_told(row) for row in _rows().filter(payment__invoice=invoice))


def _rows() -> QuerySet[TakenBack]:
    return TakenBack.objects.select_related("payment__invoice", "movement__refund", "movement__dispute")


def _told(row: TakenBack) -> MoneyBack:
    invoice, movement = row.payment.invoice, row.movement
    refund, dispute = (movement.refund, movement.dispute) if movement else (None, None)
    if movement is None:
        title, body = _("The payment was taken off again"), row.note
    elif refund is not None:
        title, body = (_("Refunded"), refund.reason) if row.amount > 0 else (_("The refund came back"), refund.failure)
    elif row.amount < 0:
        title, body = _("The bank gave the payment back to us"), ""
    elif dispute is not None and dispute.is_return:
        title, body = _("The bank returned the debit"), reason_words(dispute.reason)
    else:
        title, body = _("Disputed at the card's bank"), reason_words(dispute.reason) if dispute else ""
    return MoneyBack(
        at=row.at,
        reference=told.provider_id if (told := refund or dispute or movement) else str(row.payment_id),
        title=title,
        body=body,
        tone="success" if row.amount < 0 else "warning",
        amount=row.amount,
        currency=row.currency,
        invoice_id=invoice.pk,
        invoice_number=invoice.number or "",
    )
