"""The service level of a month, worked out by hand: months of odd length, maintenance, gaps, and the credit due.

The fee is 400.00 CAD; the promise 99.9 %; below it 10 %, below 99.0 % 25 %, below 95.0 % all of the fee.
"""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from consortium.kernel.periods import Month, Period, hours, month_period
from provisioning.sla import Check, Exclusion, Promise, Result, Stream, judge, measure, percent

FIVE = timedelta(minutes=5)
PROMISE = Promise(
    availability=Decimal("0.999"),
    credits=((Decimal("0.999"), Decimal("0.10")), (Decimal("0.99"), Decimal("0.25")), (Decimal("0.95"), Decimal(1))),
    monthly_fee=Decimal("400.00"),
    currency="CAD",
)

# zone, month, hours of the month, outages (day, minutes), maintenance (day, minutes), silences (day, minutes),
# availability in percent, result, credit
TABLE = [
    ("America/Toronto", "2026-03", "743", [], [], [], "100.000", "met", "0.00"),
    ("America/Toronto", "2026-11", "721", [(3, 40)], [], [], "99.908", "met", "0.00"),
    ("America/Toronto", "2026-11", "721", [(3, 45)], [], [], "99.896", "missed", "40.00"),
    ("America/Vancouver", "2026-11", "720", [(10, 300), (20, 180)], [], [], "98.889", "missed", "100.00"),
    ("America/St_Johns", "2026-03", "743", [(8, 2400)], [], [], "94.616", "missed", "400.00"),
    ("America/Halifax", "2026-02", "672", [(5, 300)], [(5, 300)], [], "100.000", "met", "0.00"),
    ("America/Halifax", "2026-02", "672", [(5, 300)], [(5, 240)], [], "99.850", "missed", "40.00"),
    ("America/Regina", "2026-04", "720", [], [], [(6, 1440)], "100.000", "met", "0.00"),
    ("America/Regina", "2026-04", "720", [], [], [(6, 7200)], None, "insufficient", "0.00"),
    ("America/Regina", "2026-04", "720", [(20, 480)], [], [(6, 7200)], "98.889", "missed", "100.00"),
]  # fmt: skip


def spans(month: Period, wanted: list[tuple[int, int]]) -> list[Period]:
    """Periods that begin so many times 24 hours after the month does, each of so many minutes."""
    starts = [(month.start + timedelta(days=day), timedelta(minutes=count)) for day, count in wanted]
    return [Period(start, start + lasting) for start, lasting in starts]


def scripted(month: Period, outages: list[Period], silences: list[Period]) -> Stream:
    """A check each five minutes: failed strictly inside an outage, absent strictly inside a silence."""
    checks: list[Check] = []
    at: datetime = month.start
    while at <= month.end:
        if not any(hole.start < at < hole.end for hole in silences):
            checks.append(Check(at=at, ok=not any(out.start < at < out.end for out in outages)))
        at += FIVE
    return Stream(name="work", checks=checks, interval=FIVE)


@pytest.mark.parametrize(("zone", "month", "length", "down", "works", "silent", "shown", "result", "credit"), TABLE)
def test_a_line_of_the_table(
    zone: str,
    month: str,
    length: str,
    down: list[tuple[int, int]],
    works: list[tuple[int, int]],
    silent: list[tuple[int, int]],
    shown: str | None,
    result: str,
    credit: str,
) -> None:
    period = month_period(Month.parse(month), zone)
    assert str(hours(period)) == length
    stream = scripted(period, spans(period, down), spans(period, silent))
    exclusions = [Exclusion(period=span, reason="maintenance") for span in spans(period, works)]
    verdict = judge(measure(period, streams=[stream], exclusions=exclusions), PROMISE)
    assert verdict.result == Result(result)
    assert (None if verdict.availability is None else str(percent(verdict.availability))) == shown
    assert str(verdict.credit) == credit
