"""A hub's service by day of its zone: what the status page shows. Counted again it comes out the same."""

from datetime import date, datetime, timedelta

from django.db.models import Max

from consortium.kernel.periods import Period, day_period, local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.models import Hub, ServiceDay
from provisioning.rollups import metered_hubs
from provisioning.service_level.evidence import measured

CATCH_UP_DAYS = 31
_FACTS = ("zone", "served_seconds", "down_seconds", "unknown_seconds", "excluded_seconds", "outages", "counted_at")


def count_recent(*, at: datetime) -> int:
    """Will count today and yesterday of each hub that should run, and the days since it was last counted."""
    with consortium_scope(Scope.JOB):
        hubs = list(metered_hubs().annotate(counted_to=Max("service_days__day")))
    counted = 0
    for hub in hubs:
        for day in _open_days(hub, at):
            count_day(hub, day=day, at=at)
            counted += 1
    return counted


def count_day(hub: Hub, *, day: date, at: datetime) -> ServiceDay | None:
    """Will count one day up to `at`, over what stood there; None for a day before the hub first ran.

    A day of generated demonstration data stays as it is.
    """
    whole = day_period(day, hub.zone)
    start, end = max(whole.start, hub.running_at or whole.start), min(whole.end, at)
    if start >= end:
        return None
    with consortium_scope(Scope.JOB):
        if generated := ServiceDay.objects.filter(hub=hub, day=day, generated=True).first():
            return generated
        seen = measured(hub, Period(start, end))
        row = ServiceDay(
            institution_id=hub.institution_id,
            hub=hub,
            day=day,
            zone=hub.zone,
            served_seconds=_seconds(seen.served),
            down_seconds=_seconds(seen.down),
            unknown_seconds=_seconds(seen.unknown),
            excluded_seconds=_seconds(seen.excluded),
            outages=len(seen.outages),
            counted_at=at,
        )
        ServiceDay.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["hub", "day"], update_fields=list(_FACTS)
        )
        return ServiceDay.objects.get(hub=hub, day=day)


def _open_days(hub: Hub, at: datetime) -> list[date]:
    today = local_date(at, hub.zone)
    counted_to: date = getattr(hub, "counted_to", None) or today
    first = max(min(counted_to, today - timedelta(days=1)), today - timedelta(days=CATCH_UP_DAYS))
    return [first + timedelta(days=offset) for offset in range((today - first).days + 1)]


def _seconds(length: timedelta) -> int:
    return length // timedelta(seconds=1)
