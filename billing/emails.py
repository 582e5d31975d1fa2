"""The mail that carries an invoice: one mail, one PDF, one invoice, the purchase order on its face, a link to pay."""

from uuid import UUID

from billing.documents import render_invoice
from billing.models import Invoice
from billing.pay_links import issue_pay_link, pay_url
from billing.snapshot import InvoiceSnapshot
from consortium.kernel.formats import day_text, money_text
from consortium.kernel.language import bilingual, first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent


@receiver("billing.mail_invoice")
def mail_invoice(event: AuditEvent) -> None:
    """Send an issued invoice to the payer's inbox, with its PDF and a pay link of its own."""
    invoice = Invoice.objects.get(pk=UUID(event.object_id))
    snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
    document = render_invoice(invoice, at=event.at)
    language = first_language(snapshot.language)
    compose(
        event,
        recipient=snapshot.payer.email,
        template="billing_invoice",
        language=language,
        context={
            "snapshot": snapshot,
            "amount": money_text(snapshot.total, snapshot.currency, language=language, code=True),
            "due": day_text(snapshot.due_on, language=language),
            "issuer": bilingual(snapshot.issuer, "name", language),
            "pay_url": pay_url(issue_pay_link(invoice, at=event.at), language),
        },
        at=event.at,
        attachments=[document.pk],
    )
