"""How well a hub kept its promised level in a period, from checks, exclusions and the agreement's terms. Pure.

An outage is an interval: from the last good check to the first good one, when at least two checks in a row failed.
Time that nobody checked is unknown: neither up nor down, and too much of it is no result at all, never 100 %. What the
agreement excludes (maintenance announced in time, the university's own sign-on, force majeure) is not measured.
Shares are compared as exact fractions; what is shown is rounded to a thousandth of a percent, half to even.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final

from consortium.kernel.money import multiply, round_money
from consortium.kernel.periods import Period
from provisioning.intervals import Periods, clip, length, subtract

FAILED_IN_A_ROW: Final = 2
TOLERATED_INTERVALS: Final = 2
# Below this share of checked time a month has no result, unless the outages that were seen break the promise anyway.
LEAST_COVERAGE: Final = Decimal("0.9")
MICROSECOND: Final = timedelta(microseconds=1)
_SHOWN: Final = Decimal("0.00001")


class Result(StrEnum):
    """What a period came to."""

    MET = "met"
    MISSED = "missed"
    INSUFFICIENT = "insufficient"  # too little was checked
    NOT_MEASURED = "not_measured"  # nothing was promised for any of it


@dataclass(frozen=True, kw_only=True)
class Check:
    """One look: whether it was good, and what was wrong if not."""

    at: datetime
    ok: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Checks of one kind, planned every `interval`; only a kind that `proves` people can work makes time known.

    Give it the last check before the period and the first one after it too, where there are such.
    """

    name: str
    checks: Sequence[Check]
    interval: timedelta
    proves: bool = True


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A hub did not serve: which kind of check says so, how many failed, and what the first failure said."""

    period: Period
    stream: str
    failed: int
    detail: str


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """A period for which nothing is promised, and why (maintenance, sign_on, force_majeure, suspended, event)."""

    period: Period
    reason: str
    reference: str = ""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """The agreement's terms: shares of one; `credits` are (below, share of the monthly fee), falling."""

    availability: Decimal
    credits: tuple[tuple[Decimal, Decimal], ...]
    monthly_fee: Decimal
    currency: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How a period went. Lengths do not overlap: `served` + `down` + `unknown` + `excluded` are the whole period."""

    period: Period
    served: timedelta
    down: timedelta
    unknown: timedelta
    excluded: timedelta
    outages: tuple[Outage, ...]
    unknown_periods: Periods
    exclusions: tuple[Exclusion, ...]

    @property
    def promised(self) -> timedelta:
        """The time for which service was promised."""
        return self.served + self.down + self.unknown


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the promise says of a measurement: `availability` as a share of one, None when there is no result."""

    result: Result
    availability: Decimal | None
    credit_share: Decimal
    credit: Decimal
    currency: str


def measure(period: Period, *, streams: Iterable[Stream], exclusions: Iterable[Exclusion] = ()) -> Measurement:
    """Will say what of the period was served, down, unknown and excluded."""
    kept = list(streams)
    excluded = tuple(each for each in exclusions if each.period.overlaps(period))
    promised = subtract([period], (each.period for each in excluded))
    outages = tuple(sorted((each for stream in kept for each in outages_of(stream)), key=lambda each: each.period))
    down = clip((each.period for each in outages), promised)
    proving = [stream for stream in kept if stream.proves]
    blind = [gap for stream in proving for gap in gaps_of(stream, within=period)] if proving else [period]
    unknown = subtract(clip(blind, promised), down)
    return Measurement(
        period=period,
        served=length(promised) - length(down) - length(unknown),
        down=length(down),
        unknown=length(unknown),
        excluded=period.length - length(promised),
        outages=tuple(each for each in outages if each.period.overlaps(period)),
        unknown_periods=unknown,
        exclusions=excluded,
    )


def judge(measured: Measurement, promise: Promise) -> Verdict:
    """Will hold a measurement against the promise: whether it was kept, and the credit that is due if not."""
    if not measured.promised:
        return _verdict(Result.NOT_MEASURED, None, promise)
    known = measured.served + measured.down
    if _share_below(known, measured.promised, LEAST_COVERAGE):
        # Taking all that nobody saw as served: a promise broken even so is broken.
        served = measured.served + measured.unknown
        if not _share_below(served, measured.promised, promise.availability):
            return _verdict(Result.INSUFFICIENT, None, promise)
        return _judged(served, measured.promised, promise)
    return _judged(measured.served, known, promise)


def outages_of(stream: Stream) -> list[Outage]:
    """Will return the outages that one kind of check shows, each from the last good check to the first good one.

    A neighbour further away than two intervals proves nothing: the outage then begins, or ends, with a failed check.
    """
    reach = stream.interval * TOLERATED_INTERVALS
    checks = sorted(stream.checks, key=lambda check: check.at)
    found, first = [], 0
    while first < len(checks):
        if checks[first].ok:
            first += 1
            continue
        end = first
        while end < len(checks) and not checks[end].ok:
            end += 1
        if end - first >= FAILED_IN_A_ROW:
            start, stop = checks[first].at, checks[end - 1].at
            if first and start - checks[first - 1].at <= reach:
                start = checks[first - 1].at
            if end < len(checks) and checks[end].at - stop <= reach:
                stop = checks[end].at
            found.append(
                Outage(period=Period(start, stop), stream=stream.name, failed=end - first, detail=checks[first].detail)
            )
        first = end
    return found


def gaps_of(stream: Stream, *, within: Period) -> Periods:
    """Will return the periods in which nothing of this kind was checked for longer than two intervals."""
    reach = stream.interval * TOLERATED_INTERVALS
    instants = sorted(check.at for check in stream.checks)
    edges = [min([within.start, *instants]), *instants, max([within.end, *instants])]
    gaps = [Period(one, two) for one, two in itertools.pairwise(edges) if two - one > reach]
    return clip(gaps, [within])


def percent(share: Decimal) -> Decimal:
    """Will return a share of one as a percentage to a thousandth, as it is shown."""
    return (share * 100).quantize(Decimal("0.001"), rounding=ROUND_HALF_EVEN)


def _judged(served: timedelta, whole: timedelta, promise: Promise) -> Verdict:
    shown = (Decimal(served // MICROSECOND) / Decimal(whole // MICROSECOND)).quantize(_SHOWN, rounding=ROUND_HALF_EVEN)
    if not _share_below(served, whole, promise.availability):
        return _verdict(Result.MET, shown, promise)
    due = [credit for below, credit in promise.credits if _share_below(served, whole, below)]
    return _verdict(Result.MISSED, shown, promise, max(due, default=Decimal(0)))


def _share_below(part: timedelta, whole: timedelta, limit: Decimal) -> bool:
    """Whether part/whole < limit, without dividing."""
    return Decimal(part // MICROSECOND) < limit * Decimal(whole // MICROSECOND)


def _verdict(result: Result, shown: Decimal | None, promise: Promise, share: Decimal = Decimal(0)) -> Verdict:
    credit = round_money(multiply(promise.monthly_fee, share), promise.currency)
    return Verdict(result=result, availability=shown, credit_share=share, credit=credit, currency=promise.currency)


__all__ = [
    "Check",
    "Exclusion",
    "Measurement",
    "Outage",
    "Promise",
    "Result",
    "Stream",
    "Verdict",
    "judge",
    "measure",
    "percent",
]
