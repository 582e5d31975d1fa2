"""Messages that a forger would send: each proves nothing, in a way of its own. POST /_simulator/forge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from consortium.embedded.stripe_simulator.problems import invalid, required
from consortium.embedded.stripe_simulator.settings import Settings
from consortium.embedded.stripe_simulator.store import API_VERSION, Thing, new_id
from consortium.embedded.stripe_simulator.webhooks import JSON, post, signature

SKEW = 301
OVERSIZE = 300_000


@dataclass(frozen=True)
class Forgery:
    """A message as it is sent."""

    body: bytes
    signature: str | None
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": JSON})

    @property
    def all_headers(self) -> dict[str, str]:
        """With the signature, unless there is none."""
        return self.headers if self.signature is None else {**self.headers, "Stripe-Signature": self.signature}


def forge(kind: str, settings: Settings) -> Thing:
    """Send a forged message to the portal; returns what it answered."""
    if kind not in FORGERIES:
        raise invalid("kind", f"One of {', '.join(FORGERIES)}.")
    if not settings.webhook_url:
        raise required("webhook_url")
    forgery = FORGERIES[kind](settings.webhook_secret, int(time.time()))
    status, words = post(settings.webhook_url, forgery.body, forgery.all_headers)
    return {"kind": kind, "status": status, "answer": words}


def event(**more: object) -> bytes:
    """An event that would pay an invoice, were it true."""
    thing = {"id": new_id("payment_intent"), "object": "payment_intent", "status": "succeeded", "metadata": {}}
    body: Thing = {
        "id": new_id("event"),
        "object": "event",
        "api_version": API_VERSION,
        "created": 1_700_000_000,
        "data": {"object": thing},
        "livemode": False,
        "type": "payment_intent.succeeded",
    }
    return json.dumps(body | more).encode()


def _unsigned(_secret: str, _at: int) -> Forgery:
    return Forgery(event(), None)


def _wrong_secret(_secret: str, at: int) -> Forgery:
    body = event()
    return Forgery(body, signature(body, "whsec_guessed", at))


def _too_old(secret: str, at: int) -> Forgery:
    body = event()
    return Forgery(body, signature(body, secret, at - SKEW))


def _from_the_future(secret: str, at: int) -> Forgery:
    body = event()
    return Forgery(body, signature(body, secret, at + SKEW + 30))


def _replayed(secret: str, at: int) -> Forgery:
    """A true message of last week, with today's time written over it."""
    body = event()
    last_week = at - 7 * 24 * 3600
    return Forgery(body, signature(body, secret, last_week).replace(f"t={last_week}", f"t={at}"))


def _changed(secret: str, at: int) -> Forgery:
    body = event()
    return Forgery(body.replace(b"pi_", b"pi_another_"), signature(body, secret, at))


def _two_wrong(_secret: str, at: int) -> Forgery:
    body = event()
    one, two = (signature(body, guess, at).partition(",")[2] for guess in ("whsec_one", "whsec_two"))
    return Forgery(body, f"t={at},{one},{two}")


def _old_scheme(secret: str, at: int) -> Forgery:
    body = event()
    return Forgery(body, signature(body, secret, at).replace("v1=", "v0="))


def _other_account(secret: str, at: int) -> Forgery:
    body = event(account="acct_of_somebody_else")
    return Forgery(body, signature(body, secret, at))


def _live_money(secret: str, at: int) -> Forgery:
    body = event(livemode=True)
    return Forgery(body, signature(body, secret, at))


def _wrong_type(secret: str, at: int) -> Forgery:
    body = event()
    return Forgery(body, signature(body, secret, at), {"Content-Type": "application/x-www-form-urlencoded"})


def _oversize(secret: str, at: int) -> Forgery:
    body = event(padding="x" * OVERSIZE)
    return Forgery(body, signature(body, secret, at))


def _unknown_version(secret: str, at: int) -> Forgery:
    body = event(object="v2.core.event")
    return Forgery(body, signature(body, secret, at))


FORGERIES: dict[str, Callable[[str, int], Forgery]] = {
    "unsigned": _unsigned,
    "wrong_secret": _wrong_secret,
    "too_old": _too_old,
    "from_the_future": _from_the_future,
    "replayed": _replayed,
    "changed": _changed,
    "two_wrong": _two_wrong,
    "old_scheme": _old_scheme,
    "other_account": _other_account,
    "other_mode": _live_money,
    "wrong_type": _wrong_type,
    "oversize": _oversize,
    "unknown_version": _unknown_version,
}
