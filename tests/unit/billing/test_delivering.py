"""An invoice reaches its payer by the way that its account says, once; what comes back becomes a task and is shown."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from billing.bounces import read_report, take_report
from billing.delivering import mark_rejected, send_again, waiting_deliveries
from billing.inboxes import recorded_address
from billing.models import BillingAccount, Invoice, InvoiceDelivery, MailBounce
from consortium.kernel.documents import store
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import OutgoingMail
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.came_back import deliver, issued, mails, report
from tests.unit.billing.issued import make_invoice

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    """Without TLS."""
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def invoice(cast: Cast) -> Iterator[Invoice]:
    made = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        store(
            b"%PDF-1.7", kind="invoice", name="ICC-2026-0007.pdf", media_type="application/pdf", subject=made,
            institution_id=made.institution_id, at=NOW, language="en",
        )  # fmt: skip
        yield made


def test_an_invoice_goes_to_the_inbox_as_one_mail_with_its_pdf_order_and_link(cast: Cast, invoice: Invoice) -> None:
    delivery = issued(cast, invoice)
    [mail] = mails("billing_invoice")
    assert (delivery.status, delivery.recipient, delivery.mail) == ("sent", "payables@cedar.example", mail)
    assert (len(mail.attachment_ids), "PO-88121" in mail.body, "/en/pay/" in mail.body) == (1, True, True)
    with pytest.raises(IntegrityError, match="one_live"), transaction.atomic():
        InvoiceDelivery.objects.create(
            institution=cast.university,
            invoice=invoice,
            attempt=2,
            channel="inbox",
            recipient="x@y.example",
            made_at=NOW,
        )
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        InvoiceDelivery.objects.filter(pk=delivery.pk).update(recipient="thief@evil.example")
    with pytest.raises(DatabaseError, match="says_why"), transaction.atomic():
        InvoiceDelivery.objects.filter(pk=delivery.pk).update(status="bounced")


@pytest.mark.parametrize("whole", [True, False])
def test_mail_that_comes_back_is_a_task_is_shown_to_owners_and_ends_when_it_is_sent_again(
    cast: Cast, invoice: Invoice, whole: bool
) -> None:
    delivery = issued(cast, invoice)
    raw = report(mails("billing_invoice")[0], whole=whole)
    assert take_report(raw, at=NOW) == take_report(raw, at=NOW), "once"
    delivery.refresh_from_db()
    assert (delivery.status, delivery.note) == ("bounced", "5.1.1 smtp; 550 5.1.1 no such user here")
    deliver()
    assert [mail.recipient for mail in mails("billing_undelivered")] == [cast.finance.email, cast.owner.email]
    assert [mail.recipient for mail in mails("billing_bounce")] == [cast.staff.email]
    owner, staff = signed_in(cast.owner), signed_in(cast.staff)
    assert "did not reach your payer" in text_of(owner.get("/en/i/cedar/"))
    assert "n’a pas atteint" in text_of(owner.get("/fr/i/cedar/"))
    assert "Came back" in text_of(owner.get(f"/en/i/cedar/invoices/{invoice.pk}/"))
    queue = text_of(staff.get("/en/staff/"))
    assert "Invoices to deliver" in queue
    assert "Mail that came back" in queue
    page = f"/en/staff/billing/invoicedelivery/{delivery.pk}/act/again/"
    assert "550" in text_of(staff.get(page))
    assert staff.post(page, {"channel": "inbox", "recipient": "nobody"}).status_code == 422
    sent = staff.post(page, {"channel": "inbox", "recipient": "ap@cedar.example", "remember": "on"})
    assert sent.status_code == 302
    deliver()
    assert [mail.recipient for mail in mails("billing_invoice")] == ["ap@cedar.example", "payables@cedar.example"]
    assert recorded_address(invoice) == "ap@cedar.example"
    assert BillingAccount.objects.get(pk=invoice.billing_account_id).email == "ap@cedar.example"
    assert (waiting_deliveries().count(), MailBounce.objects.get().status) == (0, "handled")
    assert "did not reach your payer" not in text_of(owner.get("/en/i/cedar/"))


def test_a_portal_is_a_task_with_the_file_and_the_payer_s_answer_is_kept(cast: Cast, invoice: Invoice) -> None:
    BillingAccount.objects.filter(pk=invoice.billing_account_id).update(
        channel="portal", portal_url="https://suppliers.cedar.example/"
    )
    delivery = issued(cast, invoice)
    [mail] = mails("billing_upload")
    assert (mail.recipient, len(mail.attachment_ids), mails("billing_invoice")) == (cast.staff.email, 1, [])
    staff = signed_in(cast.staff)
    base = f"/en/staff/billing/invoicedelivery/{delivery.pk}/act/"
    assert delivery in waiting_deliveries()
    assert staff.post(f"{base}uploaded/", {"reference": "SP-77"}).status_code == 302
    assert staff.post(f"{base}rejected/", {"reason": ""}).status_code == 422
    delivery.refresh_from_db()
    with pytest.raises(Forbidden):
        mark_rejected(delivery, reason="x", by=cast.owner, at=NOW)
    assert staff.post(f"{base}rejected/", {"reason": "Wrong purchase order."}).status_code == 302
    assert "Wrong purchase order." in text_of(signed_in(cast.owner).get("/en/i/cedar/"))
    again = send_again(
        invoice, channel="portal", recipient="https://suppliers.cedar.example/", remember=False, by=cast.staff, at=NOW
    )
    assert staff.post(f"/en/staff/billing/invoicedelivery/{again.pk}/act/uploaded/", {}).status_code == 302
    accepted = staff.post(f"/en/staff/billing/invoicedelivery/{again.pk}/act/accepted/", {"reference": "B-1"})
    assert accepted.status_code == 302
    with pytest.raises(Invalid, match="accepted this invoice already"):
        send_again(invoice, channel="inbox", recipient="a@cedar.example", remember=False, by=cast.staff, at=NOW)
    delivery.refresh_from_db()
    with pytest.raises(TransitionRefused):
        mark_rejected(delivery, reason="Again.", by=cast.staff, at=NOW)


def test_peppol_is_refused_with_what_to_do_and_waits_for_a_person(cast: Cast, invoice: Invoice) -> None:
    BillingAccount.objects.filter(pk=invoice.billing_account_id).update(channel="peppol")
    delivery = issued(cast, invoice)
    assert (delivery.status, "supplier portal" in delivery.note) == ("refused", True)
    assert delivery in waiting_deliveries()
    with pytest.raises(Invalid, match="Peppol is not connected"):
        send_again(invoice, channel="peppol", recipient="0192:1", remember=False, by=cast.staff, at=NOW)
    with pytest.raises(IntegrityError, match="portal_has_page"), transaction.atomic():
        BillingAccount.objects.filter(pk=invoice.billing_account_id).update(channel="portal")


def test_what_is_no_failure_of_ours_changes_nothing(cast: Cast, invoice: Invoice) -> None:
    delivery = issued(cast, invoice)
    [mail] = mails("billing_invoice")
    stranger = OutgoingMail(pk=cast.university.pk, recipient=mail.recipient, subject="x")
    for raw in (
        report(mail, action="delayed"),
        report(mail, recipient="someone@else.example"),
        report(stranger),
        b"Subject: out of office\r\n\r\nI am away.",
        b"",
    ):
        assert take_report(raw, at=NOW) is None
    delivery.refresh_from_db()
    assert (delivery.status, MailBounce.objects.count()) == ("sent", 0)


@given(st.binary(max_size=400), st.integers(0, 900))
def test_no_bytes_break_the_reader(noise: bytes, cut: int) -> None:
    mail = OutgoingMail(pk="0198c0de-0000-7000-8000-000000000001", recipient="a@b.example", subject="x")
    raw = report(mail)
    read_report(noise)
    read_report(raw[:cut] + noise + raw[cut:])


def test_the_command_takes_a_message_from_a_pipe(
    cast: Cast, invoice: Invoice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    issued(cast, invoice)
    raw = report(mails("billing_invoice")[0])
    for body, taken in ((raw, True), (b"Subject: hello\r\n\r\nHi", False)):
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(body)))
        call_command("take_bounce")
        assert json.loads(capsys.readouterr().out)["taken"] is taken
    bounce = MailBounce.objects.get()
    staff = signed_in(cast.staff)
    page = f"/en/staff/billing/mailbounce/{bounce.pk}/act/handled/"
    assert staff.post(page, {"note": "Telephoned."}).status_code == 302
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        MailBounce.objects.filter(pk=bounce.pk).update(note="Nothing.")
