"""Refunds: a card's at once, a bank debit's days later; either may come back."""

from __future__ import annotations

import time

from consortium.embedded.stripe_simulator import parameters as read
from consortium.embedded.stripe_simulator.balance import book
from consortium.embedded.stripe_simulator.currencies import display
from consortium.embedded.stripe_simulator.parameters import Params
from consortium.embedded.stripe_simulator.problems import StripeRefusalError, invalid, required
from consortium.embedded.stripe_simulator.store import Store, Thing, new_id

_REFUND = frozenset({"charge", "payment_intent", "amount", "reason", "metadata"})
_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})


def create_refund(store: Store, params: Params) -> Thing:
    """POST /v1/refunds: the whole or a part; never more than was paid, and nothing that is disputed."""
    read.only(params, _REFUND)
    charge = _charge_to_refund(store, params)
    left = charge["amount"] - charge["amount_refunded"]
    amount = read.positive(params["amount"], "amount") if "amount" in params else left
    reason = read.text(params, "reason")
    if reason and reason not in _REASONS:
        raise invalid("reason", f"Invalid reason: must be one of {', '.join(sorted(_REASONS))}")
    _check_left(charge, amount, left)
    by_card = charge["payment_method_details"]["type"] == "card"
    refund = {
        "id": new_id("refund"),
        "object": "refund",
        "amount": amount,
        "charge": charge["id"],
        "created": int(time.time()),
        "currency": charge["currency"],
        "failure_balance_transaction": None,
        "failure_reason": None,
        "metadata": read.metadata(params),
        "payment_intent": charge["payment_intent"],
        "pending_reason": None if by_card else "processing",
        "reason": reason,
        "status": "succeeded" if by_card else "pending",
    }
    kind = "refund" if by_card else "payment_refund"
    refund["balance_transaction"] = book(store, kind, -amount, 0, refund)["id"]
    _count(store, charge, amount)
    store.put(refund)
    store.emit("refund.created", refund)
    store.emit("charge.refunded", charge)
    return refund


def settle_refund(store: Store, refund_id: str, *, succeed: bool) -> Thing:
    """The payer's bank answers: a refund arrives, or comes back (which one that had arrived may do as well)."""
    refund = store.get("refund", refund_id, param="refund")
    if refund["status"] not in ({"pending"} if succeed else {"pending", "succeeded"}):
        raise StripeRefusalError(f"Refund {refund_id} is {refund['status']}.")
    refund["pending_reason"] = None
    if succeed:
        refund["status"] = "succeeded"
        store.put(refund)
        store.emit("refund.updated", refund)
        return refund
    refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
    refund["failure_balance_transaction"] = book(store, "refund_failure", refund["amount"], 0, refund)["id"]
    _count(store, store.get("charge", refund["charge"]), -refund["amount"])
    store.put(refund)
    store.emit("refund.failed", refund)
    return refund


def _count(store: Store, charge: Thing, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    store.put(charge)


def _check_left(charge: Thing, amount: int, left: int) -> None:
    if charge["disputed"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise StripeRefusalError(message, code="charge_disputed", kept=True)
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise StripeRefusalError(message, code="charge_already_refunded", kept=True)
    if amount > left:
        asked, rest = display(amount, charge["currency"]), display(left, charge["currency"])
        message = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({rest})"
        raise StripeRefusalError(message, param="amount", kept=True)


def _charge_to_refund(store: Store, params: Params) -> Thing:
    intent_id, charge_id = read.text(params, "payment_intent"), read.text(params, "charge")
    if intent_id and not charge_id:
        charge_id = store.get("payment_intent", intent_id, param="payment_intent")["latest_charge"]
    if not charge_id:
        raise required("charge")
    charge = store.get("charge", charge_id, param="charge")
    if not charge["paid"]:
        raise StripeRefusalError(
            f"Charge {charge_id} was not paid and cannot be refunded.", code="charge_not_refundable"
        )
    return charge
