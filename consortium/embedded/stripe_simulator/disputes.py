"""Money that a payer's bank takes back: disputes to be answered, inquiries, and debits that are returned for good."""

from __future__ import annotations

import time

from consortium.embedded.stripe_simulator import parameters as read
from consortium.embedded.stripe_simulator.balance import book
from consortium.embedded.stripe_simulator.parameters import Params
from consortium.embedded.stripe_simulator.problems import StripeRefusalError, invalid
from consortium.embedded.stripe_simulator.store import Store, Thing, new_id

DISPUTE_FEE = 1500
RETURN_FEE = 700
DAYS_TO_ANSWER = 21
TEST_VERDICTS = {"winning_evidence": True, "losing_evidence": False}  # what Stripe's test mode decides at once
ANSWERABLE = frozenset({"needs_response", "warning_needs_response"})
UNDECIDED = frozenset({"needs_response", "under_review", "warning_needs_response", "warning_under_review"})
_UPDATE = frozenset({"evidence", "submit", "metadata"})


def dispute(
    store: Store, charge_id: str, *, reason: str = "fraudulent", amount: int | None = None, inquiry: bool = False
) -> Thing:
    """The payer's bank takes the money back, with a fee, until the dispute is decided; an `inquiry` only asks."""
    charge = _disputable(store, charge_id)
    status = "warning_needs_response" if inquiry else "needs_response"
    thing = _dispute(charge, reason, amount or charge["amount"], status)
    charge["disputed"] = True
    store.put(charge)
    if not inquiry:
        thing["balance_transactions"] = [book(store, "adjustment", -thing["amount"], DISPUTE_FEE, thing)]
    store.put(thing)
    store.emit("charge.dispute.created", thing)
    if not inquiry:
        store.emit("charge.dispute.funds_withdrawn", thing)
    return thing


def return_debit(store: Store, charge_id: str, *, reason: str = "insufficient_funds") -> Thing:
    """A bank debit that had succeeded is returned: a dispute that is lost when it is made."""
    charge = _disputable(store, charge_id)
    if charge["payment_method_details"]["type"] == "card":
        raise invalid("charge", "Only a bank debit is returned.")
    thing = _dispute(charge, reason, charge["amount"], "lost")
    thing["balance_transactions"] = [book(store, "payment_failure_refund", -thing["amount"], RETURN_FEE, thing)]
    charge["disputed"] = True
    store.put(charge)
    store.put(thing)
    store.emit("charge.dispute.created", thing)
    store.emit("charge.dispute.funds_withdrawn", thing)
    store.emit("charge.dispute.closed", thing)
    return thing


def update_dispute(store: Store, dispute_id: str, params: Params) -> Thing:
    """POST /v1/disputes/:id: the evidence, staged, or with `submit` handed to the bank, which can be done once."""
    read.only(params, _UPDATE)
    thing = store.get("dispute", dispute_id)
    if thing["status"] not in ANSWERABLE:
        raise StripeRefusalError(f"Dispute {dispute_id} is {thing['status']}: evidence can no longer be submitted.")
    evidence = params.get("evidence") or {}
    if not isinstance(evidence, dict) or not all(isinstance(value, str) for value in evidence.values()):
        raise invalid("evidence", "Invalid object")
    thing["evidence"] |= evidence
    thing["evidence_details"]["has_evidence"] = bool(thing["evidence"])
    if params.get("submit") == "true":
        thing["status"] = thing["status"].replace("needs_response", "under_review")
        thing["evidence_details"]["submission_count"] += 1
    store.put(thing)
    store.emit("charge.dispute.updated", thing)
    verdict = TEST_VERDICTS.get(evidence.get("uncategorized_text", ""))
    if verdict is not None and thing["status"] in UNDECIDED - ANSWERABLE:
        return close_dispute(store, dispute_id, won=verdict)
    return thing


def accept_dispute(store: Store, dispute_id: str) -> Thing:
    """POST /v1/disputes/:id/close: the merchant gives in."""
    if store.get("dispute", dispute_id)["status"] not in ANSWERABLE:
        raise StripeRefusalError(f"Dispute {dispute_id} cannot be closed.", kept=True)
    return close_dispute(store, dispute_id, won=False)


def close_dispute(store: Store, dispute_id: str, *, won: bool) -> Thing:
    """The bank decides; a won dispute brings the money back, not the fee."""
    thing = store.get("dispute", dispute_id)
    if thing["status"] not in UNDECIDED:
        raise StripeRefusalError(f"Dispute {dispute_id} is already {thing['status']}.")
    if thing["status"].startswith("warning"):
        thing["status"] = "warning_closed"
        store.put(thing)
        store.emit("charge.dispute.closed", thing)
        return thing
    thing["status"] = "won" if won else "lost"
    if won:
        thing["balance_transactions"].append(book(store, "adjustment", thing["amount"], 0, thing))
    store.put(thing)
    store.emit("charge.dispute.closed", thing)
    if won:
        store.emit("charge.dispute.funds_reinstated", thing)
    return thing


def _disputable(store: Store, charge_id: str) -> Thing:
    charge = store.get("charge", charge_id, param="charge")
    if charge["disputed"] or not charge["paid"]:
        raise StripeRefusalError(f"Charge {charge_id} cannot be disputed.")
    return charge


def _dispute(charge: Thing, reason: str, amount: int, status: str) -> Thing:
    now = int(time.time())
    lost = status == "lost"
    due = None if lost else now + DAYS_TO_ANSWER * 24 * 3600
    return {
        "id": new_id("dispute"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "evidence": {},
        "evidence_details": {"due_by": due, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": status,
    }
