"""Getting hubs ready for events: culling off an hour before, back on afterwards, each as a revision of the hub.

A revision has an author, a place in the history and a job that survives a killed worker; so nothing else is needed to
be sure that it is done. Where an event follows another one culling stays off between them.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.event_states import EVENT
from provisioning.hands_off import QUIET
from provisioning.models import EventWindow, Hub
from provisioning.requests import spec_of, write_next_revision
from provisioning.specs import Cull
from provisioning.wishes import SpecInvalid

BY: Final = audit.System("events")
GONE: Final = ("retiring", "retired")


def tend_events(*, at: datetime) -> int:
    """Will get ready what begins within the hour, and put back what is over or cancelled; returns how many events.

    Opens its own scopes; safe to run at once with itself.
    """
    with consortium_scope(Scope.JOB):
        booked = EventWindow.objects.filter(status="booked")
        ready = list(booked.filter(prepared_at=None, starts_at__lte=at + QUIET, ends_at__gt=at))
        over = list(booked.filter(ends_at__lte=at))
        left = list(EventWindow.objects.exclude(status="booked").exclude(prepared_at=None).filter(restored_at=None))
    for event in ready:
        _with(event, _prepare, at=at)
    for event in over:
        _with(event, _end, at=at)
    for event in left:
        _with(event, _restore, at=at)
    return len(ready) + len(over) + len(left)


def _with(event: EventWindow, act: Callable[[EventWindow, Hub, datetime], None], *, at: datetime) -> None:
    """Do it with hub and event held, as they are now, in the words of the university's language."""
    with transaction.atomic(), consortium_scope(Scope.JOB):
        hub = Hub.objects.select_for_update(of=("self",)).select_related("institution").get(pk=event.hub_id)
        row = EventWindow.objects.select_for_update().get(pk=event.pk)
        with translation.override(hub.institution.language):
            act(row, hub, at)


def _prepare(event: EventWindow, hub: Hub, at: datetime) -> None:
    if event.status != "booked" or event.prepared_at is not None:
        return
    spec = spec_of(hub.revisions.get(generation=hub.generation))
    other = _unrestored(hub).exclude(pk=event.pk).first()
    before = other.cull_before if other is not None else spec.cull.model_dump(mode="json")
    if spec.cull.enabled:
        off = spec.cull.model_copy(update={"enabled": False})
        note = _("Idle servers are not stopped during “%(title)s”") % {"title": event.title}
        try:
            write_next_revision(hub, spec=spec.model_copy(update={"cull": off}), note=note, by=BY, at=at)
        except SpecInvalid:
            before = None  # it is not set up: there is nothing to turn off, and nothing to put back
    generation = hub.generation if before is not None else None
    EventWindow.objects.filter(pk=event.pk).update(prepared_at=at, prepared_generation=generation, cull_before=before)
    _record("prepared", event, at=at)


def _end(event: EventWindow, hub: Hub, at: datetime) -> None:
    if event.status == "booked" and event.ends_at <= at:
        EVENT.move(event, "over")
        _record("over", event, at=at)
        if event.prepared_at is not None:
            _restore(event, hub, at)


def _restore(event: EventWindow, hub: Hub, at: datetime) -> None:
    if event.status == "booked" or event.restored_at is not None:
        return
    spec = spec_of(hub.revisions.get(generation=hub.generation))
    is_last = not _unrestored(hub).exclude(pk=event.pk).exists()
    if is_last and event.cull_before is not None and not spec.cull.enabled and hub.status not in GONE:
        cull = Cull.model_validate(event.cull_before)
        if cull != spec.cull:
            note = _("Idle servers are stopped again after “%(title)s”") % {"title": event.title}
            try:
                write_next_revision(hub, spec=spec.model_copy(update={"cull": cull}), note=note, by=BY, at=at)
            except SpecInvalid:
                return  # suspended or retiring: it is put back once the hub can be changed again
    EventWindow.objects.filter(pk=event.pk).update(restored_at=at)
    _record("restored", event, at=at)


def _unrestored(hub: Hub) -> "QuerySet[EventWindow]":
    return EventWindow.objects.filter(hub=hub, prepared_at__isnull=False, restored_at=None)


def _record(what: str, event: EventWindow, *, at: datetime) -> None:
    audit.record(f"provisioning.event_{what}", event, by=BY, at=at, institution_id=event.institution_id)
