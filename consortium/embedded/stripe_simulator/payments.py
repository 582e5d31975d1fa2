"""What happens to money: paying a session by card or bank debit, and settling the debit later."""

from __future__ import annotations

import time

from consortium.embedded.stripe_simulator import parameters as read
from consortium.embedded.stripe_simulator.balance import book
from consortium.embedded.stripe_simulator.checkout import current_session, session_view
from consortium.embedded.stripe_simulator.currencies import check_amount, currency_code, fee
from consortium.embedded.stripe_simulator.disputes import dispute
from consortium.embedded.stripe_simulator.parameters import Params
from consortium.embedded.stripe_simulator.problems import StripeRefusalError, invalid
from consortium.embedded.stripe_simulator.store import Store, Thing, new_id

DECLINES = {
    "4000000000000002": ("card_declined", "generic_decline", "Your card was declined."),
    "4000000000009995": ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "4000000000000069": ("expired_card", "expired_card", "Your card has expired."),
    "4000000000000127": ("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
}
DISPUTED_LATER = "4000000000000259"
TEST_METHODS = {"pm_card_visa": "4242424242424242", "pm_card_createDispute": DISPUTED_LATER}
_INTENT = frozenset(
    {"amount", "currency", "payment_method", "payment_method_types", "confirm", "metadata", "description"}
)
ACCEPTED = frozenset({"4242424242424242", "5555555555554444", DISPUTED_LATER})


def pay_by_card(store: Store, key: str, number: str, *, email: str) -> Thing:
    """The payer confirms a card. Returns the session: complete when paid, still open when the card was declined.

    Raises StripeRefusalError for a number that is no test card, and for a session that is not open.
    """
    session = _open_session(store, key)
    number = "".join(number.split())
    if number not in ACCEPTED and number not in DECLINES:
        raise invalid("number", "Your card number is not one of the test cards.")
    intent = _intent(store, session, "card")
    charge = _charge(store, intent, "card", number=number, email=email)
    if number in DECLINES:
        _fail(store, intent, charge, DECLINES[number])
        return session
    _complete(session, email, payment_status="paid")
    session["payment_intent"] = intent["id"]
    store.put(session)
    _succeed(store, intent, charge)
    store.emit("checkout.session.completed", session_view(session))
    if number == DISPUTED_LATER:
        dispute(store, charge["id"])
    return session


def pay_by_bank(store: Store, key: str, method: str, *, email: str, verified: bool = True) -> Thing:
    """The payer authorises a debit: the session completes unpaid, the money comes (or not) with `settle`.

    Not `verified`: the bank account is proved first, by small deposits that the payer must look up (`verify`).
    """
    session = _open_session(store, key)
    if method not in session["payment_method_types"] or method == "card":
        raise invalid("method", f"This session does not take {method}.")
    intent = _intent(store, session, method)
    charge = _charge(store, intent, method, number="", email=email)
    intent |= {"status": "processing" if verified else "requires_action", "latest_charge": charge["id"]}
    _complete(session, email, payment_status="unpaid")
    session["payment_intent"] = intent["id"]
    for thing in (session, intent, charge):
        store.put(thing)
    store.emit("payment_intent.processing" if verified else "payment_intent.requires_action", intent)
    if verified:
        store.emit("charge.pending", charge)
    store.emit("checkout.session.completed", session_view(session))
    return session


def verify(store: Store, intent_id: str) -> Thing:
    """The payer has looked up the small deposits: the debit is on its way."""
    intent = store.get("payment_intent", intent_id)
    if intent["status"] != "requires_action":
        raise StripeRefusalError(f"PaymentIntent {intent_id} is {intent['status']}.")
    intent["status"] = "processing"
    store.put(intent)
    store.emit("payment_intent.processing", intent)
    return intent


def create_intent(store: Store, params: Params) -> Thing:
    """POST /v1/payment_intents, confirmed at once with one of Stripe's test payment methods: a card that pays."""
    read.only(params, _INTENT)
    method = read.text(params, "payment_method") or ""
    if params.get("confirm") != "true" or method not in TEST_METHODS:
        raise invalid("payment_method", f"The simulator confirms at once, with one of {', '.join(TEST_METHODS)}.")
    currency, amount = currency_code(params.get("currency"), "currency"), read.positive(params.get("amount"), "amount")
    check_amount(amount, currency, "amount")
    number = TEST_METHODS[method]
    words = {"description": read.text(params, "description"), "metadata": read.metadata(params), "receipt_email": None}
    session = {"amount_total": amount, "currency": currency, "customer": None, "payment_intent_data": words}
    intent = store.put(_new_intent(session, "card"))
    store.emit("payment_intent.created", intent)
    charge = _charge(store, intent, "card", number=number, email="")
    _succeed(store, intent, charge)
    if number == DISPUTED_LATER:
        dispute(store, charge["id"])
    return intent


def settle(store: Store, *, succeed: bool, intent_id: str | None = None) -> list[str]:
    """The bank answers: every waiting debit, or the given one, succeeds or fails. Returns the intents it touched."""
    touched = []
    for session in list(store.newest("checkout.session"))[::-1]:
        intent = store.find(session["payment_intent"] or "")
        if intent is None or intent["status"] != "processing" or intent_id not in {None, intent["id"]}:
            continue
        charge = store.get("charge", intent["latest_charge"])
        if succeed:
            session["payment_status"] = "paid"
            store.put(session)
            _succeed(store, intent, charge)
        else:
            _fail(
                store, intent, charge, ("payment_intent_payment_attempt_failed", "nsf", "The bank refused the debit.")
            )
        word = "succeeded" if succeed else "failed"
        store.emit(f"checkout.session.async_payment_{word}", session_view(session))
        touched.append(str(intent["id"]))
    return touched


def _open_session(store: Store, key: str) -> Thing:
    session = current_session(store, key)
    if session["status"] != "open":
        raise StripeRefusalError(f"This checkout is {session['status']}.", code="checkout_session_not_open")
    return session


def _complete(session: Thing, email: str, *, payment_status: str) -> None:
    session |= {"status": "complete", "payment_status": payment_status}
    session["customer_details"] = {"email": session["customer_email"] or email or None, "name": None}


def _intent(store: Store, session: Thing, method: str) -> Thing:
    """The session's intent: the one of an earlier declined try, or a new one."""
    kept = store.find(session.get("tried_intent") or "")
    if kept is not None:
        return kept
    intent = _new_intent(session, method)
    session["tried_intent"] = intent["id"]
    store.put(session)
    store.put(intent)
    store.emit("payment_intent.created", intent)
    return intent


def _new_intent(session: Thing, method: str) -> Thing:
    key = new_id("payment_intent")
    return {
        "id": key,
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_received": 0,
        "client_secret": f"{key}_secret_simulator",
        "created": int(time.time()),
        "currency": session["currency"],
        "customer": session["customer"],
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "payment_method_types": [method],
        "status": "requires_confirmation",
        **session["payment_intent_data"],
    }


def _charge(store: Store, intent: Thing, method: str, *, number: str, email: str) -> Thing:
    details: Thing = {"type": method, method: {}}
    if method == "card":
        details["card"] = {
            "brand": "mastercard" if number[:1] == "5" else "visa",
            "last4": number[-4:],
            "country": "CA",
        }
    else:
        details[method] = {"bank_name": "STRIPE TEST BANK", "last4": "6789"}
    return store.put(
        {
            "id": new_id("charge"),
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0,
            "amount_refunded": 0,
            "balance_transaction": None,
            "billing_details": {"email": email or None},
            "captured": False,
            "created": int(time.time()),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_code": None,
            "failure_message": None,
            "livemode": False,
            "metadata": intent["metadata"],
            "paid": False,
            "payment_intent": intent["id"],
            "payment_method_details": details,
            "refunded": False,
            "status": "pending",
        }
    )


def _succeed(store: Store, intent: Thing, charge: Thing) -> None:
    method = charge["payment_method_details"]["type"]
    cost = fee(charge["amount"], charge["currency"], method)
    charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": charge["amount"]}
    charge["balance_transaction"] = book(
        store, "charge" if method == "card" else "payment", charge["amount"], cost, charge
    )["id"]
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
    intent["last_payment_error"] = None
    store.put(charge)
    store.put(intent)
    store.emit("charge.succeeded", charge)
    store.emit("payment_intent.succeeded", intent)


def _fail(store: Store, intent: Thing, charge: Thing, why: tuple[str, str, str]) -> None:
    code, decline, message = why
    charge |= {"status": "failed", "failure_code": code, "failure_message": message}
    error = {"type": "card_error", "code": code, "decline_code": decline, "message": message, "charge": charge["id"]}
    intent |= {"status": "requires_payment_method", "latest_charge": charge["id"], "last_payment_error": error}
    store.put(charge)
    store.put(intent)
    store.emit("charge.failed", charge)
    store.emit("payment_intent.payment_failed", intent)
