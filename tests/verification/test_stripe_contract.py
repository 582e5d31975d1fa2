"""What we rely on in Stripe, said once, asked of the simulator always and of Stripe itself with STRIPE_TEST_KEY.

A hosted page cannot be filled in at Stripe without a browser, so what follows a payment is asked of the
simulator alone.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import pytest_socket

from billing.gateways import CheckoutRequest, CheckoutSession, GatewayError, IdempotencyMismatchError
from billing.gateways.stripe import StripeGateway
from tests.unit.billing.checkout import BAD_CARD, GOOD_CARD, open_till


@dataclass(frozen=True)
class Account:
    """A Stripe account, real or simulated."""

    gateway: StripeGateway
    # Pays on a session's page; None where a page wants a browser.
    pay: Callable[[CheckoutSession, dict[str, str]], int] | None = None


def _pay(session: CheckoutSession, fields: dict[str, str]) -> int:
    return httpx.post(session.url, data=fields).status_code


@pytest.fixture(params=["simulator", "stripe"])
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    if request.param == "simulator":
        with open_till(tmp_path) as till:
            yield Account(till.gateway, _pay)
        return
    key = os.environ.get("STRIPE_TEST_KEY", "")
    if not key.startswith("sk_test_"):
        pytest.skip("STRIPE_TEST_KEY holds no sk_test_ key")
    pytest_socket.enable_socket()
    pytest_socket._remove_restrictions()
    yield Account(StripeGateway(api_key=key, api_base="https://api.stripe.com", webhook_secret="whsec_none"))


def request_for(*, currency: str = "CAD", amount: str = "2367.90") -> CheckoutRequest:
    payment = str(uuid.uuid4())
    return CheckoutRequest(
        idempotency_key=f"contract:{payment}",
        payment_id=payment,
        invoice_id=str(uuid.uuid4()),
        invoice_number="ICC-2026-0007",
        amount=Decimal(amount),
        currency=currency,
        email="payables@example.org",
        language="fr",
        success_url="https://portal.example.org/en/pay/token/return/",
        cancel_url="https://portal.example.org/en/pay/token/",
    )


@pytest.mark.parametrize(("currency", "amount"), [("CAD", "2367.90"), ("USD", "10.00"), ("JPY", "5000")])
def test_a_page_opens_for_the_exact_amount_and_bears_our_key(account: Account, currency: str, amount: str) -> None:
    asked = request_for(currency=currency, amount=amount)
    session = account.gateway.create_checkout(asked)
    assert (session.status, session.paid, session.amount) == ("open", False, Decimal(amount))
    assert (session.currency, session.payment_id) == (currency, asked.payment_id)
    assert session.url.startswith("http")
    assert account.gateway.fetch_session(session.id) == session


def test_the_same_key_gives_the_same_page(account: Account) -> None:
    asked = request_for()
    assert account.gateway.create_checkout(asked).id == account.gateway.create_checkout(asked).id


def test_the_same_key_with_other_details_is_told_apart(account: Account) -> None:
    asked = request_for()
    account.gateway.create_checkout(asked)
    with pytest.raises(IdempotencyMismatchError):
        account.gateway.create_checkout(replace(asked, success_url="https://portal.example.org/other/"))


def test_a_page_that_is_closed_stays_closed(account: Account) -> None:
    session = account.gateway.create_checkout(request_for())
    assert account.gateway.expire_checkout(session.id).status == "expired"
    assert account.gateway.expire_checkout(session.id).status == "expired"
    assert account.gateway.fetch_session(session.id).status == "expired"


def test_an_unknown_object_is_a_lasting_error(account: Account) -> None:
    for ask in (account.gateway.fetch_session, account.gateway.fetch_intent):
        with pytest.raises(GatewayError) as refused:
            ask("cs_test_none")
        assert refused.value.permanent


def test_an_amount_beyond_the_largest_is_a_lasting_error(account: Account) -> None:
    with pytest.raises(GatewayError) as refused:
        account.gateway.create_checkout(request_for(amount="1000000.00"))
    assert refused.value.permanent


def test_a_provider_that_is_away_is_a_passing_error() -> None:
    away = StripeGateway(api_key="sk_test_x", api_base="http://127.0.0.1:9", webhook_secret="whsec_x")
    with pytest.raises(GatewayError) as refused:
        away.fetch_session("cs_1")
    assert not refused.value.permanent


def test_a_card_pays_at_once(account: Account) -> None:
    if account.pay is None:
        pytest.skip("Stripe's page wants a browser")
    session = account.gateway.create_checkout(request_for())
    assert account.pay(session, {"method": "card", "number": BAD_CARD}) == 402
    assert account.gateway.fetch_session(session.id).status == "open"
    assert account.pay(session, {"method": "card", "number": GOOD_CARD}) == 303
    done = account.gateway.fetch_session(session.id)
    intent = account.gateway.fetch_intent(done.intent_id)
    assert (done.status, done.paid, intent.status) == ("complete", True, "succeeded")
    assert (intent.received, intent.currency, intent.method) == (Decimal("2367.90"), "CAD", "card")
    assert intent.payment_id == done.payment_id


@pytest.mark.parametrize(("currency", "method"), [("CAD", "acss_debit"), ("USD", "us_bank_account")])
def test_a_bank_debit_is_complete_and_not_paid(account: Account, currency: str, method: str) -> None:
    if account.pay is None:
        pytest.skip("Stripe's page wants a browser")
    session = account.gateway.create_checkout(request_for(currency=currency))
    assert account.pay(session, {"method": method}) == 303
    done = account.gateway.fetch_session(session.id)
    intent = account.gateway.fetch_intent(done.intent_id)
    assert (done.status, done.paid) == ("complete", False)
    assert (intent.status, intent.received, intent.method) == ("processing", Decimal("0.00"), method)
