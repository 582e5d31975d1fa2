"""The forms of events: dates are typed by the clock of the hub's zone."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from consortium.kernel.periods import Period
from provisioning.events.booking import EventWish
from provisioning.local_times import LocalTime, instant_in


class DatesForm(forms.Form):
    """From when to when; `period()` returns it once the form is valid."""

    starts_at = forms.DateTimeField(label=gettext_lazy("It begins at"), widget=LocalTime)
    ends_at = forms.DateTimeField(label=gettext_lazy("It ends at"), widget=LocalTime)
    accepts_price = forms.BooleanField(
        label=gettext_lazy("I accept the price of an event beyond those included"), required=False
    )

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._zone = ZoneInfo(zone)

    def clean(self) -> dict[str, Any]:
        """Read both times in the hub's zone; the end must come after the beginning."""
        values: dict[str, Any] = super().clean() or {}
        for name in ("starts_at", "ends_at"):
            if values.get(name) is not None:
                try:
                    values[name] = instant_in(values[name].replace(tzinfo=None), self._zone)
                except forms.ValidationError as wrong:
                    self.add_error(name, wrong)
        starts_at, ends_at = values.get("starts_at"), values.get("ends_at")
        if starts_at and ends_at and starts_at >= ends_at:
            self.add_error("ends_at", _("The end must come after the beginning."))
        return values

    def period(self) -> Period:
        """The dates."""
        return Period(self.cleaned_data["starts_at"], self.cleaned_data["ends_at"])


class EventForm(DatesForm):
    """A new event; `wish()` returns it once the form is valid."""

    title = forms.CharField(
        label=gettext_lazy("Name of the event"),
        max_length=100,
        help_text=gettext_lazy("For example: final exam STAT 201."),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("What it is"),
        choices=[
            ("exam", gettext_lazy("Exam")),
            ("workshop", gettext_lazy("Workshop")),
            ("other", gettext_lazy("Something else")),
        ],
        widget=forms.RadioSelect,
        initial="exam",
    )
    expected_users = forms.IntegerField(label=gettext_lazy("People you expect"), min_value=1, max_value=1_000_000)
    field_order = ("title", "kind", "starts_at", "ends_at", "expected_users", "accepts_price")

    def wish(self) -> EventWish:
        """What is booked."""
        values = self.cleaned_data
        return EventWish(
            kind=values["kind"],
            title=values["title"],
            expected_users=values["expected_users"],
            period=self.period(),
            accepts_price=values["accepts_price"],
        )
