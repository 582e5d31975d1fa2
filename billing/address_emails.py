"""After a payer's address was corrected: its people are told, and the receipts and credit notes that came back go out.

Invoices go as a new attempt of their own; reminders and links are not repeated, the next ones go to the new address.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.bounced_addresses import HANDLED, MAIL_CORRECTED
from billing.documents import mail_receipt
from billing.documents.credit_notes import mail_credit_note
from billing.models import BillingAccount, InvoiceDelivery, MailBounce
from consortium.kernel.language import bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import User
from members.permissions import Permission
from members.queries import people_with

AGAIN: Final[Mapping[str, Callable[[AuditEvent], None]]] = {
    "billing_receipt": mail_receipt,
    "billing_credit_note": mail_credit_note,
}


@receiver(MAIL_CORRECTED)
def mail_address_corrected(event: AuditEvent) -> None:
    """Tell everybody who could have done it, and let what is a document go out once more."""
    account = BillingAccount.objects.select_related("institution").get(pk=UUID(event.object_id))
    handled = MailBounce.objects.filter(institution_id=account.institution_id, handled_at=event.at, note=HANDLED)
    for bounce in handled.select_related("mail__event"):
        if again := AGAIN.get(bounce.mail.template):
            again(bounce.mail.event)  # a mail is unique for its event and recipient: only the new address gets one
    sent = InvoiceDelivery.objects.filter(invoice__billing_account=account, made_at=event.at, attempt__gt=1)
    numbers = list(sent.order_by("invoice__number").values_list("invoice__number", flat=True))
    who = User.objects.filter(pk=event.actor_id).first() if event.actor_id else None
    for person in people_with(account.institution_id, Permission.CORRECT_BILLING_ADDRESS):
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse("invoices", args=[account.institution.slug])
        known = {
            "person": person,
            "account": account,
            "who": who,
            "numbers": ", ".join(str(number) for number in numbers),
            "university": bilingual(account.institution, "name", person.language),
            "url": url,
        }
        template = "billing_address_corrected"
        compose(event, recipient=person.email, template=template, language=person.language, context=known, at=event.at)
