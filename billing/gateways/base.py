"""What we ask of a payment provider, in our own words: a page to pay on, the truth about it, and signed news."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from consortium.kernel.errors import PortalError

SessionStatus = Literal["open", "complete", "expired"]
MovementKind = Literal["charge", "refund", "refund_failure", "dispute", "fee", "payout", "payout_failure", "other"]


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
    """A message claims to come from the provider and does not prove it; `code` says what is wrong with it."""

    code = "webhook_refused"
    status = 400

    def __init__(self, message: str, *, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


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
class ProviderMovement:
    """One line of our balance at the provider: `amount` came in (or went, below zero), `fee` was kept of it.

    `currency` is the balance's, which may be another one than the payment's.
    """

    id: str
    kind: MovementKind
    amount: Decimal
    fee: Decimal
    currency: str
    source_id: str
    at: datetime


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
    movement: ProviderMovement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """Money to be given back on a payment. The same `idempotency_key` gives the same refund."""

    idempotency_key: str
    refund_id: str
    intent_id: str
    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """A refund as it is now; `refund_id` is what we wrote into it, "" when it was made elsewhere."""

    id: str
    status: Literal["pending", "succeeded", "failed"]
    amount: Decimal
    currency: str
    intent_id: str
    failure: str
    refund_id: str
    movements: tuple[ProviderMovement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDispute:
    """Money that the payer's bank wants back, as it stands now. An inquiry has taken nothing yet.

    `is_return`: a bank debit that was returned for good, which nobody can answer.
    """

    id: str
    status: Literal["inquiry", "needs_response", "under_review", "won", "lost", "closed"]
    amount: Decimal
    currency: str
    reason: str
    intent_id: str
    is_return: bool
    evidence_due_at: datetime | None
    movements: tuple[ProviderMovement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayout:
    """Money on its way from the balance to our bank, as it stands now."""

    id: str
    status: Literal["pending", "in_transit", "paid", "failed", "canceled"]
    amount: Decimal
    currency: str
    arrives_on: date
    reference: str
    failure: str
    came_back: ProviderMovement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """A proven message: about which object, of which intent ("" where it has none), and what was sent, whole."""

    id: str
    type: str
    object_type: str
    object_id: str
    payment_id: str
    payload: Mapping[str, Any]
    intent_id: str = ""


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

    def create_refund(self, request: RefundRequest) -> ProviderRefund:
        """Will give money back, or return the refund made before under the key. Raises IdempotencyMismatchError."""

    def fetch_refund(self, refund_id: str) -> ProviderRefund:
        """Will read the refund as it is now."""

    def intent_of_charge(self, charge_id: str) -> str:
        """Will read which payment a charge belongs to, "" where it is none of a page of ours."""

    def refunds_of(self, intent_id: str) -> list[ProviderRefund]:
        """Will read every refund of a payment."""

    def fetch_dispute(self, dispute_id: str) -> ProviderDispute:
        """Will read the dispute as it is now."""

    def disputes_of(self, intent_id: str) -> list[ProviderDispute]:
        """Will read every dispute of a payment."""

    def answer_dispute(self, dispute_id: str, evidence: str, *, key: str) -> ProviderDispute:
        """Will hand our evidence to the payer's bank, which takes it once."""

    def accept_dispute(self, dispute_id: str, *, key: str) -> ProviderDispute:
        """Will give in: the dispute is lost."""

    def fetch_payout(self, payout_id: str) -> ProviderPayout:
        """Will read the payout as it is now."""

    def movements_of(self, payout_id: str) -> list[ProviderMovement]:
        """Will read every line of the balance that the payout takes along, and the payout's own, the oldest first."""

    def events_since(self, since: datetime) -> Iterator[GatewayEvent]:
        """Will read what the provider has told since then, the newest first, whether it arrived or not."""

    def verify_webhook(self, payload: bytes, signature: str, *, at: datetime) -> GatewayEvent:
        """Will prove and read a message. Raises WebhookRefusedError."""

    def read_event(self, payload: Mapping[str, Any]) -> GatewayEvent:
        """Will read a message that was proven before. Raises ValueError when it is no event."""
