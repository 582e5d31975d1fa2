"""Mails about mail that came back: to the member's owners, who know the right address, and to our finance people."""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.models import InvoiceDelivery, MailBounce
from consortium.kernel.language import bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import User
from members.permissions import Permission
from members.queries import owners_of, staff_with


@receiver("billing.mail_bounce")
def mail_bounce(event: AuditEvent) -> None:
    """Tell who can mend it; never the address that failed."""
    bounce = MailBounce.objects.select_related("mail", "institution").get(pk=UUID(event.object_id))
    delivery = InvoiceDelivery.objects.select_related("invoice").filter(mail=bounce.mail).first()
    if delivery is None or bounce.institution is None:
        _send(event, _staff(), "billing_bounce", "admin:billing_mailbounce_change", bounce.pk, bounce=bounce)
        return
    owners, page = owners_of(bounce.institution.pk), (bounce.institution.slug, delivery.invoice_id)
    _send(event, owners, "billing_undelivered", "invoice", *page, bounce=bounce, delivery=delivery)
    route = "admin:billing_invoicedelivery_change"
    _send(event, _staff(), "billing_bounce", route, delivery.pk, bounce=bounce, delivery=delivery)


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
            "invoice": delivery.invoice if delivery else None,
            "university": bilingual(bounce.institution, "name", person.language) if bounce.institution else "",
            "url": url,
        }
        compose(event, recipient=person.email, template=template, language=person.language, context=known, at=event.at)
