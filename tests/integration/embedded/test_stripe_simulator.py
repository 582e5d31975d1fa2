"""The simulated Stripe, driven by Stripe's own library as the portal drives it."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from consortium.embedded.stripe_simulator.server import Simulator
from tests.integration.embedded.conftest import wait_until
from tests.integration.embedded.stripe_account import (
    DECLINED,
    GOOD,
    RETURN_URL,
    Receiver,
    browse,
    connect,
    intent_of,
    new_session,
    pay,
    pull,
    wanted,
)


def test_a_paid_session_tells_its_charge_and_what_stripe_keeps(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create(params={"name": "Université d’Exemple", "metadata": {"institution": "ue"}})
    session = new_session(
        client, customer=customer.id, client_reference_id="inv-1", metadata={"invoice": "2026-0001"},
        payment_intent_data={"metadata": {"invoice": "2026-0001"}},
    )  # fmt: skip
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 123_456)
    assert session.payment_intent is None

    status, headers, _ = browse(str(session.url), {"method": "card", "number": GOOD})

    assert (status, headers["Location"]) == (303, RETURN_URL.replace("{CHECKOUT_SESSION_ID}", session.id))
    intent = intent_of(client, session)
    assert (intent.status, intent.amount_received, intent.metadata["invoice"]) == ("succeeded", 123_456, "2026-0001")
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (3_610, 119_846)


def test_a_declined_card_leaves_the_session_open_for_another(client: stripe.StripeClient, receiver: Receiver) -> None:
    session = new_session(client)
    status, _, page = browse(str(session.url), {"method": "card", "number": DECLINED})
    assert status == 402
    assert "Your card was declined." in page
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert pay(session) == 303
    assert intent_of(client, session).last_payment_error is None
    wait_until(lambda: "checkout.session.completed" in receiver.types())
    assert receiver.types().index("payment_intent.payment_failed") < receiver.types().index("payment_intent.succeeded")


def test_a_session_is_paid_once(client: stripe.StripeClient) -> None:
    session = new_session(client)
    assert [pay(session), pay(session)] == [303, 402]
    assert len(client.v1.charges.list().data) == 1


def test_the_hosted_page_is_plain_safe_and_speaks_french(client: stripe.StripeClient) -> None:
    hostile = wanted(locale="fr-CA", cancel_url="http://127.0.0.1:9/back")
    hostile["line_items"][0]["price_data"]["product_data"]["name"] = "<script>alert(1)</script>"
    session = client.v1.checkout.sessions.create(params=hostile)
    status, headers, page = browse(str(session.url))
    assert status == 200
    assert '<html lang="fr">' in page
    assert "1234.56 CAD" in page
    assert "<script" not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "form-action 'self' http://127.0.0.1:9;" in headers["Content-Security-Policy"]


def test_an_expired_session_takes_no_money(client: stripe.StripeClient) -> None:
    session = new_session(client)
    assert client.v1.checkout.sessions.expire(session.id).status == "expired"
    assert pay(session) == 402
    assert client.v1.charges.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        client.v1.checkout.sessions.expire(session.id)


@pytest.mark.parametrize(("outcome", "paid", "intent_status"), [
    ("succeeded", "paid", "succeeded"), ("failed", "unpaid", "requires_payment_method"),
])  # fmt: skip
def test_a_bank_debit_is_answered_later(
    simulator: Simulator, client: stripe.StripeClient, receiver: Receiver, outcome: str, paid: str, intent_status: str
) -> None:
    session = new_session(client, payment_method_types=["card", "acss_debit"])
    assert browse(str(session.url), {"method": "acss_debit"})[0] == 303
    waiting = client.v1.checkout.sessions.retrieve(session.id)
    assert (waiting.status, waiting.payment_status, intent_of(client, session).status) == (
        "complete",
        "unpaid",
        "processing",
    )

    assert pull(simulator, "settle", outcome=outcome)["settled"] == [waiting.payment_intent]

    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == paid
    assert intent_of(client, session).status == intent_status
    wait_until(lambda: f"checkout.session.async_payment_{outcome}" in receiver.types())


@pytest.mark.parametrize(("currency", "amount", "shown"), [("jpy", 500, "500 JPY"), ("kwd", 12_340, "12.340 KWD")])
def test_currencies_without_cents_have_other_units(
    client: stripe.StripeClient, currency: str, amount: int, shown: str
) -> None:
    session = new_session(client, amount, currency=currency)
    assert session.amount_total == amount
    assert shown in browse(str(session.url))[2]


@pytest.mark.parametrize("change", [
    {"amount": 0}, {"amount": -5}, {"amount": 1.5}, {"currency": "kwd", "amount": 1_001}, {"currency": "dollars"},
    {"mode": "subscription"}, {"success_url": "javascript:alert(1)"}, {"customer": "cus_nobody"},
    {"payment_method_types": ["acss_debit"], "currency": "eur"}, {"surprise": "1"}, {"line_items": []},
])  # fmt: skip
def test_what_stripe_refuses_is_refused(client: stripe.StripeClient, change: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.create(params=wanted(**change))
    assert client.v1.checkout.sessions.list().data == []


def test_refunds_add_up_to_the_charge_and_no_further(client: stripe.StripeClient, receiver: Receiver) -> None:
    session = new_session(client, 10_000)
    pay(session)
    intent = intent_of(client, session)
    first = client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 4_000})
    assert (first.status, first.amount) == ("succeeded", 4_000)
    with pytest.raises(stripe.InvalidRequestError, match=r"greater than unrefunded amount .*60\.00 CAD"):
        client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 6_001})
    assert client.v1.refunds.create(params={"payment_intent": intent.id}).amount == 6_000
    charge = client.v1.charges.retrieve(str(first.charge))
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.refunds.create(params={"charge": charge.id})
    assert refusal.value.code == "charge_already_refunded"
    wait_until(lambda: receiver.count("charge.refunded") == 2)
    moved = client.v1.balance_transactions.retrieve(str(first.balance_transaction))
    assert (moved.type, moved.amount, moved.fee) == ("refund", -4_000, 0)


def test_the_same_key_gives_the_same_answer_and_no_second_object(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "invoice-1"}
    first = client.v1.checkout.sessions.create(params=wanted(), options=options)
    again = client.v1.checkout.sessions.create(params=wanted(), options=options)
    assert again.id == first.id
    assert len(client.v1.checkout.sessions.list().data) == 1
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        client.v1.checkout.sessions.create(params=wanted(1), options=options)


def test_a_key_survives_a_restart_and_a_request_that_failed_validation_leaves_it_free(
    start: Callable[[], Simulator],
) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "invoice-2"}
    client = connect(start())
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.create(params=wanted(0), options=options)
    first = client.v1.checkout.sessions.create(params=wanted(), options=options)
    assert connect(start()).v1.checkout.sessions.create(params=wanted(), options=options).id == first.id


def test_a_wrong_key_is_not_let_in(simulator: Simulator) -> None:
    with pytest.raises(stripe.AuthenticationError, match=r"sk_test\*+rong"):
        connect(simulator, "sk_test_this_is_wrong").v1.customers.list()


def test_what_does_not_exist_is_missing(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        client.v1.payment_intents.retrieve("pi_none")
    assert (refusal.value.code, refusal.value.http_status) == ("resource_missing", 404)


def test_lists_come_in_pages_the_newest_first(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create(params={"name": str(number)}).id for number in range(5)]
    page = client.v1.customers.list(params={"limit": 2})
    assert [customer.id for customer in page.data] == made[:2:-1]
    assert page.has_more
    assert [customer.id for customer in page.auto_paging_iter()] == made[::-1]


def test_a_dispute_takes_the_money_back_and_a_won_one_returns_it(
    simulator: Simulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    session = new_session(client, 10_000)
    pay(session)
    charge = intent_of(client, session).latest_charge
    assert isinstance(charge, stripe.Charge)
    dispute = pull(simulator, "dispute", charge=charge.id)
    assert client.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    assert pull(simulator, "close_dispute", dispute=dispute["id"], won=True)["status"] == "won"
    wait_until(lambda: "charge.dispute.funds_reinstated" in receiver.types())


def test_a_refund_of_a_debit_is_pending_and_a_disputed_charge_is_not_refunded(
    simulator: Simulator, client: stripe.StripeClient
) -> None:
    session = new_session(client, 10_000, payment_method_types=["card", "acss_debit"])
    browse(str(session.url), {"method": "acss_debit"})
    pull(simulator, "settle")
    intent = intent_of(client, session)
    refund = client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 1_000})
    assert refund.status == "pending"
    assert pull(simulator, "settle_refund", refund=refund.id)["status"] == "succeeded"
    returned = pull(simulator, "return_debit", payment_intent=intent.id)
    assert (returned["status"], returned["reason"]) == ("lost", "insufficient_funds")
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 1_000})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be closed"):
        client.v1.disputes.close(returned["id"])


def test_concurrent_payers_of_one_session_pay_it_once(client: stripe.StripeClient) -> None:
    session = new_session(client)
    statuses: list[int] = []
    payers = [threading.Thread(target=lambda: statuses.append(pay(session))) for _ in range(5)]
    for payer in payers:
        payer.start()
    for payer in payers:
        payer.join()
    assert sorted(statuses) == [303, 402, 402, 402, 402]


def test_a_session_past_its_time_is_expired(client: stripe.StripeClient, simulator: Simulator) -> None:
    session = new_session(client, expires_at=int(time.time()) + 1_800)
    with simulator.store.transaction():
        simulator.store.put({**simulator.store.get("checkout.session", session.id), "expires_at": 1})
    assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert "expired" in browse(f"{simulator.url}/c/pay/{session.id}")[2]
