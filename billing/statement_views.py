"""The statement of account on the page, as CSV and as PDF; and the vendor pack."""

from datetime import date
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from billing.documents import statement as statement_document
from billing.documents.vendor_pack import vendor_pack_pdf
from billing.models import BillingAccount
from billing.queries import ageing
from billing.statement_of_account import Statement, statements
from billing.statement_of_account import statement_csv as csv_of
from consortium.kernel.clock import now
from consortium.kernel.periods import local_date
from members.models import Issuer
from members.permissions import Permission
from members.web import MemberRequest, institution_page


class SpanForm(forms.Form):
    """The days of a statement, both included."""

    first_day = forms.DateField(label=gettext_lazy("First day"), widget=forms.DateInput(attrs={"type": "date"}))
    last_day = forms.DateField(label=gettext_lazy("Last day"), widget=forms.DateInput(attrs={"type": "date"}))


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def statement(request: MemberRequest) -> HttpResponse:
    """Every invoice, credit note and payment of the chosen days, and the balance after each."""
    first_day, last_day = _span(request)
    context = {
        "statements": _statements(request),
        "first_day": first_day,
        "last_day": last_day,
        "form": SpanForm({"first_day": first_day.isoformat(), "last_day": last_day.isoformat()}),
        "query": f"first_day={first_day.isoformat()}&last_day={last_day.isoformat()}",
        "ageing": ageing(on=_today(request), institution_id=request.institution.pk),
    }
    return render(request, "billing/statement.html", context)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def statement_csv(request: MemberRequest) -> HttpResponse:
    """The same as CSV."""
    headers = {"Content-Disposition": f'attachment; filename="statement-{request.institution.slug}.csv"'}
    return HttpResponse(csv_of(_statements(request)), content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def statement_pdf(request: MemberRequest) -> HttpResponse:
    """The same as PDF."""
    issuers = issuers_of(request.institution.pk)
    content = statement_document.statement_pdf(
        _statements(request),
        issuer=issuers[0].name if issuers else request.institution.name,
        institution=request.institution.name,
        ageing=ageing(on=_today(request), institution_id=request.institution.pk),
        at=now(),
    )
    return _pdf(content, f"statement-{request.institution.slug}.pdf")


@require_safe
@institution_page(Permission.VIEW_INVOICES)
def vendor_pack(request: MemberRequest, issuer: str) -> HttpResponse:
    """What a purchasing department asks of a supplier, as of today."""
    row = next((each for each in issuers_of(request.institution.pk) if each.slug == issuer), None)
    if row is None:
        raise Http404
    language = (translation.get_language() or "en")[:2]
    return _pdf(vendor_pack_pdf(row, language=language, at=now()), f"vendor-pack-{row.slug}.pdf")


def issuers_of(institution_id: UUID) -> list[Issuer]:
    """Return the legal entities that invoice the institution, by name. Needs its scope."""
    accounts = BillingAccount.objects.filter(institution_id=institution_id, ended_at=None)
    return list(Issuer.objects.filter(pk__in=accounts.values("issuer")).order_by("name_en"))


def _statements(request: MemberRequest) -> list[Statement]:
    first_day, last_day = _span(request)
    zone = request.institution.zone
    return statements(request.institution.pk, first_day=first_day, last_day=last_day, zone=zone)


def _span(request: MemberRequest) -> tuple[date, date]:
    """The days that were asked for; by default this year up to today."""
    today = _today(request)
    first_day = _day(request.GET.get("first_day", "")) or date(today.year, 1, 1)
    last_day = _day(request.GET.get("last_day", "")) or today
    return first_day, max(first_day, last_day)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _today(request: MemberRequest) -> date:
    return local_date(now(), request.institution.zone)


def _pdf(content: bytes, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, no-store"}
    return HttpResponse(content, content_type="application/pdf", headers=headers)
