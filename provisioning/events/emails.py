"""Mails about events: operators are told of each booking, who booked it of an emergency."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from consortium.kernel import mail
from consortium.kernel.language import bilingual
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import User
from members.permissions import Permission
from members.queries import owners_of, staff_with
from provisioning.events.booking import MAIL
from provisioning.models import EventOverride, EventWindow


@receiver(MAIL)
def mail_event(event: AuditEvent) -> None:
    """Tell the operators that an event was booked, moved or cancelled."""
    row = EventWindow.objects.select_related("hub__institution").get(pk=UUID(event.object_id))
    act = event.action.rpartition("_")[2]
    for person in staff_with(Permission.OPERATE_HUBS):
        _send(event, person, "provisioning_event_staff", row, act=act)


@receiver("provisioning.mail_event_override")
def mail_event_override(event: AuditEvent) -> None:
    """Tell who booked it, or the owners where that person is gone, that an operator had to act."""
    rows = EventOverride.objects.select_related("event__hub__institution", "event__booked_by")
    row = rows.get(pk=UUID(event.object_id))
    booked = row.event.booked_by
    people = [booked] if booked.is_active else owners_of(row.institution_id)
    for person in people:
        _send(event, person, "provisioning_event_override", row.event, override=row)


def _send(event: AuditEvent, person: User, template: str, row: EventWindow, **more: object) -> None:
    hub = row.hub
    with translation.override(person.language):
        page = (
            reverse("admin:provisioning_eventwindow_change", args=[row.pk])
            if template == "provisioning_event_staff"
            else reverse("hub_events", args=[hub.institution.slug, hub.slug])
        )
        context = {
            "person": person,
            "event": row,
            "hub": hub,
            "university": bilingual(hub.institution, "name", person.language),
            "page_url": settings.PUBLIC_URL + page,
            **more,
        }
        mail.compose(
            event, recipient=person.email, template=template, language=person.language, context=context, at=event.at
        )
