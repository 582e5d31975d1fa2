"""Stripe, or the simulator that speaks as it does: Checkout by card and Canadian or US bank debit.

Its objects are read in `stripe_objects`, its messages proven in `stripe_webhooks`; nothing else of the portal knows
them. While a webhook secret is replaced, STRIPE_WEBHOOK_SECRET holds the old and the new one, with a comma between.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import stripe
from django.conf import settings
from django.utils.translation import gettext as _

from billing.gateways import stripe_objects as objects
from billing.gateways.base import (
    CheckoutRequest,
    CheckoutSession,
    GatewayError,
    GatewayEvent,
    IdempotencyMismatchError,
    PaymentIntent,
    ProviderDispute,
    ProviderMovement,
    ProviderPayout,
    ProviderRefund,
    RefundRequest,
)
from billing.gateways.stripe_objects import parsed
from billing.gateways.stripe_webhooks import verified
from consortium.kernel.money import to_minor

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
NETWORK_RETRIES: Final = 2
PAGE: Final = 100
_DEBITS: Final = {"CAD": "acss_debit", "USD": "us_bank_account"}
_LOCALES: Final = {"en": "en", "fr": "fr-CA"}
_REFUND_PARTS: Final = ("balance_transaction", "failure_balance_transaction")


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
        self._secrets = tuple(secret.strip() for secret in webhook_secret.split(",") if secret.strip())
        self._live = not api_key.startswith(("sk_test_", "rk_test_"))

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
        expand: Any = {"expand": ["latest_charge", "latest_charge.balance_transaction"]}
        raw = _call(lambda: self._client.v1.payment_intents.retrieve(intent_id, params=expand))
        return parsed(objects.Intent, raw).read()

    # --- Money that goes back ----------------------------------------------------------------------------------------

    def create_refund(self, request: RefundRequest) -> ProviderRefund:
        """Will give money back, or return the refund made before under the key. Raises IdempotencyMismatchError."""
        options: Any = {"idempotency_key": request.idempotency_key}
        params: Any = {
            "payment_intent": request.intent_id,
            "amount": to_minor(request.amount, request.currency),
            "reason": "requested_by_customer",
            "metadata": {"refund_id": request.refund_id},
            "expand": list(_REFUND_PARTS),
        }
        return parsed(
            objects.Refund, _call(lambda: self._client.v1.refunds.create(params=params, options=options))
        ).read()

    def fetch_refund(self, refund_id: str) -> ProviderRefund:
        """Will read the refund as it is now."""
        expand: Any = {"expand": list(_REFUND_PARTS)}
        return parsed(objects.Refund, _call(lambda: self._client.v1.refunds.retrieve(refund_id, params=expand))).read()

    def intent_of_charge(self, charge_id: str) -> str:
        """Will read which payment a charge belongs to, "" where it is none of a page of ours."""
        return parsed(objects.Charge, _call(lambda: self._client.v1.charges.retrieve(charge_id))).payment_intent

    def refunds_of(self, intent_id: str) -> list[ProviderRefund]:
        """Will read every refund of a payment."""
        params: Any = {
            "payment_intent": intent_id,
            "limit": PAGE,
            "expand": [f"data.{part}" for part in _REFUND_PARTS],
        }
        return [parsed(objects.Refund, raw).read() for raw in _pages(lambda: self._client.v1.refunds.list(params))]

    def fetch_dispute(self, dispute_id: str) -> ProviderDispute:
        """Will read the dispute as it is now."""
        return parsed(objects.Dispute, _call(lambda: self._client.v1.disputes.retrieve(dispute_id))).read()

    def disputes_of(self, intent_id: str) -> list[ProviderDispute]:
        """Will read every dispute of a payment."""
        params: Any = {"payment_intent": intent_id, "limit": PAGE}
        return [parsed(objects.Dispute, raw).read() for raw in _pages(lambda: self._client.v1.disputes.list(params))]

    def answer_dispute(self, dispute_id: str, evidence: str, *, key: str) -> ProviderDispute:
        """Will hand our evidence to the payer's bank, which takes it once."""
        params: Any = {"evidence": {"uncategorized_text": evidence}, "submit": True}
        options: Any = {"idempotency_key": key}
        raw = _call(lambda: self._client.v1.disputes.update(dispute_id, params=params, options=options))
        return parsed(objects.Dispute, raw).read()

    def accept_dispute(self, dispute_id: str, *, key: str) -> ProviderDispute:
        """Will give in: the dispute is lost."""
        options: Any = {"idempotency_key": key}
        raw = _call(lambda: self._client.v1.disputes.close(dispute_id, options=options))
        return parsed(objects.Dispute, raw).read()

    # --- Our balance -------------------------------------------------------------------------------------------------

    def fetch_payout(self, payout_id: str) -> ProviderPayout:
        """Will read the payout as it is now."""
        expand: Any = {"expand": ["failure_balance_transaction"]}
        return parsed(objects.Payout, _call(lambda: self._client.v1.payouts.retrieve(payout_id, params=expand))).read()

    def movements_of(self, payout_id: str) -> list[ProviderMovement]:
        """Will read every line of the balance that the payout takes along, and the payout's own, the oldest first."""
        params: Any = {"payout": payout_id, "limit": PAGE}
        pages = _pages(lambda: self._client.v1.balance_transactions.list(params))
        return [parsed(objects.Transaction, raw).read() for raw in pages][::-1]

    # --- News --------------------------------------------------------------------------------------------------------

    def events_since(self, since: datetime) -> Iterator[GatewayEvent]:
        """Will read what Stripe has told since then, the newest first, whether it arrived or not; it keeps 30 days."""
        params: Any = {"created": {"gte": int(since.timestamp())}, "limit": PAGE}
        for raw in _pages(lambda: self._client.v1.events.list(params)):
            yield parsed(objects.Event, raw).read(raw.to_dict())

    def verify_webhook(self, payload: bytes, signature: str, *, at: datetime) -> GatewayEvent:
        """Will prove and read a message. Raises WebhookRefusedError with the reason."""
        return verified(payload, signature, secrets=self._secrets, live=self._live, at=at)

    def read_event(self, payload: Mapping[str, Any]) -> GatewayEvent:
        """Will read a message that was proven before. Raises ValueError when it is no event."""
        return objects.Event.model_validate(payload).read(payload)

    @staticmethod
    def _session(ask: Callable[[], Any]) -> CheckoutSession:
        return parsed(objects.Session, _call(ask)).read()


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


def _pages(ask: Callable[[], Any]) -> Iterator[Any]:
    """Every object of a list, page after page."""
    rows = iter(_call(ask).auto_paging_iter())
    while (row := _call(lambda: next(rows, None))) is not None:
        yield row
