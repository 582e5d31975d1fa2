"""A payment provider in memory, for stories with many payments; the unit tests have one that speaks HTTP."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.gateways import (
    CheckoutRequest,
    CheckoutSession,
    GatewayError,
    GatewayEvent,
    PaymentIntent,
    ProviderDispute,
    ProviderMovement,
    ProviderRefund,
)
from billing.models import Invoice, Payment, ProviderEvent
from billing.payments import process_event, receive_event, start_payment


class PaysOnly:
    """What a purse never does: money that is paid stays paid."""

    def refunds_of(self, _intent_id: str) -> list[ProviderRefund]:
        """None."""
        return []

    def disputes_of(self, _intent_id: str) -> list[ProviderDispute]:
        """None."""
        return []

    def movements_of(self, _payout_id: str) -> list[ProviderMovement]:
        """None."""
        return []

    def events_since(self, _since: datetime) -> Iterator[GatewayEvent]:
        """None."""
        return iter(())

    def _never(self, *_args: object, **_words: object) -> Any:
        raise GatewayError("A purse only pays.", permanent=True)

    create_refund = fetch_refund = fetch_dispute = answer_dispute = accept_dispute = fetch_payout = _never
    intent_of_charge = _never


class Purse(PaysOnly):
    """Every page is paid at once, with as much as the payer likes."""

    name = "stripe"

    def __init__(self) -> None:
        self.sessions: dict[str, CheckoutSession] = {}
        self.intents: dict[str, PaymentIntent] = {}

    def pay(self, invoice: Invoice, *, at: datetime, amount: Decimal | None = None) -> ProviderEvent:
        """Pay what is due, or `amount`, and let the news arrive once."""
        payment = start_payment(invoice, return_url="https://portal.example/", at=at, gateway=self)
        return self.hear(self.move(payment, payment.amount if amount is None else amount), at=at)

    def move(self, payment: Payment, amount: Decimal) -> str:
        """Let money arrive on the payment's page; returns the payment intent."""
        session = self.sessions[payment.session_id]
        intent = session.id.replace("cs_", "pi_")
        self.sessions[session.id] = replace(session, status="complete", paid=True, intent_id=intent)
        self.intents[intent] = PaymentIntent(
            id=intent, status="succeeded", amount=amount, received=amount, currency=session.currency, method="card",
            failure="", payment_id=session.payment_id,
        )  # fmt: skip
        return intent

    def open(self, payment: Payment) -> None:
        """Show a page for a payment that was recorded by hand."""
        key = payment.session_id
        self.sessions[key] = CheckoutSession(
            id=key, url="", status="open", paid=False, amount=payment.amount, currency=payment.currency, intent_id="",
            payment_id=str(payment.pk),
        )  # fmt: skip

    def hear(self, intent: str, *, at: datetime, copy: int = 0) -> ProviderEvent:
        """Receive the provider's message, the first one or another of the same news, and act on it."""
        body = json.dumps({"id": f"evt_{intent}_{copy}", "intent": intent}).encode()
        return process_event(receive_event(body, "", at=at, gateway=self), at=at, gateway=self)

    # --- The protocol ------------------------------------------------------------------------------------------------

    def create_checkout(self, request: CheckoutRequest) -> CheckoutSession:
        """One page per key."""
        key = f"cs_{request.idempotency_key}"
        return self.sessions.setdefault(
            key,
            CheckoutSession(
                id=key, url=f"https://pay.example/{len(self.sessions)}", status="open", paid=False,
                amount=request.amount, currency=request.currency, intent_id="", payment_id=request.payment_id,
            ),
        )  # fmt: skip

    def expire_checkout(self, session_id: str) -> CheckoutSession:
        """Close a page."""
        self.sessions[session_id] = replace(self.sessions[session_id], status="expired")
        return self.sessions[session_id]

    def fetch_session(self, session_id: str) -> CheckoutSession:
        """The page now."""
        return self.sessions[session_id]

    def fetch_intent(self, intent_id: str) -> PaymentIntent:
        """The money now."""
        return self.intents[intent_id]

    def verify_webhook(self, payload: bytes, signature: str, *, at: datetime) -> GatewayEvent:
        """Every message is true here."""
        return self.read_event(json.loads(payload))

    def read_event(self, payload: Mapping[str, Any]) -> GatewayEvent:
        """Say which payment intent it is about."""
        intent = self.intents[payload["intent"]]
        return GatewayEvent(
            id=payload["id"], type="payment_intent.succeeded", object_type="payment_intent", object_id=intent.id,
            payment_id=intent.payment_id, payload=payload,
        )  # fmt: skip
