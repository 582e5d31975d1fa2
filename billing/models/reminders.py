"""Reminders of invoices that are not paid, each once, and the calendars of agreements that differ."""

from django.db import models
from django.db.models import F, Q

from billing.models.invoices import Invoice
from billing.reminder_days import ORDER
from billing.states_collecting import REMINDER
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Agreement, Institution, User


class ReminderCalendar(Row):
    """When an agreement's invoices are reminded of, where that differs from everybody's. Append-only: the newest holds.

    `courtesy` counts days before the due day, the others days after it; until `quiet_until` nothing is sent.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="reminder_calendars")
    courtesy = models.PositiveIntegerField("days before")
    first = models.PositiveIntegerField("days after")
    second = models.PositiveIntegerField("days after, with the dispute link")
    copied = models.PositiveIntegerField("days after, copied to the owners")
    human = models.PositiveIntegerField("days after, a person gets in touch")
    quiet_until = models.DateField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    set_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        ordering = ["-set_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    courtesy__gte=1, first__gte=1, second__gt=F("first"), copied__gt=F("second"), human__gt=F("copied")
                ),
                name="remindercalendar_rises",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="remindercalendar_reasoned"),
        ]

    def __str__(self) -> str:
        return f"{self.agreement}: {self.first}, {self.second}, {self.copied}, {self.human}"


class Reminder(Row):
    """One step about one invoice, taken once. `due` is what was asked for: the rest without what is held."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="reminders")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="reminders")
    step = models.CharField(max_length=10, choices=[(step.value, step.value) for step in ORDER])
    status = models.CharField(max_length=20, choices=choices(REMINDER.states), default=REMINDER.initial)
    day = models.DateField("its day in the invoice's zone")
    due = AmountField("asked for")
    held = AmountField("disputed, and not asked for", default=0)
    currency = CurrencyField()
    at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    handled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "step"], name="reminder_once"),
            models.CheckConstraint(condition=Q(due__gt=0, held__gte=0), name="reminder_of_something"),
            models.CheckConstraint(
                condition=Q(status="handled", step="human", handled_by__isnull=False) | ~Q(status="handled"),
                name="reminder_handled_by_a_person",
            ),
            models.CheckConstraint(condition=~Q(status="written") | ~Q(step="human"), name="reminder_human_is_no_mail"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice} {self.step}"
