"""When the consortium's next word is due: hours of the day and night, or business hours of a zone. Pure.

Business hours are Monday to Friday, 9:00 to 17:00 by the clock of the agreement's zone, closed days left out. They are
counted by elapsed time, so a change of the clocks neither gives nor takes any.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from consortium.kernel.periods import Period, local_date, zone

OPENS, CLOSES = time(9), time(17)
FRIDAY: Final = 4
# Whoever closes more than a year has no business hours left to count.
FURTHEST: Final = timedelta(days=366)
# A clock is near its end when a quarter of its time is left.
NEAR: Final = 4


def due_after(
    start: datetime, hours: int, *, place: str, around_the_clock: bool, closed: Collection[date] = frozenset()
) -> datetime:
    """Will return the instant by which so many support hours have run since `start`, in UTC.

    `place` is the zone of the business hours. Raises ZoneUnknown.
    """
    left = timedelta(hours=hours)
    if around_the_clock:
        return start.astimezone(UTC) + left
    for span in _business_spans(start, zone(place), closed):
        begins = max(span.start, start)
        if begins >= span.end:
            continue
        if span.end - begins >= left:
            return begins.astimezone(UTC) + left
        left -= span.end - begins
    return start.astimezone(UTC) + FURTHEST


def warn_at(started_at: datetime, due_at: datetime) -> datetime:
    """Will return the instant from which a running clock is near its end: three quarters of it are over."""
    return due_at - (due_at - started_at) / NEAR


def _business_spans(start: datetime, place: ZoneInfo, closed: Collection[date]) -> Iterator[Period]:
    first = local_date(start, place)
    for offset in range(FURTHEST.days):
        day = first + timedelta(days=offset)
        if day.weekday() <= FRIDAY and day not in closed:
            yield Period(datetime.combine(day, OPENS, tzinfo=place), datetime.combine(day, CLOSES, tzinfo=place))
