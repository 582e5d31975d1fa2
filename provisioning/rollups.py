"""A hub's use on one day of its zone, from samples: rolled up again it comes out the same.

PostgreSQL brings each life of a server to one line (first look, last look, ready ever, largest memory); the rules of
provisioning/sessions.py do the rest, so that a day costs its servers and not its samples.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from django.conf import settings
from django.contrib.postgres.aggregates import BoolOr
from django.db.models import Max, Min, QuerySet

from consortium.kernel.crash import crash_point
from consortium.kernel.periods import day_period, local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning import sessions
from provisioning.models import Hub, HubDay, Sample, SamplingRun
from provisioning.rollup_writing import write_days
from provisioning.sessions import Span, Usage
from provisioning.storage_use import storage_byte_seconds

GIB = 1024**3
# States in which a hub is expected to answer. One that never ran here is not looked at: it has nothing to answer with.
METERED = ("running", "updating", "degraded", "moving", "failed")
CATCH_UP_DAYS = 62
_MICRO = Decimal("0.000001")
# Homes are measured once in so many looks: in an hour, when the meter looks each minute.
STORAGE_LOOKS = 60


def storage_interval(interval_seconds: int) -> timedelta:
    """Will return how long a measurement of a hub's homes is good for until the next one."""
    return STORAGE_LOOKS * timedelta(seconds=interval_seconds)


def roll_day(hub: Hub, *, day: date, at: datetime) -> HubDay:
    """Will write the use of one day of the hub's zone, as the samples up to `at` show it, over what stood there.

    A day that is not over counts to `at`; before the hub first ran there is nothing to miss. A day of generated
    demonstration data stays as it is. Seconds are rounded half to even, once.
    """
    with consortium_scope(Scope.JOB):
        if generated := HubDay.objects.filter(hub=hub, day=day, generated=True).first():
            return generated
        row, users = _counted(hub, day, at)
        write_days([row], {(hub.pk, day): users})
        crash_point("rollup.before_commit")
        return HubDay.objects.get(hub=hub, day=day)


def roll_recent(*, at: datetime) -> list[HubDay]:
    """Will roll up today and yesterday of each metered hub, and the days before that were never rolled up.

    A meter that was away for days so records them as gaps when it is back.
    """
    with consortium_scope(Scope.JOB):
        hubs = list(metered_hubs().annotate(rolled_to=Max("days__day")))
    return [row for hub in hubs for row in roll_days(hub, days=_open_days(hub, at), at=at)]


def roll_days(hub: Hub, *, days: Sequence[date], at: datetime) -> list[HubDay]:
    """Will roll up several days of a hub in one transaction, as `roll_day` does each."""
    with consortium_scope(Scope.JOB):
        counted = {day: _counted(hub, day, at) for day in days}
        rows = [row for row, _users in counted.values()]
        write_days(rows, {(hub.pk, day): users for day, (_row, users) in counted.items()})
        crash_point("rollup.before_commit")
        return list(HubDay.objects.filter(hub=hub, day__in=days).order_by("day"))


def metered_hubs() -> "QuerySet[Hub]":
    """The hubs that the meter looks at. Needs a scope that sees them."""
    hubs = Hub.objects.filter(status__in=METERED, observed_generation__gt=0, running_at__isnull=False)
    return hubs.select_related("cluster").order_by("pk")


def _counted(hub: Hub, day: date, at: datetime) -> tuple[HubDay, frozenset[str]]:
    """The day's row and its people, from the samples."""
    whole = day_period(day, hub.zone)
    end = max(min(whole.end, at), whole.start + timedelta(microseconds=1))
    start = min(max(whole.start, hub.running_at or whole.start), end - timedelta(microseconds=1))
    looks, interval = _looks(hub, whole.start, whole.end)
    found = sessions.sessions_from(
        _lives(hub, looks), runs=(sessions.SamplingRun(str(hub.pk), look) for look in looks), interval=interval
    )
    usage = sessions.usage_in(found, Span(whole.start, whole.end))
    gaps = sessions.gaps_between(looks, interval=interval, within=Span(start, end))
    row = _row(hub, day, usage, sum((gap.seconds for gap in gaps), Decimal(0)), at)
    row.storage_gib_seconds = _gib(_stored(hub, Span(whole.start, end), interval))
    return row, usage.active_users


def _stored(hub: Hub, within: Span, interval: timedelta) -> Decimal:
    """Byte-seconds of the homes; a measurement holds for two of its intervals, as a look of the meter does."""
    measured = SamplingRun.objects.filter(hub=hub, storage_bytes__isnull=False)
    before = measured.filter(at__lt=within.start).order_by("-at")[:1]
    inside = measured.filter(at__gte=within.start, at__lt=within.end).order_by("at")
    looks = [(at, size or 0) for part in (before, inside) for at, size in part.values_list("at", "storage_bytes")]
    holds = sessions.GAP_AFTER_INTERVALS * storage_interval(int(interval.total_seconds()))
    return storage_byte_seconds(looks, holds=holds, within=within)


def _open_days(hub: Hub, at: datetime) -> list[date]:
    today = local_date(at, hub.zone)
    rolled_to: date = getattr(hub, "rolled_to", None) or today
    first = min(rolled_to, today - timedelta(days=1))
    if hub.running_at is not None:
        first = max(first, local_date(hub.running_at, hub.zone))
    first = max(first, today - timedelta(days=CATCH_UP_DAYS))
    return [first + timedelta(days=offset) for offset in range((today - first).days + 1)]


def _looks(hub: Hub, start: datetime, end: datetime) -> tuple[list[datetime], timedelta]:
    """The instants of the good runs of the day and of its neighbours on either side, and the interval they kept."""
    good = SamplingRun.objects.filter(hub=hub, ok=True)
    before = good.filter(at__lt=start).order_by("-at")[:1]
    within = good.filter(at__gte=start, at__lt=end).order_by("at")
    after = good.filter(at__gte=end).order_by("at")[:1]
    rows = [run for part in (before, within, after) for run in part.values_list("at", "interval_seconds")]
    seconds = max((interval for _, interval in rows), default=settings.SAMPLE_INTERVAL_SECONDS)
    return [at for at, _ in rows], timedelta(seconds=seconds)


def _lives(hub: Hub, looks: list[datetime]) -> Iterator[sessions.Sample]:
    """Each life of a server as its first and its last sample within the looks: all that a session is made of."""
    if not looks:
        return
    lives = (
        Sample.objects.filter(hub=hub, at__gte=looks[0], at__lte=looks[-1])
        .values("pseudonym", "server", "started_at")
        .annotate(
            first=Min("at"), last=Max("at"), ever_ready=BoolOr("ready"), memory=Max("memory_bytes"), gpus=Max("gpus")
        )
        .order_by()
    )
    for life in lives:
        for instant in {life["first"], life["last"]}:
            yield sessions.Sample(
                hub=str(hub.pk),
                user=life["pseudonym"],
                server=life["server"],
                started=life["started_at"],
                ready=life["ever_ready"],
                sampled_at=instant,
                memory_bytes=life["memory"],
                gpus=life["gpus"],
            )


def _row(hub: Hub, day: date, usage: Usage, gap_seconds: Decimal, at: datetime) -> HubDay:
    return HubDay(
        institution_id=hub.institution_id,
        hub=hub,
        day=day,
        zone=hub.zone,
        server_seconds=_whole(usage.server_seconds),
        memory_gib_seconds=_gib(usage.memory_byte_seconds),
        gpu_seconds=_whole(usage.gpu_seconds),
        active_users=len(usage.active_users),
        sessions=usage.sessions,
        gap_seconds=_whole(gap_seconds),
        rolled_at=at,
    )


def _gib(byte_seconds: Decimal) -> Decimal:
    return (byte_seconds / GIB).quantize(_MICRO, rounding=ROUND_HALF_EVEN)


def _whole(seconds: Decimal) -> int:
    return int(seconds.to_integral_value(rounding=ROUND_HALF_EVEN))
