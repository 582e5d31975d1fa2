"""Changing, rolling back and retiring a hub, and what a university takes away from it."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from consortium.kernel import documents
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.models import Document
from consortium.usecases.change_hub import change_hub, roll_back
from consortium.usecases.request_hub import entitled_environments
from members.entitlements import NoAgreement, entitlements
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.forms import HubRequestForm
from provisioning.lifecycle import retire_hub
from provisioning.models import Hub, HubRevision
from provisioning.queries import hub_of

MIB = 1024 * 1024
TAKEN_AWAY = ("take_away", "homes", "decommission_certificate", "deletion_certificate")


class RetireForm(forms.Form):
    """Why, and the hub's short name typed out: there is no way back."""

    reason = forms.CharField(
        label=gettext_lazy("Why it is retired"), max_length=300, widget=forms.Textarea(attrs={"rows": 3})
    )
    typed = forms.CharField(
        label=gettext_lazy("Short name of the hub"),
        help_text=gettext_lazy("Type it to confirm. The hub and its people's files are removed; there is no way back."),
        max_length=40,
    )

    def __init__(self, *args: Any, slug: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slug = slug

    def clean_typed(self) -> str:
        """It must be the hub's own."""
        typed: str = self.cleaned_data["typed"].strip()
        if typed != self._slug:
            raise forms.ValidationError(_("This is not the short name of this hub: %(slug)s.") % {"slug": self._slug})
        return typed


@institution_page(Permission.REQUEST_HUB)
def hub_change(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Show the form as the hub is wanted now; on POST write the revision and show the hub being changed."""
    hub, at = _hub(request, hub_slug), now()
    try:
        entitlement = entitlements(hub.institution_id, at=at)
    except NoAgreement as refused:
        messages.warning(request, refused.message)
        return redirect("hub", slug=request.institution.slug, hub_slug=hub.slug)
    form = HubRequestForm(
        request.POST or None,
        environments=entitled_environments(entitlement),
        entitlement=entitlement,
        initial=_as_it_is(hub),
    )
    if request.method == "POST" and form.is_valid():
        try:
            change_hub(hub, wish=form.wish(), by=request.user, at=at)
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("The change is under way. You can watch it here."))
            return redirect("hub", slug=request.institution.slug, hub_slug=hub.slug)
    context = {"hub": hub, "form": form, "form_errors": bool(form.errors), "entitlement": entitlement}
    return render(request, "provisioning/change.html", context, status=422 if form.errors else 200)


@require_POST
@institution_page(Permission.REQUEST_HUB)
def hub_roll_back(request: MemberRequest, hub_slug: str, generation: int) -> HttpResponse:
    """Want an earlier revision again."""
    hub = _hub(request, hub_slug)
    try:
        roll_back(hub, generation=generation, by=request.user, at=now())
    except PortalError as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _("The hub goes back to revision %(number)d.") % {"number": generation})
    return redirect("hub", slug=request.institution.slug, hub_slug=hub.slug)


@institution_page(Permission.RETIRE_HUB)
def hub_retire(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Ask, with the name typed out, then retire."""
    hub = _hub(request, hub_slug)
    form = RetireForm(request.POST or None, slug=hub.slug)
    if request.method == "POST" and form.is_valid():
        try:
            retire_hub(hub, reason=form.cleaned_data["reason"], by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("The hub is being retired. Its export and certificate appear on this page."))
            return redirect("hub", slug=request.institution.slug, hub_slug=hub.slug)
    context = {"hub": hub, "form": form, "form_errors": bool(form.errors)}
    return render(request, "provisioning/retire.html", context, status=422 if form.errors else 200)


@require_safe
@institution_page(Permission.RETIRE_HUB)
def hub_document(request: MemberRequest, hub_slug: str, pk: UUID) -> HttpResponse:
    """Download what was exported of the hub, or its certificate."""
    hub = _hub(request, hub_slug)
    document = Document.objects.filter(
        pk=pk, subject_type="provisioning.Hub", subject_id=str(hub.pk), kind__in=TAKEN_AWAY
    ).first()
    if document is None:
        raise Http404
    try:
        content = documents.read(document)
    except documents.DocumentGone:
        raise Http404 from None  # deleted after the university has left; the certificate says when
    response = HttpResponse(content, content_type=document.media_type)
    response["Content-Disposition"] = f'attachment; filename="{document.name}"'
    return response


def _hub(request: MemberRequest, slug: str) -> Hub:
    hub = hub_of(request.institution, slug)
    if hub is None:
        raise Http404
    return hub


def _as_it_is(hub: Hub) -> dict[str, Any]:
    """The newest revision, as the form asks for it; who administers stands first."""
    spec = HubRevision.objects.get(hub=hub, generation=hub.generation).spec
    sign_on = spec.get("sign_on", {})
    admins = list(sign_on.get("admins", ()))
    return {
        "name": spec["display_name"],
        "purpose": hub.purpose,
        "environment": spec["environment"],
        "memory": str(spec["size"]["memory_limit_mib"] * MIB),
        "max_servers": spec["max_servers"],
        "expected_users": spec["expected_users"],
        "accounts": "\n".join([*admins, *(name for name in sign_on.get("allowed_users", ()) if name not in admins)]),
    }
