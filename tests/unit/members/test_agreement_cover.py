"""Days: which of two versions covers them, counted one by one."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from members.agreements.cover import _overlap, covers, months_later
from members.models import Agreement

FIRST = date(2026, 1, 1)
HORIZON = 45  # the last start and the longest term still fit
days = st.integers(min_value=0, max_value=30).map(lambda offset: FIRST + timedelta(days=offset))


@st.composite
def versions(draw: st.DrawFn) -> Agreement:
    """A version of any term: open, bounded, cut short, or one that gave way before it began."""
    starts_on = draw(days)
    ends_on = draw(st.none() | st.integers(1, 12).map(lambda length: starts_on + timedelta(days=length)))
    cut = draw(st.none() | st.integers(0, 12).map(lambda length: starts_on + timedelta(days=length)))
    return Agreement(starts_on=starts_on, ends_on=ends_on, covered_until=cut)


def covered(version: Agreement) -> set[date]:
    """The days of the horizon that a version covers."""
    return {day for offset in range(HORIZON) if covers(version, day := FIRST + timedelta(days=offset))}


@given(versions(), versions())
def test_two_versions_overlap_when_they_share_a_day(one: Agreement, two: Agreement) -> None:
    if covered(one):  # what is about to be signed covers something
        assert _overlap(one, two) == bool(covered(one) & covered(two))


@given(versions())
def test_the_last_day_is_covered_and_the_next_is_not(version: Agreement) -> None:
    end = version.covers_until
    if end is not None and covered(version):
        assert version.last_day in covered(version)
        assert not covers(version, end)


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2090, 1, 1)), st.integers(0, 120))
def test_a_term_ends_in_the_month_that_it_says(day: date, months: int) -> None:
    later = months_later(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)
