"""The one row that every way of paying locks: what is due on an invoice, and the state that follows from it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import F

from billing.models import Invoice, InvoiceBalance
from billing.states import INVOICE
from consortium.kernel.money import EXACT

# Money is put on invoices in these states; what arrives for another one becomes the member's credit.
TAKES_MONEY: Final = frozenset({"issued", "partly_paid"})


def amount_due(balance: InvoiceBalance) -> Decimal:
    """What is still owed, in the balance's currency."""
    return balance.due


def lock(invoice_id: UUID) -> InvoiceBalance:
    """Lock the balance of an invoice until the end of the transaction, with its invoice."""
    return InvoiceBalance.objects.select_for_update(of=("self",)).select_related("invoice__issuer").get(pk=invoice_id)


def lock_all(invoice_ids: Iterable[UUID]) -> dict[UUID, InvoiceBalance]:
    """Lock several, always in the same order, so that two who want the same ones never wait for each other."""
    return {key: lock(key) for key in sorted(set(invoice_ids))}


def may_take(balance: InvoiceBalance) -> Decimal:
    """How much money may be put on the invoice now: what is due, nothing where it is not open."""
    return max(balance.due, Decimal(0)) if balance.invoice.status in TAKES_MONEY else Decimal(0)


def pay(balance: InvoiceBalance, amount: Decimal) -> None:
    """Count an amount as paid on a locked balance, and move its invoice along; `billing.reopening` takes it off."""
    InvoiceBalance.objects.filter(pk=balance.pk).update(paid=F("paid") + amount)
    balance.paid = EXACT.add(balance.paid, amount)
    settle(balance)


def settle(balance: InvoiceBalance) -> None:
    """Move the invoice of a locked balance to the state that follows from it."""
    invoice = Invoice.objects.get(pk=balance.pk)
    status = _status(balance)
    if invoice.status != status:
        INVOICE.move(invoice, status)
    balance.invoice.status = status


def _status(balance: InvoiceBalance) -> str:
    if balance.due > 0:
        return "partly_paid" if balance.paid > 0 else "issued"
    return "written_off" if balance.written_off > 0 else "paid"
