"""The pages of hubs: one hub, how far its making is, and the use of all of an institution's hubs."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, local_date
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.events.page import coming_events
from provisioning.exports import usage_csv as write_usage_csv
from provisioning.hub_page import hub_view, taken_away
from provisioning.lifecycle import MOVE, work_on
from provisioning.models import Hub, SpendingApproval
from provisioning.moving.page import move_view, open_panel
from provisioning.progress import progress_panel
from provisioning.queries import hub_of, month_use, months_with_use, rollout_of
from provisioning.requests import reconcile_job, retry_hub
from provisioning.states import HUB
from provisioning.usage_page import UsageView, usage_view

# States in which a new revision may be written.
CHANGEABLE = ("running", "degraded", "failed", "updating")


@require_safe
@institution_page(Permission.VIEW_HUBS)
def hub(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Show one hub; while it is made, its progress stands first."""
    at = now()
    row = _hub(request, hub_slug)
    job, act = work_on(row)
    view = hub_view(row, with_use=Permission.VIEW_USAGE in request.permissions, at=at)
    is_made = row.observed_generation == row.generation and row.status != "failed"
    panel = progress_panel(row, job, at=at) if job is not None and not is_made else None
    moving = move_view(row, at=at) if getattr(row, "has_moved", False) else None
    if moving is not None and moving.panel is not None:
        panel = moving.panel
    held_until: datetime | None = getattr(row, "held_until", None)
    may_end = Permission.RETIRE_HUB in request.permissions
    context = _context(request, row) | {
        "view": view,
        "events": coming_events(row, at=at),
        "rollout": rollout_of(row),
        "twin": getattr(row, "staging", None),
        "may_pair": Permission.REQUEST_HUB in request.permissions and row.status in CHANGEABLE,
        "panel": panel,
        "act": act if act is None or act.kind != MOVE else None,
        "moving": moving,
        "is_held": held_until is not None and held_until > at,
        "may_change": Permission.REQUEST_HUB in request.permissions and row.status in CHANGEABLE,
        "may_retire": may_end and HUB.allows(row.status, "retiring"),
        "spending": SpendingApproval.objects.filter(hub=row).first() if row.status == "requested" else None,
        "may_decide": Permission.SET_BUDGET in request.permissions,
        "taken_away": taken_away(row)
        if row.status == "retired" and Permission.RETIRE_HUB in request.permissions
        else (),
    }
    return render(request, "provisioning/hub.html", context)


@require_safe
@never_cache
@institution_page(Permission.VIEW_HUBS)
def hub_progress(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Answer the progress panel alone; whoever opens its address in a browser gets the hub's page."""
    row = _hub(request, hub_slug)
    job, at = reconcile_job(row), now()
    panel = open_panel(row, at=at) or (progress_panel(row, job, at=at) if job is not None else None)
    if "HX-Request" not in request.headers or panel is None:
        return redirect("hub", slug=request.institution.slug, hub_slug=row.slug)
    context = _context(request, row) | {"panel": panel}
    return render(request, "provisioning/_progress.html", context)


@require_POST
@institution_page(Permission.REQUEST_HUB)
def hub_retry(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Try the failed work again, then show the hub."""
    row = _hub(request, hub_slug)
    try:
        retry_hub(row, by=request.user, at=now())
    except PortalError as refused:
        messages.warning(request, refused.message)
    else:
        messages.success(request, _("The work goes on from where it stopped."))
    return redirect("hub", slug=request.institution.slug, hub_slug=row.slug)


@require_safe
@institution_page(Permission.VIEW_USAGE)
def usage(request: MemberRequest) -> HttpResponse:
    """Show the use of a month by hub and day; the filters stand in the address."""
    view = _usage(request)
    context = {"institution": request.institution, "view": view, "permissions": request.permissions}
    return render(request, "provisioning/usage.html", context)


@require_safe
@institution_page(Permission.VIEW_USAGE)
def usage_csv(request: MemberRequest) -> HttpResponse:
    """Send the same hub-days as a file for a spreadsheet."""
    view = _usage(request)
    name = "-".join(filter(None, ["usage", request.institution.slug, view.hub_slug, str(view.month)]))
    return HttpResponse(
        write_usage_csv(view.days),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _hub(request: MemberRequest, slug: str) -> Hub:
    row = hub_of(request.institution, slug)
    if row is None:
        raise Http404
    return row


def _context(request: MemberRequest, row: Hub) -> dict[str, Any]:
    return {
        "institution": request.institution,
        "hub": row,
        "permissions": request.permissions,
        # What only operators began, only they begin again.
        "may_retry": Permission.REQUEST_HUB in request.permissions and row.status != "moving",
        "may_see_use": Permission.VIEW_USAGE in request.permissions,
        "may_see_service": Permission.VIEW_SERVICE_LEVEL in request.permissions,
        "may_ask_support": Permission.REQUEST_SUPPORT in request.permissions,
    }


def _usage(request: MemberRequest) -> UsageView:
    institution = request.institution
    today = local_date(now(), institution.zone)
    try:
        month = Month.parse(request.GET["month"]) if request.GET.get("month") else Month.of(today)
    except PortalError as refused:
        raise Http404(refused.message) from None
    return usage_view(
        institution,
        month=month,
        hub_slug=request.GET.get("hub", ""),
        use=month_use(month=month, institution_id=institution.pk).get(institution.pk),
        months=months_with_use(institution.pk),
        today=today,
    )
