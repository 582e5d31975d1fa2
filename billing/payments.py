"""Being paid: a Checkout page for what is due now.

One row is locked by every way of paying, the invoice's balance; the provider is asked while it is held, so that no two
tabs capture more than is due. The wish to pay is committed before the provider is asked for anything, under a key that
makes a second asking harmless. What the provider tells us afterwards is in `billing.settlement`.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from billing.balances import amount_due
from billing.gateways import (
    CheckoutRequest,
    GatewayError,
    IdempotencyMismatchError,
    PaymentGateway,
    current_gateway,
)
from billing.holding import held_of
from billing.models import Invoice, InvoiceBalance, Payment
from billing.settlement import process_event, process_pending, receive_event
from billing.states import PAYMENT
from consortium.kernel import audit
from consortium.kernel.audit import Actor, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.language import first_language
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.tenancy import institution_scope

__all__ = [
    "NothingDueError",
    "PaymentUnderWayError",
    "amount_due",
    "process_event",
    "process_pending",
    "receive_event",
    "start_payment",
]

PAYER: Final = System("payer")
PAYABLE: Final = frozenset({"issued", "partly_paid"})
ATTEMPTS: Final = 4


class NothingDueError(PortalError):
    """The invoice needs no money now: it is paid, or was never issued."""

    code = "nothing_due"


class PaymentUnderWayError(PortalError):
    """Money for the rest is on its way; another payment would be one too many."""

    code = "payment_under_way"


def start_payment(
    invoice: Invoice,
    *,
    return_url: str,
    at: datetime,
    cancel_url: str = "",
    language: str = "",
    by: Actor | System = PAYER,
    gateway: PaymentGateway | None = None,
) -> Payment:
    """Will return a payment with an open Checkout page (`session_url`) for all that is due now.

    A second call, from another tab or after a crash, returns the page that is open already. A page for another amount
    is closed first. Opens its own transactions and scope: call it outside of any. Raises NothingDueError,
    PaymentUnderWayError, GatewayError.
    """
    gateway = gateway or current_gateway()
    for _attempt in range(ATTEMPTS):
        payment = _wanted(invoice, by=by, at=at)
        crash_point("payment.recorded")
        request = CheckoutRequest(
            idempotency_key=payment.idempotency_key,
            payment_id=str(payment.pk),
            invoice_id=str(invoice.pk),
            invoice_number=invoice.number or "",
            amount=payment.amount,
            currency=payment.currency,
            email=str(invoice.snapshot.get("payer", {}).get("email", "")),
            language=language or first_language(invoice.language),
            success_url=return_url,
            cancel_url=cancel_url or return_url,
        )
        if opened := _opened(payment, request, gateway, at=at):
            return opened
    raise GatewayError(_("The payment page could not be opened. Try again in a minute."), permanent=False)


def _wanted(invoice: Invoice, *, by: Actor | System, at: datetime) -> Payment:
    """Commit the wish to pay before anyone is asked: the one open payment of the invoice, made now or earlier."""
    with transaction.atomic(durable=True), institution_scope(invoice.institution_id):
        balance = InvoiceBalance.objects.select_for_update().get(pk=invoice.pk)
        amount = _payable_now(balance)
        payment = Payment.objects.filter(invoice_id=invoice.pk, provider="stripe", status="created").first()
        if payment is None:
            key = f"checkout:{invoice.pk}:{Payment.objects.filter(invoice_id=invoice.pk).count() + 1}"
            payment = Payment.objects.create(
                institution_id=invoice.institution_id,
                invoice_id=invoice.pk,
                provider="stripe",
                amount=amount,
                currency=balance.currency,
                idempotency_key=key,
                created_at=at,
            )
            facts = {"amount": amount, "currency": balance.currency}
            audit.record(
                "billing.payment_started", payment, by=by, at=at, institution_id=invoice.institution_id, after=facts
            )
        return payment


def _payable_now(balance: InvoiceBalance) -> Decimal:
    """What may be asked for: the rest due without what is held, and without what a bank is already moving."""
    status = Invoice.objects.values_list("status", flat=True).get(pk=balance.pk)
    due = amount_due(balance)
    if status not in PAYABLE or due <= 0:
        raise NothingDueError(_("Nothing is due on this invoice."))
    moving = Payment.objects.filter(invoice_id=balance.pk, status="pending").values_list("amount", flat=True)
    held = held_of(balance)
    if held >= due:
        raise NothingDueError(_("All that is left on this invoice is disputed. Nothing is to be paid until that ends."))
    left = EXACT.subtract(due, exact_sum([held, *moving]))
    if left <= 0:
        raise PaymentUnderWayError(_("A payment for this invoice is on its way. Your bank needs a few days."))
    return left


def _opened(payment: Payment, request: CheckoutRequest, gateway: PaymentGateway, *, at: datetime) -> Payment | None:
    """Open the page of a payment while its balance is locked; None when the payment was closed and a new one is due."""
    with transaction.atomic(durable=True), institution_scope(payment.institution_id):
        balance = InvoiceBalance.objects.select_for_update().get(pk=payment.invoice_id)
        payment.refresh_from_db()
        if payment.status != "created":
            return None
        fits = payment.amount == _payable_now(balance)
        if payment.session_id:
            return _reused(payment, gateway, fits=fits, at=at)
        if not fits:
            _close(payment, "replaced: another amount is due", at=at)
            return None
        try:
            session = gateway.create_checkout(request)
        except IdempotencyMismatchError:
            # An earlier asking reached the provider and its answer was lost: nobody has the address of that page.
            _close(payment, "replaced: its page was never shown", at=at)
            return None
        crash_point("payment.checkout_made")
        Payment.objects.filter(pk=payment.pk).update(session_id=session.id, session_url=session.url)
        payment.session_id, payment.session_url = session.id, session.url
    crash_point("payment.checkout_kept")
    return payment


def _reused(payment: Payment, gateway: PaymentGateway, *, fits: bool, at: datetime) -> Payment | None:
    """Take the page that is open already, or see to it that nobody can pay on it any more."""
    session = gateway.fetch_session(payment.session_id)
    if session.status == "open" and not fits:
        session = gateway.expire_checkout(payment.session_id)
    if session.status == "open":
        return payment
    if session.status == "complete":
        raise PaymentUnderWayError(_("Your payment was received and is being confirmed. This takes a moment."))
    _close(payment, "its page expired", at=at)
    return None


def _close(payment: Payment, why: str, *, at: datetime) -> None:
    PAYMENT.move(payment, "failed", failure=why)
    facts = {"status": "failed"}
    audit.record("billing.payment_closed", payment, by=PAYER, at=at, institution_id=payment.institution_id, after=facts)
