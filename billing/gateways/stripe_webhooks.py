"""Whether a message is Stripe's: each thing that can be wrong with it has a reason of its own.

The library lets messages from the future pass and does not tell a changed clock from a changed body, so the header is
read here; its own comparison still decides.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import stripe

from billing.gateways.base import GatewayEvent, WebhookRefusedError
from billing.gateways.stripe_objects import Event

MAX_SKEW: Final = timedelta(seconds=300)
_SCHEME: Final = "v1"


def verified(payload: bytes, signature: str, *, secrets: Sequence[str], live: bool, at: datetime) -> GatewayEvent:
    """Will prove a message by its signature, and that it was signed within 300 s of `at`, before or after.

    While a secret is replaced Stripe signs with both: one that fits is enough. Raises WebhookRefusedError.
    """
    _check_signature(payload, signature, secrets)
    _check_time(signature, at)
    event, body = _event(payload)
    if event.account:
        raise WebhookRefusedError("The message is about another account than ours.", code="webhook_other_account")
    if event.livemode != live:
        words = "a test, and real money moves here" if live else "real money, and this is a test"
        raise WebhookRefusedError(f"The message is about {words}.", code="webhook_other_mode")
    return event.read(body)


def _check_signature(payload: bytes, signature: str, secrets: Sequence[str]) -> None:
    if not signature.strip():
        raise WebhookRefusedError("The message bears no signature.", code="webhook_unsigned")
    schemes = {part.strip().partition("=")[0] for part in signature.split(",")} - {"t"}
    if _SCHEME not in schemes:
        raise WebhookRefusedError("The message is signed in a way that we do not know.", code="webhook_scheme")
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(payload, signature, secret, tolerance=None)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        return
    raise WebhookRefusedError(
        "No signature of the message fits: it was made with another secret, for another text or for another time.",
        code="webhook_signature",
    )


def _check_time(signature: str, at: datetime) -> None:
    signed_at = _signed_at(signature)
    if signed_at is None or at - signed_at > MAX_SKEW:
        raise WebhookRefusedError("The message was signed more than 300 seconds ago.", code="webhook_too_old")
    if signed_at - at > MAX_SKEW:
        raise WebhookRefusedError(
            "The message was signed more than 300 seconds ahead of our clock.", code="webhook_from_future"
        )


def _event(payload: bytes) -> tuple[Event, Mapping[str, Any]]:
    try:
        body = json.loads(payload)
        return Event.model_validate(body), body
    except (ValueError, RecursionError) as error:
        raise WebhookRefusedError(
            "The message is signed, but it is no event of a kind that we can read.", code="webhook_unreadable"
        ) from error


def _signed_at(signature: str) -> datetime | None:
    """Read the time of a signature header that the library has accepted."""
    stamps = [part[2:] for part in signature.split(",") if part.startswith("t=")]
    try:
        return datetime.fromtimestamp(int(stamps[0]), UTC)
    except (IndexError, ValueError, OverflowError, OSError):
        return None
