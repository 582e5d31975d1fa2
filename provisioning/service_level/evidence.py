"""What is known of a hub's service in a period: the meter's looks, the synthetic user's visits, what is excluded.

Reads only. Each needs a scope in which the hub is visible.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q, QuerySet

from consortium.kernel.periods import Period
from provisioning.models import Hub, HubPause, Incident, Maintenance, SamplingRun, WorkCheck
from provisioning.sla import Check, Exclusion, Measurement, Stream, measure

# Maintenance that was announced later than this counts against the promise like any outage.
MAINTENANCE_NOTICE: Final = timedelta(hours=72)


def measured(hub: Hub, period: Period) -> Measurement:
    """Will say how the hub served in the period, from everything that is known now."""
    return measure(period, streams=streams_of(hub, period), exclusions=exclusions_of(hub, period))


def streams_of(hub: Hub, period: Period) -> list[Stream]:
    """Will return the checks of both kinds, each with its neighbour before and after the period.

    The meter's look proves that the hub answers, which shows outages early; only a visit of the synthetic user proves
    that people can work.
    """
    looks = _around(SamplingRun.objects.filter(hub=hub), period)
    visits = _around(WorkCheck.objects.filter(hub=hub), period)
    return [
        Stream(
            name="answers",
            checks=[Check(at=at, ok=ok, detail=error) for at, ok, error, _ in looks],
            interval=_interval([row[3] for row in looks], settings.SAMPLE_INTERVAL_SECONDS),
            proves=False,
        ),
        Stream(
            name="works",
            checks=[Check(at=at, ok=ok, detail=error) for at, ok, error, _ in visits],
            interval=_interval([row[3] for row in visits], settings.WORK_CHECK_INTERVAL_SECONDS),
        ),
    ]


def exclusions_of(hub: Hub, period: Period) -> list[Exclusion]:
    """Will return what the promise does not count.

    Maintenance announced in time, incidents outside our hands, and the time in which the hub was suspended or retired.
    """
    return [*_maintenance(hub, period), *_incidents(hub, period), *_pauses(hub, period)]


def _maintenance(hub: Hub, period: Period) -> Iterator[Exclusion]:
    rows = Maintenance.objects.filter(
        Q(cluster=None) | Q(cluster_id=hub.cluster_id),
        cancelled_at=None,
        starts_at__lt=period.end,
        ends_at__gt=period.start,
    )
    for row in rows.order_by("starts_at"):
        if row.starts_at - row.announced_at >= MAINTENANCE_NOTICE:
            yield Exclusion(period=Period(row.starts_at, row.ends_at), reason="maintenance", reference=str(row.pk))


def _incidents(hub: Hub, period: Period) -> Iterator[Exclusion]:
    rows = Incident.objects.exclude(excluded_as="").filter(
        Q(hub_slugs=[]) | Q(hub_slugs__contains=[hub.slug]),
        Q(resolved_at=None) | Q(resolved_at__gt=period.start),
        started_at__lt=period.end,
    )
    for row in rows.order_by("started_at"):
        end = row.resolved_at or period.end
        yield Exclusion(period=Period(row.started_at, end), reason=row.excluded_as, reference=str(row.pk))


def _pauses(hub: Hub, period: Period) -> Iterator[Exclusion]:
    rows = HubPause.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=period.start), hub=hub, started_at__lt=period.end
    ).order_by("started_at")
    for row in rows:
        end = row.ended_at or max(period.end, row.started_at)
        if end > row.started_at:
            yield Exclusion(period=Period(row.started_at, end), reason=row.reason, reference=str(row.pk))


type _Row = tuple[datetime, bool, str, int]


def _around(rows: QuerySet[SamplingRun] | QuerySet[WorkCheck], period: Period) -> list[_Row]:
    parts = (
        rows.filter(at__lt=period.start).order_by("-at")[:1],
        rows.filter(at__gte=period.start, at__lt=period.end).order_by("at"),
        rows.filter(at__gte=period.end).order_by("at")[:1],
    )
    return [row for part in parts for row in part.values_list("at", "ok", "error", "interval_seconds")]


def _interval(seconds: list[int], planned: int) -> timedelta:
    return timedelta(seconds=max(seconds, default=planned))
