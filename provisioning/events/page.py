"""What the pages of events show."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject
from django.utils.functional import Promise as Words
from django.utils.translation import gettext_lazy as _

from provisioning.hands_off import QUIET
from provisioning.models import EventWindow, Hub

KINDS: Mapping[str, Words] = {"exam": _("Exam"), "workshop": _("Workshop"), "other": _("Something else")}
SHOWN = 100
COMING = 5


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


def event_rows(hub: Hub, *, at: datetime) -> list[EventRow]:
    """Will return the hub's events, the newest first."""
    rows = EventWindow.objects.filter(hub=hub).select_related("booked_by").order_by("-starts_at")
    return [event_row(row, hub, at=at) for row in rows[:SHOWN]]


def booked_events() -> ArraySubquery:
    """What a query of hubs brings along of their next events, so that a page of one costs no query more."""
    booked = EventWindow.objects.filter(hub=OuterRef("pk"), status="booked").order_by("ends_at")
    fields = ("id", "kind", "title", "starts_at", "ends_at", "status", "prepared_generation")
    return ArraySubquery(booked.values(event=JSONObject(**{name: name for name in fields}))[:COMING])


def coming_events(hub: Hub, *, at: datetime) -> list[EventRow]:
    """Will read the next events, the next first, from a hub that was queried with `booked_events`."""
    found = []
    for values in getattr(hub, "booked", ()):
        times = {name: datetime.fromisoformat(values[name]) for name in ("starts_at", "ends_at")}
        event = EventWindow(**{**values, **times})
        if event.ends_at > at:
            found.append(event_row(event, hub, at=at))
    return found


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
