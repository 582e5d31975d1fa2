"""Bringing an invoice to its payer, by the way that its billing account says, and keeping what became of it.

One mail is one PDF and one invoice. A supplier portal is a task for our staff, with the file; Peppol is refused with
what to do instead, because nobody is connected to it yet. What fails is sent again as a new attempt.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from billing.models import BillingAccount, Invoice, InvoiceDelivery, MailBounce
from billing.snapshot import InvoiceSnapshot
from billing.states_collecting import DELIVERY, LIVE_DELIVERY
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid
from consortium.models import OutgoingMail
from members.models import User
from members.permissions import Permission, check_staff

DELIVERER: Final = System("delivery")
SEND_AGAIN: Final = "billing.mail_invoice_again"
NO_PEPPOL: Final = (
    "Peppol is not connected: no access point carries our invoices yet. Choose the payer's inbox or its supplier "
    "portal on the billing account, and send it again."
)


def first_delivery(invoice: Invoice, *, at: datetime) -> InvoiceDelivery:
    """Will return the first attempt of an issued invoice, made now or earlier: where it goes is on its account."""
    existing = InvoiceDelivery.objects.filter(invoice=invoice, attempt=1).first()
    if existing is not None:
        return existing
    account = BillingAccount.objects.get(pk=invoice.billing_account_id)
    recipient = account.portal_url if account.channel == "portal" else _address(invoice)
    return _made(invoice, channel=account.channel, recipient=recipient, by=DELIVERER, at=at)


def settle_first(delivery: InvoiceDelivery, mail: OutgoingMail | None, *, at: datetime) -> None:
    """Will write down what could be done by itself: its mail is written, or this way is not open."""
    if delivery.status != "prepared":
        return
    if mail is not None:
        DELIVERY.move(delivery, "sent", mail=mail, sent_at=at)
    elif delivery.channel == "peppol":
        DELIVERY.move(delivery, "refused", note=NO_PEPPOL, ended_at=at)


@transaction.atomic
def send_again(
    invoice: Invoice, *, channel: str, recipient: str, remember: bool, by: User | System, at: datetime
) -> InvoiceDelivery:
    """Will send an invoice once more, by that way to that place; what was under way is replaced by it.

    `remember`: later invoices of the account go there too. Closes the bounce that asked for it. Raises Forbidden,
    Invalid.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    place = _checked(channel, recipient)
    delivery = next_attempt(invoice, channel=channel, recipient=place, by=by, at=at, remembered=remember)
    if remember:
        changes = {"portal_url": place} if channel == "portal" else {"email": place}
        BillingAccount.objects.filter(pk=invoice.billing_account_id).update(channel=channel, **changes)
    came_back = MailBounce.objects.filter(mail__invoice_delivery__invoice=invoice, status="open")
    handler = by if isinstance(by, User) else None
    came_back.update(status="handled", handled_at=at, handled_by=handler, note="Sent again.")
    return delivery


def next_attempt(
    invoice: Invoice, *, channel: str, recipient: str, by: User | System, at: datetime, remembered: bool = True
) -> InvoiceDelivery:
    """Will make the next attempt of an invoice, in the caller's transaction; what was under way is replaced by it.

    Whoever calls has the right to, and has checked the place. Raises Invalid for one that its payer has accepted.
    """
    Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
    for live in InvoiceDelivery.objects.filter(invoice=invoice, status__in=("prepared", "sent")):
        DELIVERY.move(live, "replaced", ended_at=at)
    if InvoiceDelivery.objects.filter(invoice=invoice, status="accepted").exists():
        raise Invalid(_("The payer has accepted this invoice already. There is nothing to send."))
    delivery = _made(invoice, channel=channel, recipient=recipient, by=by, at=at)
    audit.record(
        "billing.invoice_sent_again",
        delivery,
        by=by,
        at=at,
        institution_id=invoice.institution_id,
        after={
            "attempt": delivery.attempt,
            "channel": channel,
            "to": audit.digest(recipient),
            "remembered": remembered,
        },
        deliver_to=(SEND_AGAIN,),
    )
    return delivery


@transaction.atomic
def mark_uploaded(delivery: InvoiceDelivery, *, reference: str, by: User | System, at: datetime) -> None:
    """Will record that a person put it on the payer's portal, with the portal's reference. Raises TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    DELIVERY.move(delivery, "sent", reference=reference.strip()[:100], sent_at=at)
    _record(delivery, "uploaded", by=by, at=at)


@transaction.atomic
def mark_accepted(delivery: InvoiceDelivery, *, reference: str, by: User | System, at: datetime) -> None:
    """Will record that the payer took it into its books. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    reference = reference.strip()[:100] or delivery.reference
    DELIVERY.move(delivery, "accepted", reference=reference, ended_at=at)
    _record(delivery, "accepted", by=by, at=at)


@transaction.atomic
def mark_rejected(delivery: InvoiceDelivery, *, reason: str, by: User | System, at: datetime) -> None:
    """Will record why the payer sends it back; it waits for a person. Raises Forbidden, Invalid, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    if not reason.strip():
        raise Invalid(_("Write why: a colleague mends it by that."), field="reason")
    DELIVERY.move(delivery, "rejected", note=reason.strip()[:500], ended_at=at)
    _record(delivery, "rejected", by=by, at=at)


def came_back(mail_id: UUID, *, why: str, at: datetime) -> Invoice | None:
    """Will mark the delivery that a mail carried as come back; returns its invoice, None where it carried none."""
    delivery = InvoiceDelivery.objects.select_related("invoice").filter(mail_id=mail_id).first()
    if delivery is None:
        return None
    if delivery.status == "sent":
        DELIVERY.move(delivery, "bounced", note=why[:500], ended_at=at)
    return delivery.invoice


def waiting_deliveries() -> QuerySet[InvoiceDelivery]:
    """Deliveries that wait for a person: to be uploaded, or failed and not sent again. Needs a scope."""
    later = InvoiceDelivery.objects.filter(invoice=OuterRef("invoice"), attempt__gt=OuterRef("attempt"))
    failed = Q(status__in=["rejected", "bounced", "refused"]) | Q(status="prepared", channel="portal")
    return InvoiceDelivery.objects.filter(failed).filter(~Exists(later))


def undelivered(institution_id: UUID) -> list[InvoiceDelivery]:
    """Open invoices of a member that its payer does not have: mail came back, or the payer rejected it."""
    rows = waiting_deliveries().filter(institution_id=institution_id, status__in=["bounced", "rejected"])
    open_ones = rows.filter(invoice__status__in=["issued", "partly_paid"])
    return list(open_ones.select_related("invoice").order_by("invoice__due_on"))


def _made(invoice: Invoice, *, channel: str, recipient: str, by: User | System, at: datetime) -> InvoiceDelivery:
    last = InvoiceDelivery.objects.filter(invoice=invoice).aggregate(last=Max("attempt"))["last"] or 0
    return InvoiceDelivery.objects.create(
        institution_id=invoice.institution_id,
        invoice=invoice,
        attempt=last + 1,
        channel=channel,
        recipient=recipient,
        made_at=at,
        made_by=by if isinstance(by, User) else None,
    )


def _address(invoice: Invoice) -> str:
    return InvoiceSnapshot.from_json(invoice.snapshot).payer.email


def _checked(channel: str, recipient: str) -> str:
    place = recipient.strip()
    if channel == "peppol":
        raise Invalid(NO_PEPPOL, field="channel")
    try:
        (URLValidator(schemes=["https"]) if channel == "portal" else validate_email)(place)
    except ValidationError:
        words = {"portal": _("Enter the portal's page, beginning with https://.")}
        raise Invalid(words.get(channel, _("Enter an e-mail address.")), field="recipient") from None
    return place


def _record(delivery: InvoiceDelivery, what: str, *, by: User | System, at: datetime) -> None:
    audit.record(
        f"billing.invoice_{what}",
        delivery,
        by=by,
        at=at,
        institution_id=delivery.institution_id,
        after={"status": delivery.status, "attempt": delivery.attempt},
    )


__all__ = [
    "LIVE_DELIVERY",
    "came_back",
    "first_delivery",
    "mark_accepted",
    "mark_rejected",
    "mark_uploaded",
    "next_attempt",
    "send_again",
    "settle_first",
    "undelivered",
    "waiting_deliveries",
]
