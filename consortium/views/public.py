"""Pages for everybody: the map, the status of the service, and what is written about privacy."""

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from consortium.kernel.clock import now
from consortium.kernel.geography import Marker
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members.models import Institution, Membership
from provisioning.models import Hub, SamplingRun

FRESH = timedelta(minutes=3)


def _markers() -> list[Marker]:
    hubs: dict[object, list[Hub]] = {}
    for hub in Hub.objects.exclude(status__in=["retired", "declined"]):
        hubs.setdefault(hub.institution_id, []).append(hub)
    markers = []
    members = Membership.objects.exclude(status="ended").select_related("institution").order_by("institution__name_en")
    for membership in members:
        institution: Institution = membership.institution
        if institution.latitude is None or institution.longitude is None:
            continue
        own = hubs.get(institution.pk, [])
        running = [hub for hub in own if hub.status == "running" and hub.url]
        markers.append(
            Marker(
                key=institution.slug,
                name=institution.name,
                city=institution.city,
                province=institution.province,
                latitude=float(institution.latitude),
                longitude=float(institution.longitude),
                url=running[0].url if running else reverse("status"),
                kind="hub" if own else "member",
                note=", ".join(hub.name for hub in own) if own else _("Joining"),
            )
        )
    return markers


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show who is in, on a map and as a table, and what taking part means."""
    with consortium_scope(Scope.PUBLIC):
        markers = _markers()
    return render(request, "home.html", {"markers": markers, "hub_count": sum(m.kind == "hub" for m in markers)})


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show each hub as its meter last saw it; what was not looked at is unknown, never well."""
    at = now()
    with consortium_scope(Scope.PUBLIC):
        hubs = list(
            Hub.objects.exclude(status__in=["requested", "approved", "declined", "retired"]).select_related(
                "institution"
            )
        )
        rows = [_hub_status(hub, fresh=hub.healthy_at is not None and at - hub.healthy_at < FRESH) for hub in hubs]
        working = Job.objects.filter(state__in=["queued", "running"]).count()
        stuck = Job.objects.filter(state__in=["needs_operator"]).count()
        looks = SamplingRun.objects.filter(at__gte=at - FRESH).count()
    troubled = any(row["tone"] == "danger" for row in rows)
    return render(
        request,
        "status.html",
        {"rows": rows, "working": working, "stuck": stuck, "looks": looks, "troubled": troubled, "at": at},
    )


def _hub_status(hub: Hub, *, fresh: bool) -> dict[str, object]:
    if hub.status == "running" and hub.unreachable_since is not None:
        tone, text = "danger", _("Unreachable")
    elif hub.status == "running" and fresh:
        tone, text = "success", _("Working")
    elif hub.status in {"degraded", "failed"}:
        tone, text = "warning", _("Degraded")
    elif hub.status == "suspended":
        tone, text = "neutral", _("Suspended")
    elif hub.status in {"provisioning", "updating"}:
        tone, text = "info", _("Being set up")
    else:
        tone, text = "neutral", _("Unknown")
    return {"hub": hub, "tone": tone, "text": text, "seen": hub.healthy_at}


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """Say in plain words what is kept about whom."""
    return render(request, "privacy.html")
