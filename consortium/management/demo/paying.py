"""What the demonstration shows after a payment: a refund, a disputed card, a returned debit, a payout on its way.

It plays the payers, their banks and Stripe on the simulator's own pages and levers, for invoices of past months. The
news arrives by webhook, as it would, and is waited for. A second run finds the payments and does nothing.
"""

import time
from decimal import Decimal
from typing import Any

import httpx
from django.conf import settings

from billing.gateways import RefundRequest
from billing.gateways.stripe import StripeGateway
from billing.models import CardDispute, Invoice, LedgerEntry, Payment, Payout, ProviderEvent, Refund
from billing.payments import start_payment
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope

REFUNDED, DISPUTED, RETURNED = "ubc", "mcgill", "mun"
CARD = {"method": "card", "number": "4242424242424242", "expiry": "12/30", "cvc": "123"}
DEBIT = {"method": "acss_debit"}


def tell_paying() -> None:
    """Pay one past invoice of each, and let happen to it what its name says. Only where Stripe is simulated."""
    if settings.STRIPE_API_BASE == "https://api.stripe.com":
        return
    refunded, disputed = _paid(REFUNDED, CARD), _paid(DISPUTED, CARD)
    if refunded:
        StripeGateway.from_settings().create_refund(
            RefundRequest(
                idempotency_key=f"demo:{refunded}", refund_id="", intent_id=refunded, amount=Decimal("123.45"),
                currency="CAD",
            )
        )  # fmt: skip
    if disputed:
        _pull("dispute", payment_intent=disputed, reason="product_not_received")
    if refunded or disputed:
        payout = _pull("payout", currency="cad")
        _pull("settle_payout", payout=payout["id"])
    if returned := _paid(RETURNED, DEBIT):
        _pull("settle", payment_intent=returned)
        _pull("return_debit", payment_intent=returned, reason="insufficient_funds")
    if refunded or disputed or returned:
        _wait_for_the_news()


def _wait_for_the_news() -> None:
    """Wait, 30 s at most, until all that was played is heard and booked: the result's figures are final then."""
    before = -1
    for _turn in range(60):
        with consortium_scope(Scope.COMMAND):
            told = Refund.objects.exists() and Payout.objects.exists()
            told = told and CardDispute.objects.values("is_return").distinct().count() == len((True, False))
            waiting = ProviderEvent.objects.filter(processed_at=None).exists()
            entries = LedgerEntry.objects.count()
        if told and not waiting and entries == before:
            return
        before = entries
        time.sleep(0.5)


def _paid(slug: str, how: dict[str, str]) -> str:
    """Pay the university's oldest open invoice; returns the payment's name at Stripe, "" when it was paid before."""
    with consortium_scope(Scope.COMMAND):
        invoices = Invoice.objects.filter(institution__slug=slug, currency="CAD")
        open_one = invoices.filter(status="issued").order_by("issued_at").first()
        if open_one is None or Payment.objects.filter(institution__slug=slug, provider="stripe").exists():
            return ""
    try:
        payment = start_payment(open_one, return_url=f"{settings.PUBLIC_URL}/en/", at=now())
    except PortalError:  # disputed, or paid in another way since
        return ""
    answer = httpx.post(payment.session_url, data=how, timeout=20)
    if answer.status_code != httpx.codes.SEE_OTHER:
        return ""
    return StripeGateway.from_settings().fetch_session(payment.session_id).intent_id


def _pull(lever: str, **wishes: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {settings.STRIPE_API_KEY}"}
    answer = httpx.post(f"{settings.STRIPE_API_BASE}/_simulator/{lever}", json=wishes, headers=headers, timeout=20)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
