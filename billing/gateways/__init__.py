"""The providers that move money for us, each behind `base.PaymentGateway`."""

from billing.gateways.base import (
    CheckoutRequest,
    CheckoutSession,
    GatewayError,
    GatewayEvent,
    IdempotencyMismatchError,
    PaymentGateway,
    PaymentIntent,
    ProviderDispute,
    ProviderMovement,
    ProviderPayout,
    ProviderRefund,
    RefundRequest,
    WebhookRefusedError,
)

__all__ = [
    "CheckoutRequest",
    "CheckoutSession",
    "GatewayError",
    "GatewayEvent",
    "IdempotencyMismatchError",
    "PaymentGateway",
    "PaymentIntent",
    "ProviderDispute",
    "ProviderMovement",
    "ProviderPayout",
    "ProviderRefund",
    "RefundRequest",
    "WebhookRefusedError",
    "current_gateway",
]


def current_gateway() -> PaymentGateway:
    """The gateway that the settings name: Stripe, or its simulator at STRIPE_API_BASE."""
    # Stripe's library takes a second to import, and most processes never speak to it.
    from billing.gateways.stripe import StripeGateway  # noqa: PLC0415

    return StripeGateway.from_settings()
