"""What an institution sees first: its hubs, its use, what it owes, and what waits for somebody."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from billing.delivering import undelivered
from billing.models import InvoiceBalance
from consortium.kernel.clock import now
from consortium.kernel.periods import Month, local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.enforce_standing import standing_of
from members.models import Agreement, Application, Membership, User
from members.permissions import Permission, seats_of
from members.web import MemberRequest, institution_page
from provisioning.models import Hub
from provisioning.queries import month_use


@require_safe
@login_required
def dashboard(request: HttpRequest) -> HttpResponse:
    """Go to the person's institution, or list several, or show what they applied for."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101 - login_required
    with consortium_scope(Scope.SIGN_IN):
        seats = seats_of(user)
        applications = list(Application.objects.filter(applicant=user).select_related("institution"))
    institutions = sorted({seat.institution for seat in seats}, key=lambda institution: institution.name)
    if len(institutions) == 1:
        return redirect("institution", slug=institutions[0].slug)
    return render(request, "dashboard.html", {"institutions": institutions, "applications": applications})


@require_safe
@institution_page(Permission.VIEW_INSTITUTION)
def institution(request: MemberRequest) -> HttpResponse:
    """The institution's own page; each part only for whom it is meant."""
    at, held = now(), request.permissions
    today = local_date(at, request.institution.zone)
    agreements = Agreement.objects.filter(institution=request.institution).exclude(status__in=["draft", "withdrawn"])
    context: dict[str, Any] = {
        "membership": Membership.objects.filter(institution=request.institution).first(),
        "hubs": list(Hub.objects.filter(institution=request.institution).select_related("cluster")),
        "agreement": agreements.order_by("-version").first() if Permission.VIEW_AGREEMENT in held else None,
        "may_request": Permission.REQUEST_HUB in held,
        "may_sign": Permission.SIGN_AGREEMENT in held,
        "month": today,
    }
    if Permission.VIEW_USAGE in held:
        context["use"] = month_use(month=Month.of(today)).get(request.institution.pk)
    if Permission.VIEW_INVOICES in held:
        balances = list(InvoiceBalance.objects.filter(institution=request.institution).select_related("invoice"))
        context["open_invoices"] = [b for b in balances if b.due > 0]
        context["standing"] = standing_of(request.institution, at=at)
        context["undelivered"] = undelivered(request.institution.pk)
        context["dues"] = _due_by_currency(context["open_invoices"])
    return render(request, "institution.html", context)


def _due_by_currency(balances: list[InvoiceBalance]) -> list[tuple[str, Any]]:
    """What is due, one figure for each currency: two are never added."""
    due: dict[str, Any] = {}
    for balance in balances:
        due[balance.currency] = due.get(balance.currency, 0) + balance.due
    return sorted(due.items())
