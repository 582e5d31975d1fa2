"""Mails about changes of our bank details: to all finance staff and the issuer's own address, at every step."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import BankDetailsChange
from members.permissions import Permission
from members.queries import staff_with

SHOWN = 4  # of the account's number, so that a mail alone sends no money anywhere


@receiver("members.mail_bank_details")
def mail_bank_details(event: AuditEvent) -> None:
    """Warn whoever may know that nobody meant it. Staff are written to in English."""
    change = BankDetailsChange.objects.select_related("issuer", "proposed_by", "decided_by").get(
        pk=UUID(event.object_id)
    )
    with translation.override("en"):
        url = settings.PUBLIC_URL + reverse("admin:members_bankdetailschange_change", args=[change.pk])
    known = {
        "change": change,
        "step": event.action.removeprefix("members.bank_details_"),
        "account_end": change.account_number[-SHOWN:],
        "url": url,
    }
    people = {person.email for person in staff_with(Permission.ISSUE_INVOICES)}
    for address in sorted(people | {change.issuer.email}):
        compose(event, recipient=address, template="members_bank_details", language="en", context=known, at=event.at)
