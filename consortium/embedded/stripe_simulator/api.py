"""Stripe's addresses: which function answers which, lists, expansion, and idempotency keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from consortium.embedded.stripe_simulator import balance, checkout, disputes, payments, refunds
from consortium.embedded.stripe_simulator import parameters as read
from consortium.embedded.stripe_simulator.parameters import Params
from consortium.embedded.stripe_simulator.problems import StripeRefusalError, invalid
from consortium.embedded.stripe_simulator.store import Store, Thing

type Answer = Callable[[Store, str, Params], Thing]

LARGEST_PAGE = 100
KINDS = {
    "/v1/customers": "customer",
    "/v1/checkout/sessions": "checkout.session",
    "/v1/payment_intents": "payment_intent",
    "/v1/charges": "charge",
    "/v1/refunds": "refund",
    "/v1/disputes": "dispute",
    "/v1/events": "event",
    "/v1/balance_transactions": "balance_transaction",
    "/v1/payouts": "payout",
}
FILTERS = {
    "customer": {"email"},
    "checkout.session": {"payment_intent", "customer", "status"},
    "payment_intent": {"customer"},
    "charge": {"payment_intent", "customer"},
    "refund": {"payment_intent", "charge"},
    "dispute": {"payment_intent", "charge"},
    "event": {"type", "types"},
    "balance_transaction": {"type", "source", "currency", "payout"},
    "payout": {"status"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call as it came in; `encoded` is the form body, or the query of a GET."""

    method: str
    path: str
    encoded: str
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What goes back. `replayed` tells that an idempotency key had its answer already."""

    status: int
    body: str
    replayed: bool = False


class Api:
    """Answers calls, each in one transaction."""

    def __init__(self, store: Store, *, base_url: str) -> None:
        """`base_url` is where payers reach the hosted page."""
        self._store = store
        self._writes: list[tuple[re.Pattern[str], Answer]] = [
            (re.compile(r"/v1/customers"), lambda s, _, p: checkout.create_customer(s, p)),
            (re.compile(r"/v1/customers/([^/]+)"), checkout.update_customer),
            (
                re.compile(r"/v1/checkout/sessions"),
                lambda s, _, p: checkout.session_view(checkout.create_session(s, p, base_url=base_url)),
            ),
            (
                re.compile(r"/v1/checkout/sessions/([^/]+)/expire"),
                lambda s, key, _: checkout.session_view(checkout.expire_session(s, key)),
            ),
            (re.compile(r"/v1/payment_intents"), lambda s, _, p: payments.create_intent(s, p)),
            (re.compile(r"/v1/refunds"), lambda s, _, p: refunds.create_refund(s, p)),
            (re.compile(r"/v1/disputes/([^/]+)"), disputes.update_dispute),
            (re.compile(r"/v1/disputes/([^/]+)/close"), lambda s, key, _: disputes.accept_dispute(s, key)),
        ]

    def answer(self, request: Request) -> Response:
        """Carries out one call; a refusal is an answer as well."""
        try:
            with self._store.transaction():
                return self._kept(request) or self._fresh(request)
        except StripeRefusalError as problem:
            response = Response(status=problem.status, body=json.dumps(problem.body))
            if problem.kept and request.idempotency_key and request.method == "POST":
                with self._store.transaction():
                    self._remember(request, response)
            return response

    def _kept(self, request: Request) -> Response | None:
        if request.method != "POST" or not request.idempotency_key:
            return None
        kept = self._store.remembered(request.idempotency_key)
        if kept is None:
            return None
        fingerprint, status, body = kept
        if fingerprint != _fingerprint(request):
            raise StripeRefusalError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{request.idempotency_key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        return Response(status=status, body=body, replayed=True)

    def _fresh(self, request: Request) -> Response:
        params = read.parse(request.encoded)
        if request.method == "GET":
            return Response(status=200, body=json.dumps(self._read(request.path, params)))
        for pattern, write in self._writes:
            match = pattern.fullmatch(request.path)
            if match:
                thing = write(self._store, match[1] if match.groups() else "", params)
                response = Response(status=200, body=json.dumps(self._expanded(thing, params)))
                self._remember(request, response)
                return response
        raise _unrecognised(request)

    def _read(self, path: str, params: Params) -> Thing:
        if path in KINDS:
            return self._list(path, KINDS[path], params)
        lines = re.fullmatch(r"/v1/checkout/sessions/([^/]+)/line_items", path)
        if lines:
            return _listing(path, self._store.get("checkout.session", lines[1])["line_items"], more=False)
        folder, _, key = path.rpartition("/")
        if folder not in KINDS:
            raise _unrecognised(Request(method="GET", path=path, encoded=""))
        read.only(params, set())
        return self._expanded(self._one(KINDS[folder], key), params)

    def _one(self, kind: str, key: str) -> Thing:
        if kind == "checkout.session":
            return checkout.session_view(checkout.current_session(self._store, key))
        return _view(kind, self._store.get(kind, key))

    def _list(self, path: str, kind: str, params: Params) -> Thing:
        read.only(params, FILTERS[kind] | {"limit", "starting_after", "ending_before", "created"})
        things = [thing for thing in self._store.newest(kind) if _matches(thing, params, FILTERS[kind])]
        limit = read.positive(params.get("limit", "10"), "limit")
        if limit > LARGEST_PAGE:
            raise invalid("limit", f"This value must be less than or equal to {LARGEST_PAGE}.")
        ids = [thing["id"] for thing in things]
        if "starting_after" in params:
            things = things[_position(ids, params, "starting_after") + 1 :]
            page, more = things[:limit], len(things) > limit
        elif "ending_before" in params:
            things = things[: _position(ids, params, "ending_before")]
            page, more = things[-limit:], len(things) > limit
        else:
            page, more = things[:limit], len(things) > limit
        shown = [_view(kind, thing) for thing in page]
        wishes = [wish.removeprefix("data.") for wish in read.words(params, "expand")]
        return _listing(path, [self._expanded(thing, {"expand": wishes}) for thing in shown], more=more)

    def _expanded(self, thing: Thing, params: Params) -> Thing:
        """The object with the ids that `expand` names replaced by what they stand for."""
        for wish in read.words(params, "expand"):
            self._expand(thing, wish.split("."))
        return thing

    def _expand(self, thing: Thing, path: list[str]) -> None:
        name, *rest = path
        if name == "line_items" and thing["object"] == "checkout.session":
            lines = self._store.get("checkout.session", thing["id"])["line_items"]
            thing[name] = _listing(f"/v1/checkout/sessions/{thing['id']}/line_items", lines, more=False)
            return
        if name not in thing:
            raise invalid("expand", f"This property cannot be expanded ({name}).")
        if isinstance(thing[name], str):
            thing[name] = self._store.find(thing[name]) or thing[name]
        if rest and isinstance(thing[name], dict):
            self._expand(thing[name], rest)

    def _remember(self, request: Request, response: Response) -> None:
        if request.idempotency_key:
            self._store.remember(request.idempotency_key, _fingerprint(request), response.status, response.body)


def _view(kind: str, thing: Thing) -> Thing:
    views: dict[str, Callable[[Thing], Thing]] = {
        "checkout.session": checkout.session_view, "balance_transaction": balance.shown,
    }  # fmt: skip
    return views[kind](thing) if kind in views else thing


def _fingerprint(request: Request) -> str:
    return hashlib.sha256(f"{request.path}\n{request.encoded}".encode()).hexdigest()


def _unrecognised(request: Request) -> StripeRefusalError:
    return StripeRefusalError(f"Unrecognized request URL ({request.method}: {request.path}).", status=404)


def _listing(path: str, data: list[Thing], *, more: bool) -> Thing:
    return {"object": "list", "url": path, "has_more": more, "data": data}


def _position(ids: list[str], params: Params, name: str) -> int:
    try:
        return ids.index(params[name])
    except ValueError:
        raise invalid(name, f"No such object: '{params[name]}'") from None


def _matches(thing: Thing, params: Params, filters: set[str]) -> bool:
    for name in filters & set(params):
        wanted = params[name]
        if thing.get("type" if name == "types" else name) not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    created = params.get("created", {})
    bounds = created if isinstance(created, dict) else {"gte": created, "lte": created}
    compare: dict[str, Callable[[int, int], bool]] = {
        "gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__,
    }  # fmt: skip
    return all(
        compare[word](thing["created"], read.whole(bound, "created"))
        for word, bound in bounds.items()
        if word in compare
    )
