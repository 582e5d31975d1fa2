"""Asking for a hub: the form with what is covered and what it costs beside it, a page to check, then the request."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.usecases.request_hub import (
    allow_spending,
    asked_by,
    entitled_environments,
    may_pair,
    preview_hub,
    request_hub,
)
from consortium.views.hub_preview import PreviewView, asked_in, preview_view
from members.entitlements import Entitlements, NoAgreement, entitlements
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.forms import HubRequestForm
from provisioning.queries import hub_of
from provisioning.spending import decline_spending, question_of

REVIEW, SEND, EDIT = "review", "send", "edit"


@institution_page(Permission.REQUEST_HUB)
def hub_request(request: MemberRequest) -> HttpResponse:
    """Show the form; a valid one is shown to be checked, and sent from there. Then the hub's page shows its making."""
    at, institution = now(), request.institution
    try:
        entitlement = entitlements(institution.pk, at=at)
    except NoAgreement as refused:
        return render(request, "provisioning/request.html", {"refused": refused.message}, status=200)
    step = request.POST.get("step", REVIEW) if request.method == "POST" else EDIT
    form = _form(request, entitlement, bound=step in {REVIEW, SEND})
    if form.is_bound and form.is_valid():
        try:
            if step == SEND:
                hub = request_hub(institution=institution, wish=form.wish(), by=request.user, at=at)
                return redirect("hub", slug=institution.slug, hub_slug=hub.slug)
            if _is_covered(form, entitlement, at=at):
                return _review(request, form, entitlement, at=at)
        except PortalError as refused:
            show_refusal(form, refused)
    context = _context(request, form, entitlement, at=at)
    return render(request, "provisioning/request.html", context, status=422 if form.errors else 200)


@require_POST
@institution_page(Permission.REQUEST_HUB)
def hub_request_preview(request: MemberRequest) -> HttpResponse:
    """Answer the panel beside the form for what stands in it now; a form that is half filled in is no error."""
    at = now()
    try:
        entitlement = entitlements(request.institution.pk, at=at)
    except NoAgreement:
        return redirect("hub_request", slug=request.institution.slug)
    if "HX-Request" not in request.headers:
        return redirect("hub_request", slug=request.institution.slug)
    context = _context(request, _form(request, entitlement, bound=False), entitlement, at=at)
    return render(request, "provisioning/_hub_preview.html", context)


@require_POST
@institution_page(Permission.SET_BUDGET)
def hub_spending(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Decide on a request that goes beyond the budget, then show the hub."""
    institution, at = request.institution, now()
    hub = hub_of(institution, hub_slug)
    if hub is None:
        raise Http404
    try:
        if request.POST.get("decision") == "approve":
            allow_spending(hub, by=request.user, at=at)
            messages.success(request, _("The request goes on, beyond the budget."))
        else:
            decline_spending(question_of(hub), note=request.POST.get("note", ""), by=request.user, at=at)
            messages.success(request, _("The request is declined. Whoever asked is told why."))
    except PortalError as refused:
        messages.error(request, refused.message)
    return redirect("hub", slug=institution.slug, hub_slug=hub.slug)


def _form(request: MemberRequest, entitlement: Entitlements, *, bound: bool) -> HubRequestForm:
    """The form; what was typed is kept as its beginning where it is not to be judged yet."""
    typed = {name: request.POST[name] for name in HubRequestForm.base_fields if name in request.POST}
    return HubRequestForm(
        request.POST if bound else None,
        environments=entitled_environments(entitlement),
        entitlement=entitlement,
        may_pair=may_pair(entitlement),
        initial=typed,
    )


def _is_covered(form: HubRequestForm, entitlement: Entitlements, *, at: datetime) -> bool:
    """Whether the agreement covers the wish; each reason against it stands at its field."""
    wish = form.wish()
    found = preview_hub(entitlement, environment=wish.environment, asked=asked_by(wish), at=at)
    for field, message in found.refusals:
        form.add_error(field if field in form.fields else None, message)
    return not found.refusals


def _review(request: MemberRequest, form: HubRequestForm, entitlement: Entitlements, *, at: datetime) -> HttpResponse:
    chosen = {row.key: row.name for row in form.environments}
    answers = []
    for bound in form.visible_fields():
        value = form.cleaned_data[bound.name]
        if bound.name == "environment":
            value = chosen[value]
        elif bound.name == "memory":
            value = dict(form.fields["memory"].choices)[str(value)]  # type: ignore[attr-defined] # a choice field
        elif isinstance(value, list):
            value = ", ".join(value)
        elif isinstance(value, bool):
            value = _("Yes") if value else _("No")
        answers.append({"label": bound.label, "value": value})
    context = _context(request, form, entitlement, at=at) | {"answers": answers}
    return render(request, "provisioning/request_review.html", context)


def _context(
    request: MemberRequest, form: HubRequestForm, entitlement: Entitlements, *, at: datetime
) -> dict[str, Any]:
    environment, asked = asked_in(form, request.POST)
    view: PreviewView = preview_view(
        entitlement, environment=environment, asked=asked, permissions=request.permissions, at=at
    )
    return {"form": form, "form_errors": bool(form.errors), "entitlement": entitlement, "preview": view}
