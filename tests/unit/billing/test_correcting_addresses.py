"""A payer's address that fails is corrected by its own people: seen, sent again once, and nobody's task then."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse

from billing.bounced_addresses import NothingCameBack, bounced_addresses, correct_address
from billing.bounces import take_report
from billing.delivering import waiting_deliveries
from billing.inboxes import recorded_address
from billing.models import BillingAccount, Invoice, InvoiceDelivery, MailBounce
from consortium.kernel.documents import store
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.came_back import deliver, issued, mails, report
from tests.unit.billing.issued import make_invoice, pay

NOW = datetime.now(UTC)
RIGHT = "ap@cedar.example"


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    """Without TLS."""
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def returned(cast: Cast) -> Iterator[Invoice]:
    """An invoice whose mail came back from the payer's mail server."""
    made = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        store(
            b"%PDF-1.7", kind="invoice", name="ICC-2026-0007.pdf", media_type="application/pdf", subject=made,
            institution_id=made.institution_id, at=NOW, language="en",
        )  # fmt: skip
        issued(cast, made)
        take_report(report(mails("billing_invoice")[0]), at=NOW)
        deliver()
        yield made


def test_the_member_s_finance_person_sees_it_corrects_it_and_it_goes_out_once(cast: Cast, returned: Invoice) -> None:
    account = BillingAccount.objects.get(pk=returned.billing_account_id)
    page = f"/en/i/cedar/invoices/address/{account.pk}/"
    told = {mail.recipient: mail for mail in mails("billing_undelivered")}
    assert set(told) == {cast.finance.email, cast.owner.email}
    assert page in told[cast.finance.email].body
    assert "550 5.1.1 no such user here" in told[cast.finance.email].body
    finance = signed_in(cast.finance)
    listed = text_of(finance.get("/en/i/cedar/invoices/"))
    assert "Mail to payables@cedar.example comes back" in listed
    assert page in listed
    shown = text_of(finance.get(page))
    assert "550 5.1.1 no such user here" in shown
    assert 'This address has failed since <time datetime="20' in shown
    wrong = finance.post(page, {"email": "accounts payable"})
    assert (wrong.status_code, "accounts payable" in wrong.content.decode()) == (422, True)
    assert finance.post(page, {"email": RIGHT}).status_code == 302
    again = finance.post(page, {"email": RIGHT}, follow=True)
    assert "corrected already" in text_of(again), "the second press finds nothing to do"
    deliver()
    assert [mail.recipient for mail in mails("billing_invoice")] == [RIGHT, "payables@cedar.example"]
    account.refresh_from_db()
    assert (account.email, recorded_address(returned)) == (RIGHT, RIGHT)
    assert (waiting_deliveries().count(), MailBounce.objects.get().handled_by) == (0, cast.finance)
    assert "comes back" not in text_of(finance.get("/en/i/cedar/invoices/"))
    assert "Invoices go to ap@cedar.example" in text_of(finance.get(page))
    [confirmed, _other] = mails("billing_address_corrected")
    assert "ICC-2026-0007" in confirmed.body
    audited = AuditEvent.objects.get(action="billing.address_corrected")
    assert audited.actor_id == cast.finance.pk
    assert RIGHT not in str(audited.after)


def test_french_and_who_may(cast: Cast, returned: Invoice) -> None:
    account = BillingAccount.objects.get(pk=returned.billing_account_id)
    page = f"/fr/i/cedar/invoices/address/{account.pk}/"
    without = signed_in(cast.owner, second_factor=False).post(page, {"email": RIGHT})
    assert without["Location"].endswith("/2fa/") or without["Location"].endswith(reverse("mfa_index")), (
        "to set a second factor up"
    )
    owner = signed_in(cast.owner)
    assert "Corriger l’adresse" in text_of(owner.get("/fr/i/cedar/invoices/"))
    assert "Utiliser cette adresse" in text_of(owner.get(page))
    for person, status in ((cast.technical, 403), (cast.viewer, 403), (cast.outsider, 404)):
        assert signed_in(person).post(page, {"email": "thief@evil.example"}).status_code == status
        with pytest.raises(Forbidden):
            correct_address(account, email="thief@evil.example", by=person, at=NOW)
    account.refresh_from_db()
    assert account.email == "payables@cedar.example"
    with pytest.raises(Invalid) as refused:
        correct_address(account, email="a@b@c", by=cast.owner, at=NOW)
    assert refused.value.field == "email"
    with institution_scope(cast.other_university.pk):
        assert bounced_addresses(cast.university.pk) == []


def test_a_receipt_that_came_back_goes_out_again_and_a_paid_invoice_does_not(cast: Cast, returned: Invoice) -> None:
    """The invoice was paid meanwhile from a printed copy; its receipt bounced like the invoice."""
    payment = pay(returned, "2368.01", at=NOW)
    store(
        b"%PDF-1.7", kind="receipt", name="receipt.pdf", media_type="application/pdf", subject=payment,
        institution_id=returned.institution_id, at=NOW, language="en",
    )  # fmt: skip
    deliver()
    [receipt] = mails("billing_receipt")
    take_report(report(receipt), at=NOW)
    deliver()
    account = BillingAccount.objects.get(pk=returned.billing_account_id)
    [bounced] = bounced_addresses(cast.university.pk)
    assert (len(bounced.bounces), bounced.invoices) == (2, ())
    assert correct_address(account, email=RIGHT, by=cast.owner, at=NOW) == ()
    with pytest.raises(NothingCameBack):
        correct_address(account, email=RIGHT, by=cast.owner, at=NOW)
    deliver()
    assert [mail.recipient for mail in mails("billing_receipt")] == [RIGHT, "payables@cedar.example"]
    assert InvoiceDelivery.objects.count() == 1
    assert not MailBounce.objects.filter(status="open").exists()
