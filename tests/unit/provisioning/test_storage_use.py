"""Storage from looks at the homes: a look holds until the next one, but never for longer than it is good for."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from provisioning.sessions import Span
from provisioning.storage_use import storage_byte_seconds

MIDNIGHT = datetime(2026, 10, 15, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Span(MIDNIGHT, MIDNIGHT + 24 * HOUR)


def test_a_look_holds_until_the_next_and_two_hours_at_most() -> None:
    # 100 bytes from an hour before midnight; 300 at two o'clock, then nobody looked until the last hour: 50.
    looks = [(MIDNIGHT - HOUR, 100), (MIDNIGHT + 2 * HOUR, 300), (MIDNIGHT + 23 * HOUR, 50)]
    found = storage_byte_seconds(looks, holds=2 * HOUR, within=DAY)
    assert found == 3600 * (100 * 1 + 300 * 2 + 50 * 1)


def test_without_a_look_nothing_is_made_up() -> None:
    assert storage_byte_seconds([], holds=2 * HOUR, within=DAY) == 0
    assert storage_byte_seconds([(MIDNIGHT - 3 * HOUR, 100)], holds=2 * HOUR, within=DAY) == 0


@given(
    looks=st.lists(st.tuples(st.integers(-180, 1_620), st.integers(0, 10**15)), max_size=12, unique_by=lambda x: x[0]),
    cut=st.integers(1, 1_439),
)
def test_parts_of_a_day_sum_to_the_day(looks: list[tuple[int, int]], cut: int) -> None:
    known = [(MIDNIGHT + timedelta(minutes=minute), size) for minute, size in looks]
    middle = MIDNIGHT + timedelta(minutes=cut)
    parts = (Span(DAY.start, middle), Span(middle, DAY.end))
    sums = [storage_byte_seconds(known, holds=2 * HOUR, within=part) for part in parts]
    # What a look outside the whole span holds is cut by the edge in the same way.
    assert sum(sums, Decimal(0)) == storage_byte_seconds(known, holds=2 * HOUR, within=DAY)
