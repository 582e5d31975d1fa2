"""Days and times that people type by the clock of a place, and the instants that they mean."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext as _


class LocalTime(forms.DateTimeInput):
    """The browser's own picker of a day and a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


def instant_in(typed: datetime, place: ZoneInfo) -> datetime:
    """Will return the instant of a clock time, the first one where the clocks show it twice.

    Raises ValidationError for a time that the clocks leave out.
    """
    local = typed.replace(tzinfo=place)
    if local.astimezone(UTC).astimezone(place).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise forms.ValidationError(_("The clocks skip this time on that day. Choose a later one."))
    return local
