"""The PDFs of money: an invoice and a receipt, each written once, from what was frozen at issue.

Documents are PDF/A-3 with tags, in the invoice's own language. A job renders them after the commit; asking again
returns the stored one, whose hash the row vouches for.
"""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from billing.documents.both import BOTH, two_in_one
from billing.documents.facturx import FILE_NAME
from billing.documents.invoice import invoice_page
from billing.documents.kept import keep_electronic
from billing.documents.receipt import receipt_page
from billing.inboxes import recorded_address
from billing.models import Invoice, Payment
from billing.pay_links import issue_pay_link, pay_url
from billing.settlement import amount_due
from billing.snapshot import InvoiceSnapshot
from consortium.kernel import documents, jobs
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.language import first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.kernel.pdf import write_pdf
from consortium.kernel.pdf_attachments import Attached
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Document

__all__ = ["NotPaidError", "invoice_document", "receipt_document", "render_invoice", "render_receipt"]

PDF = "application/pdf"
SHEET = "documents/document.css"


class NotPaidError(PortalError):
    """A receipt was asked for a payment that has not arrived."""

    code = "not_paid"


def invoice_document(invoice: Invoice) -> Document | None:
    """The stored PDF of an invoice in its own language, or None before it is rendered. Needs an open scope."""
    return _stored(invoice, "invoice")


def receipt_document(payment: Payment) -> Document | None:
    """The stored receipt of a payment, or None before it is rendered. Needs an open scope."""
    return _stored(payment, "receipt")


def render_invoice(invoice: Invoice, *, at: datetime) -> Document:
    """Will write the documents of an issued invoice from its snapshot alone, and keep them; returns the PDF.

    Beside the PDF, with a fresh pay link on it, there is UBL 2.1, and for a buyer in Europe the Factur-X that the PDF
    carries too. All are validated before anything is kept. A second call returns the first document. Needs an open
    scope. Raises SnapshotError, EInvoiceInvalid.
    """
    if existing := invoice_document(invoice):
        return existing
    snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
    facturx = keep_electronic(invoice, snapshot, at=at)
    url = pay_url(issue_pay_link(invoice, at=at), first_language(snapshot.language))
    content = invoice_pdf(snapshot, url, facturx=facturx)
    crash_point("invoice.rendered")
    return _keep(invoice, "invoice", content, institution_id=invoice.institution_id, invoice=snapshot, at=at)


def render_receipt(payment: Payment, *, at: datetime) -> Document:
    """Will write the receipt of a payment that arrived, and keep it; a second call returns the first document.

    Needs an open scope. Raises NotPaidError.
    """
    if existing := receipt_document(payment):
        return existing
    if payment.status != "succeeded" or payment.succeeded_at is None:
        raise NotPaidError("There is no receipt for a payment that has not arrived.")
    snapshot = InvoiceSnapshot.from_json(payment.invoice.snapshot)
    content = receipt_pdf(snapshot, payment)
    crash_point("receipt.rendered")
    return _keep(payment, "receipt", content, institution_id=payment.institution_id, invoice=snapshot, at=at)


def invoice_pdf(snapshot: InvoiceSnapshot, url: str, *, facturx: bytes | None = None) -> bytes:
    """The bytes of an invoice: nothing but the snapshot, its pay link and its own Factur-X go in."""
    languages = ("en", "fr") if snapshot.language == BOTH else (snapshot.language,)
    pages = []
    for language in languages:
        with translation.override(language):
            context = {"page": invoice_page(snapshot, url), "demo": settings.DEMO}
            pages.append(render_to_string("documents/invoice.html", context))
    attached = None
    if facturx is not None:
        attached = Attached(name=FILE_NAME, content=facturx, description=f"Factur-X {snapshot.number}")
    return write_pdf(two_in_one(pages), sheet=SHEET, attached=attached)


def receipt_pdf(snapshot: InvoiceSnapshot, payment: Payment) -> bytes:
    """The bytes of a receipt."""
    with translation.override(first_language(snapshot.language)):
        page = receipt_page(snapshot, payment)
        return write_pdf(render_to_string("documents/receipt.html", {"page": page, "demo": settings.DEMO}), sheet=SHEET)


@jobs.job_kind("render_invoice")
def _render_invoice_job(run: jobs.Run) -> dict[str, str]:
    with consortium_scope(Scope.JOB):
        invoice = Invoice.objects.get(pk=UUID(run.arguments["invoice_id"]))
        document = render_invoice(invoice, at=now())
    return {"document": str(document.pk), "sha256": document.sha256}


@jobs.job_kind("render_receipt")
def _render_receipt_job(run: jobs.Run) -> dict[str, str]:
    with consortium_scope(Scope.JOB):
        payment = Payment.objects.select_related("invoice").get(pk=UUID(run.arguments["payment_id"]))
        document = render_receipt(payment, at=now())
    return {"document": str(document.pk), "sha256": document.sha256}


@receiver("billing.mail_receipt")
def mail_receipt(event: AuditEvent) -> None:
    """Send the receipt of a payment that arrived to the payer's recorded address."""
    payment = Payment.objects.select_related("invoice__balance").get(pk=UUID(event.object_id))
    document = render_receipt(payment, at=event.at)
    snapshot = InvoiceSnapshot.from_json(payment.invoice.snapshot)
    language, currency, left = first_language(snapshot.language), snapshot.currency, amount_due(payment.invoice.balance)
    compose(
        event,
        recipient=recorded_address(payment.invoice),
        template="billing_receipt",
        language=language,
        context={
            "snapshot": snapshot,
            "amount": money_text(payment.amount, currency, language=language, code=True),
            "left": money_text(left, currency, language=language, code=True) if left else "",
        },
        at=event.at,
        attachments=[document.pk],
    )


def _stored(subject: Invoice | Payment, kind: str) -> Document | None:
    label = subject._meta.label  # noqa: SLF001 - the model's public name
    return Document.objects.filter(subject_type=label, subject_id=str(subject.pk), kind=kind).first()


def _keep(
    subject: Invoice | Payment,
    kind: str,
    content: bytes,
    *,
    institution_id: UUID,
    invoice: InvoiceSnapshot,
    at: datetime,
) -> Document:
    words = {"invoice": {"en": "Invoice", "fr": "Facture"}, "receipt": {"en": "Receipt", "fr": "Recu"}}
    return documents.store(
        content,
        kind=kind,
        name=f"{words[kind][first_language(invoice.language)]}-{invoice.number}.pdf",
        media_type=PDF,
        subject=subject,
        institution_id=institution_id,
        at=at,
        language=invoice.language,
    )
