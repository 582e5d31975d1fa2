from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.sessions import (
    NaiveInstantError,
    Sample,
    SamplingRun,
    Session,
    Span,
    gaps_between,
    sessions_from,
    split,
    usage_in,
)

MINUTE = timedelta(minutes=1)
TEN = datetime(2026, 10, 5, 10, tzinfo=UTC)
DAY = Span(datetime(2026, 10, 5, tzinfo=UTC), datetime(2026, 10, 6, tzinfo=UTC))
GIB = 1024**3


def at(minutes: float) -> datetime:
    """Minutes after ten o'clock."""
    return TEN + timedelta(minutes=minutes)


def seen(*minutes: float, started: float, user: str = "a1", server: str = "", ready: bool = True) -> list[Sample]:
    return [
        Sample(
            hub="north",
            user=user,
            server=server,
            started=at(started),
            ready=ready,
            sampled_at=at(minute),
            memory_bytes=GIB,
        )
        for minute in minutes
    ]


def runs(*minutes: float) -> list[SamplingRun]:
    return [SamplingRun("north", at(minute)) for minute in minutes]


def sessions(
    samples: Sequence[Sample], looked: Sequence[SamplingRun], excluded: frozenset[str] = frozenset()
) -> tuple[Session, ...]:
    return sessions_from(samples, runs=looked, interval=MINUTE, excluded=excluded)


def test_a_session_lasts_from_its_start_to_the_first_run_that_no_longer_shows_it() -> None:
    (found,) = sessions(seen(1, 2, 3, started=0.5), runs(0, 1, 2, 3, 4))

    assert (found.started, found.end) == (at(0.5), at(4))
    assert usage_in([found], DAY).server_seconds == 210


def test_a_session_ends_one_interval_after_its_last_sample_when_nobody_looks_again() -> None:
    (found,) = sessions(seen(1, 2, started=0.5), runs(0, 1, 2))
    assert found.end == at(3)


def test_a_session_ends_one_interval_after_its_last_sample_when_the_next_look_is_late() -> None:
    (found,) = sessions(seen(1, 2, started=0.5), runs(0, 1, 2, 3.9))
    assert found.end == at(3)


def test_a_server_started_again_ends_its_former_session_at_that_instant() -> None:
    first, second = sessions(
        seen(1, started=0) + seen(2, started=1.25),
        runs(0, 1, 2, 3),
    )

    assert (first.end, second.started) == (at(1.25), at(1.25))
    assert usage_in([first, second], DAY).server_seconds == 180


def test_two_servers_of_a_person_are_two_sessions_and_one_active_user() -> None:
    found = sessions(seen(1, started=0.5) + seen(1, started=0.5, server="gpu"), runs(0, 1, 2))

    use = usage_in(found, DAY)
    assert use.sessions == 2
    assert use.server_seconds == 180
    assert use.active_users == {"a1"}


def test_a_look_that_is_missing_once_is_bridged() -> None:
    (found,) = sessions(seen(1, 3, started=1), runs(0, 1, 3, 4))

    assert gaps_between([run.at for run in runs(0, 1, 3, 4)], interval=MINUTE, within=Span(at(0), at(4))) == ()
    assert usage_in([found], DAY).server_seconds == 180


def test_an_hour_in_which_nobody_looked_is_a_gap_and_not_billed() -> None:
    looked = runs(0, 1, 61, 62)
    (found,) = sessions(seen(1, 61, started=0.5), looked)

    gaps = gaps_between([run.at for run in looked], interval=MINUTE, within=Span(at(0), at(62)))
    assert gaps == (Span(at(2), at(61)),)
    assert found.measured == (Span(at(0.5), at(2)), Span(at(61), at(62)))
    assert usage_in([found], DAY).server_seconds == 150


def test_a_server_that_started_within_a_gap_counts_from_when_it_was_seen() -> None:
    (found,) = sessions(seen(61, started=30), runs(0, 1, 61, 62))

    assert found.started == at(30)
    assert usage_in([found], DAY).server_seconds == 60
    assert usage_in([found], DAY).active_users == {"a1"}


def test_gaps_of_days_add_up_to_those_of_the_whole() -> None:
    looked = [at(minute) for minute in (0, 1, 4.5, 8)]
    whole = gaps_between(looked, interval=MINUTE, within=Span(at(0), at(8)))
    halves = [
        gap
        for start, end in ((0, 3), (3, 8))
        for gap in gaps_between(looked, interval=MINUTE, within=Span(at(start), at(end)))
    ]

    assert whole == (Span(at(2), at(4.5)), Span(at(5.5), at(8)))
    assert sum((gap.seconds for gap in whole), Decimal(0)) == sum((gap.seconds for gap in halves), Decimal(0))


def test_a_period_in_which_nobody_ever_looked_is_one_gap() -> None:
    assert gaps_between([], interval=MINUTE, within=Span(at(0), at(60))) == (Span(at(1), at(60)),)


def test_a_server_that_never_became_ready_served_nobody() -> None:
    assert sessions(seen(1, 2, started=0.5, ready=False), runs(0, 1, 2, 3)) == ()


def test_the_time_until_a_server_was_ready_counts() -> None:
    (found,) = sessions(seen(1, started=0.5, ready=False) + seen(2, started=0.5), runs(0, 1, 2, 3))
    assert usage_in([found], DAY).server_seconds == 150


def test_health_checks_and_staff_are_no_use() -> None:
    found = sessions(
        seen(1, started=0.5) + seen(1, started=0.5, user="check"), runs(0, 1, 2), excluded=frozenset({"check"})
    )
    assert [session.user for session in found] == ["a1"]


def test_hubs_are_looked_at_each_on_its_own() -> None:
    other = SamplingRun("south", at(1.5))
    (found,) = sessions(seen(1, started=0.5), [*runs(0, 1), other])
    assert found.end == at(2)


def test_memory_is_counted_by_the_second_and_exactly() -> None:
    (found,) = sessions(seen(1, started=0.5), runs(0, 1, 2))
    assert usage_in([found], DAY).memory_byte_seconds == Decimal(90) * GIB


def test_a_session_over_midnight_is_cut_there_and_counts_its_person_on_the_day_it_started() -> None:
    midnight = at(2)
    (found,) = sessions(seen(1, 2, 3, started=0.5), runs(0, 1, 2, 3, 4))

    before, after = split([found], [(at(-600), midnight), (midnight, at(600))])

    assert before.server_seconds == 90
    assert after.server_seconds == 120
    assert before.active_users == {"a1"}
    assert not after.active_users
    assert (before.sessions, after.sessions) == (1, 1)


def test_an_hour_that_the_clocks_skip_is_only_as_long_as_it_was() -> None:
    # The day of Toronto on which summer time ends has 25 hours; its bounds come as UTC instants.
    start, end = datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 2, 5, tzinfo=UTC)
    instants = [start + MINUTE * number for number in range(-1, 25 * 60 + 2)]
    samples = [
        Sample(hub="n", user="a", server="", started=instants[0], ready=True, sampled_at=one) for one in instants
    ]

    (day,) = split(sessions_from(samples, runs=[], interval=MINUTE), [(start, end)])

    assert day.server_seconds == 25 * 3600


def test_a_hub_whose_clock_runs_ahead_cannot_shorten_a_session_below_nothing() -> None:
    (found,) = sessions(seen(1, started=1.5), runs(0, 1, 2))
    assert (found.started, found.end) == (at(1), at(2))


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = Sample(hub="n", user="a", server="", started=datetime(2026, 1, 1), ready=True, sampled_at=TEN)  # noqa: DTZ001 - the point
    with pytest.raises(NaiveInstantError, match="a server's start 2026-01-01T00:00:00 has no zone"):
        sessions([naive], [])


seconds = st.integers(min_value=0, max_value=3 * 86_400)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Sample], list[SamplingRun]]:
    """Runs at any distance, and servers that some of them show, from a start that lies before the first of these."""
    instants = sorted(draw(st.sets(seconds, min_size=1, max_size=30)))
    looked = [SamplingRun("n", TEN + timedelta(seconds=one)) for one in instants]
    samples: list[Sample] = []
    for user in ("a", "b", "c")[: draw(st.integers(min_value=0, max_value=3))]:
        first = draw(st.integers(min_value=0, max_value=len(instants) - 1))
        last = draw(st.integers(min_value=first, max_value=len(instants) - 1))
        started = looked[first].at - timedelta(microseconds=draw(st.integers(min_value=0, max_value=10**9)))
        samples += [
            Sample(
                hub="n",
                user=user,
                server="",
                started=started,
                ready=draw(st.booleans()),
                sampled_at=run.at,
                memory_bytes=draw(st.just(GIB)),
            )
            for run in looked[first : last + 1]
        ]
    return samples, looked


@given(histories(), st.sets(seconds, max_size=8))
def test_days_sum_to_the_whole(history: tuple[list[Sample], list[SamplingRun]], cuts: set[int]) -> None:
    found = sessions_from(history[0], runs=history[1], interval=MINUTE)
    edges = [TEN - timedelta(days=2), *(TEN + timedelta(seconds=cut) for cut in sorted(cuts)), TEN + timedelta(days=9)]

    whole = usage_in(found, Span(edges[0], edges[-1]))
    days = split(found, pairwise(edges))

    assert sum((day.server_seconds for day in days), Decimal(0)) == whole.server_seconds
    assert sum((day.memory_byte_seconds for day in days), Decimal(0)) == whole.memory_byte_seconds
    assert frozenset[str]().union(*(day.active_users for day in days)) == whole.active_users


@given(histories(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(history: tuple[list[Sample], list[SamplingRun]], random: Random) -> None:
    samples, looked = history
    mixed_samples, mixed_runs = samples + samples[::2], looked[::-1] + looked[::3]
    random.shuffle(mixed_samples)

    mixed = sessions_from(mixed_samples, runs=mixed_runs, interval=MINUTE)

    assert mixed == sessions_from(samples, runs=looked, interval=MINUTE)


@given(histories())
def test_what_is_measured_is_never_in_a_gap_nor_outside_its_session(
    history: tuple[list[Sample], list[SamplingRun]],
) -> None:
    samples, looked = history
    for session in sessions_from(samples, runs=looked, interval=MINUTE):
        life = Span(session.started, session.end)
        gaps = gaps_between(
            [run.at for run in looked], interval=MINUTE, within=Span(looked[0].at, looked[-1].at + MINUTE)
        )
        for span in session.measured:
            assert span.clipped(life) == span
            assert all(span.clipped(gap) is None for gap in gaps)
