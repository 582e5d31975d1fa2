"""What we rely on in Stripe, said once, asked of the simulator always and of Stripe itself with STRIPE_TEST_KEY.

    STRIPE_TEST_KEY=sk_test_… ./portal test tests/verification/test_stripe_contract.py -k contract

A hosted page cannot be filled in at Stripe without a browser, so what the page does, and what banks do days later, is
asked of the simulator alone.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_socket

from billing.gateways import CheckoutRequest, CheckoutSession, GatewayError, IdempotencyMismatchError, RefundRequest
from billing.gateways.stripe import StripeGateway
from consortium.kernel.money import to_minor
from tests.unit.billing.checkout import BAD_CARD, GOOD_CARD, open_till


@dataclass(frozen=True)
class Account:
    """A Stripe account, real or simulated."""

    gateway: StripeGateway
    # Pays on a session's page; None where a page wants a browser.
    pay: Callable[[CheckoutSession, dict[str, str]], int] | None = None

    def paid(self, amount: str = "100.00", *, method: str = "pm_card_visa") -> str:
        """A payment by one of Stripe's test cards; returns its intent."""
        params: Any = {
            "amount": to_minor(Decimal(amount), "CAD"), "currency": "cad", "confirm": True, "payment_method": method,
            "payment_method_types": ["card"], "metadata": {"payment_id": "contract"},
        }  # fmt: skip
        return self.gateway._client.v1.payment_intents.create(params=params).id


def eventually[T](ask: Callable[[], T | None]) -> T:
    """What Stripe does a moment later; the simulator has done it."""
    for wait in (0, 1, 2, 4, 8, 8):
        time.sleep(wait)
        if found := ask():
            return found
    raise AssertionError("It did not happen.")


def _pay(session: CheckoutSession, fields: dict[str, str]) -> int:
    return httpx.post(session.url, data=fields).status_code


@pytest.fixture(params=["simulator", "stripe_test_mode"])
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


# --- Money that goes back ---------------------------------------------------------------------------------------------


def refund_for(intent: str, amount: str) -> RefundRequest:
    refund = str(uuid.uuid4())
    return RefundRequest(
        idempotency_key=f"contract:{refund}", refund_id=refund, intent_id=intent, amount=Decimal(amount), currency="CAD"
    )


def test_a_payment_tells_what_it_brought_to_our_balance_and_what_was_kept(account: Account) -> None:
    intent = account.gateway.fetch_intent(account.paid())
    assert (intent.status, intent.received, intent.method) == ("succeeded", Decimal("100.00"), "card")
    movement = intent.movement
    assert movement is not None
    assert (movement.kind, movement.source_id[:3]) == ("charge", "ch_")
    assert 0 < movement.fee < movement.amount


def test_a_refund_is_made_once_per_key_and_bears_our_name(account: Account) -> None:
    intent = account.paid()
    asked = refund_for(intent, "30.00")
    first, again = account.gateway.create_refund(asked), account.gateway.create_refund(asked)
    assert (first.id, first.amount, first.refund_id) == (again.id, Decimal("30.00"), asked.refund_id)
    assert [each.kind for each in first.movements] == ["refund"]
    assert first.movements[0].amount < 0
    found = account.gateway.refunds_of(intent)
    assert [(each.id, each.refund_id, each.intent_id) for each in found] == [(first.id, asked.refund_id, intent)]
    assert account.gateway.fetch_refund(first.id).status in {"pending", "succeeded"}
    with pytest.raises(IdempotencyMismatchError):
        account.gateway.create_refund(replace(asked, amount=Decimal("31.00")))


def test_more_than_was_paid_is_not_given_back(account: Account) -> None:
    intent = account.paid()
    account.gateway.create_refund(refund_for(intent, "60.00"))
    with pytest.raises(GatewayError) as refused:
        account.gateway.create_refund(refund_for(intent, "40.01"))
    assert refused.value.permanent
    assert sum(each.amount for each in account.gateway.refunds_of(intent)) == Decimal("60.00")


@pytest.mark.parametrize(("evidence", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")])
def test_a_dispute_takes_the_money_with_a_day_to_answer_and_is_decided(
    account: Account, evidence: str, status: str
) -> None:
    intent = account.paid(method="pm_card_createDispute")
    dispute = eventually(lambda: next(iter(account.gateway.disputes_of(intent)), None))
    assert (dispute.status, dispute.intent_id, dispute.is_return) == ("needs_response", intent, False)
    assert dispute.evidence_due_at is not None
    assert dispute.evidence_due_at > datetime.now(UTC)
    assert [(each.kind, each.amount < 0, each.fee > 0) for each in dispute.movements] == [("dispute", True, True)]
    account.gateway.answer_dispute(dispute.id, evidence, key=f"contract:{dispute.id}")
    ended = eventually(
        lambda: next((each for each in account.gateway.disputes_of(intent) if each.status == status), None)
    )
    assert len(ended.movements) == (2 if status == "won" else 1)


def test_a_dispute_can_be_accepted_once(account: Account) -> None:
    intent = account.paid(method="pm_card_createDispute")
    dispute = eventually(lambda: next(iter(account.gateway.disputes_of(intent)), None))
    assert account.gateway.accept_dispute(dispute.id, key=f"contract:{dispute.id}").status == "lost"
    with pytest.raises(GatewayError) as refused:
        account.gateway.accept_dispute(dispute.id, key=f"contract:{dispute.id}:2")
    assert refused.value.permanent


def test_what_happened_stands_in_the_list_of_events(account: Account) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    intent = account.paid()
    found = eventually(
        lambda: next((each for each in account.gateway.events_since(since) if each.intent_id == intent), None)
    )
    assert account.gateway.read_event(found.payload).id == found.id


def test_a_charge_names_its_payment(account: Account) -> None:
    intent = account.paid()
    movement = account.gateway.fetch_intent(intent).movement
    assert movement is not None
    assert account.gateway.intent_of_charge(movement.source_id) == intent


def test_a_payout_takes_along_what_the_balance_holds(tmp_path: Path) -> None:
    with open_till(tmp_path) as till:
        account = Account(till.gateway, _pay)
        intent = account.paid()
        account.gateway.create_refund(refund_for(intent, "30.00"))
        payout = till.gateway.fetch_payout(till.pull("payout")["id"])
        lines = till.gateway.movements_of(payout.id)
        assert [each.kind for each in lines] == ["charge", "refund", "payout"]
        assert sum(each.amount - each.fee for each in lines) == 0
        assert payout.amount == -lines[-1].amount
        till.pull("settle_payout", payout=payout.id, outcome="failed")
        failed = till.gateway.fetch_payout(payout.id)
        assert (failed.status, failed.came_back and failed.came_back.kind) == ("failed", "payout_failure")
