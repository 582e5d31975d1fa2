"""Requests for support as a CSV file that a spreadsheet opens without running anything in it."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

from consortium.kernel.exports import safe_cell
from provisioning.models import SupportClock, SupportRequest

_HEADINGS = (
    "reference",
    "hub",
    "title",
    "severity",
    "status",
    "opened_at",
    "first_answer_due",
    "first_answer_at",
    "first_answer_in_time",
    "resolved_at",
    "closed_at",
)


def support_csv(requests: Iterable[SupportRequest], *, at: datetime) -> str:
    """Will write requests as CSV in UTF-8 with a mark, all cells quoted; instants are UTC in ISO form.

    The requests come with their hub and clocks (`prefetch_related("clocks")`).
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(_HEADINGS)
    for request in requests:
        clock = next((each for each in request.clocks.all() if each.kind == "response"), None)
        cells = (
            request.reference,
            request.hub.name,
            request.title,
            request.severity_name,
            request.status,
            _instant(request.opened_at),
            _instant(clock.due_at if clock else None),
            _instant(clock.stopped_at if clock and clock.stopped_by == "answer" else None),
            _in_time(clock, at),
            _instant(request.resolved_at),
            _instant(request.closed_at),
        )
        writer.writerow([safe_cell(cell) for cell in cells])
    return "\N{ZERO WIDTH NO-BREAK SPACE}" + file.getvalue()


def _instant(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _in_time(clock: SupportClock | None, at: datetime) -> str:
    """Yes, no, or nothing where none was promised, or it is still open."""
    if clock is None or (clock.stopped_at is None and at <= clock.due_at):
        return ""
    if clock.stopped_by not in {"", "answer"} and (clock.stopped_at or at) <= clock.due_at:
        return ""
    return "yes" if clock.stopped_at is not None and clock.stopped_at <= clock.due_at else "no"
