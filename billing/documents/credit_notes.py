"""The documents of credit notes (PDF, UBL 2.1, Factur-X for buyers in Europe), and the mail they go with."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from billing.documents.both import BOTH, two_in_one
from billing.documents.credit_note import credit_note_page
from billing.documents.electronic import CreditOf
from billing.documents.facturx import FILE_NAME
from billing.documents.kept import keep_electronic
from billing.inboxes import recorded_address
from billing.models import CreditNote
from billing.snapshot import InvoiceSnapshot
from consortium.kernel import documents
from consortium.kernel.crash import crash_point
from consortium.kernel.formats import money_text
from consortium.kernel.language import bilingual, first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.kernel.pdf import write_pdf
from consortium.kernel.pdf_attachments import Attached
from consortium.models import AuditEvent, Document

SHEET = "documents/document.css"
KIND = "credit_note"


def credit_note_document(note: CreditNote) -> Document | None:
    """The stored PDF of a credit note, or None before it is rendered. Needs an open scope."""
    label = note._meta.label  # noqa: SLF001 - the model's public name
    return Document.objects.filter(subject_type=label, subject_id=str(note.pk), kind=KIND).first()


def render_credit_note(note: CreditNote, *, at: datetime) -> Document:
    """Will write the documents of a credit note from its snapshot, validate and keep them; returns the PDF.

    A second call returns the first document. Needs an open scope. Raises EInvoiceInvalid.
    """
    if existing := credit_note_document(note):
        return existing
    snapshot = InvoiceSnapshot.from_json(note.snapshot)
    about = CreditOf(
        invoice_number=note.invoice.number or "",
        invoice_issued_on=InvoiceSnapshot.from_json(note.invoice.snapshot).issued_on.isoformat(),
        reason=note.reason,
    )
    facturx = keep_electronic(note, snapshot, at=at, credit=about)
    content = credit_note_pdf(note, facturx=facturx)
    crash_point("credit_note.rendered")
    words = {"en": "Credit-note", "fr": "Note-de-credit"}[first_language(snapshot.language)]
    return documents.store(
        content,
        kind=KIND,
        name=f"{words}-{note.number}.pdf",
        media_type="application/pdf",
        subject=note,
        institution_id=note.institution_id,
        at=at,
        language=snapshot.language,
    )


def credit_note_pdf(note: CreditNote, *, facturx: bytes | None = None) -> bytes:
    """The bytes of a credit note."""
    language = InvoiceSnapshot.from_json(note.snapshot).language
    pages = []
    for each in ("en", "fr") if language == BOTH else (language,):
        with translation.override(each):
            found = credit_note_page(note)
            context = {"page": found.page, "note": found, "demo": settings.DEMO}
            pages.append(render_to_string("documents/credit_note.html", context))
    attached = None
    if facturx is not None:
        attached = Attached(name=FILE_NAME, content=facturx, description=f"Factur-X {note.number}")
    return write_pdf(two_in_one(pages), sheet=SHEET, attached=attached)


@receiver("billing.mail_credit_note")
def mail_credit_note(event: AuditEvent) -> None:
    """Send a credit note to the payer's inbox, with its PDF."""
    note = CreditNote.objects.select_related("invoice").get(pk=UUID(event.object_id))
    document = render_credit_note(note, at=event.at)
    snapshot = InvoiceSnapshot.from_json(note.snapshot)
    language = first_language(snapshot.language)
    compose(
        event,
        recipient=recorded_address(note.invoice),
        template="billing_credit_note",
        language=language,
        context={
            "snapshot": snapshot,
            "invoice": note.invoice.number,
            "reason": note.reason,
            "amount": money_text(note.total, note.currency, language=language, code=True),
            "held": money_text(note.held, note.currency, language=language, code=True) if note.held else "",
            "issuer": bilingual(snapshot.issuer, "name", language),
        },
        at=event.at,
        attachments=[document.pk],
    )
