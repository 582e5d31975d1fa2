"""Mails of the status page: the link that confirms, and what subscribers are told, once each in their language."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import translation

from consortium.kernel import mail
from consortium.kernel.outbox import receiver
from consortium.kernel.secrets import new_token, token_hash
from consortium.models import AuditEvent
from provisioning.models import Hub, Incident, IncidentUpdate, Maintenance, StatusSubscription
from provisioning.status_mail.subscribing import leave_token


@receiver("provisioning.mail_status_confirm")
def mail_status_confirm(event: AuditEvent) -> None:
    """Send the link; it is made now and kept as a hash. Nothing when the address was forgotten meanwhile."""
    row = StatusSubscription.objects.filter(pk=UUID(event.object_id)).first()
    if row is None:
        return
    token = new_token()
    StatusSubscription.objects.filter(pk=row.pk).update(token_hash=token_hash(token))
    with translation.override(row.wanted_language):
        page_url = settings.PUBLIC_URL + reverse("status_confirm", args=[token])
    mail.compose(
        event,
        recipient=row.email,
        template="status_confirm",
        language=row.wanted_language,
        context={"page_url": page_url, "hubs": _names(row.wanted_slugs), "known": row.confirmed_at is not None},
        at=event.at,
        headers={"Auto-Submitted": "auto-generated"},
    )


@receiver("provisioning.mail_status_incident")
def mail_status_incident(event: AuditEvent) -> None:
    """Tell the subscribers of its hubs what was said about an incident."""
    incident = Incident.objects.get(pk=UUID(event.object_id))
    update = IncidentUpdate.objects.filter(incident=incident, at=event.at).first()
    if update is not None:
        slugs = incident.hub_slugs
        context = {"incident": incident, "update": update, "hubs": _names(slugs)}
        _tell(event, "status_incident", slugs, context, anchor=f"incident-{incident.pk}")


@receiver("provisioning.mail_status_maintenance")
def mail_status_maintenance(event: AuditEvent) -> None:
    """Tell the subscribers of the hubs it touches that work is announced, or called off."""
    row = Maintenance.objects.select_related("cluster").get(pk=UUID(event.object_id))
    slugs: list[str] = []
    if row.cluster is not None:
        slugs = list(Hub.objects.filter(cluster=row.cluster).values_list("slug", flat=True)) or ["-"]
    context = {"work": row, "cancelled": event.action.endswith("cancelled")}
    _tell(event, "status_maintenance", slugs, context, anchor=f"maintenance-{row.pk}")


def _tell(event: AuditEvent, template: str, slugs: list[str], context: dict[str, Any], *, anchor: str) -> None:
    """One mail to each subscriber whom it concerns; a few thousand of them fit into one delivery."""
    people = StatusSubscription.objects.filter(confirmed_at__isnull=False)
    if slugs:
        people = people.filter(Q(hub_slugs=[]) | Q(hub_slugs__overlap=slugs))
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    for row in people.order_by("pk"):
        with translation.override(row.language):
            page_url = f"{settings.PUBLIC_URL}{reverse('status')}#{anchor}"
            leave_url = settings.PUBLIC_URL + reverse("status_leave", args=[leave_token(row)])
        mail.compose(
            event,
            recipient=row.email,
            template=template,
            language=row.language,
            context={**context, "page_url": page_url, "leave_url": leave_url},
            at=event.at,
            headers={
                "List-Unsubscribe": f"<{leave_url}>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                "List-Id": f"<status.{host}>",
                "Auto-Submitted": "auto-generated",
            },
        )


def _names(slugs: list[str]) -> str:
    """The hubs by name; the empty string for all."""
    return ", ".join(Hub.objects.filter(slug__in=slugs).order_by("name").values_list("name", flat=True))
