"""Mails about moves, to the university's owners and to whoever asked for the hub."""

from uuid import UUID

from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import User
from members.queries import owners_of
from provisioning.emails import send_about, who_asked
from provisioning.models import HubMove


@receiver("provisioning.mail_move_begun")
def mail_move_begun(event: AuditEvent) -> None:
    """Tell them that the hub will be closed for a while, and why."""
    _tell(event, "provisioning_move_begun")


@receiver("provisioning.mail_move_done")
def mail_move_done(event: AuditEvent) -> None:
    """Tell them that people can work again, and where."""
    _tell(event, "provisioning_move_done")


@receiver("provisioning.mail_move_cancelled")
def mail_move_cancelled(event: AuditEvent) -> None:
    """Tell them that the hub stays where it was, and why."""
    _tell(event, "provisioning_move_cancelled")


def _tell(event: AuditEvent, template: str) -> None:
    rows = HubMove.objects.select_related("hub__institution", "hub__requested_by", "from_cluster", "to_cluster")
    move = rows.get(pk=UUID(event.object_id))
    hub = move.hub
    people: dict[str, User] = {person.email: person for person in (*owners_of(hub.institution_id), *who_asked(hub))}
    send_about(event, people.values(), template, hub, "hub", hub.institution.slug, hub.slug, move=move)
