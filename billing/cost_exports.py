"""Costs as CSV for spreadsheets: lines of a month, rows of a bill. UTF-8 with a mark, amounts exact, cells harmless."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from django.db.models import QuerySet

from billing.explaining import MAX_ROWS, read_rows
from billing.models import CostRow
from billing.staging import charged
from consortium.kernel.exports import safe_cell
from consortium.kernel.money import plain
from consortium.kernel.tenancy import Scope, consortium_scope

_LINES: Final = (
    "month", "kind", "description", "pool", "method", "basis", "weight", "total_weight", "net", "currency", "invoice",
)  # fmt: skip
_ROWS: Final = (
    "line", "charge_period_start", "charge_period_end", "category", "service", "sub_account", "hub", "billed_cost",
    "charged_cost", "effective_cost", "currency", "because",
)  # fmt: skip


class Line(Protocol):
    """A line of a month's cost."""

    @property
    def kind(self) -> str: ...
    @property
    def net(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...
    @property
    def evidence(self) -> dict[str, Any]: ...
    @property
    def invoice_number(self) -> str: ...
    def description(self, language: str) -> str: ...


def lines_csv(lines: Iterable[Line], month: str, *, language: str) -> str:
    """Will write one row for each line of a month; `net` is before tax, in the member's currency."""
    return _written(_LINES, (_line(line, month, language) for line in lines))


def rows_csv(rows: QuerySet[CostRow]) -> str:
    """Will write a bill's rows in their order, and say on a last row when there are more than 50,000."""
    with consortium_scope(Scope.JOB):  # rows of a shared pool are no institution's
        left = rows.count() - MAX_ROWS
    more = [[f"{left} more rows are not in this file"]] if left > 0 else []
    return _written(_ROWS, (*(_row(row) for row in read_rows(rows)), *more))


def _line(line: Line, month: str, language: str) -> list[str]:
    share = line.evidence.get("share") or {}
    split = [str(share.get(name, "")) for name in ("pool", "method", "basis", "weight", "total_weight")]
    return [month, line.kind, line.description(language), *split, plain(line.net), line.currency, line.invoice_number]


def _row(row: CostRow) -> list[str]:
    return [
        str(row.line),
        row.charge_period_start.isoformat(),
        row.charge_period_end.isoformat(),
        row.charge_category,
        row.service_name,
        row.sub_account_id,
        row.hub_slug,
        plain(row.billed_cost),
        plain(charged(row.billed_cost, row.prepaid)),
        plain(row.effective_cost),
        row.currency,
        row.because,
    ]


def _written(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    file = io.StringIO(newline="")
    file.write("\N{BYTE ORDER MARK}")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(heading)
    guard: Callable[[str], str] = _guarded
    writer.writerows([guard(cell) for cell in row] for row in rows)
    return file.getvalue()


def _guarded(cell: str) -> str:
    """A negative figure is no formula; anything else that begins like one is text."""
    return cell if cell[1:].replace(".", "", 1).isdecimal() and cell[:1] == "-" else safe_cell(cell)
