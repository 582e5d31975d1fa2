"""The clocks of a request: started when the consortium's word becomes due, stopped by it, or by what makes it undue."""

from datetime import datetime

from provisioning.models import ClosedDay, SupportClock, SupportRequest
from provisioning.support.clocks import due_after


def start_clock(request: SupportRequest, kind: str, *, since: datetime) -> SupportClock | None:
    """Will start the clock of the first answer ("response") or of news ("update"), counted from `since`.

    None where the agreement promises none. No other clock of the request may run.
    """
    hours = request.response_hours if kind == "response" else request.update_hours
    if hours is None:
        return None
    due = due_after(
        since,
        hours,
        place=request.zone,
        around_the_clock=request.around_the_clock,
        closed=frozenset(ClosedDay.objects.filter(day__gte=since.date()).values_list("day", flat=True)),
    )
    return SupportClock.objects.create(
        institution_id=request.institution_id, request=request, kind=kind, started_at=since, due_at=due
    )


def stop_clock(request: SupportRequest, *, because: str, at: datetime) -> SupportClock | None:
    """Will stop the clock that runs, by an answer, the member or another severity; None when none runs."""
    clock = running_clock(request)
    if clock is not None:
        SupportClock.objects.filter(pk=clock.pk, stopped_at=None).update(stopped_at=at, stopped_by=because)
        clock.stopped_at, clock.stopped_by = at, because
    return clock


def running_clock(request: SupportRequest) -> SupportClock | None:
    """Will return the clock that runs."""
    return SupportClock.objects.filter(request=request, stopped_at=None).first()
