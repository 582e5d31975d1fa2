"""Stripe's objects, read once by pydantic into our own dataclasses; nothing else of the portal knows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from django.utils.translation import gettext as _
from pydantic import BaseModel, BeforeValidator, ValidationError

from billing.gateways.base import (
    CheckoutSession,
    GatewayError,
    GatewayEvent,
    MovementKind,
    PaymentIntent,
    ProviderDispute,
    ProviderMovement,
    ProviderPayout,
    ProviderRefund,
    SessionStatus,
)
from consortium.kernel.money import from_minor

# What a bank says of a debit that it gives back for good, after it had paid.
RETURNS: Final = frozenset(
    {
        "bank_cannot_process", "check_returned", "customer_initiated", "debit_not_authorized",
        "incorrect_account_details", "insufficient_funds",
    }
)  # fmt: skip
_KINDS: Final[dict[str, MovementKind]] = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payment_failure_refund": "dispute",
    "adjustment": "dispute",
    "payment_reversal": "dispute",
    "stripe_fee": "fee",
    "payout": "payout",
    "payout_failure": "payout_failure",
    "payout_cancel": "payout_failure",
}
_DISPUTE_NAMES: Final = ("dp_", "du_")
_DISPUTES: Final[dict[str, Any]] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "closed",
    "needs_response": "needs_response",
    "under_review": "under_review",
    "won": "won",
    "lost": "lost",
    "prevented": "closed",
}
_REFUNDS: Final[dict[str, Any]] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}


def _id(value: object) -> object:
    """A reference is an id, nothing, or the object itself where it was expanded."""
    return value.get("id", "") if isinstance(value, Mapping) else value or ""


Reference = Annotated[str, BeforeValidator(_id)]
Words = Annotated[dict[str, str], BeforeValidator(lambda value: value or {})]
Text = Annotated[str, BeforeValidator(lambda value: value or "")]


class _Transaction(BaseModel):
    id: str
    type: str
    amount: int
    fee: int
    currency: str
    created: int
    source: Reference = ""

    def read(self) -> ProviderMovement:
        currency, kind = self.currency.upper(), _KINDS.get(self.type, "other")
        if self.type == "adjustment" and not self.source.startswith(_DISPUTE_NAMES):
            kind = "other"
        return ProviderMovement(
            id=self.id,
            kind=kind,
            amount=from_minor(self.amount, currency),
            fee=from_minor(self.fee, currency),
            currency=currency,
            source_id=self.source,
            at=datetime.fromtimestamp(self.created, UTC),
        )


Expanded = _Transaction | str | None


def _movements(*found: Expanded) -> tuple[ProviderMovement, ...]:
    return tuple(each.read() for each in found if isinstance(each, _Transaction))


class Session(BaseModel):
    """A Checkout page."""

    id: str
    url: Text = ""
    status: SessionStatus
    payment_status: str
    amount_total: int
    currency: str
    payment_intent: Reference = ""
    metadata: Words = {}

    def read(self) -> CheckoutSession:
        """Say it in our words."""
        currency = self.currency.upper()
        return CheckoutSession(
            id=self.id,
            url=self.url,
            status=self.status,
            paid=self.payment_status == "paid",
            amount=from_minor(self.amount_total, currency),
            currency=currency,
            intent_id=self.payment_intent,
            payment_id=self.metadata.get("payment_id", ""),
        )


class _Failure(BaseModel):
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class _Method(BaseModel):
    type: str = ""


class Charge(BaseModel):
    """One attempt of a payment."""

    payment_intent: Reference = ""
    payment_method_details: _Method | None = None
    balance_transaction: Expanded = None


class Intent(BaseModel):
    """A payment, with its newest charge."""

    id: str
    status: str
    amount: int
    amount_received: int = 0
    currency: str
    latest_charge: Charge | str | None = None
    last_payment_error: _Failure | None = None
    metadata: Words = {}

    def read(self) -> PaymentIntent:
        """Say it in our words."""
        currency, failure = self.currency.upper(), self.last_payment_error
        charge = self.latest_charge if isinstance(self.latest_charge, Charge) else Charge()
        movements = _movements(charge.balance_transaction)
        return PaymentIntent(
            id=self.id,
            status=self.status,
            amount=from_minor(self.amount, currency),
            received=from_minor(self.amount_received, currency),
            currency=currency,
            method=charge.payment_method_details.type if charge.payment_method_details else "",
            failure=(failure.message or failure.decline_code or failure.code or "") if failure else "",
            payment_id=self.metadata.get("payment_id", ""),
            movement=movements[0] if movements else None,
        )


class Refund(BaseModel):
    """A refund, with what it did to the balance."""

    id: str
    status: Literal["pending", "requires_action", "succeeded", "failed", "canceled"]
    amount: int
    currency: str
    payment_intent: Reference = ""
    failure_reason: Text = ""
    metadata: Words = {}
    balance_transaction: Expanded = None
    failure_balance_transaction: Expanded = None

    def read(self) -> ProviderRefund:
        """Say it in our words."""
        currency = self.currency.upper()
        return ProviderRefund(
            id=self.id,
            status=_REFUNDS[self.status],
            amount=from_minor(self.amount, currency),
            currency=currency,
            intent_id=self.payment_intent,
            failure=self.failure_reason,
            refund_id=self.metadata.get("refund_id", ""),
            movements=_movements(self.balance_transaction, self.failure_balance_transaction),
        )


class _Evidence(BaseModel):
    due_by: int | None = None


class Dispute(BaseModel):
    """A dispute, with what it did to the balance. A status that we do not know is an appeal: it is being decided."""

    id: str
    status: str
    amount: int
    currency: str
    reason: Text = ""
    payment_intent: Reference = ""
    evidence_details: _Evidence = _Evidence()
    balance_transactions: list[_Transaction] = []

    def read(self) -> ProviderDispute:
        """Say it in our words."""
        currency, due = self.currency.upper(), self.evidence_details.due_by
        status = _DISPUTES.get(self.status, "under_review")
        return ProviderDispute(
            id=self.id,
            status=status,
            amount=from_minor(self.amount, currency),
            currency=currency,
            reason=self.reason,
            intent_id=self.payment_intent,
            is_return=status == "lost" and self.reason in RETURNS,
            evidence_due_at=datetime.fromtimestamp(due, UTC) if due else None,
            movements=_movements(*self.balance_transactions),
        )


class _Trace(BaseModel):
    value: str | None = None


class Payout(BaseModel):
    """A payout."""

    id: str
    status: Literal["pending", "in_transit", "paid", "failed", "canceled"]
    amount: int
    currency: str
    arrival_date: int
    statement_descriptor: Text = ""
    failure_message: Text = ""
    trace_id: _Trace | None = None
    failure_balance_transaction: Expanded = None

    def read(self) -> ProviderPayout:
        """Say it in our words; the day is the one on which Stripe expects the bank to have it, in UTC."""
        currency = self.currency.upper()
        return ProviderPayout(
            id=self.id,
            status=self.status,
            amount=from_minor(self.amount, currency),
            currency=currency,
            arrives_on=datetime.fromtimestamp(self.arrival_date, UTC).date(),
            reference=(self.trace_id.value if self.trace_id else "") or self.statement_descriptor,
            failure=self.failure_message,
            came_back=next(iter(_movements(self.failure_balance_transaction)), None),
        )


class Transaction(_Transaction):
    """A line of the balance."""


class _Object(BaseModel):
    id: Text = ""
    object: str
    payment_intent: Reference = ""
    metadata: Words = {}


class _Data(BaseModel):
    object: _Object


class Event(BaseModel):
    """A message, as far as we need it to know where to look."""

    id: str
    object: Literal["event"]
    type: str
    livemode: bool = False
    account: Text = ""
    data: _Data

    def read(self, payload: Mapping[str, Any]) -> GatewayEvent:
        """Say it in our words."""
        subject = self.data.object
        return GatewayEvent(
            id=self.id,
            type=self.type,
            object_type=subject.object,
            object_id=subject.id,
            payment_id=subject.metadata.get("payment_id", ""),
            payload=payload,
            intent_id=subject.id if subject.object == "payment_intent" else subject.payment_intent,
        )


def parsed[M: BaseModel](model: type[M], raw: Any) -> M:
    """Read Stripe's answer. What we cannot read may be readable tomorrow, so it is no permanent error."""
    try:
        return model.model_validate(raw.to_dict())
    except ValidationError as error:
        raise GatewayError(
            _("The payment provider answered in a form that we do not know. Try again later."), permanent=False
        ) from error
