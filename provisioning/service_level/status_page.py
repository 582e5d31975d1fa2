"""What everybody may know of the service: each hub now and over ninety days, incidents, maintenance.

Reads only; needs Scope.PUBLIC. What was not looked at, or not proven, is never shown as good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.conf import settings
from django.db.models import Q

from consortium.kernel.periods import local_date
from provisioning.models import Hub, Incident, Maintenance, ServiceDay, WorkCheck
from provisioning.queries import health_of
from provisioning.service_level.evidence import MAINTENANCE_NOTICE

DAYS: Final = 90
FAILED_VISITS: Final = 2
PAST_INCIDENTS = timedelta(days=DAYS)
SHOWN_STATES = ("provisioning", "running", "updating", "degraded", "moving", "failed", "suspended")


class State(StrEnum):
    """How something is, for people: worst first, and `unknown` is not good."""

    DOWN = "down"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"
    SETTING_UP = "setting_up"
    SUSPENDED = "suspended"
    WORKING = "working"


_NOT_PROMISED: Final = {
    "suspended": State.SUSPENDED,
    "provisioning": State.SETTING_UP,
    "updating": State.SETTING_UP,
}


@dataclass(frozen=True, kw_only=True)
class DayState:
    """One day of a hub's bar; `state` None means there are no data."""

    day: date
    state: State | None
    down_seconds: int = 0
    unknown_seconds: int = 0
    generated: bool = False


@dataclass(frozen=True, kw_only=True)
class HubStatus:
    """One hub: how it is, since when, its days, and the share of promised time served in them (None: no data)."""

    hub: Hub
    state: State
    since: datetime | None
    days: tuple[DayState, ...]
    served: Decimal | None
    counted_days: int
    troubled_days: tuple[DayState, ...]
    generated: bool


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """The whole page."""

    at: datetime
    state: State
    hubs: tuple[HubStatus, ...]
    open_incidents: tuple[Incident, ...]
    past_incidents: tuple[Incident, ...]
    maintenance: tuple[Maintenance, ...]


def service_status(*, at: datetime) -> ServiceStatus:
    """Will gather the page in seven queries, however many hubs there are."""
    hubs = list(Hub.objects.filter(status__in=SHOWN_STATES, staging_of=None).select_related("institution", "cluster"))
    days = _days(hubs, at)
    visits = _last_visits(hubs, at)
    incidents = list(
        Incident.objects.filter(Q(resolved_at=None) | Q(resolved_at__gte=at - PAST_INCIDENTS)).prefetch_related(
            "updates"
        )
    )
    maintenance = tuple(
        Maintenance.objects.filter(cancelled_at=None, ends_at__gt=at).select_related("cluster").order_by("starts_at")
    )
    running = [row for row in maintenance if row.starts_at <= at]
    rows = tuple(_hub_status(hub, days.get(hub.pk, {}), visits.get(hub.pk, []), running=running, at=at) for hub in hubs)
    still_open = tuple(each for each in incidents if each.resolved_at is None)
    return ServiceStatus(
        at=at,
        state=_overall(rows, still_open),
        hubs=rows,
        open_incidents=still_open,
        past_incidents=tuple(each for each in incidents if each.resolved_at is not None),
        maintenance=maintenance,
    )


def state_now(hub: Hub, visits: Sequence[WorkCheck], *, at: datetime) -> tuple[State, datetime | None]:
    """Will say how a hub is now, and since when where that is known; `visits` are its newest, newest first."""
    if hub.status in _NOT_PROMISED:
        return _NOT_PROMISED[hub.status], None
    health = health_of(hub, at=at)
    failed = [visit for visit in visits[:FAILED_VISITS] if not visit.ok]
    if health.state == "unreachable" or len(failed) == FAILED_VISITS:
        return State.DOWN, health.since if health.state == "unreachable" else failed[-1].at
    if hub.status in {"degraded", "failed"}:
        return State.DEGRADED, None
    proven = bool(visits) and visits[0].ok and at - visits[0].at <= _proof_holds(visits[0])
    if health.state == "healthy" and proven:
        return State.WORKING, None
    return State.UNKNOWN, health.seen_at


def _proof_holds(visit: WorkCheck) -> timedelta:
    return timedelta(seconds=2 * visit.interval_seconds) + timedelta(minutes=1)


def _hub_status(
    hub: Hub, days: dict[date, ServiceDay], visits: list[WorkCheck], *, running: Sequence[Maintenance], at: datetime
) -> HubStatus:
    state, since = state_now(hub, visits, at=at)
    if state is State.DOWN and any(row.cluster_id in {None, hub.cluster_id} for row in running):
        state = State.MAINTENANCE
    today = local_date(at, hub.zone)
    shown = tuple(_day_state(today - timedelta(days=back), days) for back in range(DAYS - 1, -1, -1))
    served = sum(row.served_seconds for row in days.values())
    known = served + sum(row.down_seconds for row in days.values())
    return HubStatus(
        hub=hub,
        state=state,
        since=since,
        days=shown,
        served=Decimal(served) / Decimal(known) if known else None,
        counted_days=sum(each.state is not None for each in shown),
        troubled_days=tuple(each for each in reversed(shown) if each.state in {State.DOWN, State.UNKNOWN}),
        generated=any(each.generated for each in shown),
    )


def _day_state(day: date, rows: dict[date, ServiceDay]) -> DayState:
    row = rows.get(day)
    if row is None:
        return DayState(day=day, state=None)
    promised = row.served_seconds + row.down_seconds + row.unknown_seconds
    if row.down_seconds:
        state = State.DOWN
    elif row.unknown_seconds * 10 > promised:
        state = State.UNKNOWN
    elif not promised:
        state = State.MAINTENANCE
    else:
        state = State.WORKING
    return DayState(
        day=day,
        state=state,
        down_seconds=row.down_seconds,
        unknown_seconds=row.unknown_seconds,
        generated=row.generated,
    )


def _days(hubs: Sequence[Hub], at: datetime) -> dict[object, dict[date, ServiceDay]]:
    first = at.date() - timedelta(days=DAYS)
    found: dict[object, dict[date, ServiceDay]] = {}
    for row in ServiceDay.objects.filter(hub__in=hubs, day__gte=first):
        found.setdefault(row.hub_id, {})[row.day] = row
    return found


def _last_visits(hubs: Sequence[Hub], at: datetime) -> dict[object, list[WorkCheck]]:
    longest = timedelta(seconds=4 * settings.WORK_CHECK_INTERVAL_SECONDS + 120)
    found: dict[object, list[WorkCheck]] = {}
    for visit in WorkCheck.objects.filter(hub__in=hubs, at__gt=at - longest, at__lte=at).order_by("-at"):
        found.setdefault(visit.hub_id, []).append(visit)
    return found


def _overall(hubs: Sequence[HubStatus], incidents: Sequence[Incident]) -> State:
    states = {row.state for row in hubs} - {State.SUSPENDED, State.SETTING_UP}
    if State.DOWN in states:
        return State.DOWN
    if incidents or State.DEGRADED in states:
        return State.DEGRADED
    if State.UNKNOWN in states or not states:
        return State.UNKNOWN
    return State.MAINTENANCE if State.MAINTENANCE in states else State.WORKING


def is_excluded(row: Maintenance) -> bool:
    """Whether the announcement came early enough for the promise not to count the work."""
    return row.starts_at - row.announced_at >= MAINTENANCE_NOTICE
