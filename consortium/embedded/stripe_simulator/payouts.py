"""Payouts: what the balance holds goes to the bank, every transaction named, and may come back."""

from __future__ import annotations

import time

from consortium.embedded.stripe_simulator.balance import book
from consortium.embedded.stripe_simulator.currencies import currency_code
from consortium.embedded.stripe_simulator.problems import StripeRefusalError
from consortium.embedded.stripe_simulator.store import Store, Thing, new_id

DAYS_TO_ARRIVE = 2


def pay_out(store: Store, wishes: Thing) -> Thing:
    """POST /_simulator/payout: everything in one currency that no payout has taken, less what went out of it."""
    currency = currency_code(wishes.get("currency", "cad"), "currency")
    taken = [
        thing
        for thing in store.newest("balance_transaction")
        if thing["currency"] == currency and not thing.get("payout") and thing["type"] != "payout"
    ][::-1]
    amount = sum(thing["net"] for thing in taken)
    if amount <= 0:
        raise StripeRefusalError(f"There is nothing to pay out in {currency}.", code="balance_insufficient")
    payout = _payout(currency, amount)
    for thing in taken:
        store.put({**thing, "payout": payout["id"], "status": "available"})
    own = book(store, "payout", -amount, 0, payout, words="STRIPE PAYOUT")
    store.put({**own, "payout": payout["id"], "status": "available"})
    payout["balance_transaction"] = own["id"]
    store.put(payout)
    store.emit("payout.created", payout)
    return payout


def settle_payout(store: Store, payout_id: str, *, arrives: bool) -> Thing:
    """The bank takes it, or sends it back to the balance, from which a later payout takes it again."""
    payout = store.get("payout", payout_id, param="payout")
    if payout["status"] not in ({"in_transit"} if arrives else {"in_transit", "paid"}):
        raise StripeRefusalError(f"Payout {payout_id} is {payout['status']}.")
    if arrives:
        payout["status"] = "paid"
    else:
        payout |= {"status": "failed", "failure_code": "account_closed"}
        payout["failure_message"] = "The bank account has been closed."
        payout["failure_balance_transaction"] = book(store, "payout_failure", payout["amount"], 0, payout)["id"]
    store.put(payout)
    store.emit(f"payout.{payout['status']}", payout)
    return payout


def _payout(currency: str, amount: int) -> Thing:
    now = int(time.time())
    return {
        "id": new_id("payout"),
        "object": "payout",
        "amount": amount,
        "arrival_date": now + DAYS_TO_ARRIVE * 24 * 3600,
        "automatic": True,
        "balance_transaction": None,
        "created": now,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "reconciliation_status": "completed",
        "statement_descriptor": None,
        "status": "in_transit",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    }
