"""Keeping the electronic forms of an invoice or credit note: made, validated, and only then stored."""

from datetime import datetime
from typing import Final

from billing.documents.electronic import CreditOf, EInvoiceRefused, is_european
from billing.documents.facturx import facturx_xml
from billing.documents.ubl import ubl_xml
from billing.documents.validation import check_xml
from billing.models import CreditNote, Invoice
from billing.snapshot import InvoiceSnapshot
from consortium.kernel import documents
from consortium.kernel.language import first_language
from consortium.models import Document

XML: Final = "application/xml"
UBL: Final = "ubl"
FACTURX: Final = "facturx"


def keep_electronic(
    subject: Invoice | CreditNote, snapshot: InvoiceSnapshot, *, at: datetime, credit: CreditOf | None = None
) -> bytes | None:
    """Make, validate and keep the electronic forms; returns the Factur-X for the PDF, None for buyers outside Europe.

    A currency that electronic invoices cannot carry has none: the page of the invoice says so. Raises EInvoiceInvalid,
    and then keeps nothing.
    """
    snapshot = snapshot.model_copy(update={"language": first_language(snapshot.language)})
    try:
        ubl = ubl_xml(snapshot, credit=credit)
        facturx = facturx_xml(snapshot, credit=credit) if is_european(snapshot) else None
    except EInvoiceRefused:
        return None
    check_xml(ubl)
    if facturx is not None:
        check_xml(facturx)
        _keep(subject, FACTURX, facturx, snapshot, at=at)
    _keep(subject, UBL, ubl, snapshot, at=at)
    return facturx


def electronic_document(subject: Invoice | CreditNote, kind: str) -> Document | None:
    """The stored XML of that kind ("ubl" or "facturx"), or None where there is none. Needs an open scope."""
    label = subject._meta.label  # noqa: SLF001 - the model's public name
    return Document.objects.filter(subject_type=label, subject_id=str(subject.pk), kind=kind).first()


def why_not_electronic(snapshot: InvoiceSnapshot) -> str:
    """Will say why an invoice has no electronic form, or "" where it has one."""
    try:
        ubl_xml(snapshot)
    except EInvoiceRefused as refused:
        return refused.message
    return ""


def _keep(subject: Invoice | CreditNote, kind: str, content: bytes, snapshot: InvoiceSnapshot, *, at: datetime) -> None:
    documents.store(
        content,
        kind=kind,
        name=f"{snapshot.number}-{kind}.xml",
        media_type=XML,
        subject=subject,
        institution_id=subject.institution_id,
        at=at,
    )
