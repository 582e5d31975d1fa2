"""What staff announce: maintenance ahead of time, and incidents as they go."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid
from consortium.kernel.spoken import spoken_instant
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.models import Cluster, EventWindow, Hub, Incident, IncidentUpdate, Maintenance
from provisioning.states import INCIDENT


@transaction.atomic
def announce_maintenance(
    *,
    cluster: Cluster | None,
    title_en: str,
    title_fr: str,
    text_en: str,
    text_fr: str,
    starts_at: datetime,
    ends_at: datetime,
    by: User,
    at: datetime,
) -> Maintenance:
    """Will announce work on a cluster, or on all: excluded from the service level if it begins 72 hours from now.

    Raises Forbidden, Invalid for an end before the beginning, a beginning in the past, or a hub's event meanwhile.
    """
    check_staff(by, Permission.OPERATE_HUBS)
    if ends_at <= starts_at:
        raise Invalid(_("The work must end after it begins."), field="ends_at")
    if starts_at < at:
        raise Invalid(_("Work that has begun already is an incident, not maintenance."), field="starts_at")
    _refuse_in_events(cluster, starts_at, ends_at)
    row = Maintenance.objects.create(
        cluster=cluster,
        title_en=title_en,
        title_fr=title_fr,
        text_en=text_en,
        text_fr=text_fr,
        starts_at=starts_at,
        ends_at=ends_at,
        announced_at=at,
    )
    _record("maintenance_announced", row, by=by, at=at, tell="maintenance")
    return row


def _refuse_in_events(cluster: Cluster | None, starts_at: datetime, ends_at: datetime) -> None:
    """An exam is not the time for maintenance. Needs a scope in which every university's events are visible."""
    events = EventWindow.objects.filter(status="booked", starts_at__lt=ends_at, ends_at__gt=starts_at)
    event = (events.filter(hub__cluster=cluster) if cluster else events).select_related("hub").first()
    if event is not None:
        text = _("The hub %(hub)s has an event from %(from)s to %(to)s. Choose other dates, or ask its university.")
        values = {"from": spoken_instant(event.starts_at), "to": spoken_instant(event.ends_at)}
        raise Invalid(text % {"hub": event.hub.slug, **values}, field="starts_at")


@transaction.atomic
def cancel_maintenance(row: Maintenance, *, by: User, at: datetime) -> None:
    """Will call the work off; it is then excluded from nothing. Raises Forbidden, Invalid once it has begun."""
    check_staff(by, Permission.OPERATE_HUBS)
    if at >= row.starts_at:
        raise Invalid(_("This work has begun or is over; it cannot be called off."))
    if not Maintenance.objects.filter(pk=row.pk, cancelled_at=None).update(cancelled_at=at):
        raise Invalid(_("This work was called off already."))
    row.cancelled_at = at
    _record("maintenance_cancelled", row, by=by, at=at, tell="maintenance")


@transaction.atomic
def open_incident(
    *,
    title_en: str,
    title_fr: str,
    text_en: str,
    text_fr: str,
    hub_slugs: Sequence[str],
    started_at: datetime,
    excluded_as: str = "",
    by: User,
    at: datetime,
) -> Incident:
    """Will tell everybody of an incident on these hubs, or on all when none is named. Raises Forbidden, Invalid."""
    check_staff(by, Permission.OPERATE_HUBS)
    unknown = set(hub_slugs) - set(Hub.objects.filter(slug__in=hub_slugs).values_list("slug", flat=True))
    if unknown:
        raise Invalid(_("There is no hub %(slug)s.") % {"slug": ", ".join(sorted(unknown))}, field="hub_slugs")
    if started_at > at:
        raise Invalid(_("An incident cannot begin in the future."), field="started_at")
    incident = Incident.objects.create(
        title_en=title_en,
        title_fr=title_fr,
        hub_slugs=sorted(hub_slugs),
        started_at=started_at,
        excluded_as=excluded_as,
    )
    _tell(incident, text_en=text_en, text_fr=text_fr, by=by, at=at)
    _record("incident_opened", incident, by=by, at=at, tell="incident")
    return incident


@transaction.atomic
def update_incident(incident: Incident, *, status: str, text_en: str, text_fr: str, by: User, at: datetime) -> None:
    """Will say how it stands; `resolved` ends it now. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.OPERATE_HUBS)
    before = incident.status
    if status != before:
        values = {"resolved_at": at} if status == "resolved" else {}
        INCIDENT.move(incident, status, **values)
    _tell(incident, text_en=text_en, text_fr=text_fr, by=by, at=at)
    _record("incident_updated", incident, by=by, at=at, tell="incident", moved=(before, status))


def _record(
    what: str, row: Incident | Maintenance, *, by: User, at: datetime, tell: str, moved: tuple[str, str] | None = None
) -> None:
    """Audit it, and have the subscribers of the status page told."""
    before, after = ({"status": moved[0]}, {"status": moved[1]}) if moved else ({}, {})
    audit.record(
        f"provisioning.{what}",
        row,
        by=by,
        at=at,
        institution_id=None,
        before=before,
        after=after,
        deliver_to=(f"provisioning.mail_status_{tell}",),
    )


def _tell(incident: Incident, *, text_en: str, text_fr: str, by: User, at: datetime) -> None:
    if not (text_en.strip() and text_fr.strip()):
        raise Invalid(_("Write it in both languages: people read the status page in either."), field="text_en")
    IncidentUpdate.objects.create(
        incident=incident, status=incident.status, text_en=text_en.strip(), text_fr=text_fr.strip(), author=by, at=at
    )
