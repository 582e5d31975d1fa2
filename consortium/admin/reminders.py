"""Staff pages of reminders: what went out, whom to call, what goes out on a day, and agreements' own calendars."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from billing.models import Reminder, ReminderCalendar
from billing.reminder_days import NAMES, ReminderDays
from billing.reminder_emails import readers_of
from billing.reminding import Planned, handle_reminder, planned_on, set_calendar
from consortium.admin.tools import Table, ToolAdmin, person_of
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text
from members.forms import show_refusal
from members.models import Agreement
from members.permissions import Permission
from members.staff_admin import Act, StaffAdmin

ONE_DAY = timedelta(days=1)


class DayForm(forms.Form):
    """The day to look at."""

    day = forms.DateField(label="Day", widget=forms.DateInput(attrs={"type": "date"}))


class CalendarForm(forms.Form):
    """The days of one agreement."""

    agreement = forms.ModelChoiceField(Agreement.objects.none(), label="Agreement")
    courtesy = forms.IntegerField(label="Courtesy note, days before the due day", min_value=1, max_value=60, initial=7)
    first = forms.IntegerField(label="First reminder, days after", min_value=1, max_value=365, initial=3)
    second = forms.IntegerField(label="Second, with the dispute link", min_value=1, max_value=365, initial=15)
    copied = forms.IntegerField(label="Third, copied to the owners", min_value=1, max_value=365, initial=30)
    human = forms.IntegerField(label="A person gets in touch", min_value=1, max_value=365, initial=60)
    quiet_until = forms.DateField(
        label="Nothing at all until", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    reason = forms.CharField(label="Why it differs", max_length=300)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["agreement"]
        live = Agreement.objects.filter(status__in=("in_force", "suspended", "terminating"))
        choice.queryset = live.select_related("institution").order_by("institution__name_en")


class NoteForm(forms.Form):
    """What was agreed."""

    note = forms.CharField(label="What was agreed with the payer", max_length=300)


class HumanFilter(admin.SimpleListFilter):
    """Whom to call."""

    title = "waits for a person"
    parameter_name = "waiting"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """Yes."""
        return [("yes", "yes")]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        """The last steps that nobody has taken."""
        return queryset.filter(step="human", status="wanted") if self.value() else queryset


@admin.register(Reminder)
class ReminderAdmin(ToolAdmin):
    """Every step that was taken."""

    list_display = ["at", "invoice", "institution", "step", "status", "due", "held", "currency", "handled_by"]
    list_filter = [HumanFilter, "step", "status"]
    search_fields = ["invoice__number", "institution__name_en"]
    list_select_related = ["invoice", "institution", "handled_by"]
    date_hierarchy = "at"
    tools: ClassVar = (
        ("plan", "What goes out on a day", Permission.ISSUE_INVOICES),
        ("calendar", "Give an agreement its own calendar", Permission.ISSUE_INVOICES),
    )
    acts = (
        Act(
            name="handled",
            label="Handled",
            explain="You spoke with the payer. An arrangement, a dispute or a suspension is recorded on its own page.",
            form=NoteForm,
            run=handle_reminder,
            states=("wanted",),
            permission=Permission.ISSUE_INVOICES,
            preview=lambda row: [("Invoice", row.invoice), ("Due on", row.invoice.due_on), ("Open", row.due)],
        ),
    )

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """Only the last step is a person's."""
        return super().acts_for(request, row) if row.step == "human" else []

    def tool_plan(self, request: HttpRequest) -> HttpResponse:
        """What would go out on a day, tomorrow unless another is chosen, as things stand now."""
        at = now()
        form = DayForm(request.GET if "day" in request.GET else None)
        day = form.cleaned_data["day"] if form.is_bound and form.is_valid() else (at.date() + ONE_DAY)
        if not form.is_bound:
            form = DayForm(initial={"day": day})
        rows = [] if form.errors else [_shown(each) for each in planned_on(day, at=at)]
        headings = ("University", "Invoice", "Due on", "Step", "Asked for", "Disputed", "To", "Held back because")
        empty = "Nothing goes out on that day."
        table = Table(caption=f"Reminders of {day:%A %Y-%m-%d}", headings=headings, rows=rows, empty=empty)
        return self.tool_page(
            request,
            title="What goes out on a day",
            explain="As things stand now. What is paid, disputed or arranged by then is left out when the day comes.",
            button="Look",
            form=form,
            tables=[table],
            method="get",
        )

    def tool_calendar(self, request: HttpRequest) -> HttpResponse:
        """Let one agreement differ; its newest calendar holds."""
        form = CalendarForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            wanted = form.cleaned_data
            try:
                days = ReminderDays(*(wanted[name] for name in NAMES))
                set_calendar(
                    wanted["agreement"],
                    days,
                    quiet_until=wanted["quiet_until"],
                    reason=wanted["reason"],
                    by=person_of(request),
                    at=now(),
                )
            except PortalError as error:
                show_refusal(form, error)
            else:
                return self.done(request, f"{wanted['agreement'].institution} has its own calendar.")
        return self.tool_page(
            request,
            title="Give an agreement its own calendar",
            explain="Its invoices are reminded of by these days; the newest calendar holds. Every change is kept.",
            button="Set",
            form=form,
        )


@admin.register(ReminderCalendar)
class ReminderCalendarAdmin(StaffAdmin):
    """Agreements that differ."""

    list_display = ["set_at", "institution", "courtesy", "first", "second", "copied", "human", "quiet_until", "reason"]
    list_select_related = ["institution"]


def people_to_call() -> int:
    """How many invoices wait for a person."""
    return Reminder.objects.filter(step="human", status="wanted").count()


def _shown(each: Planned) -> tuple[object, ...]:
    def money(amount: Any) -> str:
        return money_text(amount, each.invoice.currency, language="en", code=True)

    readers = ", ".join(reader.email for reader in readers_of(each.invoice, copied=each.step.value == "copied"))
    whom = "our finance people" if each.step.value == "human" else readers
    held, invoice = money(each.held) if each.held else "–", each.invoice
    facts = (invoice.institution, invoice.number, invoice.due_on, each.step.value)
    return (*facts, money(each.due), held, whom, each.because)
