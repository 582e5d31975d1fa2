"""Staff pages of payments: a refund shown before it goes out, disputes answered, payouts matched, news as a queue."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import CardDispute, CardDisputeAnswer, Payout, ProviderEvent, Refund
from billing.payments import process_pending, start_payment
from billing.refreshing import ask_again
from billing.refunds import send_refund
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Job
from members.models import StaffSeat
from tests.cast import Cast, make_person
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, TOTAL, large, paid_by_card, stand


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


def page(name: str, *args: object) -> str:
    return reverse(f"admin:billing_{name}", args=args)


def test_a_refund_is_previewed_typed_and_sent_and_a_large_one_waits_for_a_colleague(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = paid_by_card(till, invoice, at=at)
    staff = signed_in(cast.staff)
    change = text_of(staff.get(page("payment_change", payment.pk)))
    assert "Ask the provider again" in change
    url = page("refund_payment", payment.pk)
    assert staff.get(page("payment_act", payment.pk, "refund"))["Location"] == url
    assert "At most 2,367.90" in text_of(staff.get(url))
    words = {"amount": "367.90", "reason": "Paid twice."}
    preview = text_of(staff.post(url, words))
    assert "Due again on the invoice" in preview
    assert "Goes out at once" in preview
    for wrong, said in (({"total": "1"}, "Type exactly that"), ({"amount": "9999"}, "At most"), ({"reason": ""}, "")):
        refused = staff.post(url, words | {"total": "367.90"} | wrong)
        assert (refused.status_code, said in text_of(refused)) == (422, True)
    done = staff.post(url, words | {"total": "367.90"}, follow=True)
    assert "on its way to the provider" in text_of(done)
    with consortium_scope(Scope.COMMAND):
        small = Refund.objects.select_related("payment__invoice").get()
    send_refund(small, at=at, gateway=till.gateway)
    assert stand(invoice) == ("partly_paid", Decimal("2000.00"))
    with consortium_scope(Scope.COMMAND):
        url = page("refund_payment", large(payment).pk)
    waits = staff.post(url, {"amount": "6000", "reason": "Contract ended.", "total": "6000.00"}, follow=True)
    assert "waits for a colleague" in text_of(waits)
    assert "Refunds to approve" in text_of(staff.get(reverse("admin:index")))
    with consortium_scope(Scope.COMMAND):
        waiting = Refund.objects.get(status="proposed")
    act = page("refund_act", waiting.pk, "approve")
    assert "another person" in text_of(staff.post(act, {"total": "6000"}))
    colleague = make_person("colleague", is_staff=True)
    StaffSeat.objects.create(user=colleague, role="finance")
    second = signed_in(colleague)
    assert second.post(act, {"total": "5999"}).status_code == 422
    assert second.post(act, {"total": "6000.00"}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert Refund.objects.get(pk=waiting.pk).approved_by == colleague


def test_who_is_not_of_finance_sees_payments_and_moves_nothing(cast: Cast, till: Till, at: datetime) -> None:
    payment = paid_by_card(till, make_invoice(cast), at=at)
    auditor = make_person("auditor", is_staff=True)
    StaffSeat.objects.create(user=auditor, role="auditor")
    browser = signed_in(auditor)
    assert browser.get(page("payment_change", payment.pk)).status_code == 200
    assert browser.get(page("refund_payment", payment.pk)).status_code == 403
    assert browser.post(page("payment_act", payment.pk, "refresh")).status_code == 403
    assert Client().get(page("refund_payment", payment.pk)).status_code == 302


def test_a_dispute_is_in_the_work_queue_with_its_day_and_a_draft_until_it_is_answered(
    cast: Cast, till: Till, at: datetime
) -> None:
    payment = paid_by_card(till, make_invoice(cast), at=at)
    till.pull("dispute", payment_intent=payment.intent_id, reason="product_not_received")
    till.hear_new()
    staff = signed_in(cast.staff)
    assert "Card disputes to answer" in text_of(staff.get(reverse("admin:index")))
    assert "ICC-2026-0007" in text_of(staff.get(page("carddispute_changelist") + "?turn=ours"))
    with consortium_scope(Scope.COMMAND):
        dispute = CardDispute.objects.get()
    act = page("carddispute_act", dispute.pk, "answer")
    draft = text_of(staff.get(act))
    for words in ("the service was not received", "Answer by", "Cedar University is a member", "Monthly active users"):
        assert words in draft
    assert staff.post(act, {"evidence": " "}).status_code == 422
    assert staff.post(act, {"evidence": "The hubs ran all month."}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert (CardDisputeAnswer.objects.get().by, Job.objects.filter(kind="answer_dispute").count()) == (
            cast.staff,
            1,
        )
    assert staff.post(act, {"evidence": "More."}).status_code == 403
    assert "Card disputes to answer" not in text_of(staff.get(reverse("admin:index")))
    assert "ICC-2026-0007" in text_of(staff.get(page("carddispute_changelist") + "?turn=bank"))
    assert "ICC-2026-0007" in text_of(staff.get(page("reopening_changelist")))


def test_a_payout_is_matched_and_undone_and_one_with_strangers_is_accepted(
    cast: Cast, till: Till, at: datetime
) -> None:
    paid_by_card(till, make_invoice(cast), at=at)
    mug = {"currency": "cad", "unit_amount": 500, "product_data": {"name": "Mug"}}
    shop: Any = {
        "mode": "payment",
        "success_url": "https://shop.example/",
        "line_items": [{"quantity": 1, "price_data": mug}],
    }
    foreign: Any = till.gateway._client.v1.checkout.sessions.create(params=shop)
    foreign.session_url = foreign.url
    till.card(foreign)
    till.pull("payout")
    till.hear_new()
    staff = signed_in(cast.staff)
    assert "Payouts that cannot be booked" in text_of(staff.get(reverse("admin:index")))
    with consortium_scope(Scope.COMMAND):
        payout = Payout.objects.get()
    assert "belong to no payment" in text_of(staff.get(page("payout_act", payout.pk, "strangers")))
    assert staff.get(page("payout_act", payout.pk, "arrived")).status_code == 403
    assert staff.post(page("payout_act", payout.pk, "strangers")).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert Job.objects.filter(kind="refresh_payout").count() == 1
    assert ask_again(at=at, payout_id=payout.provider_id, gateway=till.gateway) == ""
    assert "Payouts that cannot be booked" not in text_of(staff.get(reverse("admin:index")))
    found = text_of(staff.get(page("payout_change", payout.pk)))
    assert "ICC-2026-0007, Cedar University" in found
    shown = text_of(staff.get(page("payout_act", payout.pk, "arrived")))
    assert "It is posted from its way to the bank" in shown
    assert staff.post(page("payout_act", payout.pk, "arrived"), {"on": "", "reference": "x"}).status_code == 422
    match = {"on": "2026-10-17", "reference": "STRIPE 8812"}
    assert staff.post(page("payout_act", payout.pk, "arrived"), match).status_code == 302
    assert staff.post(page("payout_act", payout.pk, "undo"), {"on": "2026-10-18"}).status_code == 302
    assert staff.post(page("payout_act", payout.pk, "arrived"), match).status_code == 302
    assert text_of(staff.get(page("payout_changelist"))).count("2026") >= 1


def test_news_with_a_problem_waits_until_it_is_processed_again_or_set_aside(
    cast: Cast, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    till.card(payment)
    intent_id = till.gateway.fetch_session(payment.session_id).intent_id
    with till.simulator.store.transaction(silent=True):  # for a while the provider does not say whose it is
        intent = till.simulator.store.get("payment_intent", intent_id)
        till.simulator.store.put({**intent, "metadata": {}})
    known = len(till.events())
    till.pull("dispute", payment_intent=intent_id, amount=100)
    till.hear_all(till.news(after=known))
    staff = signed_in(cast.staff)
    assert "News of the payment provider to look at" in text_of(staff.get(reverse("admin:index")))
    queue = page("providerevent_changelist") + "?look=open"
    assert "No payment of this portal" in text_of(staff.get(queue))
    first, *rest = ProviderEvent.objects.exclude(error="").order_by("received_at")
    act = page("providerevent_act", first.pk, "aside")
    assert "charge.dispute.created" in text_of(staff.get(act))
    assert staff.post(act, {"note": " "}).status_code == 422
    assert staff.post(act, {"note": "A test payment of the shop."}).status_code == 302
    assert staff.post(act, {"note": "Again."}).status_code == 403
    with till.simulator.store.transaction(silent=True):
        till.simulator.store.put(intent)
    for event in rest:
        assert staff.post(page("providerevent_act", event.pk, "again")).status_code == 302
    process_pending(at=now() + timedelta(seconds=5), gateway=till.gateway)
    assert "News of the payment provider" not in text_of(staff.get(reverse("admin:index")))
    assert stand(invoice) == ("partly_paid", TOTAL - 1)
    with consortium_scope(Scope.COMMAND):
        assert AuditEvent.objects.filter(action="billing.event_set_aside").count() == 1
