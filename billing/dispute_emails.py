"""Mails of disputes, questions and shared links: to the payer's inbox, to whoever wrote, to our finance people."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db.models import Model
from django.urls import reverse
from django.utils import translation

from billing.inboxes import recorded_address
from billing.models import Invoice, InvoiceQuestion, LineDispute, LinkShare
from billing.pay_links import issue_pay_link, pay_url
from billing.snapshot import InvoiceSnapshot
from consortium.kernel.formats import day_text, money_text
from consortium.kernel.language import bilingual, first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.permissions import Permission
from members.queries import staff_with

# Which step of a dispute the payer hears of, and which one our staff do.
TO_PAYER: Final = frozenset({"opened", "asked", "credited", "released", "withdrawn"})
TO_STAFF: Final = frozenset({"opened", "replied", "withdrawn"})


@receiver("billing.mail_dispute")
def mail_dispute(event: AuditEvent) -> None:
    """Tell both sides what happened to a dispute: the recorded inbox always, and whoever opened it."""
    rows = LineDispute.objects.select_related("line", "invoice__institution", "credit_note")
    dispute = rows.get(pk=UUID(event.object_id))
    step = event.action.removeprefix("billing.dispute_")
    snapshot = InvoiceSnapshot.from_json(dispute.invoice.snapshot)
    said = dispute.entries.filter(at=event.at).last()
    known = {"dispute": dispute, "step": step, "snapshot": snapshot, "said": said.text if said else ""}
    if step in TO_PAYER:
        readers = {
            recorded_address(dispute.invoice): first_language(snapshot.language),
            dispute.email: dispute.language,
        }
        for address, language in readers.items():
            url = pay_url(issue_pay_link(dispute.invoice, at=event.at), language)
            more = {
                "amount": money_text(dispute.amount, dispute.currency, language=language, code=True),
                "line": bilingual(dispute.line, "description", language),
                "answer_by": day_text(dispute.answer_by, language=language),
                "url": f"{url}disputes/{dispute.pk}/",
            }
            _send(event, address, "billing_dispute", language, known | more)
    if step in TO_STAFF:
        amount = money_text(dispute.amount, dispute.currency, language="en", code=True)
        facts = {"university": dispute.invoice.institution, "amount": amount, "line": dispute.line.description_en}
        _to_staff(event, "billing_dispute_staff", dispute, "admin:billing_linedispute_change", known | facts)


@receiver("billing.mail_question")
def mail_question(event: AuditEvent) -> None:
    """Tell our finance people that a payer asks something."""
    question = InvoiceQuestion.objects.select_related("invoice__institution").get(pk=UUID(event.object_id))
    known = {"question": question, "university": question.invoice.institution}
    _to_staff(event, "billing_question", question, "admin:billing_invoicequestion_change", known)


@receiver("billing.mail_question_answer")
def mail_question_answer(event: AuditEvent) -> None:
    """Send the answer to whoever asked."""
    question = InvoiceQuestion.objects.select_related("invoice").get(pk=UUID(event.object_id))
    url = pay_url(issue_pay_link(question.invoice, at=event.at), question.language)
    _send(event, question.email, "billing_question_answer", question.language, {"question": question, "url": url})


@receiver("billing.mail_share")
def mail_share(event: AuditEvent) -> None:
    """Send a colleague a link of their own."""
    share = LinkShare.objects.select_related("invoice__balance").get(pk=UUID(event.object_id))
    snapshot = InvoiceSnapshot.from_json(share.invoice.snapshot)
    known = {
        "snapshot": snapshot,
        "issuer": bilingual(snapshot.issuer, "name", share.language),
        "amount": money_text(snapshot.total, snapshot.currency, language=share.language, code=True),
        "due": day_text(snapshot.due_on, language=share.language),
        "pay_url": pay_url(issue_pay_link(share.invoice, at=event.at), share.language),
    }
    _send(event, share.email, "billing_share", share.language, known)


def invoice_people_url(invoice: Invoice, language: str) -> str:
    """The address of an invoice's page for people with a seat, whole, in a language."""
    with translation.override(language):
        return str(settings.PUBLIC_URL) + reverse("invoice", args=[invoice.institution.slug, invoice.pk])


def _to_staff(event: AuditEvent, template: str, row: Model, route: str, known: Mapping[str, Any]) -> None:
    for person in staff_with(Permission.ISSUE_INVOICES):
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse(route, args=[row.pk])
        _send(event, person.email, template, person.language, {**known, "person": person, "url": url})


def _send(event: AuditEvent, recipient: str, template: str, language: str, known: Mapping[str, Any]) -> None:
    compose(event, recipient=recipient, template=template, language=language, context=known, at=event.at)
