"""The simulator's state: one SQLite file, one transaction per request."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from consortium.embedded.stripe_simulator.problems import missing

type Thing = dict[str, Any]

API_VERSION = "2026-10-28.simulator"
PREFIXES = {
    "customer": "cus_",
    "checkout.session": "cs_test_",
    "payment_intent": "pi_",
    "charge": "ch_",
    "refund": "re_",
    "dispute": "dp_",
    "payout": "po_",
    "balance_transaction": "txn_",
    "event": "evt_",
    "item": "li_",
}
_TABLES = """
CREATE TABLE IF NOT EXISTS things (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, kind TEXT, body TEXT) STRICT;
CREATE INDEX IF NOT EXISTS things_by_kind ON things (kind, seq);
CREATE TABLE IF NOT EXISTS idempotency (key TEXT PRIMARY KEY, request TEXT, status INTEGER, body TEXT) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY, event TEXT, due REAL, attempts INTEGER DEFAULT 0, done REAL) STRICT;
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (due) WHERE done IS NULL;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value INTEGER) STRICT;
"""
SHUFFLE_WINDOW = 0.4


def new_id(kind: str) -> str:
    """A fresh name in Stripe's style."""
    return PREFIXES[kind] + secrets.token_hex(24 if kind == "checkout.session" else 12)


class Store:
    """Objects by id, remembered answers, and the outbox of webhooks. Every use stands in a `transaction`."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file, readable by its owner alone."""
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        path.touch(0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_TABLES)
        self._lock = threading.RLock()
        self.on_event: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self, *, silent: bool = False) -> Iterator[None]:
        """All or nothing; one at a time. Unless `silent`, the one who delivers webhooks is woken afterwards."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        if not silent:
            self.on_event()

    def put(self, thing: Thing) -> Thing:
        """Stores an object, new or changed."""
        self._connection.execute(
            "INSERT INTO things (id, kind, body) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (thing["id"], thing["object"], json.dumps(thing)),
        )
        return thing

    def find(self, key: str) -> Thing | None:
        """The object of that id, or None."""
        row = self._connection.execute("SELECT body FROM things WHERE id = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def get(self, kind: str, key: str, *, param: str = "id") -> Thing:
        """The object of that kind and id. Raises Stripe's resource_missing."""
        thing = self.find(key)
        if thing is None or thing["object"] != kind:
            raise missing(kind, key, param=param)
        return thing

    def newest(self, kind: str) -> Iterator[Thing]:
        """All objects of a kind, the newest first."""
        rows = self._connection.execute("SELECT body FROM things WHERE kind = ? ORDER BY seq DESC", (kind,)).fetchall()
        return (json.loads(body) for (body,) in rows)

    def emit(self, event_type: str, thing: Thing) -> None:
        """Records that something happened, with the object as it is now, and queues its webhook."""
        event: Thing = {
            "id": new_id("event"),
            "object": "event",
            "api_version": API_VERSION,
            "created": int(time.time()),
            "data": {"object": thing},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": event_type,
        }
        self.put(event)
        self.queue(event["id"])

    def queue(self, event_id: str) -> None:
        """Queues the deliveries of one event: as many copies as are asked for."""
        due = time.time() + (SHUFFLE_WINDOW if self.setting("shuffle") else 0)
        if self.setting("shuffle"):  # what happens shortly after one another is held together, then turned round
            self._connection.execute("UPDATE outbox SET due = ? WHERE done IS NULL AND attempts = 0", (due,))
        for _ in range(max(1, self.setting("copies"))):
            self._connection.execute("INSERT INTO outbox (event, due) VALUES (?, ?)", (event_id, due))

    def due_deliveries(self, now: float) -> list[tuple[int, str, int]]:
        """What must be sent now (row, event, attempts so far); the last one first while `shuffle` is on."""
        order = "DESC" if self.setting("shuffle") else "ASC"
        query = f"SELECT seq, event, attempts FROM outbox WHERE done IS NULL AND due <= ? ORDER BY seq {order} LIMIT 50"  # noqa: S608 - one of two words
        return list(self._connection.execute(query, (now,)))

    def next_due(self) -> float | None:
        """When the next delivery is due, or None when all are done."""
        row = self._connection.execute("SELECT min(due) FROM outbox WHERE done IS NULL").fetchone()
        return None if row[0] is None else float(row[0])

    def delivered(self, seq: int, at: float) -> None:
        """The receiver took it."""
        self._connection.execute("UPDATE outbox SET done = ? WHERE seq = ?", (at, seq))

    def postpone(self, seq: int, due: float) -> None:
        """The receiver did not take it; try again then."""
        self._connection.execute("UPDATE outbox SET attempts = attempts + 1, due = ? WHERE seq = ?", (due, seq))

    def setting(self, name: str) -> int:
        """A number that steers the webhooks; 0 until it is set."""
        row = self._connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def take_setting(self, name: str) -> bool:
        """Counts such a number down; tells whether there was anything left of it."""
        left = self.setting(name)
        if left:
            self.set_setting(name, left - 1)
        return left > 0

    def set_setting(self, name: str, value: int) -> None:
        """Changes such a number."""
        self._connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def remembered(self, key: str) -> tuple[str, int, str] | None:
        """What was asked and answered under an idempotency key."""
        row: tuple[str, int, str] | None = self._connection.execute(
            "SELECT request, status, body FROM idempotency WHERE key = ?", (key,)
        ).fetchone()
        return row

    def remember(self, key: str, request: str, status: int, body: str) -> None:
        """Keeps the answer for the next time the key is used."""
        self._connection.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (key, request, status, body))
