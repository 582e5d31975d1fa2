"""Use as a CSV file that a spreadsheet opens without running anything in it."""

import csv
import io
import unicodedata
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from consortium.kernel.money import plain
from provisioning.queries import DayUse

_HEADINGS = (
    "hub",
    "hub_name",
    "day",
    "zone",
    "active_users",
    "sessions",
    "server_seconds",
    "server_hours",
    "memory_gib_seconds",
    "gap_seconds",
    "partial",
    "generated",
)
_FORMULA = "=+-@|"
_HOUR = Decimal(3600)


def usage_csv(days: Iterable[DayUse]) -> str:
    """Will write hub-days as CSV in UTF-8 with a mark, all cells quoted; hours are rounded to four decimals."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(_HEADINGS)
    for use in days:
        hours = (use.server_seconds / _HOUR).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)
        cells = (
            use.hub_slug,
            use.hub_name,
            use.day.isoformat(),
            use.zone,
            str(use.active_users),
            str(use.sessions),
            str(use.server_seconds),
            plain(hours),
            plain(use.memory_gib_seconds),
            str(use.gap_seconds),
            "yes" if use.partial else "no",
            "yes" if use.generated else "no",
        )
        writer.writerow([safe_cell(cell) for cell in cells])
    return "\N{ZERO WIDTH NO-BREAK SPACE}" + file.getvalue()


def safe_cell(text: str) -> str:
    """Will put an apostrophe before text that a spreadsheet would take for a formula.

    Spreadsheets skip spaces, tabs and line ends first and read full-width signs as their ordinary ones.
    """
    seen = unicodedata.normalize("NFKC", text).lstrip()
    begins_badly = text[:1] in {"\t", "\r", "\n"} or (seen[:1] in set(_FORMULA) if seen else False)
    return f"'{text}" if begins_badly else text
