"""The simulated Stripe, driven by Stripe's own library as the portal drives it."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import stripe

from consortium.embedded.stripe_simulator.forging import FORGERIES
from consortium.embedded.stripe_simulator.server import Simulator
from consortium.embedded.stripe_simulator.settings import Settings

from .conftest import wait_until

KEY, SECRET = "sk_test_simulator_of_the_tests", "whsec_of_the_tests"
GOOD, DECLINED = "4242 4242 4242 4242", "4000000000000002"
RETURN_URL = "http://127.0.0.1:9/thanks?session={CHECKOUT_SESSION_ID}"


class Receiver:
    """The portal's end of the webhooks: keeps what arrives, answers what the test wants."""

    def __init__(self) -> None:
        self.arrived: list[stripe.Event] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    signature = self.headers.get("Stripe-Signature", "")
                    receiver.arrived.append(stripe.Webhook.construct_event(body, signature, SECRET))
                except (ValueError, stripe.SignatureVerificationError):
                    receiver.answers.insert(0, 400)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"

    def types(self) -> list[str]:
        return [event.type for event in self.arrived]

    def count(self, event_type: str) -> int:
        return self.types().count(event_type)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def start(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[[], Simulator]]:
    """Starts a simulator; called again it is a restart with the same state."""
    running: list[tuple[Simulator, threading.Thread]] = []

    def stop_all() -> None:
        while running:
            simulator, thread = running.pop()
            simulator.stop()
            thread.join()

    def start_again() -> Simulator:
        stop_all()
        settings = Settings(
            port=0, state=tmp_path / "stripe.sqlite3", webhook_url=receiver.url, webhook_secret=SECRET, api_key=KEY
        )
        simulator = Simulator(settings)
        thread = threading.Thread(target=simulator.serve)
        thread.start()
        running.append((simulator, thread))
        return simulator

    yield start_again
    stop_all()


@pytest.fixture
def simulator(start: Callable[[], Simulator]) -> Simulator:
    return start()


@pytest.fixture
def client(simulator: Simulator) -> stripe.StripeClient:
    return connect(simulator)


def connect(simulator: Simulator, key: str = KEY) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": simulator.url}, max_network_retries=0)


def wanted(amount: int = 123_456, currency: str = "cad", **more: Any) -> Any:
    """The parameters of a session for one line."""
    line = {
        "price_data": {"currency": currency, "unit_amount": amount, "product_data": {"name": "Invoice 2026-0001"}},
        "quantity": 1,
    }
    return {"mode": "payment", "line_items": [line], "success_url": RETURN_URL, **more}


def new_session(client: stripe.StripeClient, amount: int = 123_456, **more: Any) -> stripe.checkout.Session:
    return client.v1.checkout.sessions.create(params=wanted(amount, **more))


def browse(url: str, fields: dict[str, str] | None = None) -> tuple[int, http.client.HTTPMessage, str]:
    """What a browser without scripts would do: GET the page, or POST its form; redirects are not followed."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    if fields is None:
        connection.request("GET", target.path)
    else:
        connection.request("POST", target.path, urlencode(fields), form)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.headers, text


def pay(session: stripe.checkout.Session, number: str = GOOD) -> int:
    return browse(str(session.url), {"method": "card", "number": number, "email": "ap@u.example"})[0]


def pull(simulator: Simulator, lever: str, **wishes: Any) -> dict[str, Any]:
    """Uses one of the levers that only a simulator has."""
    target = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
    connection.request("POST", f"/_simulator/{lever}", json.dumps(wishes), {"Authorization": f"Bearer {KEY}"})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def intent_of(client: stripe.StripeClient, session: stripe.checkout.Session) -> stripe.PaymentIntent:
    key = client.v1.checkout.sessions.retrieve(session.id).payment_intent
    return client.v1.payment_intents.retrieve(
        str(key), params={"expand": ["latest_charge", "latest_charge.balance_transaction"]}
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


def test_signed_events_tell_of_the_payment(client: stripe.StripeClient, receiver: Receiver) -> None:
    session = new_session(client, metadata={"invoice": "7"})
    pay(session)
    wait_until(lambda: "checkout.session.completed" in receiver.types())
    event = next(event for event in receiver.arrived if event.type == "checkout.session.completed")
    assert event.data.object["id"] == session.id
    assert event.data.object["metadata"]["invoice"] == "7"
    assert client.v1.events.retrieve(event.id).type == event.type
    assert "payment_intent.succeeded" in [kept.type for kept in client.v1.events.list().data]


def test_an_event_is_sent_again_until_the_receiver_takes_it(client: stripe.StripeClient, receiver: Receiver) -> None:
    receiver.answers = [500]
    client.v1.customers.create(params={"name": "once more"})
    wait_until(lambda: len(receiver.arrived) == 2)
    assert receiver.arrived[0].id == receiver.arrived[1].id


def test_an_event_that_was_not_taken_survives_a_restart(start: Callable[[], Simulator], receiver: Receiver) -> None:
    simulator = start()
    pull(simulator, "webhooks", fail_next=1)
    connect(simulator).v1.customers.create(params={"name": "lost on the way"})
    wait_until(lambda: pull(simulator, "webhooks")["fail_next"] == 0)
    assert receiver.arrived == []
    start()
    wait_until(lambda: receiver.types() == ["customer.created"])


def test_events_are_doubled_and_turned_round_on_demand(
    simulator: Simulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    pull(simulator, "webhooks", copies=2, shuffle=True)
    pay(new_session(client))
    wait_until(lambda: len(receiver.arrived) == 8)
    kinds = receiver.types()
    assert all(kinds.count(kind) == 2 for kind in set(kinds))
    assert kinds.index("checkout.session.completed") < kinds.index("payment_intent.created")
    assert pull(simulator, "webhooks", copies=1, shuffle=False, resend="all")["resent"] == 4
    wait_until(lambda: len(receiver.arrived) == 12)


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


def test_a_message_that_is_lost_never_arrives_and_stands_in_the_list(
    simulator: Simulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    pull(simulator, "webhooks", lose_next=1)
    lost = client.v1.customers.create(params={"name": "unheard"})
    heard = client.v1.customers.create(params={"name": "heard"})
    wait_until(lambda: receiver.arrived != [])
    assert [event.data.object["id"] for event in receiver.arrived] == [heard.id]
    assert [event.data.object["id"] for event in client.v1.events.list().data] == [heard.id, lost.id]


def test_what_was_done_is_kept_when_its_answer_is_lost(simulator: Simulator, client: stripe.StripeClient) -> None:
    pull(simulator, "network", answers_lost=1)
    options: stripe.RequestOptions = {"idempotency_key": "lost"}
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create(params={"name": "once"}, options=options)
    again = client.v1.customers.create(params={"name": "once"}, options=options)
    assert [customer.id for customer in client.v1.customers.list().data] == [again.id]


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


def test_forgeries_are_refused_by_stripe_s_own_library_but_for_those_of_another_clock_account_or_kind(
    simulator: Simulator, receiver: Receiver
) -> None:
    accepted = {kind for kind in FORGERIES if pull(simulator, "forge", kind=kind)["status"] == 200}
    # These are why the portal looks closer than the library.
    assert accepted == {"from_the_future", "other_account", "other_mode", "wrong_type", "oversize"}


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
