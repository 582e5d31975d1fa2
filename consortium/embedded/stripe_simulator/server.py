"""The HTTP side: Stripe's API, the hosted page, and the levers that only a simulator has."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import json
import logging
import secrets
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from consortium.embedded.ports import LOOPBACK
from consortium.embedded.stripe_simulator import levers, payments, webhooks
from consortium.embedded.stripe_simulator import page as pages
from consortium.embedded.stripe_simulator.api import Api, Request
from consortium.embedded.stripe_simulator.checkout import current_session
from consortium.embedded.stripe_simulator.problems import StripeRefusalError
from consortium.embedded.stripe_simulator.settings import Settings
from consortium.embedded.stripe_simulator.store import Store, Thing

LARGEST_BODY = 1_000_000

logger = logging.getLogger(__name__)


class Simulator:
    """The server, its state and its webhooks; `url` is its address."""

    def __init__(self, settings: Settings) -> None:
        """Listens from now on (port 0 takes any free one); `serve` answers."""
        self.settings = settings
        self.store = Store(settings.state)
        handler = type("BoundHandler", (_Handler,), {"simulator": self})
        self._server = ThreadingHTTPServer((LOOPBACK, settings.port), handler)
        self._server.daemon_threads = True
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}"
        self.api = Api(self.store, base_url=self.url)
        self._deliverer = webhooks.Deliverer(self.store, url=settings.webhook_url, secret=settings.webhook_secret)

    def serve(self) -> None:
        """Answers until `stop` is called from another thread."""
        self._deliverer.start()
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Ends; what was not delivered is delivered by the next run."""
        self._server.shutdown()
        self._deliverer.stop()
        self._server.server_close()
        self.store.close()


class _Handler(BaseHTTPRequestHandler):
    simulator: ClassVar[Simulator]
    protocol_version = "HTTP/1.1"
    server_version = "StripeSimulator"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the acknowledgement of its own headers

    def do_GET(self) -> None:
        self._route(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True
            self._json(413, StripeRefusalError("The request is too large.", status=413).body)
            return
        self._route(self.rfile.read(int(length)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        logger.info(format, *args)

    def _route(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        try:
            text = body.decode()
            if path.startswith("/v1/"):
                self._api(path, text)
            elif path.startswith("/c/pay/"):
                self._page(path.removeprefix("/c/pay/"), text)
            elif path.startswith("/_simulator/"):
                self._lever(path.removeprefix("/_simulator/"), text)
            else:
                self._json(404, StripeRefusalError(f"Unrecognized request URL ({self.command}: {path}).").body)
        except StripeRefusalError as problem:
            self._json(problem.status, problem.body)
        except (ValueError, TypeError) as error:
            self._json(400, StripeRefusalError(f"The request cannot be understood: {error}").body)

    def _api(self, path: str, body: str) -> None:
        self._check_key()
        encoded = body if self.command == "POST" else urlsplit(self.path).query
        key = self.headers.get("Idempotency-Key", "")
        request = Request(method=self.command, path=path, encoded=encoded, idempotency_key=key)
        response = self.simulator.api.answer(request)
        if self.command == "POST" and self._answer_is_lost():
            return
        extra = {"Request-Id": f"req_{secrets.token_hex(7)}"}
        if key and self.command == "POST":
            extra["Idempotency-Key"] = key
        if response.replayed:
            extra["Idempotent-Replayed"] = "true"
        self._send(response.status, response.body, "application/json", extra)

    def _answer_is_lost(self) -> bool:
        """What was asked is done, and the one who asked never hears of it."""
        with self.simulator.store.transaction(silent=True):
            lost = self.simulator.store.take_setting("answers_lost")
        if lost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        return lost

    def _check_key(self) -> None:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            try:
                given = base64.b64decode(given).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                given = ""
        if not hmac.compare_digest(given.strip().encode(), self.simulator.settings.api_key.encode()):
            shown = f"{given[:7]}{'*' * 8}{given[-4:]}" if len(given) > 16 else "********"
            raise StripeRefusalError(f"Invalid API Key provided: {shown}", status=401)

    def _page(self, key: str, body: str) -> None:
        store, problem = self.simulator.store, ""
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        try:
            with store.transaction():
                session = current_session(store, key)
                if self.command == "POST":
                    session = self._pay(key, fields)
        except StripeRefusalError as error:
            problem = str(error)
            session = self._known_session(key)
        if session and self.command == "POST" and session["status"] == "complete" and not problem:
            self._send(303, "", "text/plain", {"Location": session["success_url"]})
            return
        self._show(session, problem or self._decline(session))

    def _known_session(self, key: str) -> Thing:
        with self.simulator.store.transaction(), contextlib.suppress(StripeRefusalError):
            return current_session(self.simulator.store, key)
        return {}

    def _pay(self, key: str, fields: dict[str, str]) -> Thing:
        store, email = self.simulator.store, fields.get("email", "")
        method = fields.get("method", "card")
        if method == "card":
            return payments.pay_by_card(store, key, fields.get("number", ""), email=email)
        return payments.pay_by_bank(store, key, method, email=email, verified=fields.get("verify") != "later")

    def _decline(self, session: Thing) -> str:
        """Why the card just tried was refused."""
        if self.command != "POST" or not session:
            return ""
        with self.simulator.store.transaction():
            intent = self.simulator.store.find(session.get("tried_intent") or "")
        return str(((intent or {}).get("last_payment_error") or {}).get("message", ""))

    def _show(self, session: Thing, problem: str) -> None:
        nonce = secrets.token_urlsafe(16)
        language = pages.language_of(session or None, self.headers.get("Accept-Language", ""))
        if session:
            merchant = self.simulator.settings.merchant
            page = pages.payment_page(session, merchant=merchant, language=language, nonce=nonce, problem=problem)
        else:
            page = pages.missing_page(language=language, nonce=nonce)
        status = 404 if not session else (402 if problem else 200)
        headers = {
            "Content-Security-Policy": page.policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        self._send(status, page.html, "text/html", headers)

    def _lever(self, name: str, body: str) -> None:
        if name == "ready":
            self._json(200, {"ok": True})
            return
        if self.command != "POST":
            raise StripeRefusalError("Use POST.", status=405)
        self._check_key()
        self._json(200, levers.pull(name, self.simulator.store, self.simulator.settings, json.loads(body or "{}")))

    def _json(self, status: int, body: Thing) -> None:
        self._send(status, json.dumps(body), "application/json", {})

    def _send(self, status: int, body: str, kind: str, headers: dict[str, str]) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in {
            **headers,
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(data)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
