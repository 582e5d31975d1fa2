"""Mails about domains: to the owners, when a record that proved a domain is gone."""

from uuid import UUID

from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.domains import GRACE, record_name, record_value
from members.emails import _send as send
from members.models import Domain
from members.queries import owners_of


def _tell_owners(event: AuditEvent, template: str) -> None:
    domain = Domain.objects.select_related("institution").get(pk=UUID(event.object_id))
    send(
        event,
        owners_of(domain.institution_id),
        template,
        "domains",
        domain.institution.slug,
        institution=domain.institution,
        domain=domain.name,
        record_name=record_name(domain),
        record_value=record_value(domain),
        days=GRACE.days,
    )


@receiver("members.mail_domain_missing")
def mail_domain_missing(event: AuditEvent) -> None:
    """Tell the owners that the record is gone, and until when it can come back."""
    _tell_owners(event, "members_domain_missing")


@receiver("members.mail_domain_lost")
def mail_domain_lost(event: AuditEvent) -> None:
    """Tell the owners that the domain is no longer theirs here."""
    _tell_owners(event, "members_domain_lost")
