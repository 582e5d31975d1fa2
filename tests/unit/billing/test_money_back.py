"""Money that is lost again: refunds, disputes, returned debits, each booked once and reopening exactly what it took."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, models, transaction

from billing import ledger
from billing.card_disputes import DisputeClosed, accept_dispute, answer_dispute, disputed_by_card, send_answer
from billing.clearing_check import clearing_faults
from billing.gateways import GatewayError
from billing.models import (
    CardDispute,
    ClearingMovement,
    CreditNote,
    InvoiceBalance,
    Payment,
    Refund,
    Reopening,
    TakenBack,
)
from billing.payments import process_event, start_payment
from billing.refunds import (
    RefundDisputed,
    RefundFourEyes,
    RefundInvalid,
    approve_refund,
    preview_refund,
    propose_refund,
    refundable,
    send_refund,
    withdraw_refund,
)
from billing.states import INVOICE
from billing.write_offs import approve_write_off, propose_write_off
from consortium.embedded.stripe_simulator.balance import book
from consortium.kernel.audit import System
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Delivery, Job
from members.models import StaffSeat
from members.roles import StaffRole
from tests.cast import Cast, make_person
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, TOTAL, books, large, paid_by_card, paid_by_debit, payment_of, stand

FEE_CARD = Decimal("68.97")  # 2.9 % and 0.30
FEE_DEBIT = Decimal("5.00")


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


def refund(till: Till, payment: Payment, amount: str, cast: Cast, at: datetime) -> Refund:
    with consortium_scope(Scope.STAFF):
        row = propose_refund(payment, amount=Decimal(amount), reason="Paid twice.", by=cast.staff, at=at)
    return send_refund(row, at=at, gateway=till.gateway)


def test_a_card_payment_leaves_what_the_provider_holds_in_clearing_and_its_fee_as_cost(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    paid_by_card(till, invoice, at=at)
    till.hear_all(till.news())  # once more
    assert books() == {"1050": TOTAL - FEE_CARD, "1100": -TOTAL, "5100": FEE_CARD}


def test_a_refund_in_part_reopens_the_invoice_by_as_much_and_is_said_to_the_payer(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    row = refund(till, payment, "367.90", cast, at)
    assert (row.status, row.provider_id[:3]) == ("succeeded", "re_")
    assert stand(invoice) == ("partly_paid", Decimal("2000.00"))
    assert send_refund(row, at=at, gateway=till.gateway).status == "succeeded"
    till.hear_new()
    assert stand(invoice) == ("partly_paid", Decimal("2000.00"))
    assert books() == {"1050": Decimal("2000.00") - FEE_CARD, "1100": Decimal("-2000.00"), "5100": FEE_CARD}
    with consortium_scope(Scope.COMMAND):
        assert Delivery.objects.filter(receiver="billing.mail_refund").count() == 1
        assert Reopening.objects.get().get_because_display() == "refunded"
        assert refundable(payment) == Decimal("2000.00")
        assert ledger.is_balanced()
    refund(till, payment, "2000.00", cast, at)
    assert stand(invoice) == ("issued", Decimal(0))
    till.card(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway))
    till.hear_new()
    assert stand(invoice) == ("paid", TOTAL)


def test_what_was_credited_after_payment_is_refunded_without_reopening_the_invoice(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    till.card(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway))
    with consortium_scope(Scope.COMMAND):  # a credit note is faster than the news of the payment
        InvoiceBalance.objects.filter(pk=invoice.pk).update(credited=Decimal("367.90"))
    till.hear_new()
    payment = payment_of(invoice)
    with consortium_scope(Scope.STAFF):
        seen = preview_refund(payment, Decimal("400.00")).split
        assert (seen.from_credit, seen.reopened, seen.uncovered) == (Decimal("367.90"), Decimal("32.10"), Decimal(0))
        assert not CreditNote.objects.exists()
    refund(till, payment, "367.90", cast, at)
    assert stand(invoice) == ("paid", Decimal("2000.00"))
    assert "2200" not in books()


def test_a_large_refund_needs_a_colleague_and_every_refund_a_reason_a_fitting_amount_and_a_right(
    cast: Cast, till: Till, at: datetime
) -> None:
    big = make_invoice(cast)
    payment = paid_by_card(till, big, at=at)
    colleague = make_person("colleague", is_staff=True)
    StaffSeat.objects.create(user=colleague, role="finance")
    with consortium_scope(Scope.STAFF):
        for amount in ("0", "-1", "0.001", "2367.91"):
            with pytest.raises(RefundInvalid):
                propose_refund(payment, amount=Decimal(amount), reason="x", by=cast.staff, at=at)
        with pytest.raises(RefundInvalid, match="Say why"):
            propose_refund(payment, amount=Decimal(1), reason=" ", by=cast.staff, at=at)
        payment = large(payment)
        row = propose_refund(payment, amount=Decimal(5000), reason="Paid twice", by=cast.staff, at=at)
        assert (row.status, Job.objects.filter(kind="send_refund").count()) == ("proposed", 0)
        with pytest.raises(RefundFourEyes):
            approve_refund(row, by=cast.staff, at=at)
        with pytest.raises(RefundFourEyes):
            approve_refund(row, by=System("worker"), at=at)
        with pytest.raises(DatabaseError, match="refund_four_eyes"), transaction.atomic():
            Refund.objects.filter(pk=row.pk).update(approved_by=cast.staff)
        assert approve_refund(row, by=colleague, at=at).status == "approved"
        assert Job.objects.filter(kind="send_refund").count() == 1
        other = propose_refund(payment, amount=Decimal(4000), reason="Paid twice", by=cast.staff, at=at)
        assert other.status == "approved"
    failed = send_refund(row, at=at, gateway=till.gateway)  # the provider knows of no such payment
    assert (failed.status, "No such" in failed.failure) == ("failed", True)
    assert stand(big)[0] == "paid"


def test_a_refund_that_nobody_approves_is_given_up(cast: Cast, till: Till, at: datetime) -> None:
    payment = paid_by_card(till, make_invoice(cast), at=at)
    with consortium_scope(Scope.STAFF):
        payment = large(payment)
        row = propose_refund(payment, amount=Decimal(5000), reason="Paid twice", by=cast.staff, at=at)
        assert withdraw_refund(row, by=cast.staff, at=at).status == "withdrawn"
        assert refundable(Payment.objects.get(pk=payment.pk)) == Decimal(9000)


def test_a_refund_made_at_the_provider_is_taken_over(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    till.gateway._client.v1.refunds.create(params={"payment_intent": payment.intent_id, "amount": 10_000})
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        row = Refund.objects.get()
        assert (row.amount, row.status, row.proposed_by) == (Decimal("100.00"), "succeeded", None)
    assert stand(invoice) == ("partly_paid", Decimal("2267.90"))


def test_a_refund_that_the_bank_sends_back_pays_the_invoice_again(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_debit(till, invoice, at=at)
    row = refund(till, payment, "2367.90", cast, at)
    assert (row.status, stand(invoice)) == ("pending", ("issued", Decimal(0)))
    till.pull("settle_refund", refund=row.provider_id, outcome="failed")
    heard = till.hear_new()
    assert any("came back" in event.error for event in heard)
    assert stand(invoice) == ("paid", TOTAL)
    with consortium_scope(Scope.COMMAND):
        assert Refund.objects.get().status == "failed"
        assert refundable(payment) == TOTAL
    assert books() == {"1050": TOTAL - FEE_DEBIT, "1100": -TOTAL, "5100": FEE_DEBIT}


def test_a_dispute_reopens_the_invoice_at_once_and_a_won_one_pays_it_again(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    till.pull("dispute", payment_intent=payment.intent_id, reason="product_not_received")
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        dispute = CardDispute.objects.get()
        assert (dispute.status, dispute.reason) == ("needs_response", "product_not_received")
        assert dispute.evidence_due_at is not None
        assert disputed_by_card(invoice) == TOTAL
    assert stand(invoice) == ("issued", Decimal(0))
    assert books() == {"1050": -FEE_CARD - 15, "5100": FEE_CARD + 15}
    with consortium_scope(Scope.STAFF):
        with pytest.raises(RefundDisputed):
            propose_refund(payment, amount=Decimal(1), reason="x", by=cast.staff, at=at)
        answer = answer_dispute(dispute, evidence="The hubs ran all month.", by=cast.staff, at=at)
        with pytest.raises(DisputeClosed):
            accept_dispute(dispute, by=cast.staff, at=at)
    send_answer(answer, at=at, gateway=till.gateway)
    send_answer(answer, at=at, gateway=till.gateway)
    with consortium_scope(Scope.COMMAND):
        assert (CardDispute.objects.get().status, disputed_by_card(invoice)) == ("under_review", TOTAL)
    till.pull("close_dispute", dispute=dispute.provider_id, won=True)
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        assert (CardDispute.objects.get().status, disputed_by_card(invoice)) == ("won", Decimal(0))
    assert stand(invoice) == ("paid", TOTAL)
    assert books() == {"1050": TOTAL - FEE_CARD - 15, "1100": -TOTAL, "5100": FEE_CARD + 15}


def test_a_dispute_that_is_accepted_leaves_the_invoice_due_and_no_longer_held(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    till.pull("dispute", payment_intent=payment.intent_id, amount=36_790)
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        assert (stand(invoice), disputed_by_card(invoice)) == (("partly_paid", Decimal(2000)), Decimal("367.90"))
        answer = accept_dispute(CardDispute.objects.get(), by=cast.staff, at=at)
    send_answer(answer, at=at, gateway=till.gateway)
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        assert (CardDispute.objects.get().status, disputed_by_card(invoice)) == ("lost", Decimal(0))
        assert refundable(payment) == Decimal(2000)
    assert stand(invoice) == ("partly_paid", Decimal(2000))


def test_a_fee_on_a_dispute_that_moves_no_money_is_cost_alone(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    inquiry = till.pull("dispute", payment_intent=payment.intent_id, inquiry=True)
    with till.simulator.store.transaction():
        line = book(till.simulator.store, "adjustment", 0, 1_500, inquiry)
        till.simulator.store.put({**inquiry, "balance_transactions": [line]})
    till.hear_new()
    assert stand(invoice) == ("paid", TOTAL)
    assert books() == {"1050": TOTAL - FEE_CARD - 15, "1100": -TOTAL, "5100": FEE_CARD + 15}


def test_an_inquiry_takes_no_money(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    inquiry = till.pull("dispute", payment_intent=payment.intent_id, inquiry=True)
    till.hear_new()
    assert stand(invoice) == ("paid", TOTAL)
    till.pull("close_dispute", dispute=inquiry["id"])
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        assert (CardDispute.objects.get().status, TakenBack.objects.count()) == ("closed", 0)


@pytest.mark.parametrize("reason", ["insufficient_funds", "debit_not_authorized"])
def test_a_debit_that_is_returned_after_it_had_paid_is_due_again_and_not_held(
    cast: Cast, till: Till, at: datetime, reason: str
) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_debit(till, invoice, at=at)
    assert stand(invoice) == ("paid", TOTAL)
    till.pull("return_debit", payment_intent=payment.intent_id, reason=reason)
    till.hear_new()
    till.hear_all(till.news())
    assert stand(invoice) == ("issued", Decimal(0))
    with consortium_scope(Scope.COMMAND):
        row = CardDispute.objects.get()
        assert (row.is_return, row.status, disputed_by_card(invoice)) == (True, "lost", Decimal(0))
        assert Reopening.objects.get().because == "return"
        assert Delivery.objects.filter(receiver="billing.mail_taken_back").count() == 1
    assert books() == {"1050": -FEE_DEBIT - 7, "5100": FEE_DEBIT + 7}


def test_a_debit_whose_account_is_proved_first_is_on_its_way(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.debit(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway), verify="later")
    till.hear_new()
    payment = payment_of(invoice)
    assert payment.status == "pending"
    till.pull("verify", payment_intent=payment.intent_id)
    till.settle()
    till.hear_new()
    assert stand(invoice) == ("paid", TOTAL)


def test_money_lost_of_an_invoice_that_is_written_off_waits_for_a_person(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    refund(till, payment, "67.90", cast, at)
    noor = make_person("noor", is_staff=True)
    StaffSeat.objects.create(user=noor, role=StaffRole.FINANCE)
    with consortium_scope(Scope.COMMAND):
        invoice.refresh_from_db()
        row = propose_write_off(invoice, reason="Cedar is wound up.", tax_effect="kept", by=cast.staff, at=at)
        approve_write_off(row, by=noor, at=at)
    till.pull("dispute", payment_intent=payment.intent_id, amount=230_000)
    till.hear_new()
    assert stand(invoice) == ("written_off", Decimal("2300.00"))
    assert books()["1110"] == Decimal("2300.00")


def test_a_fee_that_the_provider_tells_later_is_booked_then(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.card(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway))
    store = till.simulator.store
    with store.transaction():
        charge = next(store.newest("charge"))
        store.put({**charge, "balance_transaction": None})
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        assert (books(), clearing_faults(cast.issuer)) == ({"1050": TOTAL, "1100": -TOTAL}, [])
    with store.transaction():
        store.put(charge)
        store.emit("charge.updated", charge)
    till.hear_new()
    with consortium_scope(Scope.COMMAND):
        assert (books()["5100"], clearing_faults(cast.issuer)) == (FEE_CARD, [])


def test_news_of_a_dispute_before_news_of_its_payment_ends_the_same(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    till.card(payment)
    intent = till.gateway.fetch_session(payment.session_id).intent_id
    till.pull("dispute", payment_intent=intent)
    till.hear_all(till.news()[::-1])
    assert stand(invoice) == ("issued", Decimal(0))
    with consortium_scope(Scope.COMMAND):
        assert sorted(ClearingMovement.objects.values_list("kind", flat=True)) == ["charge", "dispute"]


# --- What PostgreSQL refuses -----------------------------------------------------------------------------------------


def test_postgresql_lets_no_refunds_exceed_their_payment(cast: Cast, till: Till, at: datetime) -> None:
    payment = paid_by_card(till, make_invoice(cast), at=at)
    words = {"institution_id": payment.institution_id, "payment": payment, "reason": "x", "proposed_at": at}
    with consortium_scope(Scope.COMMAND):
        Refund.objects.create(amount=Decimal(2000), currency="CAD", idempotency_key="1", **words)
        for amount, currency in ((Decimal("367.91"), "CAD"), (Decimal(1), "USD")):
            with pytest.raises(DatabaseError, match="does not fit"), transaction.atomic():
                Refund.objects.create(amount=amount, currency=currency, idempotency_key="2", **words)
        with pytest.raises(DatabaseError, match="is frozen"), transaction.atomic():
            Refund.objects.update(amount=Decimal(1))


def test_postgresql_lets_no_paid_invoice_go_back_without_a_reason_that_fits(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    paid_by_card(till, invoice, at=at)
    with consortium_scope(Scope.COMMAND):
        invoice.refresh_from_db()
        balance = InvoiceBalance.objects.filter(pk=invoice.pk)
        balance.update(paid=Decimal(1))
        with pytest.raises(DatabaseError, match="only with its reason"), transaction.atomic():
            INVOICE.move(invoice, "partly_paid")
        Reopening.objects.create(
            institution_id=invoice.institution_id, invoice=invoice, amount=1, currency="CAD", because="refund", at=at
        )
        with pytest.raises(DatabaseError, match="cannot be issued"), transaction.atomic():
            INVOICE.move(invoice, "issued")
        INVOICE.move(invoice, "partly_paid")
        balance.update(paid=TOTAL)  # what was put on it, which PostgreSQL compares at the end


@pytest.mark.parametrize("model", [ClearingMovement, TakenBack, Reopening])
def test_what_happened_at_the_provider_never_changes(
    cast: Cast, till: Till, at: datetime, model: type[models.Model]
) -> None:
    payment = paid_by_card(till, make_invoice(cast), at=at)
    refund(till, payment, "1.00", cast, at)
    with consortium_scope(Scope.COMMAND):
        for statement in ("UPDATE {} SET currency = 'XXX'", "DELETE FROM {}"):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement.format(model._meta.db_table))


def test_a_provider_that_is_away_leaves_the_refund_to_be_asked_again(cast: Cast, till: Till, at: datetime) -> None:
    payment = paid_by_card(till, make_invoice(cast), at=at)
    with consortium_scope(Scope.STAFF):
        row = propose_refund(payment, amount=Decimal(10), reason="Paid twice.", by=cast.staff, at=at)
    till.pull("network", answers_lost=3)
    with pytest.raises(GatewayError):
        send_refund(row, at=at, gateway=till.gateway)
    with consortium_scope(Scope.COMMAND):
        row.refresh_from_db()
        assert row.status == "approved"
    later = at + timedelta(days=2)  # the provider may have forgotten the key by now
    with till.simulator.store.transaction(silent=True):
        till.simulator.store._connection.execute("DELETE FROM idempotency")
    assert send_refund(row, at=later, gateway=till.gateway).status == "succeeded"
    refunds = till.gateway.refunds_of(payment.intent_id)
    assert [each.amount for each in refunds] == [Decimal("10.00")]
    assert process_event(till.hear_new()[-1], at=later, gateway=till.gateway).error == ""
