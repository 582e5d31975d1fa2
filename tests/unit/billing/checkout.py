"""Stripe's simulator in a thread, and the hands that a payer and a bank lay on it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from billing.gateways.stripe import StripeGateway
from billing.models import Payment, ProviderEvent
from billing.payments import process_event, receive_event
from consortium.embedded.stripe_simulator.server import Simulator
from consortium.embedded.stripe_simulator.settings import Settings
from consortium.embedded.stripe_simulator.webhooks import signature

KEY, SECRET = "sk_test_till", "whsec_till"
GOOD_CARD, BAD_CARD = "4242424242424242", "4000000000000002"


class Till:
    """One account at the simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.heard = 0
        self.browser = httpx.Client(trust_env=False, verify=False)  # plain HTTP; to read certificates takes long
        self.gateway = StripeGateway(api_key=KEY, api_base=simulator.url, webhook_secret=SECRET)

    def card(self, payment: Payment, number: str = GOOD_CARD) -> int:
        """The payer types a card on the hosted page; returns the HTTP status (303: paid)."""
        data = {"method": "card", "number": number, "email": "payer@cedar.example"}
        return self.browser.post(payment.session_url, data=data).status_code

    def debit(self, payment: Payment, method: str = "acss_debit", *, verify: str = "") -> int:
        """The payer authorises a bank debit; `verify="later"`: small deposits must prove the account first."""
        data = {"method": method, "email": "payer@cedar.example", "verify": verify}
        return self.browser.post(payment.session_url, data=data).status_code

    def pull(self, lever: str, **wishes: Any) -> dict[str, Any]:
        """Use one of the levers that only a simulator has."""
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = self.browser.post(f"{self.simulator.url}/_simulator/{lever}", json=wishes, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def settle(self, outcome: str = "succeeded") -> None:
        """The bank answers every waiting debit."""
        self.pull("settle", outcome=outcome)

    def events(self, *, after: int = 0) -> list[dict[str, Any]]:
        """The events so far from position `after` on, the oldest first."""
        rows = "SELECT body FROM things WHERE kind = 'event' ORDER BY seq LIMIT -1 OFFSET ?"
        with self.simulator.store.transaction(silent=True):
            return [json.loads(body) for (body,) in self.simulator.store._connection.execute(rows, (after,))]

    def news(self, *, after: int = 0) -> list[bytes]:
        """The bodies of the events from position `after` on."""
        return [json.dumps(event, indent=2).encode() for event in self.events(after=after)]

    def hear(self, body: bytes, *, at: datetime | None = None) -> ProviderEvent:
        """Receive one event as the webhook does, and act on it."""
        at = at or datetime.now(UTC)
        event = receive_event(body, signed(body, at), at=at, gateway=self.gateway)
        return process_event(event, at=at, gateway=self.gateway)

    def hear_new(self) -> list[ProviderEvent]:
        """Receive and act on all that has happened since the last time."""
        bodies = self.news(after=self.heard)
        self.heard += len(bodies)
        return self.hear_all(bodies)

    def hear_all(self, bodies: list[bytes]) -> list[ProviderEvent]:
        """Receive and act on several, in that order."""
        return [self.hear(body) for body in bodies]


def signed(body: bytes, at: datetime, *, secret: str = SECRET) -> str:
    """The signature header of a body."""
    return signature(body, secret, int(at.timestamp()))


@contextmanager
def open_till(folder: Path) -> Iterator[Till]:
    """A simulator for as long as the block lasts."""
    settings = Settings(port=0, state=folder / "stripe.sqlite", webhook_url="", webhook_secret=SECRET, api_key=KEY)
    simulator = Simulator(settings)
    simulator.store._connection.execute("PRAGMA synchronous = OFF")  # no test outlives a power cut
    thread = threading.Thread(target=simulator.serve, daemon=True)
    thread.start()
    till = Till(simulator)
    try:
        yield till
    finally:
        till.browser.close()
        simulator.stop()
        thread.join(5)
