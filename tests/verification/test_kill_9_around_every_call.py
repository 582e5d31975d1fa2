"""Promise 15: kill -9 around every call to the payment provider and the mail server loses and doubles nothing.

The calls are found by counting, not by name: each story is lived again and again, its worker killed around the first
call, the second, and so on, until there is none left at which to die. Then the next worker has its turn, all news is
heard, and the end is that of the same story in which nobody was killed.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from billing.card_disputes import accept_dispute, answer_dispute
from billing.models import CardDispute, ClearingMovement, Invoice, LedgerLeg, Payout, PayoutLine
from billing.refunds import propose_refund
from billing.stale_pages import want_closed
from consortium.kernel import jobs
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.unit.billing.issued import pay
from tests.unit.billing.paid import RETURN, stand
from tests.verification.killed import Story, World, open_world
from tests.verification.mortal import Act, Kill

PART, REST = Decimal("367.90"), Decimal("2000.00")


@pytest.fixture(scope="module")
def world(committed_db_of_all: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(committed_db_of_all, tmp_path_factory.mktemp("world")) as opened:
        yield opened


# --- The stories ------------------------------------------------------------------------------------------------------


def to_pay(invoice: Invoice) -> tuple[Invoice, Act]:
    return invoice, Act("pay", {"invoice": str(invoice.pk), "return_url": RETURN})


def transfer(invoice: Invoice, amount: Decimal, world: World) -> None:
    with consortium_scope(Scope.COMMAND):
        pay(invoice, str(amount), at=world.at)


def a_first_page(world: World) -> tuple[Invoice, Act]:
    return to_pay(world.invoice())


def a_page_that_is_open(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    world.opened(invoice)
    return to_pay(invoice)


def a_page_for_another_amount(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    world.opened(invoice)
    transfer(invoice, PART, world)
    return to_pay(invoice)


def and_pays(world: World, invoice: Invoice) -> None:
    """The payer comes again, is shown the page, and pays by card."""
    assert world.till.card(world.opened(invoice)) == 303


def a_card_payment(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    world.till.card(world.opened(invoice))
    return invoice, world.hear("checkout.session.completed")


def a_debit_on_its_way(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    world.till.debit(world.opened(invoice))
    return invoice, world.hear("payment_intent.processing")


def and_settles(world: World, _invoice: Invoice) -> None:
    world.till.settle()


def a_debit_that_settled(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    world.till.debit(world.opened(invoice))
    world.till.hear(world.news("payment_intent.processing"))
    world.till.settle()
    return invoice, world.hear("checkout.session.async_payment_succeeded")


def a_debit_that_failed(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    world.till.debit(world.opened(invoice))
    world.till.hear(world.news("payment_intent.processing"))
    world.till.settle("failed")
    return invoice, world.hear("checkout.session.async_payment_failed")


def a_debit_that_was_returned(world: World) -> tuple[Invoice, Act]:
    payment = world.paid("debit")
    world.till.pull("return_debit", payment_intent=payment.intent_id)
    return payment.invoice, world.hear("charge.dispute.created")


def a_refund_made_at_the_provider(world: World) -> tuple[Invoice, Act]:
    payment = world.paid()
    world.till.gateway._client.v1.refunds.create(params={"payment_intent": payment.intent_id, "amount": 36_790})
    return payment.invoice, world.hear("refund.created")


def a_dispute_opened(world: World) -> tuple[Invoice, Act]:
    payment = world.paid()
    world.till.pull("dispute", payment_intent=payment.intent_id)
    return payment.invoice, world.hear("charge.dispute.created")


def a_dispute_won(world: World) -> tuple[Invoice, Act]:
    payment = world.paid()
    dispute = world.till.pull("dispute", payment_intent=payment.intent_id)
    world.till.hear(world.news("charge.dispute.created"))
    world.till.pull("close_dispute", dispute=dispute["id"], won=True)
    return payment.invoice, world.hear("charge.dispute.closed")


def a_refund_of_ours(world: World) -> tuple[Invoice, Act]:
    payment = world.paid()
    invoice = payment.invoice
    with consortium_scope(Scope.STAFF):
        propose_refund(payment, amount=PART, reason="Paid twice.", by=world.cast.staff, at=world.at)
    return invoice, world.job("send_refund")


def disputed(world: World) -> tuple[Invoice, CardDispute]:
    payment = world.paid()
    world.till.pull("dispute", payment_intent=payment.intent_id)
    world.till.hear(world.news("charge.dispute.created"))
    with consortium_scope(Scope.STAFF):
        return payment.invoice, CardDispute.objects.get(payment=payment)


def a_dispute_accepted(world: World) -> tuple[Invoice, Act]:
    invoice, dispute = disputed(world)
    with consortium_scope(Scope.STAFF):
        accept_dispute(dispute, by=world.cast.staff, at=world.at)
    return invoice, world.job("answer_dispute")


def a_dispute_countered(world: World) -> tuple[Invoice, Act]:
    invoice, dispute = disputed(world)
    with consortium_scope(Scope.STAFF):
        answer_dispute(dispute, evidence="The agreement of May, signed.", by=world.cast.staff, at=world.at)
    return invoice, world.job("answer_dispute")


def a_stale_page(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    world.opened(invoice)
    transfer(invoice, PART, world)
    want_closed(at=world.at)
    return invoice, world.job("close_stale_page")


def a_stale_page_on_which_somebody_paid(world: World) -> tuple[Invoice, Act]:
    invoice = world.invoice()
    payment = world.opened(invoice)
    transfer(invoice, PART, world)
    world.till.card(payment)
    want_closed(at=world.at)
    return invoice, world.job("close_stale_page")


def a_payout_before_any_other_news(world: World) -> tuple[Invoice, Act]:
    """A payment, a part of it given back, and a fee of the provider's own: the payout alone tells of them."""
    world.emptied()
    invoice = world.invoice()
    world.till.card(world.opened(invoice))
    with world.till.simulator.store.transaction(silent=True):
        intent = next(iter(world.till.simulator.store.newest("payment_intent")))["id"]
    world.till.gateway._client.v1.refunds.create(params={"payment_intent": intent, "amount": 36_790})
    world.till.pull("fee", amount=250)
    world.till.pull("payout")
    return invoice, world.hear("payout.created")


def a_payout_that_came_back(world: World) -> tuple[Invoice, Act]:
    world.emptied()
    invoice = world.paid().invoice
    payout = world.till.pull("payout")
    world.till.hear(world.news("payout.created"))
    world.till.pull("settle_payout", payout=payout["id"], outcome="failed")
    return invoice, world.hear("payout.failed")


def a_refund_that_came_back(world: World) -> tuple[Invoice, Act]:
    payment = world.paid()
    refunds = world.till.gateway._client.v1.refunds
    refund = refunds.create(params={"payment_intent": payment.intent_id, "amount": 36_790})
    world.till.hear(world.news("refund.created"))
    world.till.pull("settle_refund", refund=refund.id, outcome="failed")
    return payment.invoice, world.hear("refund.failed")


def the_payout(_world: World, _invoice: Invoice) -> Any:
    """The newest payout, its lines, and what was booked of it beside the member's."""
    with consortium_scope(Scope.COMMAND):
        payout = Payout.objects.latest("pk")  # keys grow with time; a worker's clock runs ahead
        lines = PayoutLine.objects.filter(payout=payout)
        own = ClearingMovement.objects.filter(payment=None, pk__gt=payout.pk)
        legs = LedgerLeg.objects.filter(entry__source_id__in=own.values("pk"))
        return (
            (payout.status, payout.amount, payout.problem),
            sorted(lines.values_list("movement__kind", "movement__net")),
            sorted(own.values_list("kind", "net")),
            sorted(legs.values_list("account__code", "amount")),
        )


def news_that_was_lost(world: World) -> tuple[Invoice, Act]:
    """Nothing of the payment has arrived: the provider's own list of what it told is read."""
    invoice = world.invoice()
    world.till.card(world.opened(invoice))
    with consortium_scope(Scope.JOB):
        jobs.enqueue("catch_up_events", key=str(invoice.pk), at=world.at, institution_id=None)
    return invoice, world.job("catch_up_events")


def and_is_acted_on(world: World, invoice: Invoice) -> None:
    world.next_turn(Act("hear", {}))
    assert stand(invoice) == ("paid", PART + REST)


STORIES = {
    "news that was lost": Story(news_that_was_lost, and_is_acted_on),
    "a first page": Story(a_first_page, and_pays),
    "a page that is open": Story(a_page_that_is_open, and_pays),
    "a page for another amount": Story(a_page_for_another_amount, and_pays),
    "a card payment": Story(a_card_payment),
    "a debit on its way": Story(a_debit_on_its_way, and_settles),
    "a debit that settled": Story(a_debit_that_settled),
    "a debit that failed": Story(a_debit_that_failed, and_pays),
    "a debit that was returned": Story(a_debit_that_was_returned, and_pays),
    "a refund made at the provider": Story(a_refund_made_at_the_provider),
    "a refund that came back": Story(a_refund_that_came_back),
    "a dispute opened": Story(a_dispute_opened),
    "a dispute won": Story(a_dispute_won),
    "a refund of ours": Story(a_refund_of_ours),
    "a dispute accepted": Story(a_dispute_accepted),
    "a dispute countered": Story(a_dispute_countered),
    "a stale page": Story(a_stale_page, and_pays),
    "a stale page on which somebody paid": Story(a_stale_page_on_which_somebody_paid),
    "a payout before any other news": Story(a_payout_before_any_other_news, look=the_payout),
    "a payout that came back": Story(a_payout_that_came_back, look=the_payout),
}


@pytest.mark.parametrize("name", STORIES)
def test_killed_around_any_call_to_the_provider_a_worker_leaves_the_same_end(world: World, name: str) -> None:
    story, ends = STORIES[name], dict[str, Any]()
    for n in count(1):
        end, died = story.lived(world, Kill("before", n))
        if not died:
            break  # there is no n-th call: nobody was killed in this life
        ends[f"before {n}"] = end
        ends[f"after {n}"], died = story.lived(world, Kill("after", n))
        assert died
    assert ends, "it never spoke to the provider"
    for where, found in ends.items():
        assert found == end, where
