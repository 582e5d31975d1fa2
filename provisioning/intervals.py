"""Sets of instants as sorted, disjoint, half-open periods: what service levels are counted with. Pure."""

from collections.abc import Iterable
from datetime import timedelta

from consortium.kernel.periods import Period

Periods = tuple[Period, ...]


def union(periods: Iterable[Period]) -> Periods:
    """Will merge periods that overlap or touch, in order of time."""
    merged: list[Period] = []
    for period in sorted(periods):
        if merged and period.start <= merged[-1].end:
            merged[-1] = Period(merged[-1].start, max(merged[-1].end, period.end))
        else:
            merged.append(period)
    return tuple(merged)


def clip(periods: Iterable[Period], within: Iterable[Period]) -> Periods:
    """Will return the instants that are in both."""
    bounds = union(within)
    parts = (period.intersection(bound) for period in union(periods) for bound in bounds)
    return union(part for part in parts if part is not None)


def subtract(periods: Iterable[Period], taken: Iterable[Period]) -> Periods:
    """Will return the instants of `periods` that are not in `taken`."""
    left = list(union(periods))
    for hole in union(taken):
        left = [part for period in left for part in _without(period, hole)]
    return tuple(left)


def length(periods: Iterable[Period]) -> timedelta:
    """Will return the elapsed time of the instants, each counted once."""
    return sum((period.length for period in union(periods)), timedelta())


def _without(period: Period, hole: Period) -> Iterable[Period]:
    if not period.overlaps(hole):
        return (period,)
    before = (Period(period.start, hole.start),) if period.start < hole.start else ()
    after = (Period(hole.end, period.end),) if hole.end < period.end else ()
    return before + after
