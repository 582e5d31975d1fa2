"""What the pages of events show."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise as Words
from django.utils.translation import gettext_lazy as _

from provisioning.hands_off import QUIET
from provisioning.models import EventWindow, Hub

KINDS: Mapping[str, Words] = {"exam": _("Exam"), "workshop": _("Workshop"), "other": _("Something else")}
SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class EventRow:
    """An event as people see it: `is_quiet` from an hour before it on, `is_on` while it lasts, `may_move` until then.

    `culls` says that idle servers are still stopped although it is about to begin: the change has not come through.
    """

    event: EventWindow
    kind: Words
    tone: str
    words: Words
    is_on: bool
    may_move: bool
    is_open: bool
    culls: bool


def event_rows(hub: Hub, *, at: datetime, coming: bool = False) -> list[EventRow]:
    """Will return the hub's events, the newest first; with `coming` those alone that are not over, the next first."""
    rows = EventWindow.objects.filter(hub=hub).select_related("booked_by")
    open_ones = rows.filter(status="booked", ends_at__gt=at).order_by("starts_at")
    chosen = open_ones if coming else rows.order_by("-starts_at")
    return [event_row(row, hub, at=at) for row in chosen[:SHOWN]]


def event_row(event: EventWindow, hub: Hub, *, at: datetime) -> EventRow:
    """Will say how an event stands."""
    is_on = event.status == "booked" and event.starts_at <= at < event.ends_at
    is_quiet = event.status == "booked" and event.starts_at - QUIET <= at < event.ends_at
    tone, words = _state(event, is_on=is_on, is_quiet=is_quiet, at=at)
    made = event.prepared_generation is not None and hub.observed_generation >= event.prepared_generation
    return EventRow(
        event=event,
        kind=KINDS[event.kind],
        tone=tone,
        words=words,
        is_on=is_on,
        may_move=event.status == "booked" and at < event.starts_at - QUIET,
        is_open=event.status == "booked" and at < event.ends_at,
        culls=is_quiet and not made,
    )


def _state(event: EventWindow, *, is_on: bool, is_quiet: bool, at: datetime) -> tuple[str, Words]:
    if event.status == "cancelled":
        return "neutral", _("Cancelled")
    if event.status == "over" or event.ends_at <= at:
        return "neutral", _("Over")
    if is_on:
        return "warning", _("On now")
    return ("info", _("About to begin")) if is_quiet else ("success", _("Booked"))
