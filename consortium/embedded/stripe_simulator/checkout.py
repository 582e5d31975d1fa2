"""Checkout Sessions and customers: what is to be paid, by whom, and where the payer goes afterwards."""

from __future__ import annotations

import time
from typing import Any

from consortium.embedded.stripe_simulator import parameters as read
from consortium.embedded.stripe_simulator.currencies import BANK_CURRENCIES, check_amount, currency_code
from consortium.embedded.stripe_simulator.parameters import Params
from consortium.embedded.stripe_simulator.problems import StripeRefusalError, invalid, required
from consortium.embedded.stripe_simulator.store import Store, Thing, new_id

_INSIDE = frozenset({"payment_intent_data", "line_items", "tried_intent"})
METHODS = ("card", "acss_debit", "us_bank_account")
DAY = 24 * 3600
_CUSTOMER = frozenset({"name", "email", "description", "metadata", "phone", "address", "preferred_locales"})
_SESSION = frozenset(
    {
        "mode", "line_items", "success_url", "cancel_url", "customer", "customer_email", "client_reference_id",
        "metadata", "payment_intent_data", "payment_method_types", "payment_method_options", "expires_at", "locale",
        "submit_type", "billing_address_collection", "customer_creation", "ui_mode",
    }
)  # fmt: skip
_INTENT_DATA = frozenset(
    {"metadata", "description", "receipt_email", "statement_descriptor_suffix", "setup_future_usage"}
)


def create_customer(store: Store, params: Params) -> Thing:
    """POST /v1/customers."""
    read.only(params, _CUSTOMER)
    customer = {
        "id": new_id("customer"),
        "object": "customer",
        "created": int(time.time()),
        "livemode": False,
        "address": params.get("address"),
        "preferred_locales": read.words(params, "preferred_locales"),
        "metadata": read.metadata(params),
        **{name: read.text(params, name) for name in ("name", "email", "description", "phone")},
    }
    store.put(customer)
    store.emit("customer.created", customer)
    return customer


def update_customer(store: Store, key: str, params: Params) -> Thing:
    """POST /v1/customers/:id."""
    read.only(params, _CUSTOMER)
    customer = store.get("customer", key)
    customer |= {name: read.text(params, name) for name in ("name", "email", "description", "phone") if name in params}
    customer["metadata"] |= read.metadata(params)
    store.put(customer)
    store.emit("customer.updated", customer)
    return customer


def create_session(store: Store, params: Params, *, base_url: str) -> Thing:
    """POST /v1/checkout/sessions, for single payments on the hosted page."""
    read.only(params, _SESSION)
    if params.get("mode") != "payment":
        raise invalid("mode", "The simulator knows only mode=payment.")
    success_url = read.address(params, "success_url")
    if success_url is None:
        raise required("success_url")
    items, currency = _line_items(params)
    total = sum(item["amount_total"] for item in items)
    check_amount(total, currency, "line_items")
    customer = read.text(params, "customer")
    if customer:
        store.get("customer", customer, param="customer")
    now, key = int(time.time()), new_id("checkout.session")
    session = {
        "id": key,
        "object": "checkout.session",
        "amount_subtotal": total,
        "amount_total": total,
        "created": now,
        "currency": currency,
        "customer": customer,
        "customer_details": None,
        "expires_at": _expiry(params, now),
        "livemode": False,
        "metadata": read.metadata(params),
        "mode": "payment",
        "payment_intent": None,  # made when the payer confirms
        "payment_intent_data": _intent_data(params),
        "payment_method_types": _methods(params, currency),
        "payment_status": "unpaid",
        "status": "open",
        "success_url": success_url.replace("{CHECKOUT_SESSION_ID}", key),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted",
        "url": f"{base_url}/c/pay/{key}",
        "line_items": items,
        "cancel_url": read.address(params, "cancel_url"),
        **{name: read.text(params, name) for name in ("customer_email", "client_reference_id", "locale")},
    }
    return store.put(session)


def session_view(session: Thing) -> Thing:
    """A session as the API shows it: the lines and what the intent will bear stay inside."""
    shown = {name: value for name, value in session.items() if name not in _INSIDE}
    return shown if session["status"] == "open" else {**shown, "url": None}


def current_session(store: Store, key: str) -> Thing:
    """The session, expired if its time is over."""
    session = store.get("checkout.session", key)
    if session["status"] == "open" and session["expires_at"] <= time.time():
        return _expire(store, session)
    return session


def expire_session(store: Store, key: str) -> Thing:
    """POST /v1/checkout/sessions/:id/expire."""
    session = current_session(store, key)
    if session["status"] != "open":
        message = f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {session["status"]}.'
        raise StripeRefusalError(message, kept=True)
    return _expire(store, session)


def _expire(store: Store, session: Thing) -> Thing:
    session["status"] = "expired"
    store.put(session)
    store.emit("checkout.session.expired", session_view(session))
    return session


def _line_items(params: Params) -> tuple[list[Thing], str]:
    lines = params.get("line_items")
    if not isinstance(lines, list) or not lines:
        raise required("line_items")
    items = [_line_item(line, number) for number, line in enumerate(lines)]
    currencies = {item["currency"] for item in items}
    if len(currencies) > 1:
        raise invalid("line_items", "All line items must have the same currency.")
    return items, currencies.pop()


def _line_item(line: Any, number: int) -> Thing:
    at = f"line_items[{number}]"
    price = line.get("price_data") if isinstance(line, dict) else None
    if not isinstance(price, dict):
        raise required(f"{at}[price_data]")
    read.only(line, {"price_data", "quantity"}, prefix=at)
    read.only(price, {"currency", "unit_amount", "product_data", "tax_behavior"}, prefix=f"{at}[price_data]")
    product = price.get("product_data")
    if not isinstance(product, dict) or not read.text(product, "name"):
        raise required(f"{at}[price_data][product_data][name]")
    currency = currency_code(price.get("currency"), f"{at}[price_data][currency]")
    unit = read.positive(price.get("unit_amount"), f"{at}[price_data][unit_amount]")
    quantity = read.positive(line.get("quantity", "1"), f"{at}[quantity]")
    return {
        "id": new_id("item"),
        "object": "item",
        "amount_subtotal": unit * quantity,
        "amount_total": unit * quantity,
        "currency": currency,
        "description": product["name"],
        "quantity": quantity,
    }


def _methods(params: Params, currency: str) -> list[str]:
    methods = read.words(params, "payment_method_types") or ["card"]
    for method in methods:
        if method not in METHODS:
            raise invalid("payment_method_types", f"The payment method type {method} is invalid.")
        if currency not in BANK_CURRENCIES.get(method, {currency}):
            raise invalid("payment_method_types", f"The currency {currency} is not supported by {method}.")
    return methods


def _intent_data(params: Params) -> Thing:
    data = params.get("payment_intent_data") or {}
    if not isinstance(data, dict):
        raise invalid("payment_intent_data", "Invalid object")
    read.only(data, _INTENT_DATA, prefix="payment_intent_data")
    return {
        "metadata": read.metadata(data, name="payment_intent_data[metadata]"),
        "description": read.text(data, "description"),
        "receipt_email": read.text(data, "receipt_email"),
    }


def _expiry(params: Params, now: int) -> int:
    if "expires_at" not in params:
        return now + DAY
    expiry = read.whole(params["expires_at"], "expires_at")
    if not now + 1800 - 5 <= expiry <= now + DAY + 5:
        raise invalid("expires_at", "The expires_at timestamp must be between 30 minutes and 24 hours from now.")
    return expiry
