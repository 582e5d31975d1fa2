"""The pages of use and cost: a month, why a share is what it is, the rows behind it, and the budget."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import translation
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from billing.budgets import set_budget
from billing.cost_exports import lines_csv, rows_csv
from billing.explaining import rows_of_member, rows_of_pool, services_of
from billing.focus_export import FocusLine, FocusMember, focus_csv
from billing.models import BillImport
from billing.what_if import KEYS
from billing.why_page import why_page
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.money import AmountInvalid, parse_amount
from consortium.kernel.periods import Month, local_date, month_period
from consortium.usecases.costs import MonthCosts, NoCosts, explain, issuer_of, month_costs
from consortium.views.cost_page import cost_view
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page


class BudgetForm(forms.Form):
    """A monthly budget."""

    amount = forms.CharField(
        label=_("Monthly budget before tax"), max_length=40, help_text=_("In digits, such as 2500.00.")
    )
    month = forms.CharField(widget=forms.HiddenInput, max_length=7)


@require_safe
@institution_page(Permission.VIEW_COSTS)
def costs(request: MemberRequest) -> HttpResponse:
    """Show what a month costs, by kind and line; month and what-if stand in the address."""
    return _page(request, _month(request, request.GET.get("month", "")), form=None)


@require_POST
@institution_page(Permission.SET_BUDGET)
def costs_budget(request: MemberRequest) -> HttpResponse:
    """Set the budget from the shown month on."""
    form = BudgetForm(request.POST)
    month = _month(request, request.POST.get("month", ""))
    if form.is_valid():
        at = now()
        try:
            told = month_costs(request.institution, month, at=at)
            amount = parse_amount(form.cleaned_data["amount"].strip(), currency=told.currency)
            set_budget(request.institution, amount=amount, currency=told.currency, month=month, by=request.user, at=at)
        except AmountInvalid as error:
            form.add_error("amount", error.message)
        except PortalError as error:
            show_refusal(form, error)
        else:
            return redirect(f"{reverse('costs', args=[request.institution.slug])}?month={month}")
    return _page(request, month, form=form)


@require_safe
@institution_page(Permission.VIEW_COSTS)
def costs_csv(request: MemberRequest, month: str) -> HttpResponse:
    """The lines of a month as CSV."""
    told = _told(request, _month(request, month))
    return _file(
        lines_csv(told.lines, str(told.month), language=_language()), f"cost-{request.institution.slug}-{month}"
    )


@require_safe
@institution_page(Permission.VIEW_COSTS)
def costs_focus(request: MemberRequest, month: str) -> HttpResponse:
    """The lines of a month as FOCUS 1.3."""
    parsed, institution = _month(request, month), request.institution
    told, issuer = _told(request, parsed), issuer_of(institution)
    member = FocusMember(
        slug=institution.slug,
        name=institution.name,
        issuer=issuer.name_en,
        period=month_period(parsed, institution.zone),
        currency=told.currency,
    )
    lines = [
        FocusLine(
            kind=line.kind,
            description=line.description(_language()),
            net=line.net,
            invoice_number=line.invoice_number,
            share=line.evidence.get("share"),
        )
        for line in told.lines
    ]
    return _file(focus_csv(member, lines), f"focus-{institution.slug}-{month}")


@require_safe
@institution_page(Permission.VIEW_COSTS)
def costs_why(request: MemberRequest, month: str, bill: UUID, pool: str) -> HttpResponse:
    """Say why a share is what it is: pool, key, rate, rows."""
    parsed = _month(request, month)
    try:
        found = explain(request.institution, parsed, bill_id=bill, pool_key=pool)
    except PortalError as refused:
        raise Http404(refused.message) from None
    context = {"page": why_page(found), "month": parsed.first_day, "month_key": month, "bill": bill, "pool": pool}
    return render(request, "costs/why.html", _context(request) | context)


@require_safe
@institution_page(Permission.VIEW_COSTS)
def costs_why_csv(request: MemberRequest, month: str, bill: UUID, pool: str) -> HttpResponse:
    """The rows of a shared pool that the institution bears a share of."""
    try:
        explain(request.institution, _month(request, month), bill_id=bill, pool_key=pool)
    except PortalError as refused:
        raise Http404(refused.message) from None
    return _file(rows_csv(rows_of_pool(bill, pool)), f"rows-{pool}-{month}")


@require_safe
@institution_page(Permission.VIEW_COSTS)
def costs_own(request: MemberRequest, month: str, bill: UUID) -> HttpResponse:
    """Show the institution's own rows of a bill, by service."""
    parsed = _month(request, month)
    rows = rows_of_member(bill, request.institution.pk)
    held = BillImport.objects.select_related("cloud_account").filter(pk=bill).first()
    if held is None or not rows.exists():
        raise Http404
    context = {
        "held": held,
        "services": services_of(rows),
        "rows": rows.order_by("line")[:200],
        "row_count": rows.count(),
        "month": parsed.first_day,
        "month_key": month,
    }
    return render(request, "costs/own.html", _context(request) | context)


@require_safe
@institution_page(Permission.VIEW_COSTS)
def costs_own_csv(request: MemberRequest, month: str, bill: UUID) -> HttpResponse:
    """The institution's own rows of a bill."""
    _month(request, month)
    rows = rows_of_member(bill, request.institution.pk)
    if not rows.exists():
        raise Http404
    return _file(rows_csv(rows), f"rows-{request.institution.slug}-{month}")


def _page(request: MemberRequest, month: Month, *, form: BudgetForm | None) -> HttpResponse:
    key = request.GET.get("what_if", "")
    context = _context(request)
    try:
        view = cost_view(request.institution, month=month, key=key if key in KEYS else "", at=now())
    except NoCosts as nothing:
        return render(request, "costs/none.html", context | {"reason": nothing.message})
    shown = form or BudgetForm(initial={"month": str(month), "amount": _held(view.budget)})
    context |= {
        "view": view,
        "form": shown,
        "form_errors": bool(form and form.errors),
        "may_set_budget": Permission.SET_BUDGET in request.permissions,
    }
    return render(request, "costs/costs.html", context, status=422 if context["form_errors"] else 200)


def _held(stand: Any) -> str:
    return str(stand.budget.amount) if stand else ""


def _told(request: MemberRequest, month: Month) -> MonthCosts:
    try:
        return month_costs(request.institution, month, at=now())
    except NoCosts as nothing:
        raise Http404(nothing.message) from None


def _month(request: MemberRequest, text: str) -> Month:
    try:
        return Month.parse(text) if text else Month.of(local_date(now(), request.institution.zone))
    except PortalError as refused:
        raise Http404(refused.message) from None


def _context(request: MemberRequest) -> dict[str, Any]:
    return {"institution": request.institution, "permissions": request.permissions}


def _language() -> str:
    return translation.get_language() or "en"


def _file(text: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


_MONTH = "i/<slug:slug>/costs/<str:month>/"
page_patterns: list[URLPattern | URLResolver] = [
    path("i/<slug:slug>/costs/", costs, name="costs"),
    path("i/<slug:slug>/costs/budget/", costs_budget, name="costs_budget"),
    path(_MONTH + "costs.csv", costs_csv, name="costs_csv"),
    path(_MONTH + "focus.csv", costs_focus, name="costs_focus"),
    path(_MONTH + "own/<uuid:bill>/", costs_own, name="costs_own"),
    path(_MONTH + "own/<uuid:bill>/rows.csv", costs_own_csv, name="costs_own_csv"),
    path(_MONTH + "<uuid:bill>/<str:pool>/", costs_why, name="costs_why"),
    path(_MONTH + "<uuid:bill>/<str:pool>/rows.csv", costs_why_csv, name="costs_why_csv"),
]
