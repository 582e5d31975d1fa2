"""The mail of a reminder: to people, each in their language, without the PDF; at the last step to our own people."""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.inboxes import recorded_address
from billing.models import Invoice, Reminder
from billing.pay_links import issue_pay_link, pay_url
from billing.reminder_days import Step
from billing.reminding import MAIL, days_for, still_wanted
from billing.snapshot import InvoiceSnapshot
from consortium.kernel.formats import day_text, money_text
from consortium.kernel.language import first_language
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import Seat
from members.permissions import Permission
from members.queries import owners_of, staff_with
from members.roles import Role


@dataclass(frozen=True, slots=True)
class Reader:
    """Who is reminded."""

    email: str
    language: str


@receiver(MAIL)
def mail_reminder(event: AuditEvent) -> None:
    """Write the mails of a step, unless it was overtaken by a payment, a dispute or an arrangement."""
    reminder = Reminder.objects.select_related("invoice__institution").get(pk=UUID(event.object_id))
    if not still_wanted(reminder, at=event.at):
        return
    if reminder.step == Step.HUMAN:
        _ask_a_person(event, reminder)
        return
    for reader in readers_of(reminder.invoice, copied=reminder.step == Step.COPIED):
        _write(event, reminder, reader)


def readers_of(invoice: Invoice, *, copied: bool) -> list[Reader]:
    """Return whom a step reminds: the member's finance people, else the payer's inbox; `copied`: its owners too."""
    seats = Seat.objects.filter(
        institution_id=invoice.institution_id, role=Role.FINANCE, ended_at=None, user__is_active=True
    )
    rows = seats.select_related("user").order_by("user__email")
    found = [Reader(seat.user.email, seat.user.language) for seat in rows]
    if not found:
        language = first_language(InvoiceSnapshot.from_json(invoice.snapshot).language)
        found = [Reader(recorded_address(invoice), language)]
    if copied:
        found += [Reader(user.email, user.language) for user in owners_of(invoice.institution_id)]
    return list({reader.email.casefold(): reader for reader in found}.values())


def _write(event: AuditEvent, reminder: Reminder, reader: Reader) -> None:
    invoice = reminder.invoice
    snapshot = InvoiceSnapshot.from_json(invoice.snapshot)
    url = pay_url(issue_pay_link(invoice, at=event.at), reader.language)

    def money(amount: object) -> str:
        return money_text(amount, reminder.currency, language=reader.language, code=True)  # type: ignore[arg-type]

    human = days_for(invoice).day_of(Step.HUMAN, snapshot.due_on)
    known = {
        "reminder": reminder,
        "snapshot": snapshot,
        "due": money(reminder.due),
        "held": money(reminder.held) if reminder.held else "",
        "day": day_text(snapshot.due_on, language=reader.language),
        "human": day_text(human, language=reader.language),
        "pay_url": url,
        "dispute_url": f"{url}dispute/" if reminder.step in {Step.SECOND, Step.COPIED} else "",
        "question_url": f"{url}question/",
    }
    compose(
        event,
        recipient=reader.email,
        template="billing_reminder",
        language=reader.language,
        context=known,
        at=event.at,
    )


def _ask_a_person(event: AuditEvent, reminder: Reminder) -> None:
    for person in staff_with(Permission.ISSUE_INVOICES):
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse("admin:billing_reminder_change", args=[reminder.pk])
        due = money_text(reminder.due, reminder.currency, language=person.language, code=True)
        known = {"person": person, "reminder": reminder, "invoice": reminder.invoice, "due": due, "url": url}
        compose(
            event,
            recipient=person.email,
            template="billing_reminder_human",
            language=person.language,
            context={**known, "university": reminder.invoice.institution},
            at=event.at,
        )
