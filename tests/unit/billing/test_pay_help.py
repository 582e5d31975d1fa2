"""What a payer may do from the link beside paying: ask, pass it on, dispute a line. No account, a clock, no harm."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client

from billing import disputes, questions
from billing.crediting import issue_credit_note
from billing.disputes import DisputeRefused, open_dispute, release_unanswered
from billing.holding import held_amount, held_amounts, payable_of
from billing.models import Invoice, InvoiceBalance, InvoiceLine, InvoiceQuestion, LineDispute, LinkShare, PayLink
from billing.pay_links import issue_pay_link
from billing.payments import NothingDueError, _payable_now
from consortium.kernel import outbox
from consortium.kernel.documents import store
from consortium.kernel.errors import Forbidden, Invalid, PortalError
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, OutgoingMail
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.issued import make_invoice, pay

NOW = datetime.now(UTC)
USERS = Decimal("1000.00")  # line 2, and 50.00 of GST on it
WORDS: Any = {"name": "Ada Payer", "email": "ada@cedar.example", "text": "We had 200 users, not 280."}


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    """Without TLS."""
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def invoice(cast: Cast) -> Iterator[Invoice]:
    made = make_invoice(cast)
    with institution_scope(made.institution_id):
        yield made


@pytest.fixture
def token(invoice: Invoice) -> str:
    return issue_pay_link(invoice, at=NOW)


def line_of(invoice: Invoice, position: int = 2) -> InvoiceLine:
    return InvoiceLine.objects.get(invoice=invoice, position=position)


def disputed(invoice: Invoice, *, at: datetime = NOW, net: Decimal = USERS, position: int = 2) -> LineDispute:
    return open_dispute(line_of(invoice, position), net=net, language="en", at=at, **WORDS)


def due(invoice: Invoice) -> Decimal:
    return payable_of(InvoiceBalance.objects.get(pk=invoice.pk))


def mails(template: str) -> list[OutgoingMail]:
    outbox.deliver_due(at=datetime.now(UTC) + timedelta(seconds=1))
    with consortium_scope(Scope.COMMAND):
        return list(OutgoingMail.objects.filter(template=template).order_by("recipient"))


# --- A dispute's rules ----------------------------------------------------------------------------------------------


def test_a_dispute_holds_its_line_with_the_taxes_and_nothing_else(invoice: Invoice) -> None:
    dispute = disputed(invoice)
    assert (dispute.amount, held_amount(invoice), due(invoice)) == (
        Decimal("1050.00"),
        Decimal("1050.00"),
        Decimal("1317.90"),
    )
    balance = InvoiceBalance.objects.get(pk=invoice.pk)
    assert _payable_now(balance) == Decimal("1317.90")
    pay(invoice, "1867.90", at=NOW)
    balance.refresh_from_db()
    assert held_amounts([balance]) == {invoice.pk: Decimal("500.00")}, "never more is held than is due"
    with pytest.raises(NothingDueError, match="disputed"):
        _payable_now(balance)


def test_one_line_is_disputed_once_at_a_time_and_postgresql_says_so(invoice: Invoice) -> None:
    dispute = disputed(invoice)
    with pytest.raises(DisputeRefused, match="already"):
        disputed(invoice)
    with pytest.raises(IntegrityError, match="one_open_per_line"), transaction.atomic():
        LineDispute.objects.create(
            **{f.attname: getattr(dispute, f.attname) for f in LineDispute._meta.concrete_fields if f.attname != "id"}
        )
    disputes.withdraw_dispute(dispute, at=NOW)
    assert disputed(invoice).status == "open"


@pytest.mark.parametrize(
    ("net", "words", "field"),
    [
        ("1000.01", {}, "line_2"),
        ("0", {}, "net"),
        ("10", {"text": " "}, "text"),
        ("10", {"name": ""}, "name"),
    ],
)  # fmt: skip
def test_what_is_no_dispute_is_refused_with_the_field(invoice: Invoice, net: str, words: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        open_dispute(line_of(invoice), net=Decimal(net), language="en", at=NOW, **{**WORDS, **words})
    assert refused.value.field == field


def test_postgresql_refuses_more_than_the_line_a_paid_invoice_and_a_change_after_the_end(
    cast: Cast, invoice: Invoice
) -> None:
    dispute = disputed(invoice)
    values = {f.attname: getattr(dispute, f.attname) for f in LineDispute._meta.concrete_fields if f.attname != "id"}
    for position, wrong in ((1, {"net": "1041.68", "amount": "2000"}), (3, {"invoice_id": None})):
        other = make_invoice(cast, number=f"ICC-2026-00{position}1")
        changed = {**values, **wrong, "line_id": line_of(invoice, position).pk}
        if changed["invoice_id"] is None:
            changed["invoice_id"] = other.pk
        with pytest.raises(DatabaseError, match=r"is left of it|of a line of its invoice"), transaction.atomic():
            LineDispute.objects.create(**changed)
    with pytest.raises(DatabaseError, match="credited_by_note"), transaction.atomic():
        LineDispute.objects.filter(pk=dispute.pk).update(status="credited", ended_at=NOW)
    disputes.withdraw_dispute(dispute, at=NOW)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        LineDispute.objects.filter(pk=dispute.pk).update(amount=1)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        dispute.entries.update(text="something else")
    Invoice.objects.filter(pk=invoice.pk).update(status="paid")
    with pytest.raises(DatabaseError, match="nothing of it can be held"), transaction.atomic():
        LineDispute.objects.create(**values)


def test_the_consortium_asks_the_payer_answers_and_a_credit_note_ends_it(cast: Cast, invoice: Invoice) -> None:
    dispute = disputed(invoice)
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Forbidden):
            disputes.ask_payer(dispute, text="Which users?", by=cast.owner, at=NOW)
        disputes.ask_payer(dispute, text="Which users?", by=cast.staff, at=NOW)
        disputes.reply(dispute, text="The list is attached to our mail.", at=NOW)
        dispute.refresh_from_db()
        assert (dispute.status, dispute.answer_by - NOW.date() >= timedelta(days=14)) == ("open", True)
        with pytest.raises(Invalid, match="At most"):
            disputes.credit_dispute(dispute, net=Decimal(2000), text="x", by=cast.staff, at=NOW)
        note = disputes.credit_dispute(
            dispute, net=Decimal("285.71"), text="80 test accounts are taken off.", by=cast.staff, at=NOW
        )
        assert (note.total, held_amount(invoice)) == (Decimal("300.00"), Decimal(0))
        assert due(invoice) == Decimal("2067.90"), "what was not credited is due again"
        with pytest.raises(TransitionRefused):
            disputes.release_dispute(dispute, text="No.", by=cast.staff, at=NOW)
    assert [each.side for each in dispute.entries.all()] == ["payer", "consortium", "payer", "consortium"]
    sent = mails("billing_dispute")
    readers = {"ada@cedar.example", "payables@cedar.example"}
    assert {mail.recipient for mail in sent} == readers
    assert len(sent) == 6, "opened, asked, credited; an answer of their own is not sent back to them"
    assert {mail.recipient for mail in mails("billing_dispute_staff")} == {cast.staff.email}


def test_a_question_of_ours_that_nobody_answers_lets_the_amount_go_but_ours_never_runs_out(
    cast: Cast, invoice: Invoice
) -> None:
    ours, theirs = disputed(invoice, position=2), disputed(invoice, position=1, net=Decimal(10))
    with consortium_scope(Scope.STAFF):
        disputes.ask_payer(theirs, text="Why?", by=cast.staff, at=NOW)
    with consortium_scope(Scope.JOB):
        assert release_unanswered(at=NOW + timedelta(days=14)) == 0
        assert release_unanswered(at=NOW + timedelta(days=16)) == 1
        assert release_unanswered(at=NOW + timedelta(days=16)) == 0
    ours.refresh_from_db()
    theirs.refresh_from_db()
    assert (ours.status, theirs.status, held_amount(invoice)) == ("open", "released", Decimal("1050.00"))


# --- From the link --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_payer_disputes_a_line_with_its_evidence_and_the_page_says_how_it_stands(
    cast: Cast, invoice: Invoice, token: str, language: str
) -> None:
    client, line = Client(enforce_csrf_checks=True), line_of(invoice, 3)
    at = f"/{language}/pay/{token}/"
    assert line.description_en in text_of(client.get("/en/pay/" + token + "/dispute/"))
    form = text_of(client.get(f"{at}dispute/{line.pk}/"))
    assert "1.3905" in form or "1,3905" in form, "the evidence stands beside the form"
    refused = client.post(f"{at}dispute/{line.pk}/", {**WORDS, "net": "213.49"})
    assert (refused.status_code, "We had 200 users" in text_of(refused)) == (422, True)
    answer = client.post(f"{at}dispute/{line.pk}/", {**WORDS, "net": "213.48"})
    dispute = LineDispute.objects.get()
    assert answer["Location"] == f"{at}disputes/{dispute.pk}/?done=disputed"
    assert (dispute.amount, dispute.language) == (Decimal("224.15"), language)
    assert client.get(f"{at}dispute/{line.pk}/")["Location"] == f"{at}disputes/{dispute.pk}/"
    page = text_of(client.get(at))
    assert ("224.15" if language == "en" else "224,15") in page
    assert client.post(f"{at}disputes/{dispute.pk}/", {"text": "And one thing more."}).status_code == 302
    assert "And one thing more." in text_of(client.get(f"{at}disputes/{dispute.pk}/"))
    people = signed_in(cast.finance)
    assert "Dispute a line" in text_of(people.get(f"/en/i/cedar/invoices/{invoice.pk}/"))
    lead = people.post(f"/en/i/cedar/invoices/{invoice.pk}/pay/", {"to": "dispute"})["Location"]
    assert client.get(f"/en/{lead.partition('/en/')[2]}").status_code == 200
    assert line.description_en in text_of(people.get(f"/en/i/cedar/invoices/{invoice.pk}/"))
    client.post(f"{at}disputes/{dispute.pk}/withdraw/")
    client.post(f"{at}disputes/{dispute.pk}/withdraw/")
    assert held_amount(invoice) == 0


def test_a_link_opens_the_lines_and_disputes_of_its_own_invoice_alone(cast: Cast, invoice: Invoice, token: str) -> None:
    other = make_invoice(cast, number="ICC-2026-0009", institution=cast.other_university)
    with institution_scope(other.institution_id):
        theirs = disputed(other)
    client = Client()
    for path in (f"dispute/{theirs.line_id}/", f"disputes/{theirs.pk}/"):
        assert client.get(f"/en/pay/{token}/{path}").status_code == 404
        assert client.post(f"/en/pay/{token}/{path}", {"text": "x"}).status_code == 404
    assert client.post(f"/en/pay/{token}/disputes/{theirs.pk}/withdraw/").status_code == 404
    assert client.get(f"/en/pay/{token[:-1]}x/dispute/").status_code == 404


def test_a_question_reaches_our_people_and_the_answer_whoever_asked(cast: Cast, invoice: Invoice, token: str) -> None:
    client = Client()
    path = f"/fr/pay/{token}/question/"
    assert client.post(path, {"text": "Why?", "name": "Ada"}).status_code == 422
    for _ in range(questions.MOST_IN_A_DAY):
        assert client.post(path, WORDS)["Location"].endswith("?done=asked")
    assert client.post(path, WORDS).status_code == 429
    assert len(mails("billing_question")) == questions.MOST_IN_A_DAY
    question = InvoiceQuestion.objects.first()
    assert question is not None
    staff = signed_in(cast.staff)
    page = f"/en/staff/billing/invoicequestion/{question.pk}/act/answer/"
    assert "We had 200 users" in text_of(staff.get(page))
    assert staff.post(page, {"answer": "280 started a server."}).status_code == 302
    [mail] = mails("billing_question_answer")
    assert (mail.recipient, mail.language, "280 started" in mail.body) == ("ada@cedar.example", "fr", True)
    question.refresh_from_db()
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        InvoiceQuestion.objects.filter(pk=question.pk).update(answer="Something else.")


def test_a_colleague_gets_a_link_of_their_own_once_and_nobody_is_shown_it(invoice: Invoice, token: str) -> None:
    client = Client()
    path = f"/en/pay/{token}/share/"
    for _ in range(3):
        answer = client.post(path, {"email": "bo@cedar.example"}, follow=True)
        assert "bo@cedar.example" not in text_of(answer)
    [mail] = mails("billing_share")
    fresh = mail.body.partition("/en/pay/")[2].partition("/")[0]
    assert (mail.recipient, fresh == token) == ("bo@cedar.example", False)
    assert client.get(f"/en/pay/{fresh}/").status_code == 200
    for number in range(questions.MOST_IN_A_DAY - 1):
        client.post(path, {"email": f"c{number}@cedar.example"})
    assert client.post(path, {"email": "one-more@cedar.example"}).status_code == 429
    assert client.post(path, {"email": "no address"}).status_code == 422
    assert LinkShare.objects.count() == questions.MOST_IN_A_DAY


def test_looking_changes_nothing(invoice: Invoice, token: str) -> None:
    dispute = disputed(invoice)
    client = Client()
    with consortium_scope(Scope.COMMAND):
        before = (AuditEvent.objects.count(), PayLink.objects.count())
    for path in ("question/", "share/", "dispute/", f"dispute/{line_of(invoice, 1).pk}/", f"disputes/{dispute.pk}/"):
        response = client.get(f"/en/pay/{token}/{path}")
        assert (response.status_code, response["Referrer-Policy"]) == (200, "no-referrer")
    assert client.get(f"/en/pay/{token}/disputes/{dispute.pk}/withdraw/").status_code == 405
    with consortium_scope(Scope.COMMAND):
        assert (AuditEvent.objects.count(), PayLink.objects.count()) == before


def test_the_xml_is_offered_where_there_is_one(invoice: Invoice, token: str) -> None:
    client = Client()
    assert "XML" not in text_of(client.get(f"/en/pay/{token}/"))
    assert client.get(f"/en/pay/{token}/ubl.xml").status_code == 404
    store(
        b"<Invoice/>", kind="ubl", name="ICC-2026-0007-ubl.xml", media_type="application/xml", subject=invoice,
        institution_id=invoice.institution_id, at=NOW,
    )  # fmt: skip
    assert "XML (UBL 2.1)" in text_of(client.get(f"/en/pay/{token}/"))
    assert client.get(f"/en/pay/{token}/ubl.xml").content == b"<Invoice/>"
    assert client.get(f"/en/pay/{token}/other.xml").status_code == 404


def test_every_stand_of_the_invoice_has_its_words(cast: Cast, invoice: Invoice, token: str) -> None:
    client = Client()

    def page() -> str:
        return text_of(client.get(f"/en/pay/{token}/"))

    pay(invoice, "1317.90", at=NOW)
    first = page()
    assert "was paid" in first
    assert "Overdue" in first, "its day was the first of November"
    disputed(invoice)
    assert "All that is left is disputed" in page()
    with consortium_scope(Scope.STAFF):
        issue_credit_note(invoice, nets={line_of(invoice).pk: USERS}, reason="Wrong.", by=cast.staff, at=NOW)
    assert "paid. Thank you" in page()


# --- Staff ----------------------------------------------------------------------------------------------------------


def test_staff_decide_with_the_evidence_in_front_of_them(cast: Cast) -> None:
    invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        _decide(cast, invoice)


def _decide(cast: Cast, invoice: Invoice) -> None:
    dispute = disputed(invoice)
    staff = signed_in(cast.staff)
    assert "Disputed lines to decide" in text_of(staff.get("/en/staff/"))
    base = f"/en/staff/billing/linedispute/{dispute.pk}/"
    assert "Users 101 to 1,000" in text_of(staff.get(f"{base}act/credit/"))
    assert staff.post(f"{base}act/credited/", {"number": "CN-1", "text": "See the note."}).status_code == 422
    other = disputed(invoice, position=1, net=Decimal(10))
    note = issue_credit_note(
        invoice, nets={other.line_id: Decimal(10)}, reason="Wrong.", by=cast.staff, at=NOW + timedelta(seconds=1)
    )
    with pytest.raises(Invalid, match="takes nothing back of this line"):
        disputes.credited_by(dispute, note, text="See the note.", by=cast.staff, at=NOW)
    page = f"/en/staff/billing/linedispute/{other.pk}/act/credited/"
    assert staff.post(page, {"number": note.number, "text": "See the note."}).status_code == 302
    assert staff.post(f"{base}act/credit/", {"net": "ten", "text": "x"}).status_code == 422
    assert staff.post(f"{base}act/ask/", {"text": "Which users?"}).status_code == 302
    assert staff.post(f"{base}act/release/", {"text": "280 people started a server."}).status_code == 302
    dispute.refresh_from_db()
    assert dispute.status == "released"
    assert "Disputed lines to decide" not in text_of(staff.get("/en/staff/"))
    with pytest.raises(PortalError):
        disputes.reply(dispute, text="But.", at=NOW)
