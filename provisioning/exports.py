"""Use as a CSV file that a spreadsheet opens without running anything in it."""

import csv
import io
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from consortium.kernel.exports import safe_cell
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
    "gpu_seconds",
    "storage_gib_seconds",
    "gap_seconds",
    "partial",
    "generated",
)
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
            str(use.gpu_seconds),
            plain(use.storage_gib_seconds),
            str(use.gap_seconds),
            "yes" if use.partial else "no",
            "yes" if use.generated else "no",
        )
        writer.writerow([safe_cell(cell) for cell in cells])
    return "\N{ZERO WIDTH NO-BREAK SPACE}" + file.getvalue()
