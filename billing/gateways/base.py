"""What we ask of a payment provider, in our own words: a page to pay on, the truth about it, and signed news."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from consortium.kernel.errors import PortalError

SessionStatus = Literal["open", "complete", "expired"]


class GatewayError(PortalError):
    """The provider did not do it. `permanent` tells that trying again will not help."""

    code = "gateway_error"
    status = 502

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class IdempotencyMismatchError(GatewayError):
    """The key was used before with other parameters: an earlier attempt arrived, its answer was lost."""

    code = "idempotency_mismatch"

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class WebhookRefusedError(PortalError):
    """A message claims to come from the provider and does not prove it."""

    code = "webhook_refused"
    status = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutRequest:
    """A page to pay one invoice on. The same `idempotency_key` gives the same page, however often it is asked for."""

    idempotency_key: str
    payment_id: str
    invoice_id: str
    invoice_number: str
    amount: Decimal
    currency: str
    email: str
    language: str
    success_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutSession:
    """The provider's page as it is now; `payment_id` is what we wrote into it, "" when it is not ours."""

    id: str
    url: str
    status: SessionStatus
    paid: bool
    amount: Decimal
    currency: str
    intent_id: str
    payment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentIntent:
    """The provider's attempt to move money as it is now. `received` is what has arrived, in the currency's units."""

    id: str
    status: str
    amount: Decimal
    received: Decimal
    currency: str
    method: str
    failure: str
    payment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """A proven message: about which object, and what was sent, whole."""

    id: str
    type: str
    object_type: str
    object_id: str
    payment_id: str
    payload: Mapping[str, Any]


class PaymentGateway(Protocol):
    """A provider. Every method may raise GatewayError; none waits longer than its time-outs."""

    name: str

    def create_checkout(self, request: CheckoutRequest) -> CheckoutSession:
        """Will make the page, or return the one made before under the same key. Raises IdempotencyMismatchError."""

    def expire_checkout(self, session_id: str) -> CheckoutSession:
        """Will close an open page so that nobody can pay on it; a complete one stays complete."""

    def fetch_session(self, session_id: str) -> CheckoutSession:
        """Will read the page as it is now."""

    def fetch_intent(self, intent_id: str) -> PaymentIntent:
        """Will read the payment as it is now."""

    def verify_webhook(self, payload: bytes, signature: str, *, at: datetime) -> GatewayEvent:
        """Will prove and read a message. Raises WebhookRefusedError."""

    def read_event(self, payload: Mapping[str, Any]) -> GatewayEvent:
        """Will read a message that was proven before. Raises ValueError when it is no event."""
