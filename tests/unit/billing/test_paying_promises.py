"""Promises 13 to 15: any order of the news ends in one state, never more than is due, and no cent lost in a crash."""

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from billing import ledger
from billing.card_disputes import accept_dispute, send_answer
from billing.clearing_check import clearing_faults
from billing.models import (
    CardDispute,
    CardDisputeAnswer,
    ClearingMovement,
    Invoice,
    InvoiceBalance,
    LedgerLeg,
    Payment,
    ProviderEvent,
    Refund,
)
from billing.payments import NothingDueError, PaymentUnderWayError, process_event, receive_event, start_payment
from billing.refunds import propose_refund, send_refund
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast, make_cast
from tests.unit.billing.checkout import Till, open_till, signed
from tests.unit.billing.issued import make_invoice, pay
from tests.unit.billing.paid import RETURN, TOTAL, paid_by_card, payment_of, stand

PART = Decimal("367.90")


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_crash() -> Iterator[None]:
    yield
    disarm()


def everything(invoice: Invoice) -> tuple[Any, ...]:
    """All that must be the same in the end, whatever came first."""
    with consortium_scope(Scope.COMMAND):
        assert ledger.is_balanced()
        assert clearing_faults(Invoice.objects.get(pk=invoice.pk).issuer) == []
        legs = LedgerLeg.objects.exclude(entry__kind="invoice")
        return (
            stand(invoice),
            sorted(Payment.objects.values_list("status", "amount", "intent_id")),
            sorted(Refund.objects.values_list("status", "amount")),
            sorted(CardDispute.objects.values_list("status", "amount", "reason")),
            sorted(ClearingMovement.objects.values_list("provider_id", "net")),
            sorted(legs.values_list("entry__kind", "account__code", "amount")),
        )


# --- 13: any permutation, any number of copies ------------------------------------------------------------------------


class Final:
    """The provider when all has happened: each question is put to it once, and its answer kept."""

    def __init__(self, gateway: object) -> None:
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._gateway, name)
        if name.startswith(("fetch_", "refunds_of", "disputes_of")):
            found = cache(found)
            setattr(self, name, found)
        return found


def lived(till: Till, invoice: Invoice, at: datetime) -> list[bytes]:
    """A payment by card, refunded in part at the provider, disputed and won; the five messages that say most of it."""
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    till.card(payment)
    intent = till.gateway.fetch_session(payment.session_id).intent_id
    till.gateway._client.v1.refunds.create(params={"payment_intent": intent, "amount": 36_790})
    dispute = till.pull("dispute", payment_intent=intent, amount=200_000)
    till.pull("close_dispute", dispute=dispute["id"], won=True)
    told = {"payment_intent.succeeded", "checkout.session.completed", "refund.created"}
    told |= {"charge.dispute.created", "charge.dispute.closed"}
    bodies = [body for body in till.news() if json.loads(body)["type"] in told]
    assert len(bodies) == 5
    return bodies


def test_every_order_of_five_messages_in_three_copies_ends_in_one_state(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    provider: Any = Final(till.gateway)
    bodies = [body for body in lived(till, invoice, at) for _ in range(3)]
    heard = [receive_event(body, signed(body, at), at=at, gateway=provider) for body in bodies][::3]
    assert ProviderEvent.objects.count() == 5
    ends: list[str] = []

    def go_on(rest: frozenset[int]) -> None:
        """Try each message that has not come yet as the next one; all orders that begin alike share their beginning."""
        for index in rest:
            with taken_back_afterwards():
                for _copy in range(2):
                    process_event(heard[index], at=at, gateway=provider)
                if len(rest) > 1:
                    go_on(rest - {index})
                    continue
                for event in reversed(heard):
                    process_event(event, at=at, gateway=provider)
                assert not ProviderEvent.objects.exclude(error="").exists()
                ends.append(repr(everything(invoice)))

    go_on(frozenset(range(5)))
    assert (len(ends), len(set(ends))) == (120, 1)
    assert "('partly_paid', Decimal('2000.00'))" in ends[0]


@contextmanager
def taken_back_afterwards() -> Iterator[None]:
    """Whatever is written inside is gone afterwards."""
    outer = transaction.atomic()
    outer._from_testcase = True  # type: ignore[attr-defined] # like the test's own transaction, durable ones may nest
    with outer:
        yield
        transaction.set_rollback(True)


@pytest.mark.parametrize("seed", range(4))
def test_messages_that_come_while_the_story_goes_on_end_in_the_same_state(
    cast: Cast, till: Till, at: datetime, seed: int
) -> None:
    chance, invoice = random.Random(seed), make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    waiting: list[bytes] = []

    def some_arrive() -> None:
        waiting.extend(till.news(after=till.heard))
        till.heard = len(till.events())
        chance.shuffle(waiting)
        for _ in range(chance.randint(0, len(waiting))):
            body = waiting.pop()
            till.hear(body)
            if chance.random() < 0.3:
                waiting.append(body)

    till.debit(payment)
    some_arrive()
    till.settle()
    some_arrive()
    intent = till.gateway.fetch_session(payment.session_id).intent_id
    refund = till.gateway._client.v1.refunds.create(params={"payment_intent": intent, "amount": 36_790})
    some_arrive()
    till.pull("settle_refund", refund=refund.id, outcome="failed")
    some_arrive()
    till.pull("return_debit", payment_intent=intent)
    till.hear_all([*waiting, *till.news(after=till.heard)])
    assert stand(invoice) == ("issued", Decimal(0))
    found = everything(invoice)
    assert [row[1] for row in found[4]].count(Decimal("367.90")) == 1
    assert sum(row[1] for row in found[4]) == Decimal("-12.00")  # the fees of the debit and of its return


# --- 14: never more than is due ---------------------------------------------------------------------------------------


def at_once(*works: Callable[[], object]) -> list[object]:
    """Do all of it at the same time, each in a thread with a connection of its own."""

    def one(work: Callable[[], object]) -> object:
        try:
            return work()
        except (NothingDueError, PaymentUnderWayError) as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def test_tabs_cards_and_refunds_at_once_never_count_more_than_is_due(
    committed_db: str, till: Till, at: datetime
) -> None:
    cast = make_cast(at)
    invoice = make_invoice(cast)

    def tab() -> object:
        payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
        return till.card(payment), till.hear_all(till.news())

    at_once(tab, tab, tab)
    till.hear_all(till.news())
    assert stand(invoice) == ("paid", TOTAL)
    payment = payment_of(invoice)

    def give_back() -> object:
        with consortium_scope(Scope.STAFF):
            row = propose_refund(payment, amount=PART, reason="Paid twice.", by=cast.staff, at=at)
        rows = [row, row]
        return [send_refund(each, at=at, gateway=till.gateway) for each in rows]

    at_once(give_back, give_back, lambda: till.hear_all(till.news()))
    at_once(tab, tab)
    till.hear_all(till.news())
    with consortium_scope(Scope.COMMAND):
        balance = InvoiceBalance.objects.get(pk=invoice.pk)
        assert (balance.paid, Refund.objects.filter(status="succeeded").count()) == (TOTAL, 2)
        kept = sum(ClearingMovement.objects.exclude(payment=None).values_list("amount", flat=True))
        assert kept == TOTAL


def test_two_tabs_a_card_and_a_transfer_at_once_never_count_more_than_is_due(
    committed_db: str, till: Till, at: datetime
) -> None:
    invoice = make_invoice(make_cast(at))

    def tab() -> object:
        payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
        return till.card(payment), till.hear_all(till.news())

    def transfer() -> object:
        with consortium_scope(Scope.COMMAND):
            return pay(invoice, str(TOTAL), at=at)

    at_once(tab, transfer, tab)
    till.hear_all(till.news())
    assert stand(invoice) == ("paid", TOTAL)
    with consortium_scope(Scope.COMMAND):
        came = sum(Payment.objects.filter(status="succeeded").values_list("amount", flat=True))
        held = -sum(LedgerLeg.objects.filter(account__code="2200").values_list("amount", flat=True))
        assert came in {TOTAL, 2 * TOTAL}
        assert held == came - TOTAL
        assert ledger.is_balanced()
    with pytest.raises(NothingDueError):
        start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)


# --- 15: no cent lost, whatever dies (by kill -9: tests/verification/test_kill_9_around_every_call.py) ----------------


@pytest.mark.parametrize("where", ["refund.looked", "refund.asked", "refund.before_commit", "refund.kept"])
def test_a_crash_at_any_point_of_a_refund_ends_in_one_refund(
    committed_db: str, till: Till, at: datetime, where: str
) -> None:
    cast = make_cast(at)
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    with consortium_scope(Scope.STAFF):
        row = propose_refund(payment, amount=PART, reason="Paid twice.", by=cast.staff, at=at)
    arm(where)
    with pytest.raises(SimulatedCrash):
        send_refund(row, at=at, gateway=till.gateway)
    disarm()
    till.hear_new()  # the news may be faster than the second try
    assert send_refund(row, at=at, gateway=till.gateway).status == "succeeded"
    till.hear_new()
    assert [each.amount for each in till.gateway.refunds_of(payment.intent_id)] == [PART]
    assert stand(invoice) == ("partly_paid", TOTAL - PART)
    everything(invoice)


@pytest.mark.parametrize("where", ["dispute.looked", "dispute.asked", "dispute.kept"])
def test_a_crash_while_a_dispute_is_answered_answers_it_once(
    committed_db: str, till: Till, at: datetime, where: str
) -> None:
    cast = make_cast(at)
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    till.pull("dispute", payment_intent=payment.intent_id)
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        answer = accept_dispute(CardDispute.objects.get(), by=cast.staff, at=at)
    arm(where)
    with pytest.raises(SimulatedCrash):
        send_answer(answer, at=at, gateway=till.gateway)
    disarm()
    with consortium_scope(Scope.STAFF):
        answer = CardDisputeAnswer.objects.select_related("dispute__payment").get()
    send_answer(answer, at=at, gateway=till.gateway)
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        assert CardDispute.objects.get().status == "lost"
    assert stand(invoice) == ("issued", Decimal(0))


def test_an_answer_that_is_lost_after_the_provider_did_it_changes_nothing(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.pull("network", answers_lost=1)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)  # the library asks again
    assert len(till.gateway._client.v1.checkout.sessions.list().data) == 1
    till.card(payment)
    till.hear_new()
    payment = payment_of(invoice)
    with consortium_scope(Scope.STAFF):
        row = propose_refund(payment, amount=PART, reason="Paid twice.", by=cast.staff, at=at)
    till.pull("network", answers_lost=2)
    assert send_refund(row, at=at, gateway=till.gateway).status == "succeeded"
    assert len(till.gateway.refunds_of(payment.intent_id)) == 1


def test_a_refund_that_crosses_a_dispute_on_its_way_fails_with_the_reason_and_gives_nothing_twice(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    with consortium_scope(Scope.STAFF):
        row = propose_refund(payment, amount=PART, reason="Paid twice.", by=cast.staff, at=at)
    till.pull("dispute", payment_intent=payment.intent_id, amount=50_000)  # of which we have not heard
    for _ in range(2):
        send_refund(row, at=at, gateway=till.gateway)
        till.hear_all(till.news())
    assert (row.status, "charged back" in row.failure) == ("failed", True)
    assert stand(invoice) == ("partly_paid", TOTAL - 500)
    everything(invoice)
