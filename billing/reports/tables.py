"""What a report is made of: tables with a caption, typed columns and rows, read on a page or as CSV. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from consortium.kernel.exports import safe_cell
from consortium.kernel.money import plain
from members.models import Issuer

Cell = str | Decimal | date | int | None


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; `is_money` sets its figures below one another."""

    label: str
    is_money: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `note` says what the figures are; `tone` is "danger" where something does not agree."""

    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Whose books, and the days from `since` up to and including `until`, in the issuer's zone."""

    issuer: Issuer
    since: date
    until: date


def money_columns(*labels: str) -> tuple[Column, ...]:
    """Will return columns of figures."""
    return tuple(Column(label, is_money=True) for label in labels)


def to_csv(tables: Iterable[Table]) -> str:
    """Will write the tables below one another, each with its caption and headings, UTF-8 with a mark for Excel.

    Amounts have a decimal point and no separators; text that a spreadsheet would run gets an apostrophe before it.
    """
    file = io.StringIO()
    file.write("\N{BYTE ORDER MARK}")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    for number, table in enumerate(tables):
        if number:
            writer.writerow([])
        writer.writerow([safe_cell(table.caption)])
        writer.writerow([safe_cell(column.label) for column in table.columns])
        writer.writerows([cell_text(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def cell_text(cell: Cell) -> str:
    """Will write one cell for CSV: figures plainly, text guarded."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return plain(cell)
    if isinstance(cell, (date, int)):
        return str(cell)
    return safe_cell(cell)
