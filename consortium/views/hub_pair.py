"""The acts of a pair: asking for the staging twin, and promoting what was tried there."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.usecases.pair_hubs import promote, request_staging
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.hub_page import changes_between
from provisioning.models import Hub, HubRevision
from provisioning.pairs import promotable
from provisioning.queries import hub_of


@require_POST
@institution_page(Permission.REQUEST_HUB)
def hub_staging(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Ask for the twin, and show it; or say why there is none."""
    hub = _hub(request, hub_slug)
    try:
        hub = request_staging(hub, by=request.user, at=now())
    except PortalError as refused:
        messages.warning(request, refused.message)
    else:
        messages.success(request, _("The staging hub is requested."))
    return redirect("hub", slug=request.institution.slug, hub_slug=hub.slug)


@institution_page(Permission.REQUEST_HUB)
def hub_promote(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Show what production would become; on POST want it so, and show production being changed."""
    staging = _hub(request, hub_slug)
    production = staging.staging_of
    if production is None:
        messages.warning(request, _("This hub is no staging hub: there is nothing to promote it to."))
        return redirect("hub", slug=request.institution.slug, hub_slug=staging.slug)
    if request.method == "POST":
        try:
            promote(staging, by=request.user, at=now())
        except PortalError as refused:
            messages.error(request, refused.message)
        else:
            messages.success(request, _("What was tried on staging goes to production. You can watch it here."))
            return redirect("hub", slug=request.institution.slug, hub_slug=production.slug)
    problem, changes = "", []
    try:
        wanted = promotable(staging)
    except PortalError as refused:
        problem = refused.message
    else:
        before = HubRevision.objects.get(hub=production, generation=production.generation).spec
        after = wanted.model_dump(mode="json")
        changes = [change for change in changes_between(_sorted(before), _sorted(after)) if change]
    context = {"hub": staging, "production": production, "problem": problem, "changes": changes}
    return render(request, "provisioning/promote.html", context, status=422 if request.method == "POST" else 200)


def _sorted(spec: object) -> object:
    """Lists come out of a spec's sets in any order."""
    if isinstance(spec, dict):
        return {key: _sorted(value) for key, value in spec.items()}
    return sorted(spec) if isinstance(spec, list) else spec


def _hub(request: MemberRequest, slug: str) -> Hub:
    hub = hub_of(request.institution, slug)
    if hub is None:
        raise Http404
    return hub
