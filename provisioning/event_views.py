"""The pages of a hub's events: the list, a booking, other dates, and calling one off."""

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.entitlements import EntitlementExceeded, NoAgreement
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.events.allowance import Allowance, allowance_of
from provisioning.events.booking import book_event, cancel_event, move_event
from provisioning.events.forms import DatesForm, EventForm
from provisioning.events.page import event_row, event_rows
from provisioning.models import EventWindow, Hub
from provisioning.queries import hub_of


@require_safe
@institution_page(Permission.VIEW_HUBS)
def hub_events(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """List the hub's events."""
    hub, at = _hub(request, hub_slug), now()
    may_book = Permission.REQUEST_HUB in request.permissions
    context = {"hub": hub, "rows": event_rows(hub, at=at), "may_book": may_book, **_allowance(hub)}
    return render(request, "provisioning/events.html", context)


@institution_page(Permission.REQUEST_HUB)
def event_new(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Ask for the dates; on POST book them."""
    hub = _hub(request, hub_slug)
    form = EventForm(request.POST or None, zone=hub.zone)
    if request.method == "POST" and form.is_valid():
        try:
            book_event(hub, wish=form.wish(), by=request.user, at=now())
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            messages.success(request, _("The event is booked. Nothing will be done to the hub while it is on."))
            return redirect("hub_events", slug=request.institution.slug, hub_slug=hub.slug)
    context = {"hub": hub, "form": form, **_allowance(hub)}
    return render(request, "provisioning/event.html", context, status=422 if form.errors else 200)


@institution_page(Permission.REQUEST_HUB)
def event(request: MemberRequest, hub_slug: str, pk: UUID) -> HttpResponse:
    """Show one event with its dates; on POST give it others."""
    hub, at = _hub(request, hub_slug), now()
    row, place = _event(hub, pk), ZoneInfo(hub.zone)
    initial = {name: getattr(row, name).astimezone(place).replace(tzinfo=None) for name in ("starts_at", "ends_at")}
    form = DatesForm(request.POST or None, zone=hub.zone, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            accepts = form.cleaned_data["accepts_price"]
            move_event(row, period=form.period(), accepts_price=accepts, by=request.user, at=at)
        except PortalError as refused:
            show_refusal(form, refused)
        else:
            messages.success(request, _("The event has its new dates."))
            return redirect("hub_events", slug=request.institution.slug, hub_slug=hub.slug)
    context = {"hub": hub, "form": form, "shown": event_row(row, hub, at=at), **_allowance(hub)}
    return render(request, "provisioning/event.html", context, status=422 if form.errors else 200)


@require_POST
@institution_page(Permission.REQUEST_HUB)
def event_cancel(request: MemberRequest, hub_slug: str, pk: UUID) -> HttpResponse:
    """Call the event off."""
    hub = _hub(request, hub_slug)
    try:
        cancel_event(_event(hub, pk), by=request.user, at=now())
    except PortalError as refused:
        messages.warning(request, refused.message)
    else:
        messages.success(request, _("The event is cancelled."))
    return redirect("hub_events", slug=request.institution.slug, hub_slug=hub.slug)


def _allowance(hub: Hub) -> dict[str, Any]:
    """What is left this year, or why nothing can be booked."""
    at = now()
    try:
        allowance: Allowance | None = allowance_of(hub, starting=at, at=at)
    except (NoAgreement, EntitlementExceeded) as refused:
        return {"allowance": None, "refused": refused.message}
    return {"allowance": allowance, "refused": ""}


def _hub(request: MemberRequest, slug: str) -> Hub:
    row = hub_of(request.institution, slug)
    if row is None:
        raise Http404
    return row


def _event(hub: Hub, pk: UUID) -> EventWindow:
    row = EventWindow.objects.filter(hub=hub, pk=pk).select_related("hub").first()
    if row is None:
        raise Http404
    return row
