"""Reminding of what is due, by the rest that is not held: each step once, none after payment, whoever dies meanwhile.

A step is a row, unique for its invoice, written under the lock of the balance that every payment takes, together with
the outbox event of its mail. The mail is written under the same lock again: what was paid or disputed in between is not
asked for, and PostgreSQL refuses to call such a reminder written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from billing.arrangements import is_arranged
from billing.disputes import zone_of
from billing.holding import held_of, payable_of
from billing.models import Invoice, InvoiceBalance, Payment, Reminder, ReminderCalendar
from billing.promises import promised_until
from billing.queries import OPEN
from billing.reminder_days import NAMES, ReminderDays, Step
from billing.states_collecting import REMINDER
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import local_date, zone
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Agreement, User
from members.models.agreements import BINDING
from members.permissions import Permission, check_staff

log = structlog.get_logger(__name__)

REMINDERS: Final = System("reminders")
MAIL: Final = "billing.mail_reminder"
FROM_HOUR: Final = 8  # in the invoice's zone: nobody is reminded in the night


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A step that would be taken on a day: `because` says why it would not, "" when it would."""

    invoice: Invoice
    step: Step
    due: Decimal
    held: Decimal
    because: str


def remind_due(*, at: datetime) -> int:
    """Will take each step that is due by now in its invoice's zone; returns how many were taken.

    Any number of processes may run it at once, and again. Each invoice is a transaction of its own: one that cannot go
    on does not hold the others up. Opens its own scopes.
    """
    with consortium_scope(Scope.JOB):
        keys = [row.pk for row in _open_invoices(at) if at.astimezone(zone(zone_of(row))).hour >= FROM_HOUR]
    taken = 0
    for key in keys:
        try:
            with consortium_scope(Scope.JOB):
                taken += _remind(key, at)
        except PortalError as refused:
            log.warning("reminder.not_taken", invoice=str(key), error=refused.message)
        except Exception:
            log.exception("reminder.not_taken", invoice=str(key))
    return taken


def planned_on(day: date, *, at: datetime) -> list[Planned]:
    """Return what would go out on a day as things stand at that instant, held-back steps with the reason.

    Writes nothing. Needs a consortium scope.
    """
    found = []
    for invoice in _open_invoices(at + timedelta(days=(day - at.date()).days)):
        step, _passed = _step(invoice, day)
        if step is not None:
            balance = InvoiceBalance.objects.get(pk=invoice.pk)
            found.append(
                Planned(
                    invoice=invoice,
                    step=step,
                    due=payable_of(balance),
                    held=held_of(balance),
                    because=quiet_because(balance, day=day),
                )
            )
    return found


def quiet_because(balance: InvoiceBalance, *, day: date) -> str:
    """Return why nobody is reminded of an invoice on a day, "" when somebody may be. Needs its scope."""
    invoice = Invoice.objects.get(pk=balance.pk)
    if invoice.status not in OPEN:
        return f"it is {invoice.status}"
    payable = payable_of(balance)
    if payable <= 0:
        return "all that is left is disputed"
    moving = Payment.objects.filter(invoice=invoice, status="pending").values_list("amount", flat=True)
    if exact_sum(moving) >= payable:
        return "a payment is on its way"
    return _agreed(invoice, day) or _quiet_agreement(invoice, day)


def _agreed(invoice: Invoice, day: date) -> str:
    """What was agreed with its payer, "" for nothing."""
    if is_arranged(invoice, day=day):
        return "payment is arranged"
    promised = promised_until(invoice, day=day)
    return "" if promised is None else f"payment is promised by {promised}"


def _quiet_agreement(invoice: Invoice, day: date) -> str:
    calendar = _calendar(invoice)
    if calendar is not None and calendar.quiet_until is not None and day <= calendar.quiet_until:
        return f"its agreement is quiet until {calendar.quiet_until}"
    return ""


def days_for(invoice: Invoice) -> ReminderDays:
    """Return when an invoice is reminded of: by its agreement's own calendar, or everybody's."""
    calendar = _calendar(invoice)
    return ReminderDays(*(getattr(calendar, name) for name in NAMES)) if calendar is not None else ReminderDays()


@transaction.atomic
def set_calendar(
    agreement: Agreement,
    days: ReminderDays,
    *,
    quiet_until: date | None,
    reason: str,
    by: User | System,
    at: datetime,
) -> ReminderCalendar:
    """Will remind of an agreement's invoices by these days from now on. Raises Forbidden, Invalid."""
    check_staff(by, Permission.ISSUE_INVOICES)
    if not reason.strip():
        raise Invalid(_("Write why this agreement differs."), field="reason")
    calendar = ReminderCalendar.objects.create(
        institution_id=agreement.institution_id,
        agreement=agreement,
        **{name: getattr(days, name) for name in NAMES},
        quiet_until=quiet_until,
        reason=reason.strip()[:300],
        set_by=by if isinstance(by, User) else None,
        set_at=at,
    )
    after = {name: getattr(days, name) for name in NAMES}
    institution_id = agreement.institution_id
    audit.record("billing.reminder_calendar_set", calendar, by=by, at=at, institution_id=institution_id, after=after)
    return calendar


@transaction.atomic
def handle_reminder(reminder: Reminder, *, note: str, by: User, at: datetime) -> None:
    """Will record what came of speaking with the payer. Raises Forbidden, Invalid, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    if not note.strip():
        raise Invalid(_("Write what was agreed."), field="note")
    REMINDER.move(reminder, "handled", handled_by=by, ended_at=at, note=note.strip()[:300])
    audit.record("billing.reminder_handled", reminder, by=by, at=at, institution_id=reminder.institution_id)


def still_wanted(reminder: Reminder, *, at: datetime) -> bool:
    """Will tell, under the balance's lock, whether a reminder's mail may still be written; else it is overtaken.

    What is due and held may have changed since: the row says what the mail asks for.
    """
    balance = InvoiceBalance.objects.select_for_update().get(pk=reminder.invoice_id)
    reminder.refresh_from_db()
    if reminder.status != "wanted":
        return False
    day = local_date(at, zone_of(reminder.invoice))
    if quiet_because(balance, day=day):
        REMINDER.move(reminder, "overtaken", ended_at=at)
        return False
    if reminder.step != Step.HUMAN:
        REMINDER.move(reminder, "written", ended_at=at, due=payable_of(balance), held=held_of(balance))
    return True


def _remind(key: UUID, at: datetime) -> int:
    """Take the step of one invoice that is due, if nothing keeps us from it. Needs a consortium scope."""
    balance = InvoiceBalance.objects.select_for_update().get(pk=key)
    invoice = Invoice.objects.get(pk=key)
    today = local_date(at, zone_of(invoice))
    step, passed = _step(invoice, today)
    if step is None or quiet_because(balance, day=today):
        return 0
    for each in (*passed, step):
        reminder = Reminder.objects.create(
            institution_id=invoice.institution_id,
            invoice=invoice,
            step=each.value,
            day=today,
            due=payable_of(balance),
            held=held_of(balance),
            currency=invoice.currency,
            at=at,
        )
        if each is not step:
            REMINDER.move(reminder, "passed", ended_at=at)
    crash_point("reminder.recorded")
    audit.record(
        "billing.reminder_wanted",
        reminder,
        by=REMINDERS,
        at=at,
        institution_id=invoice.institution_id,
        after={"invoice": invoice.number, "step": step.value, "due": reminder.due, "currency": invoice.currency},
        deliver_to=(MAIL,),
    )
    crash_point("reminder.before_commit")
    return 1


def _step(invoice: Invoice, day: date) -> tuple[Step | None, Iterable[Step]]:
    assert invoice.due_on is not None  # noqa: S101 - an issued invoice has a due day, says a constraint
    taken = [Step(each) for each in Reminder.objects.filter(invoice=invoice).values_list("step", flat=True)]
    return days_for(invoice).due(invoice.due_on, today=day, taken=taken)


def _open_invoices(at: datetime) -> list[Invoice]:
    """Whatever could be reminded of: open, and due within the longest courtesy that a calendar knows."""
    longest = ReminderCalendar.objects.order_by("-courtesy").values_list("courtesy", flat=True).first() or 0
    horizon = at.date() + timedelta(days=max(longest, ReminderDays().courtesy) + 14)
    return list(Invoice.objects.filter(status__in=OPEN, due_on__lte=horizon).order_by("due_on", "pk"))


def _calendar(invoice: Invoice) -> ReminderCalendar | None:
    """The newest calendar of the agreement that covered the invoice's period; of its successors too."""
    same = Agreement.objects.filter(
        institution_id=invoice.institution_id, issuer_id=invoice.issuer_id, status__in=BINDING
    )
    return ReminderCalendar.objects.filter(agreement__in=same).first()
