"""An account at the simulated Stripe, a browser without scripts, and the portal's end of the webhooks."""

import http.client
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit

import stripe

from consortium.embedded.stripe_simulator.server import Simulator

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
