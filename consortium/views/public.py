"""Pages for everybody: the map, and what is written about privacy."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from consortium.kernel.geography import Marker
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution, Membership
from provisioning.models import Hub


def _members() -> list[Institution]:
    rows = Membership.objects.exclude(status="ended").select_related("institution")
    return [membership.institution for membership in rows.order_by("institution__name_en")]


def _markers(members: list[Institution]) -> list[Marker]:
    """The members that the map of Canada can show."""
    hubs: dict[object, list[Hub]] = {}
    for hub in Hub.objects.exclude(status__in=["retired", "declined"]):
        hubs.setdefault(hub.institution_id, []).append(hub)
    markers = []
    for institution in members:
        if institution.country != "CA" or institution.latitude is None or institution.longitude is None:
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
        members = _members()
        markers = _markers(members)
    shown = {marker.key for marker in markers}
    context = {
        "markers": markers,
        "elsewhere": [each for each in members if each.slug not in shown],
        "hub_count": sum(marker.kind == "hub" for marker in markers),
    }
    return render(request, "home.html", context)


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """Say in plain words what is kept about whom."""
    return render(request, "privacy.html")
