"""The invoice pages of an institution, for people with a seat there."""

from datetime import date
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from billing.bounced_addresses import bounced_addresses
from billing.credit_story import credit_on
from billing.disputes import disputes_of
from billing.documents import invoice_document, receipt_document
from billing.documents.credit_notes import credit_note_document
from billing.documents.invoice import invoice_page
from billing.documents.kept import FACTURX, UBL, electronic_document, why_not_electronic
from billing.exports import lines_csv
from billing.models import CreditNote, Invoice, InvoiceDelivery, Payment
from billing.order_views import standings_of
from billing.pay_links import issue_pay_link, pay_url
from billing.queries import ageing, invoices_of
from billing.snapshot import InvoiceSnapshot
from billing.statement_views import issuers_of
from billing.statements import happenings, next_invoice_on, row_of, rows_of
from billing.ways_of_paying import method_name
from consortium.kernel.clock import now
from consortium.kernel.documents import read
from consortium.kernel.periods import local_date
from consortium.models import Document
from members.permissions import Permission
from members.web import MemberRequest, institution_page

XML_KINDS = frozenset({UBL, FACTURX})


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def invoices(request: MemberRequest) -> HttpResponse:
    """Every issued invoice, what is due and for how long, and when the next one comes."""
    today = _today(request)
    rows = rows_of(request.institution.pk, today=today)
    wanted = request.GET.get("show", "")
    shown = [row for row in rows if row.is_open] if wanted == "open" else rows
    context = {
        "rows": shown,
        "any": bool(rows),
        "tabs": _tabs(request, wanted, total=len(rows), unpaid=sum(row.is_open for row in rows)),
        "ageing": ageing(on=today, institution_id=request.institution.pk),
        "next_on": next_invoice_on(today=today),
        "issuers": issuers_of(request.institution.pk),
        "orders": standings_of(request.institution.pk, today=today),
        "may_order": Permission.MANAGE_PURCHASE_ORDERS in request.permissions,
        "bounced": bounced_addresses(request.institution.pk),
        "may_correct": Permission.CORRECT_BILLING_ADDRESS in request.permissions,
    }
    return render(request, "billing/invoices.html", context)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def invoices_csv(request: MemberRequest) -> HttpResponse:
    """The lines of every issued invoice, or of one (?invoice=<key>), as CSV."""
    rows = invoices_of(request.institution.pk).order_by("issued_at")
    name = f"invoice-lines-{request.institution.slug}"
    if key := request.GET.get("invoice", ""):
        one = _invoice(request, _key(key))
        rows, name = rows.filter(pk=one.pk), f"invoice-lines-{one.number}"
    text = lines_csv(rows, language=translation.get_language() or "en")
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def invoice(request: MemberRequest, pk: UUID) -> HttpResponse:
    """One invoice: its lines, taxes, why, documents, payments and what happened."""
    found = _invoice(request, pk)
    payments = [
        {"payment": payment, "method": method_name(payment), "receipt": receipt_document(payment)}
        for payment in Payment.objects.filter(invoice=found, status__in=("pending", "succeeded"))
    ]
    notes = list(CreditNote.objects.filter(invoice=found).order_by("issued_at"))
    context = {
        "notes": [(note, electronic_document(note, "ubl")) for note in notes],
        "ubl": electronic_document(found, "ubl"),
        "facturx": electronic_document(found, "facturx"),
        "why_no_xml": why_not_electronic(InvoiceSnapshot.from_json(found.snapshot)),
        "row": row_of(found, today=_today(request)),
        "invoice": found,
        "page": invoice_page(InvoiceSnapshot.from_json(found.snapshot)),
        "payments": payments,
        "events": happenings(found),
        "credit": credit_on(found),
        "disputes": disputes_of(found),
        "deliveries": list(InvoiceDelivery.objects.filter(invoice=found).order_by("-attempt")),
        "may_pay": Permission.PAY_INVOICE in request.permissions,
    }
    return render(request, "billing/invoice.html", context)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def invoice_pdf(request: MemberRequest, pk: UUID) -> HttpResponse:
    """The PDF, as it was written at issue."""
    found = _invoice(request, pk)
    return pdf(invoice_document(found))


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def invoice_xml(request: MemberRequest, pk: UUID, kind: str) -> HttpResponse:
    """The electronic invoice ("ubl" or "facturx"), as it was written at issue."""
    found = _invoice(request, pk)
    return xml(electronic_document(found, kind) if kind in XML_KINDS else None)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def credit_note_pdf(request: MemberRequest, pk: UUID) -> HttpResponse:
    """The PDF of a credit note, as it was written at issue."""
    return pdf(credit_note_document(_credit_note(request, pk)))


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def credit_note_xml(request: MemberRequest, pk: UUID, kind: str) -> HttpResponse:
    """The electronic credit note ("ubl" or "facturx"), as it was written at issue."""
    note = _credit_note(request, pk)
    return xml(electronic_document(note, kind) if kind in XML_KINDS else None)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def receipt_pdf(request: MemberRequest, pk: UUID, payment: UUID) -> HttpResponse:
    """The receipt of one payment, once it is written."""
    found = _invoice(request, pk)
    return pdf(receipt_document(_payment(found, payment)))


@require_POST
@institution_page(Permission.PAY_INVOICE)
def invoice_pay(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Lead to the pay page, or (`to=dispute`) to its lines to dispute, through a link of this person's own."""
    found = _invoice(request, pk)
    url = pay_url(issue_pay_link(found, at=now()), translation.get_language() or "en")
    return redirect(f"{url}dispute/" if request.POST.get("to") == "dispute" else url)


def pdf(document: Document | None) -> HttpResponse:
    """A stored PDF, its bytes checked against their hash; 503 for the moment in which a worker still writes it."""
    if document is None:
        words = _("This document is being written. Try again in a moment.")
        return HttpResponse(words, status=503, content_type="text/plain; charset=utf-8", headers={"Retry-After": "3"})
    headers = {"Content-Disposition": f'inline; filename="{document.name}"', "Cache-Control": "private, no-store"}
    return HttpResponse(read(document), content_type=document.media_type, headers=headers)


def xml(document: Document | None) -> HttpResponse:
    """A stored electronic document as a download, its bytes checked against their hash."""
    if document is None:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{document.name}"', "Cache-Control": "private, no-store"}
    return HttpResponse(read(document), content_type=document.media_type, headers=headers)


def _credit_note(request: MemberRequest, pk: UUID) -> CreditNote:
    found = CreditNote.objects.filter(pk=pk, institution_id=request.institution.pk).first()
    if found is None:
        raise Http404
    return found


def _tabs(request: MemberRequest, wanted: str, *, total: int, unpaid: int) -> list[dict[str, Any]]:
    url = reverse("invoices", args=[request.institution.slug])
    return [
        {"label": _("All"), "url": url, "current": wanted != "open", "count": total},
        {"label": _("To be paid"), "url": f"{url}?show=open", "current": wanted == "open", "count": unpaid},
    ]


def _invoice(request: MemberRequest, pk: UUID) -> Invoice:
    found = invoices_of(request.institution.pk).filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def _payment(invoice: Invoice, pk: UUID) -> Payment:
    found = Payment.objects.filter(pk=pk, invoice=invoice).first()
    if found is None:
        raise Http404
    return found


def _today(request: MemberRequest) -> date:
    return local_date(now(), request.institution.zone)


def _key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
