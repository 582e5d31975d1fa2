"""Periods are half-open, come from instants, and tile time without a gap or an overlap."""

import pickle
import sys
import zoneinfo
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.kernel.periods import (
    Month,
    MonthInvalid,
    Period,
    PeriodInvalid,
    ZoneUnknown,
    day_period,
    days_of,
    hours,
    local_date,
    local_month,
    month_period,
    zone,
)

ZONES = ("America/Vancouver", "America/St_Johns", "America/Toronto", "UTC", "Europe/Berlin")
FIRST, LAST = Month(2024, 1), Month(2032, 12)

instants = st.datetimes(datetime(2024, 1, 2), datetime(2032, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@pytest.mark.parametrize("name", ZONES)
def test_months_tile_nine_years(name: str) -> None:
    months = [FIRST.plus(count) for count in range(9 * 12)]
    assert months[-1] == LAST
    periods = [month_period(month, name) for month in months]
    assert all(one.end == two.start for one, two in pairwise(periods))
    elapsed = periods[-1].end - periods[0].start
    assert sum(map(hours, periods)) * 3600 == Decimal(elapsed // timedelta(seconds=1))


@pytest.mark.parametrize("name", ZONES)
def test_days_tile_every_month_of_nine_years(name: str) -> None:
    month = FIRST
    while month <= LAST:
        days = [day_period(day, name) for day in days_of(month)]
        whole = month_period(month, name)
        assert (days[0].start, days[-1].end) == (whole.start, whole.end)
        assert all(one.end == two.start for one, two in pairwise(days))
        assert sum(map(hours, days)) == hours(whole)
        month = month.next()


@given(instant=instants, name=st.sampled_from(ZONES))
def test_every_instant_lies_in_exactly_the_day_and_month_it_is_dated(instant: datetime, name: str) -> None:
    day = local_date(instant, name)
    assert instant in day_period(day, name)
    assert instant not in day_period(day - timedelta(days=1), name)
    assert instant not in day_period(day + timedelta(days=1), name)
    month = local_month(instant, name)
    assert instant in month_period(month, name)
    assert day in days_of(month)
    assert instant not in month_period(month.next(), name)


@given(st.integers(2024, 2032), st.integers(1, 12), st.sampled_from(ZONES))
def test_boundaries_belong_to_what_they_begin(year: int, number: int, name: str) -> None:
    period = month_period(Month(year, number), name)
    assert local_month(period.start, name) == Month(year, number)
    assert local_month(period.end, name) == Month(year, number).next()
    assert local_month(period.end - timedelta(microseconds=1), name) == Month(year, number)


@pytest.mark.parametrize(
    ("name", "month", "expected"),
    [
        ("America/Vancouver", "2026-11", "720"),  # British Columbia keeps its summer time from 2026 on
        ("America/Vancouver", "2024-11", "721"),
        ("America/Toronto", "2026-03", "743"),
        ("America/Toronto", "2026-11", "721"),
        ("America/St_Johns", "2026-03", "743"),
        ("UTC", "2028-02", "696"),
        ("Europe/Berlin", "2026-10", "745"),
    ],
)
def test_a_months_hours_come_from_the_newest_zone_data(name: str, month: str, expected: str) -> None:
    assert hours(month_period(Month.parse(month), name)) == Decimal(expected)


def test_newfoundland_begins_its_months_on_the_half_hour() -> None:
    assert month_period(Month(2026, 1), "America/St_Johns").start == datetime(2026, 1, 1, 3, 30, tzinfo=UTC)


def test_only_pypis_zone_data_is_used() -> None:
    assert zoneinfo.TZPATH == ()
    assert zone("America/Vancouver").key == "America/Vancouver"
    assert "tzdata" in sys.modules


def test_a_day_that_begins_without_midnight_begins_at_the_change() -> None:
    # Cairo's clocks go from 00:00 to 01:00 on the last Friday of April.
    day = day_period(date(2026, 4, 24), "Africa/Cairo")
    assert hours(day) == 23
    assert local_date(day.start, "Africa/Cairo") == date(2026, 4, 24)
    assert local_date(day.start - timedelta(microseconds=1), "Africa/Cairo") == date(2026, 4, 23)


def test_a_day_that_never_was_has_no_period() -> None:
    with pytest.raises(PeriodInvalid):
        day_period(date(2011, 12, 30), "Pacific/Apia")


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "America", "é", "a\x00b", None]
)
def test_an_unknown_zone_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(ZoneUnknown, match="tz database"):
        zone(name)


@pytest.mark.parametrize(
    "text", ["", "2026-13", "2026-00", "2026-1", "2026/11", "202６-11", "2026-11-01", " 2026-11", "26-11"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(MonthInvalid):
        Month.parse(text)


def test_months_count_and_speak() -> None:
    month = Month.parse("2026-12")
    assert str(month.next()) == "2027-01"
    assert month.next().previous() == month
    assert month.plus(-12) == Month(2025, 12)
    assert (month.label(), month.label("fr")) == ("December 2026", "décembre 2026")
    assert len(days_of(Month(2028, 2))) == 29
    with pytest.raises(MonthInvalid):
        Month(9999, 12).next()


def test_a_period_is_half_open_and_kept_in_utc() -> None:
    eastern = timezone(timedelta(hours=-5))
    period = Period(datetime(2026, 1, 1, tzinfo=eastern), datetime(2026, 1, 2, tzinfo=eastern))
    assert period.start == datetime(2026, 1, 1, 5, tzinfo=UTC)
    assert period.start.tzinfo is UTC
    assert period.start in period
    assert period.end not in period
    assert not period.overlaps(Period(period.end, period.end + timedelta(hours=1)))
    assert period.intersection(Period(period.start + timedelta(hours=23), period.end + timedelta(hours=1))) == Period(
        period.start + timedelta(hours=23), period.end
    )
    assert pickle.loads(pickle.dumps(period)) == period


def test_a_period_without_a_zone_or_without_length_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what must be refused
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    for start, end in ((naive, instant), (instant, instant), (instant, instant - timedelta(seconds=1))):
        with pytest.raises(PeriodInvalid):
            Period(start, end)


def test_hours_end_where_they_can_and_stop_at_twelve_decimals_where_not() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert str(hours(Period(start, start + timedelta(minutes=90)))) == "1.5"
    assert str(hours(Period(start, start + timedelta(hours=100)))) == "100"
    assert str(hours(Period(start, start + timedelta(seconds=1)))) == "0.000277777778"
