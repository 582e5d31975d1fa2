"""From samples to sessions, gaps and use. Pure: no Django, no clock; what is counted is exact.

The rules, each met by a test:

- A session is one life of one server: the same hub, person, server name and `started`. It begins when the hub says it
  started and ends at most one interval after the last sample that shows it: sooner, when a sampling run that no longer
  shows it came sooner, or when the same server was started again.
- A server that never was ready in any sample did not serve anybody and is no session.
- Where more than two intervals lie between two sampling runs, nobody looked: from one interval after the first run to
  the second is a gap. A gap is reported and never counted, even when the server was seen on both sides of it.
- An active user of a period is a person who started a server in it.

All instants are aware; periods are half-open [start, end) and given by the caller, who knows the zone of the hub-day.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

GAP_AFTER_INTERVALS = 2
_MICROSECOND = timedelta(microseconds=1)


class NaiveInstantError(ValueError):
    """An instant without a zone cannot be put on the line of time."""

    def __init__(self, name: str, value: datetime) -> None:
        super().__init__(f"{name} {value.isoformat()} has no zone; give UTC instants")


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of time, half-open."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> Decimal:
        """Its length, exact to the microsecond."""
        return Decimal((self.end - self.start) // _MICROSECOND).scaleb(-6)

    def clipped(self, to: "Span") -> "Span | None":
        """The part of it that lies within the other, if any."""
        start, end = max(self.start, to.start), min(self.end, to.end)
        return Span(start, end) if start < end else None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One server in one sampling run, whose instant is `sampled_at`; `user` is a pseudonym.

    Memory is what the server is guaranteed.
    """

    hub: str
    user: str
    server: str
    started: datetime
    ready: bool
    sampled_at: datetime
    memory_bytes: int = 0
    gpus: int = 0


@dataclass(frozen=True, order=True)
class SamplingRun:
    """A hub was asked at this instant and answered, whether or not a server was running."""

    hub: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Session:
    """One life of one server. `measured` are the stretches that count: the session without the gaps in it."""

    hub: str
    user: str
    server: str
    started: datetime
    end: datetime
    memory_bytes: int
    gpus: int
    measured: tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What was used in a period. `memory_byte_seconds`, `gpu_seconds`: what was guaranteed times time measured."""

    period: Span
    server_seconds: Decimal
    memory_byte_seconds: Decimal
    active_users: frozenset[str]
    sessions: int
    gpu_seconds: Decimal = Decimal(0)


def sessions_from(
    samples: Iterable[Sample],
    *,
    runs: Iterable[SamplingRun],
    interval: timedelta,
    excluded: frozenset[str] = frozenset(),
) -> tuple[Session, ...]:
    """The sessions that the samples show, in order of start. Neither order nor repetition of the input matters.

    Give the runs from one before the period of interest to one after it, so that sessions at its edges end rightly.
    `excluded` holds pseudonyms whose servers are no use at all (health checks, consortium staff).
    """
    kept = [sample for sample in samples if sample.user not in excluded]
    _check_aware(kept)
    instants = _instants_by_hub(kept, runs)
    lives: dict[tuple[str, str, str, datetime], list[Sample]] = {}
    for sample in kept:
        lives.setdefault((sample.hub, sample.user, sample.server, sample.started), []).append(sample)
    next_start = _next_starts(list(lives))
    found = [
        _session(life, instants=instants[key[0]], interval=interval, started_again=next_start.get(key))
        for key, life in lives.items()
        if any(sample.ready for sample in life)
    ]
    return tuple(sorted(found, key=lambda session: (session.started, session.hub, session.user, session.server)))


def gaps_between(instants: Iterable[datetime], *, interval: timedelta, within: Span) -> tuple[Span, ...]:
    """Where nobody looked at a hub within a period, in order; instants are those of its sampling runs.

    The period's own edges count as looks, so that a period without any run is one gap but for an interval's grace.
    Give the runs next to the period on both sides too: then days add up to their month.
    """
    looks = sorted({within.start, within.end, *instants})
    if looks[0] < within.start:
        looks.remove(within.start)
    if looks[-1] > within.end:
        looks.remove(within.end)
    clipped = (gap.clipped(within) for gap in _gaps(looks, interval))
    return tuple(gap for gap in clipped if gap is not None)


def usage_in(sessions: Iterable[Session], period: Span) -> Usage:
    """The use that falls into a period. Over periods that tile a longer one, seconds sum to that one's exactly."""
    server_seconds, memory_byte_seconds, gpu_seconds = Decimal(0), Decimal(0), Decimal(0)
    active: set[str] = set()
    touched = 0
    for session in sessions:
        pieces = [piece for span in session.measured if (piece := span.clipped(period)) is not None]
        seconds = sum((piece.seconds for piece in pieces), Decimal(0))
        server_seconds += seconds
        memory_byte_seconds += seconds * session.memory_bytes
        gpu_seconds += seconds * session.gpus
        touched += bool(pieces)
        if period.start <= session.started < period.end:
            active.add(session.user)
    return Usage(
        period=period,
        server_seconds=server_seconds,
        memory_byte_seconds=memory_byte_seconds,
        active_users=frozenset(active),
        sessions=touched,
        gpu_seconds=gpu_seconds,
    )


def split(sessions: Sequence[Session], periods: Iterable[tuple[datetime, datetime]]) -> tuple[Usage, ...]:
    """The use in each of the periods, hub-days as a rule: UTC instants of local midnights, from the caller."""
    return tuple(usage_in(sessions, Span(start, end)) for start, end in periods)


def _session(
    life: list[Sample], *, instants: list[datetime], interval: timedelta, started_again: datetime | None
) -> Session:
    first = min(sample.sampled_at for sample in life)
    last = max(sample.sampled_at for sample in life)
    one = life[0]
    # A hub whose clock runs ahead of the portal's cannot start a server after it was seen.
    started = min(one.started, first)
    end = last + interval
    position = bisect_right(instants, last)
    if position < len(instants):
        end = min(end, instants[position])
    if started_again is not None:
        end = max(started, min(end, started_again))
    return Session(
        hub=one.hub,
        user=one.user,
        server=one.server,
        started=started,
        end=end,
        memory_bytes=max(sample.memory_bytes for sample in life),
        gpus=max(sample.gpus for sample in life),
        measured=_without_gaps(Span(started, end), instants, interval),
    )


def _without_gaps(span: Span, instants: list[datetime], interval: timedelta) -> tuple[Span, ...]:
    """The span without what nobody saw; before the very first run one interval is taken as seen."""
    begin = max(span.start, instants[0] - interval)
    pieces: list[Span] = []
    for gap in _gaps(instants, interval):
        if gap.end <= begin or gap.start >= span.end:
            continue
        if begin < gap.start:
            pieces.append(Span(begin, gap.start))
        begin = gap.end
    if begin < span.end:
        pieces.append(Span(begin, span.end))
    return tuple(pieces)


def _gaps(looks: Sequence[datetime], interval: timedelta) -> list[Span]:
    return [Span(a + interval, b) for a, b in pairwise(looks) if b - a > GAP_AFTER_INTERVALS * interval]


def _instants_by_hub(samples: Iterable[Sample], runs: Iterable[SamplingRun]) -> dict[str, list[datetime]]:
    """A sample proves a run, should the record of the run be missing."""
    found: dict[str, set[datetime]] = {}
    for run in runs:
        if run.at.tzinfo is None:
            raise NaiveInstantError("a sampling run at", run.at)
        found.setdefault(run.hub, set()).add(run.at)
    for sample in samples:
        found.setdefault(sample.hub, set()).add(sample.sampled_at)
    return {hub: sorted(instants) for hub, instants in found.items()}


def _next_starts(
    keys: list[tuple[str, str, str, datetime]],
) -> dict[tuple[str, str, str, datetime], datetime]:
    """When the same person's same server was started again, for each life but the last."""
    return {a: b[3] for a, b in pairwise(sorted(keys)) if a[:3] == b[:3]}


def _check_aware(samples: Iterable[Sample]) -> None:
    for sample in samples:
        if sample.started.tzinfo is None:
            raise NaiveInstantError("a server's start", sample.started)
        if sample.sampled_at.tzinfo is None:
            raise NaiveInstantError("a sample at", sample.sampled_at)
