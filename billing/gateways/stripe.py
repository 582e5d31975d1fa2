"""Stripe, or the simulator that speaks as it does: Checkout by card and Canadian or US bank debit.

Stripe's objects are read once, here, by pydantic into our own dataclasses; nothing else of the portal knows them.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Final

import stripe
from django.conf import settings
from django.utils.translation import gettext as _
from pydantic import BaseModel, BeforeValidator, ValidationError

from billing.gateways.base import (
    CheckoutRequest,
    CheckoutSession,
    GatewayError,
    GatewayEvent,
    IdempotencyMismatchError,
    PaymentIntent,
    SessionStatus,
    WebhookRefusedError,
)
from consortium.kernel.money import from_minor, to_minor

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
NETWORK_RETRIES: Final = 2
MAX_SKEW: Final = timedelta(seconds=300)
_DEBITS: Final = {"CAD": "acss_debit", "USD": "us_bank_account"}
_LOCALES: Final = {"en": "en", "fr": "fr-CA"}


def _id(value: object) -> object:
    """A reference is an id, nothing, or the object itself where it was expanded."""
    return value.get("id", "") if isinstance(value, Mapping) else value or ""


Reference = Annotated[str, BeforeValidator(_id)]
Words = Annotated[dict[str, str], BeforeValidator(lambda value: value or {})]


class _Session(BaseModel):
    id: str
    url: str | None = None
    status: SessionStatus
    payment_status: str
    amount_total: int
    currency: str
    payment_intent: Reference = ""
    metadata: Words = {}


class _Failure(BaseModel):
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class _Method(BaseModel):
    type: str = ""


class _Charge(BaseModel):
    payment_method_details: _Method | None = None


class _Intent(BaseModel):
    id: str
    status: str
    amount: int
    amount_received: int = 0
    currency: str
    latest_charge: _Charge | str | None = None
    last_payment_error: _Failure | None = None
    metadata: Words = {}


class _Object(BaseModel):
    id: str = ""
    object: str
    metadata: Words = {}


class _Data(BaseModel):
    object: _Object


class _Event(BaseModel):
    id: str
    type: str
    data: _Data


class StripeGateway:
    """Speaks to one Stripe account."""

    name = "stripe"

    def __init__(self, *, api_key: str, api_base: str, webhook_secret: str) -> None:
        http = stripe.RequestsClient(timeout=(CONNECT_SECONDS, READ_SECONDS))
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base},
            max_network_retries=NETWORK_RETRIES,
            http_client=http,
        )
        self._secret = webhook_secret

    @classmethod
    def from_settings(cls) -> "StripeGateway":
        """The account the settings name; the client and its connections are kept."""
        return _kept(settings.STRIPE_API_KEY, settings.STRIPE_API_BASE, settings.STRIPE_WEBHOOK_SECRET)

    def create_checkout(self, request: CheckoutRequest) -> CheckoutSession:
        """Will make the page, or return the one made before under the same key. Raises IdempotencyMismatchError."""
        options: Any = {"idempotency_key": request.idempotency_key}
        sessions = self._client.v1.checkout.sessions
        return self._session(lambda: sessions.create(params=_checkout_params(request), options=options))

    def expire_checkout(self, session_id: str) -> CheckoutSession:
        """Will close an open page so that nobody can pay on it; a complete one stays complete."""
        try:
            return self._session(lambda: self._client.v1.checkout.sessions.expire(session_id))
        except GatewayError as error:
            if not error.permanent:
                raise
            return self.fetch_session(session_id)  # it was complete or expired before

    def fetch_session(self, session_id: str) -> CheckoutSession:
        """Will read the page as it is now."""
        return self._session(lambda: self._client.v1.checkout.sessions.retrieve(session_id))

    def fetch_intent(self, intent_id: str) -> PaymentIntent:
        """Will read the payment as it is now."""
        expand: Any = {"expand": ["latest_charge"]}
        raw = _call(lambda: self._client.v1.payment_intents.retrieve(intent_id, params=expand))
        intent = _parsed(_Intent, raw)
        currency, failure = intent.currency.upper(), intent.last_payment_error
        return PaymentIntent(
            id=intent.id,
            status=intent.status,
            amount=from_minor(intent.amount, currency),
            received=from_minor(intent.amount_received, currency),
            currency=currency,
            method=_method(intent),
            failure=(failure.message or failure.decline_code or failure.code or "") if failure else "",
            payment_id=intent.metadata.get("payment_id", ""),
        )

    def verify_webhook(self, payload: bytes, signature: str, *, at: datetime) -> GatewayEvent:
        """Will prove a message by its signature, and that it was signed within 300 s of `at`, before or after.

        The library lets messages from the future pass, so the clock is compared here. Raises WebhookRefusedError.
        """
        try:
            stripe.WebhookSignature.verify_header(payload, signature, self._secret, tolerance=None)
        except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
            raise WebhookRefusedError("The message is not signed with our webhook secret.") from error
        signed_at = _signed_at(signature)
        if signed_at is None or abs(at - signed_at) > MAX_SKEW:
            raise WebhookRefusedError("The message was signed more than 300 seconds from now; a copy is not accepted.")
        try:
            return self.read_event(json.loads(payload))
        except (ValueError, RecursionError) as error:
            raise WebhookRefusedError("The message is signed, but it is no event that we can read.") from error

    def read_event(self, payload: Mapping[str, Any]) -> GatewayEvent:
        """Will read a message that was proven before. Raises ValueError when it is no event."""
        event = _Event.model_validate(payload)
        subject = event.data.object
        return GatewayEvent(
            id=event.id,
            type=event.type,
            object_type=subject.object,
            object_id=subject.id,
            payment_id=subject.metadata.get("payment_id", ""),
            payload=payload,
        )

    def _session(self, ask: Callable[[], Any]) -> CheckoutSession:
        session = _parsed(_Session, _call(ask))
        currency = session.currency.upper()
        return CheckoutSession(
            id=session.id,
            url=session.url or "",
            status=session.status,
            paid=session.payment_status == "paid",
            amount=from_minor(session.amount_total, currency),
            currency=currency,
            intent_id=session.payment_intent,
            payment_id=session.metadata.get("payment_id", ""),
        )


@cache
def _kept(api_key: str, api_base: str, webhook_secret: str) -> StripeGateway:
    return StripeGateway(api_key=api_key, api_base=api_base, webhook_secret=webhook_secret)


def _checkout_params(request: CheckoutRequest) -> Any:
    """What Stripe is asked for: one line, the amount due, the bank debit of the currency's country beside cards."""
    ours = {"payment_id": request.payment_id, "invoice_id": request.invoice_id}
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": request.currency.lower(),
                    "unit_amount": to_minor(request.amount, request.currency),
                    "product_data": {"name": request.invoice_number},
                },
            }
        ],
        "payment_method_types": ["card"],
        "client_reference_id": request.payment_id,
        "customer_email": request.email,
        "locale": _LOCALES.get(request.language, "auto"),
        "metadata": ours,
        "payment_intent_data": {"metadata": ours, "description": request.invoice_number},
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
    }
    if debit := _DEBITS.get(request.currency):
        params["payment_method_types"].append(debit)
    if debit == "acss_debit":
        mandate = {"payment_schedule": "sporadic", "transaction_type": "business"}
        params["payment_method_options"] = {"acss_debit": {"currency": "cad", "mandate_options": mandate}}
    return params


def _call(ask: Callable[[], Any]) -> Any:
    """Ask Stripe, and say in our words what went wrong; the library has retried what may be retried."""
    try:
        return ask()
    except stripe.IdempotencyError as error:
        raise IdempotencyMismatchError(_("The payment provider has seen this attempt with other details.")) from error
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError) as error:
        raise GatewayError(
            _("The payment provider does not answer. Nothing was charged; try again in a minute."), permanent=False
        ) from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # Our own key is wrong: nothing is known about the payment, and a mended key will tell.
        raise GatewayError(
            _("The payment provider does not know us at the moment. Nothing was charged; try again later."),
            permanent=False,
        ) from error
    except stripe.StripeError as error:
        why = {"reason": error.user_message or str(error)}
        raise GatewayError(_("The payment provider refused: %(reason)s") % why, permanent=True) from error


def _parsed[M: BaseModel](model: type[M], raw: Any) -> M:
    """Read Stripe's answer. What we cannot read may be readable tomorrow, so it is no permanent error."""
    try:
        return model.model_validate(raw.to_dict())
    except ValidationError as error:
        raise GatewayError(
            _("The payment provider answered in a form that we do not know. Try again later."), permanent=False
        ) from error


def _method(intent: _Intent) -> str:
    """How it was paid, as its newest charge tells."""
    charge = intent.latest_charge
    details = charge.payment_method_details if isinstance(charge, _Charge) else None
    return details.type if details else ""


def _signed_at(signature: str) -> datetime | None:
    """Read the time of a signature header that the library has accepted."""
    stamps = [part[2:] for part in signature.split(",") if part.startswith("t=")]
    try:
        return datetime.fromtimestamp(int(stamps[0]), UTC)
    except (IndexError, ValueError, OverflowError, OSError):
        return None
