"""Payouts: every line known, summed to the cent, posted once, matched with the bank, undone by reversal; lost news."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction

from billing.catching_up import catch_up
from billing.clearing_check import clearing_faults
from billing.models import ClearingMovement, Invoice, Payout, PayoutArrival, PayoutLine, ProviderEvent
from billing.payments import process_event, process_pending, start_payment
from billing.payouts import PayoutNotOpen, record_arrival, undo_arrival, unreconciled_payouts
from billing.refunds import propose_refund, send_refund
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast, make_cast
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, TOTAL, books, paid_by_card, paid_by_debit, stand

FEES = Decimal("68.97") + Decimal("5.00")


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_crash() -> Iterator[None]:
    yield
    disarm()


def faults(cast: Cast) -> list[str]:
    with consortium_scope(Scope.COMMAND):
        return clearing_faults(cast.issuer)


def two_paid(cast: Cast, till: Till, at: datetime) -> Invoice:
    """One invoice by card, of which a part is refunded, and one by bank debit."""
    first = make_invoice(cast)
    payment = paid_by_card(till, first, at=at)
    with consortium_scope(Scope.STAFF):
        row = propose_refund(payment, amount=Decimal("367.90"), reason="Paid twice.", by=cast.staff, at=at)
    send_refund(row, at=at, gateway=till.gateway)
    paid_by_debit(till, make_invoice(cast, number="ICC-2026-0008"), at=at)
    return first


def test_a_payout_is_its_payments_less_refunds_and_fees_to_the_cent_and_waits_for_the_bank(
    cast: Cast, till: Till, at: datetime
) -> None:
    two_paid(cast, till, at)
    till.pull("fee", amount=250)  # what Stripe keeps for itself belongs to no payment
    sent = till.pull("payout")
    till.hear_new()
    till.hear_all(till.news())
    expected = TOTAL * 2 - Decimal("367.90") - FEES - Decimal("2.50")
    with consortium_scope(Scope.STAFF):
        payout = Payout.objects.get()
        assert (payout.amount, payout.status, payout.problem) == (expected, "in_transit", "")
        kinds = sorted(PayoutLine.objects.values_list("movement__kind", flat=True))
        assert kinds == ["charge", "charge", "fee", "refund"]
        assert list(unreconciled_payouts("CAD")) == [payout]
        assert not unreconciled_payouts("USD").exists()
    assert books() == {"1060": expected, "1100": Decimal("-4367.90"), "5100": FEES + Decimal("2.50")}
    till.pull("settle_payout", payout=sent["id"])
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        payout = Payout.objects.get()
        assert payout.status == "paid"
        arrival = record_arrival(payout, on=date(2026, 10, 17), reference="STRIPE 8812", by=cast.staff, at=at)
        assert not unreconciled_payouts("CAD").exists()
        with pytest.raises(PayoutNotOpen):
            record_arrival(payout, on=date(2026, 10, 17), reference="again", by=cast.staff, at=at)
        with pytest.raises(Forbidden):
            undo_arrival(arrival, on=date(2026, 10, 18), by=cast.finance, at=at)
    assert (books()["1000"], "1060" in books(), faults(cast)) == (expected, False, [])
    with consortium_scope(Scope.STAFF):
        undo_arrival(arrival, on=date(2026, 10, 18), by=cast.staff, at=at)
        with pytest.raises(PayoutNotOpen):
            undo_arrival(arrival, on=date(2026, 10, 18), by=cast.staff, at=at)
        assert list(unreconciled_payouts("CAD")) == [payout]
        record_arrival(payout, on=date(2026, 10, 19), reference="STRIPE 8812", by=cast.staff, at=at)
    assert (books()["1000"], faults(cast)) == (expected, [])


def test_a_payout_that_comes_back_goes_out_again_with_the_next_one(cast: Cast, till: Till, at: datetime) -> None:
    paid_by_card(till, make_invoice(cast), at=at)
    first = till.pull("payout")
    till.hear_new()
    till.pull("settle_payout", payout=first["id"], outcome="failed")
    till.hear_new()
    assert faults(cast) == []
    with consortium_scope(Scope.STAFF):
        payout = Payout.objects.get()
        assert (payout.status, payout.failure) == ("failed", "The bank account has been closed.")
        assert not unreconciled_payouts("CAD").exists()
    paid_by_debit(till, make_invoice(cast, number="ICC-2026-0008"), at=at)
    till.pull("payout")
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        second = unreconciled_payouts("CAD", issuer=cast.issuer).get()
        assert second.amount == TOTAL * 2 - FEES
    assert (books()["1060"], faults(cast)) == (TOTAL * 2 - FEES, [])


def test_when_every_message_is_lost_the_payout_alone_tells_of_all_that_it_takes_along(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    till.card(payment)
    intent = till.gateway.fetch_session(payment.session_id).intent_id
    till.gateway._client.v1.refunds.create(params={"payment_intent": intent, "amount": 36_790})
    till.pull("dispute", payment_intent=intent, amount=10_000)
    till.pull("payout")
    till.hear(till.news()[-1])
    assert stand(invoice) == ("partly_paid", Decimal("1900.00"))
    with consortium_scope(Scope.STAFF):
        assert unreconciled_payouts("CAD").get().amount == Decimal("1900.00") - Decimal("68.97") - 15
    assert faults(cast) == []


def test_lost_messages_are_found_in_the_provider_s_own_list_and_acted_on_once(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    till.card(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway))
    now = datetime.now(UTC)
    till.hear(till.news()[0])
    missed = catch_up(since=now - timedelta(hours=1), at=now, gateway=till.gateway)
    assert missed == len(till.events()) - 1
    assert catch_up(since=now - timedelta(hours=1), at=now, gateway=till.gateway) == 0
    process_pending(at=now + timedelta(seconds=5), gateway=till.gateway)
    assert stand(invoice) == ("paid", TOTAL)
    assert not ProviderEvent.objects.filter(processed_at=None).exists()


def test_a_payout_with_a_line_of_somebody_else_s_money_waits_with_the_reason_and_is_tried_again(
    cast: Cast, till: Till, at: datetime
) -> None:
    paid_by_card(till, make_invoice(cast), at=at)
    foreign = till.gateway._client.v1.checkout.sessions.create(
        params={
            "mode": "payment",
            "success_url": "https://shop.example/",
            "line_items": [
                {"quantity": 1, "price_data": {"currency": "cad", "unit_amount": 500, "product_data": {"name": "Mug"}}}
            ],
        }
    )
    foreign_payment = type("Page", (), {"session_url": foreign.url})()
    till.card(foreign_payment)
    till.pull("payout")
    heard = till.hear_new()
    assert any("1 lines belong to no payment of this portal" in event.error for event in heard)
    with consortium_scope(Scope.STAFF):
        payout = Payout.objects.get()
        assert "belong to no payment" in payout.problem
        assert not unreconciled_payouts("CAD").exists()
        assert not PayoutLine.objects.exists()
    assert faults(cast) == []


def test_a_crash_while_lines_are_kept_keeps_them_once(committed_db: str, till: Till, at: datetime) -> None:
    cast = make_cast(at)
    paid_by_card(till, make_invoice(cast), at=at)
    till.pull("payout")
    arm("payout.lines_kept")
    with pytest.raises(SimulatedCrash):
        till.hear_new()
    disarm()
    with consortium_scope(Scope.STAFF):
        assert not Payout.objects.exists()
    process_event(till.hear_all(till.news())[-1], at=at, gateway=till.gateway)
    with consortium_scope(Scope.STAFF):
        assert PayoutLine.objects.count() == 1
    assert faults(cast) == []


def test_postgresql_lets_no_payout_have_lines_that_do_not_sum_to_it(cast: Cast, till: Till, at: datetime) -> None:
    paid_by_card(till, make_invoice(cast), at=at)
    with consortium_scope(Scope.STAFF):
        payout = Payout.objects.create(
            issuer=cast.issuer, provider_id="po_wrong", amount=TOTAL, currency="CAD", arrives_on=at.date(),
            first_seen_at=at,
        )  # fmt: skip
        with transaction.atomic():
            PayoutLine.objects.create(payout=payout, movement=ClearingMovement.objects.get())
            with pytest.raises(DatabaseError, match="its lines sum to"), transaction.atomic():
                connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
            transaction.set_rollback(True)
        arrival = PayoutArrival.objects.create(payout=payout, on=at.date(), reference="x", at=at)
        for change in ("reference = 'y'", "undone_at = NULL"):
            with pytest.raises(DatabaseError, match="can only be undone"), transaction.atomic():
                connection.cursor().execute(f"UPDATE billing_payoutarrival SET {change} WHERE id = '{arrival.pk}'")
        with pytest.raises(DatabaseError, match="is frozen"), transaction.atomic():
            Payout.objects.update(amount=1)
