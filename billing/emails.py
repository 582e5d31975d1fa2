"""The mail that carries an invoice: one mail, one PDF, one invoice, the purchase order on its face, a link to pay.

Which way an invoice goes is `billing.delivering`'s; here its mail is written, or our staff are asked to upload it.
"""

from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.balances import amount_due
from billing.credit_story import credit_on, credit_to_ask_about
from billing.delivering import SEND_AGAIN, first_delivery, settle_first
from billing.documents import render_invoice
from billing.models import Invoice, InvoiceBalance, InvoiceDelivery
from billing.pay_links import issue_pay_link, pay_url
from billing.snapshot import InvoiceSnapshot
from consortium.kernel.formats import day_text, money_text
from consortium.kernel.language import bilingual, first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent, OutgoingMail
from members.permissions import Permission
from members.queries import staff_with


@receiver("billing.mail_invoice")
def mail_invoice(event: AuditEvent) -> None:
    """Bring an issued invoice to its payer."""
    invoice = Invoice.objects.get(pk=UUID(event.object_id))
    _bring(event, first_delivery(invoice, at=event.at), invoice)


@receiver(SEND_AGAIN)
def mail_invoice_again(event: AuditEvent) -> None:
    """Bring an invoice to its payer once more."""
    delivery = InvoiceDelivery.objects.select_related("invoice").get(pk=UUID(event.object_id))
    _bring(event, delivery, delivery.invoice)


def _bring(event: AuditEvent, delivery: InvoiceDelivery, invoice: Invoice) -> None:
    document = render_invoice(invoice, at=event.at)
    mail = _mail(event, invoice, delivery.recipient, document.pk) if delivery.channel == "inbox" else None
    if delivery.channel == "portal":
        _ask_staff(event, delivery, document.pk)
    settle_first(delivery, mail, at=event.at)


def _mail(event: AuditEvent, invoice: Invoice, recipient: str, document: UUID) -> OutgoingMail:
    """Write to the payer's inbox, with the PDF and a pay link of its own."""
    snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
    language = first_language(snapshot.language)
    used, waiting = credit_on(invoice), credit_to_ask_about(invoice)
    left = amount_due(InvoiceBalance.objects.get(pk=invoice.pk))

    def money(amount: Decimal) -> str:
        return money_text(amount, snapshot.currency, language=language, code=True)

    return compose(
        event,
        recipient=recipient,
        template="billing_invoice",
        language=language,
        context={
            "snapshot": snapshot,
            "amount": money(snapshot.total),
            "used": money(used) if used else "",
            "waiting": money(waiting) if waiting and left > 0 else "",
            "left": money(left),
            "settled": left <= 0,
            "due": day_text(snapshot.due_on, language=language),
            "issuer": bilingual(snapshot.issuer, "name", language),
            "pay_url": pay_url(issue_pay_link(invoice, at=event.at), language),
        },
        at=event.at,
        attachments=[document],
    )


def _ask_staff(event: AuditEvent, delivery: InvoiceDelivery, document: UUID) -> None:
    """Ask our finance people to put it on the payer's portal: the file comes with the mail."""
    for person in staff_with(Permission.ISSUE_INVOICES):
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse("admin:billing_invoicedelivery_change", args=[delivery.pk])
        compose(
            event,
            recipient=person.email,
            template="billing_upload",
            language=person.language,
            context={"person": person, "delivery": delivery, "invoice": delivery.invoice, "url": url},
            at=event.at,
            attachments=[document],
        )
