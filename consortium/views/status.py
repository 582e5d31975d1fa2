"""The public status page, and the same as Atom and JSON for readers and programs."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from consortium.kernel.clock import now
from consortium.kernel.spoken import spoken_instant
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from provisioning.models import Incident
from provisioning.service_level.status_page import (
    DayState,
    HubStatus,
    ServiceStatus,
    State,
    is_excluded,
    service_status,
)

# For each state: its tone, its words.
WORDS: dict[State, tuple[str, Promise]] = {
    State.WORKING: ("success", gettext_lazy("Working")),
    State.DOWN: ("danger", gettext_lazy("Down")),
    State.DEGRADED: ("warning", gettext_lazy("Degraded")),
    State.UNKNOWN: ("neutral", gettext_lazy("Unknown")),
    State.MAINTENANCE: ("info", gettext_lazy("Maintenance")),
    State.SETTING_UP: ("info", gettext_lazy("Being set up")),
    State.SUSPENDED: ("neutral", gettext_lazy("Suspended")),
}
INCIDENT_WORDS: dict[str, tuple[str, Promise]] = {
    "investigating": ("danger", gettext_lazy("Investigating")),
    "identified": ("warning", gettext_lazy("Identified")),
    "monitoring": ("info", gettext_lazy("Monitoring")),
    "resolved": ("success", gettext_lazy("Resolved")),
}


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show the service now and over ninety days; what was not looked at is unknown, never well."""
    with consortium_scope(Scope.PUBLIC):
        seen = service_status(at=now())
        working = Job.objects.filter(state__in=["queued", "running"]).count()
        stuck = Job.objects.filter(state="needs_operator").count()
        context = {
            "seen": seen,
            "overall": seen.state.value,
            "rows": [_row(each) for each in seen.hubs],
            "open_incidents": [_incident(each) for each in seen.open_incidents],
            "past_incidents": [_incident(each) for each in seen.past_incidents],
            "maintenance": [{"row": row, "excluded": is_excluded(row)} for row in seen.maintenance],
            "working": working,
            "stuck": stuck,
        }
        return render(request, "status.html", context)


def _row(each: HubStatus) -> dict[str, Any]:
    tone, words = WORDS[each.state]
    return {"status": each, "hub": each.hub, "tone": tone, "words": words, "bars": bars(each.days)}


def bars(days: tuple[DayState, ...]) -> list[dict[str, object]]:
    """The days as places of a strip: where each stands, and how it is classed."""
    return [
        {"x": 4 * number, "kind": day.state.value if day.state else "none", "day": day}
        for number, day in enumerate(days)
    ]


def _incident(incident: Incident) -> dict[str, Any]:
    tone, words = INCIDENT_WORDS[incident.status]
    updates = [{"update": update, "words": INCIDENT_WORDS[update.status][1]} for update in incident.updates.all()]
    return {"incident": incident, "tone": tone, "words": words, "updates": updates}


@require_safe
def status_feed(request: HttpRequest) -> HttpResponse:
    """Incidents and announced maintenance as an Atom feed, in the language of the address."""
    with consortium_scope(Scope.PUBLIC):
        seen = service_status(at=now())
        page = request.build_absolute_uri(reverse("status"))
        feed = Atom1Feed(
            title=_("Status of the service"),
            link=page,
            description=_("Incidents and maintenance of the consortium's hubs."),
            language=get_language() or "en",
            feed_url=request.build_absolute_uri(),
        )
        for incident in [*seen.open_incidents, *seen.past_incidents]:
            newest = incident.updates.all()[0]
            feed.add_item(
                title=f"{incident.title}: {INCIDENT_WORDS[incident.status][1]}",
                link=f"{page}#incident-{incident.pk}",
                description="\n\n".join(
                    f"{INCIDENT_WORDS[update.status][1]}: {update.text}" for update in incident.updates.all()
                ),
                unique_id=f"urn:uuid:{incident.pk}",
                pubdate=incident.started_at,
                updateddate=newest.at,
            )
        for row in seen.maintenance:
            feed.add_item(
                title=_("Maintenance: %(title)s") % {"title": row.title},
                link=f"{page}#maintenance-{row.pk}",
                description=f"{spoken_instant(row.starts_at)} – {spoken_instant(row.ends_at)}\n\n{row.text}",
                unique_id=f"urn:uuid:{row.pk}",
                pubdate=row.announced_at,
                updateddate=row.announced_at,
            )
        return HttpResponse(feed.writeString("utf-8"), content_type="application/atom+xml; charset=utf-8")


@require_safe
def status_json(_request: HttpRequest) -> JsonResponse:
    """The same for programs. Instants are UTC, days are of each hub's zone, lengths are seconds."""
    with consortium_scope(Scope.PUBLIC):
        seen = service_status(at=now())
        body = {
            "generated_at": seen.at.isoformat(),
            "state": seen.state.value,
            "hubs": [_hub_json(each) for each in seen.hubs],
            "incidents": [_incident_json(each) for each in (*seen.open_incidents, *seen.past_incidents)],
            "maintenance": _maintenance_json(seen),
        }
    return JsonResponse(body, headers={"Access-Control-Allow-Origin": "*"})


def _hub_json(each: HubStatus) -> dict[str, Any]:
    return {
        "slug": each.hub.slug,
        "name": each.hub.name,
        "institution": each.hub.institution.slug,
        "state": each.state.value,
        "since": each.since.isoformat() if each.since else None,
        "zone": each.hub.zone,
        "days": [
            {
                "day": day.day.isoformat(),
                "state": day.state.value if day.state else None,
                "down_seconds": day.down_seconds,
                "unknown_seconds": day.unknown_seconds,
                "demonstration": day.generated,
            }
            for day in each.days
        ],
    }


def _incident_json(incident: Incident) -> dict[str, Any]:
    return {
        "id": str(incident.pk),
        "title": {"en": incident.title_en, "fr": incident.title_fr},
        "status": incident.status,
        "hubs": incident.hub_slugs,
        "started_at": incident.started_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
        "updates": [
            {
                "at": update.at.isoformat(),
                "status": update.status,
                "text": {"en": update.text_en, "fr": update.text_fr},
            }
            for update in incident.updates.all()
        ],
    }


def _maintenance_json(seen: ServiceStatus) -> list[dict[str, Any]]:
    return [
        {
            "id": str(row.pk),
            "title": {"en": row.title_en, "fr": row.title_fr},
            "cluster": row.cluster.slug if row.cluster else None,
            "starts_at": row.starts_at.isoformat(),
            "ends_at": row.ends_at.isoformat(),
            "announced_at": row.announced_at.isoformat(),
        }
        for row in seen.maintenance
    ]
