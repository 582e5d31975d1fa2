"""Paying an invoice: once, never more than is due, whatever the order of the news."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection

from billing import ledger
from billing.gateways import WebhookRefusedError
from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, InvoiceBalance, LedgerEntry, LedgerLeg, Payment, ProviderEvent
from billing.payments import (
    NothingDueError,
    PaymentUnderWayError,
    process_event,
    process_pending,
    receive_event,
    start_payment,
)
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Delivery, Job
from tests.cast import Cast, make_cast
from tests.unit.billing.checkout import BAD_CARD, Till, open_till, signed
from tests.unit.billing.issued import make_invoice

RETURN = "http://127.0.0.1:8000/en/pay/token/return/"


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_crash() -> Iterator[None]:
    yield
    disarm()


def begin(till: Till, invoice: Invoice, *, at: datetime, return_url: str = RETURN) -> Payment:
    return start_payment(invoice, return_url=return_url, at=at, gateway=till.gateway)


def state(invoice: Invoice) -> tuple[str, Decimal, list[tuple[str, Decimal]], int]:
    """What must be the same in the end: invoice, balance, payments, postings."""
    with consortium_scope(Scope.COMMAND):
        status = Invoice.objects.get(pk=invoice.pk).status
        paid = InvoiceBalance.objects.get(pk=invoice.pk).paid
        payments = list(Payment.objects.filter(invoice=invoice).order_by("created_at").values_list("status", "amount"))
        postings = LedgerEntry.objects.filter(kind="payment", source_id__in=Payment.objects.filter(invoice=invoice))
        return status, paid, payments, postings.count()


def test_a_card_payment_pays_the_invoice_once_with_ledger_receipt_and_mail(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = begin(till, invoice, at=at)
    assert till.card(payment) == 303
    till.hear_all(till.news())
    assert state(invoice) == ("paid", Decimal("2367.90"), [("succeeded", Decimal("2367.90"))], 1)
    with consortium_scope(Scope.COMMAND):
        payment = Payment.objects.get(pk=payment.pk)
        legs = set(LedgerLeg.objects.filter(entry__source_id=payment.pk).values_list("account__code", "amount"))
        assert legs == {("1050", Decimal("2367.90")), ("1100", Decimal("-2367.90"))}
        assert ledger.is_balanced()
        assert payment.method == "card"
        assert Delivery.objects.filter(receiver="billing.mail_receipt").count() == 1
        assert Job.objects.filter(kind="render_receipt", unique_key=str(payment.pk)).count() == 1
        assert AuditEvent.objects.filter(action="billing.payment_succeeded").count() == 1


def test_a_second_click_returns_the_page_that_is_open(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    first = begin(till, invoice, at=at)
    second = begin(till, invoice, at=at + timedelta(seconds=3), return_url=RETURN + "?other-tab")
    assert (first.pk, first.session_url) == (second.pk, second.session_url)


def test_nothing_can_be_paid_twice(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.card(begin(till, invoice, at=at))
    with pytest.raises(PaymentUnderWayError):  # paid at the provider, and the news has not arrived
        begin(till, invoice, at=at)
    till.hear_all(till.news())
    with pytest.raises(NothingDueError):
        begin(till, invoice, at=at)


def test_a_declined_card_keeps_the_page_open_and_another_card_pays(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = begin(till, invoice, at=at)
    assert till.card(payment, BAD_CARD) == 402
    till.hear_all(till.news())
    with consortium_scope(Scope.COMMAND):
        payment = Payment.objects.get(pk=payment.pk)
    assert (payment.status, "declined" in payment.failure) == ("created", True)
    assert begin(till, invoice, at=at).pk == payment.pk
    assert till.card(payment) == 303
    till.hear_all(till.news())
    assert state(invoice)[0] == "paid"


def test_a_bank_debit_is_pending_until_the_bank_settles_it(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.debit(begin(till, invoice, at=at))
    till.hear_all(till.news())
    assert state(invoice) == ("issued", Decimal(0), [("pending", Decimal("2367.90"))], 0)
    with pytest.raises(PaymentUnderWayError):
        begin(till, invoice, at=at)
    till.settle()
    till.hear_all(till.news())
    assert state(invoice) == ("paid", Decimal("2367.90"), [("succeeded", Decimal("2367.90"))], 1)


def test_a_debit_that_fails_leaves_all_due_and_can_be_tried_again(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.debit(begin(till, invoice, at=at))
    till.settle("failed")
    till.hear_all(till.news())
    assert state(invoice) == ("issued", Decimal(0), [("failed", Decimal("2367.90"))], 0)
    again = begin(till, invoice, at=at + timedelta(days=6))
    till.card(again)
    till.hear_all(till.news())
    assert state(invoice)[:2] == ("paid", Decimal("2367.90"))


def test_a_page_for_another_amount_is_closed_before_a_new_one_opens(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    first = begin(till, invoice, at=at)
    with consortium_scope(Scope.COMMAND):
        InvoiceBalance.objects.filter(pk=invoice.pk).update(credited=Decimal("367.90"))
    second = begin(till, invoice, at=at)
    assert (second.pk != first.pk, second.amount) == (True, Decimal("2000.00"))
    assert till.gateway.fetch_session(first.session_id).status == "expired"
    assert till.card(first) == 402


def test_money_beyond_what_is_due_is_never_counted_on_the_invoice(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.card(begin(till, invoice, at=at))
    with consortium_scope(Scope.COMMAND):  # a credit note is faster than the news
        InvoiceBalance.objects.filter(pk=invoice.pk).update(credited=Decimal("367.90"))
    heard = till.hear_all(till.news())
    assert any("367.90 CAD" in event.error for event in heard)
    assert state(invoice)[:2] == ("paid", Decimal("2000.00"))
    with consortium_scope(Scope.COMMAND):
        credit = LedgerLeg.objects.get(account__code="2200")
        assert (credit.amount, ledger.is_balanced()) == (Decimal("-367.90"), True)


def test_news_of_a_stranger_s_payment_changes_nothing_and_says_so(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = begin(till, invoice, at=at)
    till.card(payment)
    bodies = till.news()
    with consortium_scope(Scope.COMMAND):
        Payment.objects.filter(pk=payment.pk).update(session_id="cs_other")
    body = json.loads(next(body for body in bodies if b'"checkout.session.completed"' in body))
    body["data"]["object"]["metadata"] = {"payment_id": "not-ours"}
    event = till.hear(json.dumps(body).encode())
    assert "No payment of this portal" in event.error
    assert state(invoice)[0] == "issued"


# --- Forgeries ------------------------------------------------------------------------------------------------------

BODY = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "metadata": {}}},
    }
).encode()
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
GOOD = signed(BODY, NOW)
STAMP = int(NOW.timestamp())
MUTANTS = {
    "no signature": (BODY, ""),
    "another secret": (BODY, signed(BODY, NOW, secret="whsec_other")),
    "the body changed": (BODY.replace(b"pi_1", b"pi_2"), GOOD),
    "a blank more": (BODY + b" ", GOOD),
    "the time changed": (BODY, GOOD.replace(f"t={STAMP}", f"t={STAMP + 1}")),
    "too old": (BODY, signed(BODY, NOW - timedelta(seconds=301))),
    "from the future": (BODY, signed(BODY, NOW + timedelta(seconds=301))),
    "an old scheme": (BODY, GOOD.replace("v1=", "v0=")),
    "an empty digest": (BODY, f"t={STAMP},v1="),
    "no time": (BODY, GOOD.partition(",")[2]),
    "rubbish": (BODY, "t=now,v1=zz"),
    "two times": (BODY, f"t={STAMP + 9999},{GOOD}"),
    "signed, and no JSON": (b"{", signed(b"{", NOW)),
    "signed, and no event": (b"[]", signed(b"[]", NOW)),
    "bytes that are no text": (b"\xff\xfe", GOOD),
}


@pytest.fixture
def gateway() -> StripeGateway:
    return StripeGateway(api_key="sk_test_x", api_base="http://127.0.0.1:9", webhook_secret="whsec_till")


@pytest.mark.parametrize("name", MUTANTS)
def test_a_forged_message_is_refused_and_not_kept(db: None, gateway: StripeGateway, name: str) -> None:
    body, header = MUTANTS[name]
    with pytest.raises(WebhookRefusedError):
        receive_event(body, header, at=NOW, gateway=gateway)
    assert not ProviderEvent.objects.exists()


def test_a_true_message_is_kept_once_with_its_job(db: None, gateway: StripeGateway) -> None:
    first = receive_event(BODY, GOOD, at=NOW, gateway=gateway)
    second = receive_event(BODY, GOOD, at=NOW, gateway=gateway)
    assert first.pk == second.pk
    with consortium_scope(Scope.COMMAND):
        assert Job.objects.filter(kind="process_event").count() == 1


# --- Crashes and threads --------------------------------------------------------------------------------------------


def test_a_provider_that_does_not_answer_is_asked_again_later(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    till.card(begin(till, invoice, at=at))
    body = next(body for body in till.news() if b'"checkout.session.completed"' in body)
    now = datetime.now(UTC)
    away = StripeGateway(api_key="sk_test_x", api_base="http://127.0.0.1:9", webhook_secret="whsec_till")
    receive_event(body, signed(body, now), at=now, gateway=away)
    assert process_pending(at=now + timedelta(seconds=5), gateway=away) == 0
    assert process_pending(at=now + timedelta(seconds=5), gateway=till.gateway) == 1
    assert state(invoice)[0] == "paid"


@pytest.mark.parametrize("where", ["payment.recorded", "payment.checkout_made", "payment.checkout_kept"])
def test_a_crash_while_the_page_opens_never_makes_two_payments(
    committed_db: str, till: Till, at: datetime, where: str
) -> None:
    invoice = make_invoice(make_cast(at))
    arm(where)
    with pytest.raises(SimulatedCrash):
        begin(till, invoice, at=at)
    disarm()
    payment = begin(till, invoice, at=at, return_url=RETURN + "?after")
    till.card(payment)
    till.hear_all(till.news())
    assert state(invoice)[1] == Decimal("2367.90")
    assert [status for status, _ in state(invoice)[2]].count("succeeded") == 1


@pytest.mark.parametrize("where", ["event.before_stored", "event.stored", "event.fetched", "event.before_processed"])
def test_a_crash_while_news_is_acted_on_counts_the_money_once(
    committed_db: str, till: Till, at: datetime, where: str
) -> None:
    invoice = make_invoice(make_cast(at))
    till.card(begin(till, invoice, at=at))
    arm(where)
    with pytest.raises(SimulatedCrash):
        till.hear_all(till.news())
    disarm()
    till.hear_all(till.news())
    assert state(invoice) == ("paid", Decimal("2367.90"), [("succeeded", Decimal("2367.90"))], 1)


def in_threads(count: int, work: object) -> list[object]:
    def one(_: int) -> object:
        try:
            return work()  # type: ignore[operator] # any callable
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_tabs_at_once_share_one_page_and_workers_at_once_count_once(
    committed_db: str, till: Till, at: datetime
) -> None:
    invoice = make_invoice(make_cast(at))
    pages = in_threads(6, lambda: begin(till, invoice, at=at).session_url)
    assert len(set(pages)) == 1
    with consortium_scope(Scope.COMMAND):
        payment = Payment.objects.get(invoice=invoice)
    assert [till.card(payment), till.card(payment)] == [303, 402]
    bodies = till.news()
    in_threads(6, lambda: till.hear_all(bodies) and None)
    assert state(invoice) == ("paid", Decimal("2367.90"), [("succeeded", Decimal("2367.90"))], 1)
    events = ProviderEvent.objects.filter(processed_at=None)
    assert not events.exists()
    assert process_event(ProviderEvent.objects.all()[0], at=at, gateway=till.gateway).error == ""
