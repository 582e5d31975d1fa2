"""The levers that only a simulator has: what payers' banks, the network and forgers do. POST /_simulator/<name>."""

from __future__ import annotations

from collections.abc import Callable

from consortium.embedded.stripe_simulator import balance, disputes, forging, payments, payouts, refunds, webhooks
from consortium.embedded.stripe_simulator.problems import StripeRefusalError, required
from consortium.embedded.stripe_simulator.settings import Settings
from consortium.embedded.stripe_simulator.store import Store, Thing


def pull(name: str, store: Store, settings: Settings, wishes: Thing) -> Thing:
    """Do what the lever of that name does; refuses one that the simulator does not have."""
    if name == "forge":
        return forging.forge(str(wishes.get("kind", "")), settings)
    if name not in _LEVERS:
        raise StripeRefusalError(f"The simulator has no lever {name}.", status=404)
    with store.transaction():
        return _LEVERS[name](store, wishes)


def _settle(store: Store, wishes: Thing) -> Thing:
    """Every waiting debit, or the one named: `outcome` "succeeded" or "failed"."""
    succeed = wishes.get("outcome", "succeeded") == "succeeded"
    return {"settled": payments.settle(store, succeed=succeed, intent_id=wishes.get("payment_intent"))}


def _dispute(store: Store, wishes: Thing) -> Thing:
    """`charge` or `payment_intent`; `reason`, `amount` and `inquiry` if they matter."""
    amount = int(wishes["amount"]) if "amount" in wishes else None
    reason, inquiry = str(wishes.get("reason", "fraudulent")), bool(wishes.get("inquiry"))
    return disputes.dispute(store, _charge(store, wishes), reason=reason, amount=amount, inquiry=inquiry)


def _return_debit(store: Store, wishes: Thing) -> Thing:
    """`charge` or `payment_intent`; `reason` if it matters."""
    reason = str(wishes.get("reason", "insufficient_funds"))
    return disputes.return_debit(store, _charge(store, wishes), reason=reason)


def _network(store: Store, wishes: Thing) -> Thing:
    """The answers to the next `answers_lost` writes are lost; what was asked is done."""
    store.set_setting("answers_lost", int(wishes.get("answers_lost", 0)))
    return {"answers_lost": store.setting("answers_lost")}


def _charge(store: Store, wishes: Thing) -> str:
    if "charge" in wishes:
        return str(wishes["charge"])
    if "payment_intent" not in wishes:
        raise required("charge")
    return str(store.get("payment_intent", wishes["payment_intent"])["latest_charge"])


def _named(wishes: Thing, name: str) -> str:
    if name not in wishes:
        raise required(name)
    return str(wishes[name])


_LEVERS: dict[str, Callable[[Store, Thing], Thing]] = {
    "webhooks": webhooks.steer,
    "network": _network,
    "settle": _settle,
    "verify": lambda store, wishes: payments.verify(store, _named(wishes, "payment_intent")),
    "dispute": _dispute,
    "close_dispute": lambda store, wishes: disputes.close_dispute(
        store, _named(wishes, "dispute"), won=bool(wishes.get("won"))
    ),
    "return_debit": _return_debit,
    "settle_refund": lambda store, wishes: refunds.settle_refund(
        store, _named(wishes, "refund"), succeed=wishes.get("outcome", "succeeded") == "succeeded"
    ),
    "fee": balance.charge_fee,
    "payout": payouts.pay_out,
    "settle_payout": lambda store, wishes: payouts.settle_payout(
        store, _named(wishes, "payout"), arrives=wishes.get("outcome", "paid") == "paid"
    ),
}
