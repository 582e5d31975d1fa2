"""What others ask about hubs: use by month and by day, and how a hub is. Reads only, as frozen values.

Each needs a scope in which the hubs are visible. Hub-days belong to the month of their own zone; nobody computes
boundaries in SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import JSONObject

from consortium.kernel.periods import Month, day_period
from members.models import Institution
from provisioning.events.page import booked_events
from provisioning.models import Environment, Hub, HubDay, HubDayUser, HubHold, HubMove, Rollout

# A hub that was seen healthy within so many planned looks is healthy; later than that nobody knows.
FRESH_LOOKS = 3
FRESH_AT_LEAST = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class HubUse:
    """One hub's use: whole seconds of servers and of GPUs, GiB-seconds of memory guaranteed and of homes stored,
    people who started a server.
    """

    server_seconds: int = 0
    memory_gib_seconds: Decimal = Decimal(0)
    active_users: int = 0
    sessions: int = 0
    gap_seconds: int = 0
    gpu_seconds: int = 0
    storage_gib_seconds: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class MonthUse(HubUse):
    """An institution's use; a person on two of its hubs counts once in `active_users`. `hubs` is by slug."""

    hubs: Mapping[str, HubUse] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DayUse(HubUse):
    """One hub's use on one day of its zone. `partial`: the day was not over, or not looked at to its end."""

    hub_slug: str
    hub_name: str
    day: date
    zone: str
    partial: bool
    generated: bool


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a hub is: `state` is healthy, unreachable (since when) or unknown; `seen_at` is the last good look."""

    state: str
    since: datetime | None
    seen_at: datetime | None


def month_use(*, month: Month, institution_id: UUID | None = None) -> dict[UUID, MonthUse]:
    """Will return the month's use of every institution that is visible, or of one, from its hub-days."""
    return use_between(month.first_day, month.next().first_day, institution_id=institution_id)


def use_between(first: date, end: date, *, institution_id: UUID | None = None) -> dict[UUID, MonthUse]:
    """Will return the use of the days from `first` up to, not including, `end`, by institution. Three queries."""
    of_institution = {} if institution_id is None else {"institution_id": institution_id}
    days = HubDay.objects.filter(day__gte=first, day__lt=end, **of_institution)
    users = HubDayUser.objects.filter(day__gte=first, day__lt=end, **of_institution)
    per_hub = days.order_by().values("institution_id", "hub_id", slug=F("hub__slug")).annotate(
        seconds=Sum("server_seconds"), memory=Sum("memory_gib_seconds"), lives=Sum("sessions"), gaps=Sum("gap_seconds"),
        gpus=Sum("gpu_seconds"), storage=Sum("storage_gib_seconds"),
    )  # fmt: skip
    people = Count("pseudonym", distinct=True)
    on_hub = dict(users.order_by().values_list("hub_id").annotate(people))
    at_institution = dict(users.order_by().values_list("institution_id").annotate(people))
    hubs: dict[UUID, dict[str, HubUse]] = {}
    for row in per_hub:
        hubs.setdefault(row["institution_id"], {})[row["slug"]] = HubUse(
            server_seconds=int(row["seconds"]),
            memory_gib_seconds=row["memory"],
            active_users=on_hub.get(row["hub_id"], 0),
            sessions=row["lives"],
            gap_seconds=row["gaps"],
            gpu_seconds=int(row["gpus"]),
            storage_gib_seconds=row["storage"],
        )
    return {key: _summed(of_hubs, at_institution.get(key, 0)) for key, of_hubs in hubs.items()}


def day_series(
    *, first: date, end: date, institution_id: UUID | None = None, hub: Hub | None = None
) -> tuple[DayUse, ...]:
    """Will return the hub-days from `first` up to, not including, `end`, by day and hub. One query."""
    rows = HubDay.objects.filter(day__gte=first, day__lt=end).select_related("hub").order_by("day", "hub__slug")
    if institution_id is not None:
        rows = rows.filter(institution_id=institution_id)
    if hub is not None:
        rows = rows.filter(hub=hub)
    return tuple(_day_use(row) for row in rows)


def usage_rows(institution_id: UUID) -> QuerySet[HubDay]:
    """Will return an institution's hub-days for the API, which pages and filters them."""
    return HubDay.objects.filter(institution_id=institution_id).select_related("hub").order_by("-day", "-id")


def months_with_use(institution_id: UUID) -> tuple[Month, ...]:
    """Will return the months of which there are hub-days, newest first."""
    days = HubDay.objects.filter(institution_id=institution_id).dates("day", "month", order="DESC")
    return tuple(Month.of(first) for first in days)


def hub_of(institution: Institution, slug: str) -> Hub | None:
    """Will return the institution's hub of that slug with its cluster and its open hold, if there is one.

    The hold stands on the row as `hold_reason` and `held_until`, which may have run out; what is booked as `booked`,
    which provisioning.events.page.coming_events reads; `has_moved` says whether it ever moved, or is moving. Its twin
    comes along, and its newest rollout for `rollout_of`.
    """
    hold = HubHold.objects.filter(hub=OuterRef("pk"), released_at=None)
    hubs = Hub.objects.annotate(
        hold_reason=hold.values("reason")[:1],
        held_until=hold.values("until")[:1],
        booked=booked_events(),
        has_moved=Exists(HubMove.objects.filter(hub=OuterRef("pk"))),
        newest_rollout=newest_rollout(),
    ).select_related("cluster", "requested_by", "staging_of", "staging")
    return hubs.filter(institution=institution, slug=slug).first()


def newest_rollout() -> Subquery:
    """What a query of hubs brings along of their newest rollout."""
    names = ("generation", "people", "needed", "accepted_at")
    rows = Rollout.objects.filter(hub=OuterRef("pk")).order_by("-generation")
    return Subquery(rows.values(rollout=JSONObject(**{name: name for name in names}))[:1])


def rollout_of(hub: Hub) -> Rollout | None:
    """Will read the newest rollout of a hub that `hub_of` returned."""
    values: dict[str, Any] | None = getattr(hub, "newest_rollout", None)
    if values is None:
        return None
    accepted = values["accepted_at"]
    return Rollout(**{**values, "accepted_at": datetime.fromisoformat(accepted) if accepted else None})


def environment_of(key: str) -> Environment | None:
    """Will return the catalogue's entry of that key, retired or not."""
    return Environment.objects.filter(key=key).first()


def health_of(hub: Hub, *, at: datetime) -> Health:
    """Will say how the hub is, from the meter's last looks: an old look proves nothing, so it is `unknown`."""
    if hub.unreachable_since is not None:
        return Health(state="unreachable", since=hub.unreachable_since, seen_at=hub.healthy_at)
    fresh = max(FRESH_LOOKS * timedelta(seconds=settings.SAMPLE_INTERVAL_SECONDS), FRESH_AT_LEAST)
    if hub.healthy_at is None or at - hub.healthy_at > fresh:
        return Health(state="unknown", since=hub.healthy_at, seen_at=hub.healthy_at)
    return Health(state="healthy", since=None, seen_at=hub.healthy_at)


def is_partial(row: HubDay) -> bool:
    """Whether a hub-day was rolled up before its day was over."""
    return not row.generated and row.rolled_at < day_period(row.day, row.zone).end


def _day_use(row: HubDay) -> DayUse:
    return DayUse(
        hub_slug=row.hub.slug,
        hub_name=row.hub.name,
        day=row.day,
        zone=row.zone,
        server_seconds=row.server_seconds,
        memory_gib_seconds=row.memory_gib_seconds,
        active_users=row.active_users,
        sessions=row.sessions,
        gap_seconds=row.gap_seconds,
        gpu_seconds=row.gpu_seconds,
        storage_gib_seconds=row.storage_gib_seconds,
        partial=is_partial(row),
        generated=row.generated,
    )


def _summed(hubs: dict[str, HubUse], active_users: int) -> MonthUse:
    return MonthUse(
        server_seconds=sum(hub.server_seconds for hub in hubs.values()),
        memory_gib_seconds=sum((hub.memory_gib_seconds for hub in hubs.values()), Decimal(0)),
        active_users=active_users,
        sessions=sum(hub.sessions for hub in hubs.values()),
        gap_seconds=sum(hub.gap_seconds for hub in hubs.values()),
        gpu_seconds=sum(hub.gpu_seconds for hub in hubs.values()),
        storage_gib_seconds=sum((hub.storage_gib_seconds for hub in hubs.values()), Decimal(0)),
        hubs=dict(sorted(hubs.items())),
    )
