"""Billing periods: half-open intervals of UTC instants, cut where a month or a day begins in a billing time zone.

The zone data is PyPI's `tzdata` and nothing else: system copies disagree (Vancouver's November 2026 has 720 hours in
the newest data and 721 in older ones), and a month's hours are billed. Hours come from instants, never from 24 x days.
"""

import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Self
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date

from consortium.kernel.errors import Invalid

# Settings say the same; here it makes a calculation outside Django (the calculator, a test) use the same data.
zoneinfo.reset_tzpath(to=[])
ZoneInfo.clear_cache()

_MONTH: Final = re.compile(r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])")
_HOUR_IN_MICROSECONDS: Final = 3_600_000_000
_HOURS: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_HOUR_QUANTUM: Final = Decimal("1E-12")
_LOCALES: Final = {"en": "en_CA", "fr": "fr_CA"}


class ZoneUnknown(Invalid, ValueError):
    """A name is not a time zone of the tz database."""

    code = "zone_unknown"


class MonthInvalid(Invalid, ValueError):
    """A text is not a month."""

    code = "month_invalid"


class PeriodInvalid(Invalid, ValueError):
    """A period is empty, turned round, or made of clock times without a zone."""

    code = "period_invalid"


def zone(name: str) -> ZoneInfo:
    """Will return the time zone of that name, such as America/Vancouver, from PyPI's tzdata. Raises ZoneUnknown."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise ZoneUnknown(
            f"{name!a} is no time zone. Use a name of the tz database, such as America/Toronto."
        ) from None


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """From `start` up to, but not including, `end`; both are aware and are kept in UTC. Raises PeriodInvalid."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Keep both instants in UTC and refuse a period that contains nothing."""
        object.__setattr__(self, "start", _instant(self.start))
        object.__setattr__(self, "end", _instant(self.end))
        if self.start >= self.end:
            raise PeriodInvalid(f"A period must end after it starts, but {self.end} is not after {self.start}.")

    def __contains__(self, instant: datetime) -> bool:
        """Tell whether the instant falls into the period; its end does not."""
        return self.start <= _instant(instant) < self.end

    def overlaps(self, other: "Period") -> bool:
        """Will tell whether the two share an instant; periods that only touch do not."""
        return self.start < other.end and other.start < self.end

    def intersection(self, other: "Period") -> "Period | None":
        """Will return what the two share, or None."""
        return Period(max(self.start, other.start), min(self.end, other.end)) if self.overlaps(other) else None

    @property
    def length(self) -> timedelta:
        """The elapsed time, which a change of the clocks does not distort."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar, without a zone: `month_period` gives it one. Raises MonthInvalid."""

    year: int
    number: int

    def __post_init__(self) -> None:
        """Refuse what is no month."""
        if not (1 <= self.year <= 9999 and 1 <= self.number <= 12):
            raise MonthInvalid(f"{self.year}-{self.number} is no month. Write year and month, such as 2026-11.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Will read "2026-11". Raises MonthInvalid."""
        match = _MONTH.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise MonthInvalid(f"{text!a} is no month. Write year and month, such as 2026-11.")
        return cls(int(match["year"]), int(match["month"]))

    @classmethod
    def of(cls, day: date) -> Self:
        """Will return the month in which a calendar day lies."""
        return cls(day.year, day.month)

    @property
    def first_day(self) -> date:
        """The first calendar day."""
        return date(self.year, self.number, 1)

    def next(self) -> "Month":
        """Will return the month after this one."""
        return self.plus(1)

    def previous(self) -> "Month":
        """Will return the month before this one."""
        return self.plus(-1)

    def plus(self, months: int) -> "Month":
        """Will return the month so many months later, or earlier when negative."""
        years, index = divmod(self.year * 12 + self.number - 1 + months, 12)
        return Month(years, index + 1)

    def label(self, language: str = "en") -> str:
        """Will write the month for people: "November 2026", "novembre 2026"."""
        locale = Locale.parse(_LOCALES.get(language, language.replace("-", "_")))
        return format_date(self.first_day, "LLLL y", locale=locale)

    def __str__(self) -> str:
        """Write it as it is read: "2026-11"."""
        return f"{self.year:04d}-{self.number:02d}"


def month_period(month: Month, place: str | ZoneInfo) -> Period:
    """Will return the instants of a month in a zone. Raises ZoneUnknown."""
    return Period(_day_start(month.first_day, place), _day_start(month.next().first_day, place))


def day_period(day: date, place: str | ZoneInfo) -> Period:
    """Will return the instants of a calendar day in a zone: 23, 24 or 25 hours of them, or another number.

    Raises ZoneUnknown, and PeriodInvalid for a day that the zone left out (Samoa, 30 December 2011).
    """
    return Period(_day_start(day, place), _day_start(day + timedelta(days=1), place))


def days_of(month: Month) -> tuple[date, ...]:
    """Will return the calendar days of a month, in order."""
    return tuple(_days(month.first_day, month.next().first_day))


def local_date(instant: datetime, place: str | ZoneInfo) -> date:
    """Will return the calendar day that an instant belongs to in a zone. Raises ZoneUnknown, PeriodInvalid if naive."""
    return _instant(instant).astimezone(_zone(place)).date()


def local_month(instant: datetime, place: str | ZoneInfo) -> Month:
    """Will return the month that an instant belongs to in a zone. Raises ZoneUnknown, PeriodInvalid if naive."""
    return Month.of(local_date(instant, place))


def hours(period: Period) -> Decimal:
    """Will return the elapsed hours, from the instants.

    Exact wherever the number ends (all periods cut at whole hours, half-hours, or 9 seconds); else to 12 decimals.
    """
    microseconds = period.length // timedelta(microseconds=1)
    whole, rest = divmod(microseconds, _HOUR_IN_MICROSECONDS)
    part = _HOURS.divide(Decimal(rest), Decimal(_HOUR_IN_MICROSECONDS)).quantize(_HOUR_QUANTUM, context=_HOURS)
    total = _HOURS.add(Decimal(whole), part)
    return Decimal(format(_HOURS.normalize(total), "f"))


def _day_start(day: date, place: str | ZoneInfo) -> datetime:
    """Return the instant of local midnight.

    Where the clocks skip midnight, fold 0 reads it with the offset before the change, which is the instant of the
    change itself: the first of the new day.
    """
    return datetime.combine(day, time.min, tzinfo=_zone(place)).astimezone(UTC)


def _days(start: date, end: date) -> Iterator[date]:
    """Count days from start up to, not including, end."""
    for offset in range((end - start).days):
        yield start + timedelta(days=offset)


def _zone(place: str | ZoneInfo) -> ZoneInfo:
    """Accept a zone or its name."""
    return place if isinstance(place, ZoneInfo) else zone(place)


def _instant(moment: datetime) -> datetime:
    """Return the instant in UTC; a clock time without a zone would be a guess."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise PeriodInvalid(f"{moment} has no time zone, so it names no instant. Give an aware time.")
    return moment.astimezone(UTC)
