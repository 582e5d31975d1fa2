"""Numbers of documents: one series per issuer, kind and year, without gaps.

The counter is a row. Whoever takes a number holds its lock until commit, so that a rolled-back document gives its
number back; a sequence would not. PostgreSQL refuses a commit that took a number and put it on no document.
"""

from datetime import date
from typing import Final

from billing.models import NumberSeries
from consortium.kernel.crash import crash_point
from members.models import Issuer

DIGITS: Final = 6


def take_number(issuer: Issuer, *, on: date, kind: str = "") -> str:
    """Return the next number, such as ICC-2026-000123; call it inside the transaction that uses it.

    `on` is the day of issue in the issuer's zone: each year begins a series. `kind` tells credit notes ("CN") apart.
    """
    return take_numbers(issuer, 1, on=on, kind=kind)[0]


def take_numbers(issuer: Issuer, count: int, *, on: date, kind: str = "") -> list[str]:
    """Return the next so many numbers, in their order; all of them are used in this transaction, or none."""
    if not count:
        return []
    words = [issuer.slug.upper()[:8], *([kind] if kind else []), f"{on.year}", ""]
    prefix = "-".join(words)
    NumberSeries.objects.bulk_create([NumberSeries(issuer=issuer, prefix=prefix)], ignore_conflicts=True)
    series = NumberSeries.objects.select_for_update().get(issuer=issuer, prefix=prefix)
    NumberSeries.objects.filter(pk=series.pk).update(next=series.next + count)
    crash_point("invoice.number_taken")
    return [f"{prefix}{number:0{DIGITS}d}" for number in range(series.next, series.next + count)]
