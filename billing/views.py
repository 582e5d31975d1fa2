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

from billing.documents import invoice_document, receipt_document
from billing.documents.invoice import invoice_page
from billing.documents.receipt import method_name
from billing.exports import lines_csv
from billing.models import Invoice, Payment
from billing.pay_links import issue_pay_link, pay_url
from billing.queries import ageing, invoices_of
from billing.snapshot import InvoiceSnapshot
from billing.statements import happenings, next_invoice_on, row_of, rows_of
from consortium.kernel.clock import now
from consortium.kernel.documents import read
from consortium.kernel.periods import local_date
from consortium.models import Document
from members.permissions import Permission
from members.web import MemberRequest, institution_page


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
    context = {
        "row": row_of(found, today=_today(request)),
        "invoice": found,
        "page": invoice_page(InvoiceSnapshot.from_json(found.snapshot)),
        "payments": payments,
        "events": happenings(found),
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
def receipt_pdf(request: MemberRequest, pk: UUID, payment: UUID) -> HttpResponse:
    """The receipt of one payment, once it is written."""
    found = _invoice(request, pk)
    return pdf(receipt_document(_payment(found, payment)))


@require_POST
@institution_page(Permission.PAY_INVOICE)
def invoice_pay(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Lead to the pay page, where the way of paying is chosen, through a link of this person's own."""
    found = _invoice(request, pk)
    token = issue_pay_link(found, at=now())
    return redirect(pay_url(token, translation.get_language() or "en"))


def pdf(document: Document | None) -> HttpResponse:
    """A stored PDF, its bytes checked against their hash; 503 for the moment in which a worker still writes it."""
    if document is None:
        words = _("This document is being written. Try again in a moment.")
        return HttpResponse(words, status=503, content_type="text/plain; charset=utf-8", headers={"Retry-After": "3"})
    headers = {"Content-Disposition": f'inline; filename="{document.name}"', "Cache-Control": "private, no-store"}
    return HttpResponse(read(document), content_type=document.media_type, headers=headers)


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
