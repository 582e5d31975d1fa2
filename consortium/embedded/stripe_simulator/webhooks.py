"""Delivers events, signed, until the receiver takes them; doubled, reordered and lost on demand."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import threading
import time
from urllib.parse import urlsplit

from consortium.embedded.stripe_simulator.problems import missing
from consortium.embedded.stripe_simulator.store import Store, Thing

LONGEST_PAUSE = 30.0
FIRST_PAUSE = 0.5
TIMEOUT = 15.0
JSON = "application/json; charset=utf-8"
STEERED = ("copies", "fail_next", "lose_next", "shuffle")

logger = logging.getLogger(__name__)


def signature(body: bytes, secret: str, at: int) -> str:
    """The Stripe-Signature header: HMAC-SHA256 of `<at>.<body>`."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Deliverer:
    """A thread that empties the outbox. What it could not deliver is tried again, also after a restart."""

    def __init__(self, store: Store, *, url: str, secret: str) -> None:
        """Posts to `url`; without one, events are only kept."""
        self._store, self._url, self._secret = store, url, secret
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begins, with whatever an earlier run left."""
        if self._url:
            self._store.on_event = self._wake.set
            self._thread.start()

    def stop(self) -> None:
        """Ends after the delivery in hand."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT + 1)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            with self._store.transaction(silent=True):
                due, upcoming = self._store.due_deliveries(time.time()), self._store.next_due()
            for seq, event_id, attempts in due:
                if self._stopping.is_set():
                    return
                self._deliver(seq, event_id, attempts)
            if not due:
                self._wake.wait(1.0 if upcoming is None else min(1.0, max(0.02, upcoming - time.time())))

    def _deliver(self, seq: int, event_id: str, attempts: int) -> None:
        with self._store.transaction(silent=True):
            event = self._store.get("event", event_id)
            failing, lost = (self._store.take_setting(name) for name in ("fail_next", "lose_next"))
        taken = lost or (not failing and self._post(event))
        with self._store.transaction(silent=True):
            if taken:
                self._store.delivered(seq, time.time())
                self._store.put({**event, "pending_webhooks": 0})
            else:
                self._store.postpone(seq, time.time() + min(FIRST_PAUSE * 2**attempts, LONGEST_PAUSE))

    def _post(self, event: Thing) -> bool:
        body = json.dumps(event, indent=2).encode()
        headers = {"Content-Type": JSON, "Stripe-Signature": signature(body, self._secret, int(time.time()))}
        try:
            status, _ = post(self._url, body, headers)
        except (OSError, http.client.HTTPException) as error:
            logger.info("webhook %s did not arrive: %s", event["id"], error)
            return False
        logger.info("webhook %s %s: %s", event["id"], event["type"], status)
        return 200 <= status < 300


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    """Send one message; returns the status and the words of the answer."""
    target = urlsplit(url)
    kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = kind(target.hostname or "", target.port, timeout=TIMEOUT)
    try:
        connection.request("POST", target.path or "/", body, {"User-Agent": "Stripe/1.0 (simulator)", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def steer(store: Store, wishes: Thing) -> Thing:
    """POST /_simulator/webhooks: from now on `copies` of each event, the last first (`shuffle`); of the next deliveries
    `fail_next` are tried again later and `lose_next` never; `resend` queues the named events (or "all") once more.
    """
    for name in STEERED:
        if name in wishes:
            store.set_setting(name, int(wishes[name]))
    again = wishes.get("resend", [])
    chosen = [event["id"] for event in store.newest("event")][::-1] if again == "all" else list(again)
    for key in chosen:
        if store.find(key) is None:
            raise missing("event", key)
        store.queue(key)
    return {name: store.setting(name) for name in STEERED} | {"resent": len(chosen)}
