"""The balance: one transaction for whatever moves money, with the fee that is kept."""

from __future__ import annotations

import time

from consortium.embedded.stripe_simulator.currencies import currency_code
from consortium.embedded.stripe_simulator.parameters import positive
from consortium.embedded.stripe_simulator.store import Store, Thing, new_id

DAYS_TO_AVAILABLE = 2


def book(store: Store, kind: str, amount: int, cost: int, source: Thing, *, words: str | None = None) -> Thing:
    """Writes a balance transaction: `amount` came in (or went, below zero), `cost` was kept of it."""
    now = int(time.time())
    return store.put(
        {
            "id": new_id("balance_transaction"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": now + DAYS_TO_AVAILABLE * 24 * 3600,
            "balance_type": "payments",
            "created": now,
            "currency": source["currency"],
            "description": words,
            "exchange_rate": None,
            "fee": cost,
            "fee_details": [{"amount": cost, "currency": source["currency"], "type": "stripe_fee"}] if cost else [],
            "net": amount - cost,
            "reporting_category": kind,
            "source": source.get("id"),
            "status": "pending",
            "type": kind,
        }
    )


def charge_fee(store: Store, wishes: Thing) -> Thing:
    """POST /_simulator/fee: Stripe keeps something that belongs to no payment, such as a monthly price."""
    currency = currency_code(wishes.get("currency", "cad"), "currency")
    amount = positive(str(wishes.get("amount", "")), "amount")
    return book(store, "stripe_fee", -amount, 0, {"id": None, "currency": currency}, words="Billing - usage fee")


def shown(thing: Thing) -> Thing:
    """A balance transaction as the API shows it: which payout took it is only a filter."""
    return {name: value for name, value in thing.items() if name != "payout"}
