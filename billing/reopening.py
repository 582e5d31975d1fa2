"""Making due again what was paid: money that had come for an invoice is lost, or was put on it by mistake."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from django.db.models import F

from billing.models import Invoice, InvoiceBalance, Reopening
from billing.states import INVOICE
from consortium.kernel import audit
from consortium.kernel.audit import Actor, System
from consortium.kernel.money import EXACT

Cause = Literal["refund", "dispute", "return", "undone"]
REOPENABLE = frozenset({"issued", "partly_paid", "paid"})


def reopen(
    balance: InvoiceBalance, amount: Decimal, *, because: Cause, note: str = "", by: Actor | System, at: datetime
) -> Reopening:
    """Will make `amount` of an invoice due again, with the reason that its history shows, and move it back that far.

    The caller holds the balance's lock, has seen that as much is paid, and posts what it did to the books. An invoice
    that is written off stays so: do not call it for one.
    """
    invoice = Invoice.objects.get(pk=balance.pk)
    row = Reopening.objects.create(
        institution_id=balance.institution_id,
        invoice=invoice,
        amount=amount,
        currency=balance.currency,
        because=because,
        note=note[:300],
        at=at,
    )
    InvoiceBalance.objects.filter(pk=balance.pk).update(paid=F("paid") - amount)
    balance.paid = EXACT.subtract(balance.paid, amount)
    was, status = invoice.status, "partly_paid" if balance.paid > 0 else "issued"
    if was != status:
        INVOICE.move(invoice, status)
    audit.record(
        "billing.invoice_reopened",
        invoice,
        by=by,
        at=at,
        institution_id=balance.institution_id,
        before={"status": was},
        after={"status": status, "amount": amount, "currency": balance.currency, "because": because},
    )
    return row
