"""Forged messages: each kind is refused with its own reason and leaves nothing; what Stripe itself sends is kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from billing.gateways.stripe import StripeGateway
from billing.gateways.stripe_webhooks import MAX_SKEW
from billing.models import ProviderEvent
from consortium.embedded.stripe_simulator import forging
from consortium.embedded.stripe_simulator.forging import FORGERIES, Forgery
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from tests.unit.billing.checkout import SECRET, signed

REASONS = {
    "unsigned": (400, "webhook_unsigned"),
    "wrong_secret": (400, "webhook_signature"),
    "too_old": (400, "webhook_too_old"),
    "from_the_future": (400, "webhook_from_future"),
    "replayed": (400, "webhook_signature"),
    "changed": (400, "webhook_signature"),
    "two_wrong": (400, "webhook_signature"),
    "old_scheme": (400, "webhook_scheme"),
    "other_account": (400, "webhook_other_account"),
    "other_mode": (400, "webhook_other_mode"),
    "wrong_type": (415, "webhook_content_type"),
    "oversize": (413, "webhook_oversize"),
    "unknown_version": (400, "webhook_unreadable"),
}


@pytest.fixture(autouse=True)
def door(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    settings.STRIPE_API_KEY = "sk_test_door"
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    settings.STRIPE_WEBHOOK_SECRET = f"whsec_retired, {SECRET}"


def knock(forgery: Forgery) -> Any:
    headers = {name: value for name, value in forgery.all_headers.items() if name != "Content-Type"}
    content_type = forgery.headers["Content-Type"]
    return Client().post("/webhooks/stripe/", forgery.body, content_type=content_type, headers=headers)


def test_every_kind_has_its_reason_here() -> None:
    assert REASONS.keys() == FORGERIES.keys()


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_message_is_refused_for_its_reason_and_leaves_nothing(db: None, kind: str) -> None:
    answer = knock(FORGERIES[kind](SECRET, int(datetime.now(UTC).timestamp())))
    status, reason = REASONS[kind]
    assert (answer.status_code, answer.content.decode().partition(":")[0]) == (status, reason)
    assert not ProviderEvent.objects.exists()
    with consortium_scope(Scope.COMMAND):
        assert not Job.objects.exists()


@pytest.mark.parametrize("skew", [-MAX_SKEW, MAX_SKEW])
def test_the_edge_of_the_allowed_skew_is_accepted(skew: Any) -> None:
    gateway = StripeGateway(api_key="sk_test_x", api_base="http://127.0.0.1:9", webhook_secret=SECRET)
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    body = forging.event()
    assert gateway.verify_webhook(body, signed(body, at + skew), at=at).type == "payment_intent.succeeded"


def test_while_a_secret_is_replaced_one_fitting_signature_of_two_is_enough(db: None) -> None:
    body, at = forging.event(), datetime.now(UTC)
    other = signed(body, at, secret="whsec_next").partition(",")[2]
    both = Forgery(body, f"{signed(body, at)},{other}")
    assert [knock(both).status_code for _ in range(3)] == [200, 200, 200]
    assert ProviderEvent.objects.count() == 1
    retired = Forgery(forging.event(), "")
    assert knock(Forgery(retired.body, signed(retired.body, at, secret="whsec_retired"))).status_code == 200


def test_a_live_account_takes_no_test_money() -> None:
    live = StripeGateway(api_key="sk_live_x", api_base="http://127.0.0.1:9", webhook_secret=SECRET)
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    body = forging.event()
    with pytest.raises(Exception, match="a test, and real money moves here"):
        live.verify_webhook(body, signed(body, at), at=at)
    real = forging.event(livemode=True)
    assert live.verify_webhook(real, signed(real, at), at=at).payload == json.loads(real)
