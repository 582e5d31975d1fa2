"""Mails about mail that came back: to the member's people, who correct the address, and to our finance people."""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.bounced_addresses import account_of
from billing.models import InvoiceDelivery, MailBounce
from consortium.kernel.language import bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.kernel.periods import local_date
from consortium.models import AuditEvent
from members.models import User
from members.permissions import Permission
from members.queries import people_with, staff_with


@receiver("billing.mail_bounce")
def mail_bounce(event: AuditEvent) -> None:
    """Tell who can mend it; never the address that failed."""
    bounce = MailBounce.objects.select_related("mail", "institution").get(pk=UUID(event.object_id))
    delivery = InvoiceDelivery.objects.select_related("invoice").filter(mail=bounce.mail).first()
    account = account_of(bounce)
    if account is not None and bounce.institution is not None:
        page = ("invoice_address", bounce.institution.slug, account.pk)
        people = people_with(bounce.institution.pk, Permission.CORRECT_BILLING_ADDRESS)
        _send(event, people, "billing_undelivered", *page, bounce=bounce, delivery=delivery)
    route, key = ("billing_mailbounce", bounce.pk) if delivery is None else ("billing_invoicedelivery", delivery.pk)
    _send(event, _staff(), "billing_bounce", f"admin:{route}_change", key, bounce=bounce, delivery=delivery)


def _staff() -> list[User]:
    return staff_with(Permission.ISSUE_INVOICES)


def _send(
    event: AuditEvent,
    people: Iterable[User],
    template: str,
    *page: object,
    bounce: MailBounce,
    delivery: InvoiceDelivery | None = None,
) -> None:
    for person in people:
        if person.email.casefold() == bounce.recipient.casefold():
            continue
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse(str(page[0]), args=page[1:])
        known = {
            "person": person,
            "bounce": bounce,
            "came_back": local_date(bounce.at, bounce.institution.zone if bounce.institution else "UTC"),
            "invoice": delivery.invoice if delivery else None,
            "university": bilingual(bounce.institution, "name", person.language) if bounce.institution else "",
            "url": url,
        }
        compose(event, recipient=person.email, template=template, language=person.language, context=known, at=event.at)
