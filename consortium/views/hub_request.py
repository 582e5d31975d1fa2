"""Asking for a hub: what the agreement allows and what it costs stand beside the form."""

from django.http import HttpResponse
from django.shortcuts import redirect, render

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.usecases.request_hub import entitled_environments, request_hub
from members.entitlements import NoAgreement, entitlements
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.forms import HubRequestForm
from provisioning.models import Hub


@institution_page(Permission.REQUEST_HUB)
def hub_request(request: MemberRequest) -> HttpResponse:
    """Show the form; on POST request the hub and go to its page, where its making can be watched."""
    at, institution = now(), request.institution
    try:
        entitlement = entitlements(institution.pk, at=at)
    except NoAgreement as refused:
        return render(request, "provisioning/request.html", {"refused": refused.message}, status=200)
    environments = entitled_environments(entitlement)
    form = HubRequestForm(request.POST or None, environments=environments, entitlement=entitlement)
    existing = Hub.objects.filter(institution=institution).exclude(status__in=["retired", "declined"]).count()
    if request.method == "POST" and form.is_valid():
        try:
            hub = request_hub(institution=institution, wish=form.wish(), by=request.user, at=at)
        except PortalError as refused:
            form.add_error(refused.field if refused.field in form.fields else None, refused.message)
        else:
            return redirect("hub", slug=institution.slug, hub_slug=hub.slug)
    context = {
        "form": form,
        "form_errors": bool(form.errors),
        "entitlement": entitlement,
        "existing": existing,
        "left": entitlement.hubs - existing,
    }
    return render(request, "provisioning/request.html", context, status=422 if form.errors else 200)
