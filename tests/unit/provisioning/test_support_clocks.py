"""When support's next word is due: around the clock, and in business hours over nights, weekends and DST."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.support.clocks import due_after, warn_at

VANCOUVER = "America/Vancouver"
ST_JOHNS = "America/St_Johns"
TORONTO = "America/Toronto"


def local(text: str, place: str = TORONTO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(place))


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-10-15 10:00", 4, "2026-10-15 14:00"),  # a Thursday
        ("2026-10-15 16:00", 4, "2026-10-16 12:00"),  # over the night
        ("2026-10-16 16:59", 4, "2026-10-19 12:59"),  # over the weekend
        ("2026-10-17 12:00", 8, "2026-10-19 17:00"),  # asked on a Saturday, due as the Monday ends
        ("2026-10-15 03:00", 1, "2026-10-15 10:00"),  # before the day begins
        ("2026-10-15 17:00", 1, "2026-10-16 10:00"),  # as it ends
        ("2026-10-15 09:00", 16, "2026-10-16 17:00"),
        ("2026-10-30 13:00", 8, "2026-11-02 13:00"),  # clocks go back on the Sunday between
    ],
)
def test_business_hours_run_from_nine_to_five_on_working_days(start: str, hours: int, due: str) -> None:
    assert due_after(local(start), hours, place=TORONTO, around_the_clock=False) == local(due)


def test_a_closed_day_is_left_out() -> None:
    thanksgiving = date(2026, 10, 12)
    due = due_after(local("2026-10-09 16:00"), 2, place=TORONTO, around_the_clock=False, closed={thanksgiving})
    assert due == local("2026-10-13 10:00")


def test_around_the_clock_an_hour_is_an_hour_even_when_the_clocks_change() -> None:
    start = local("2026-11-01 00:30")
    due = due_after(start, 4, place=TORONTO, around_the_clock=True)
    assert due - start.astimezone(UTC) == timedelta(hours=4)
    assert due == local("2026-11-01 03:30")


def test_whoever_is_never_open_owes_nothing_for_a_year() -> None:
    start = datetime(2026, 10, 15, 16, tzinfo=UTC)
    closed = {start.date() + timedelta(days=offset) for offset in range(-1, 400)}
    assert due_after(start, 1, place=TORONTO, around_the_clock=False, closed=closed) - start > timedelta(days=365)


instants = st.integers(0, 730 * 24 * 60).map(
    lambda minute: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
)


@given(instants, st.integers(1, 200), st.sampled_from([VANCOUVER, ST_JOHNS, TORONTO]), st.booleans())
def test_every_due_instant_lies_in_open_hours_and_later_questions_are_never_due_sooner(
    start: datetime, hours: int, place: str, around: bool
) -> None:
    due = due_after(start, hours, place=place, around_the_clock=around)
    assert due - start >= timedelta(hours=hours)
    assert due_after(start + timedelta(minutes=37), hours, place=place, around_the_clock=around) >= due
    if not around:
        there = due.astimezone(ZoneInfo(place))
        assert there.weekday() < 5
        assert 9 <= there.hour + there.minute / 60 + there.second / 3600 <= 17.001


@given(instants, st.integers(1, 100), st.integers(1, 100))
def test_business_hours_add_up(start: datetime, first: int, then: int) -> None:
    in_two = due_after(
        due_after(start, first, place=TORONTO, around_the_clock=False), then, place=TORONTO, around_the_clock=False
    )
    assert in_two == due_after(start, first + then, place=TORONTO, around_the_clock=False)


def test_a_clock_is_near_its_end_when_three_quarters_are_over() -> None:
    start = datetime(2026, 10, 15, 16, tzinfo=UTC)
    assert warn_at(start, start + timedelta(hours=4)) == start + timedelta(hours=3)
