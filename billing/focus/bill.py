"""A FOCUS bill as a stream of frozen records, with its exact totals and its errors.

    bill = read_bill(stream, "september.csv.gz")     # raises BillRefused for what is no bill at all
    for record in bill:                              # once; good rows only
        ...
    bill.require_clean()                             # raises BillRefused when a row had errors
    bill.total, bill.currency, bill.periods

Nothing is rounded, dropped or mended in silence: a row is either a record whose cost is in the total or an error with
its line.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final, NamedTuple

from billing.focus import cells
from billing.focus.columns import (
    CHARGE_CATEGORIES,
    CHARGE_CLASSES,
    CHARGE_FREQUENCIES,
    KNOWN,
    MANDATORY,
    OPTIONAL,
    PROVIDERS,
    TYPED,
)
from billing.focus.errors import BillError, BillRefused, CellInvalid, LineUnreadable
from billing.focus.lines import Lines
from billing.focus.parquet import MAGIC, ParquetRows
from consortium.kernel.money import EXACT

MAX_ERRORS: Final = 100
MAX_COLUMNS: Final = 1000
COSTS: Final = ("BilledCost", "EffectiveCost")
_ZERO: Final = Decimal(0)
_REMEMBERED_CELLS: Final = 20_000  # for each column
_REMEMBERED_CHARS: Final = 500

_NEVER: Final = datetime.max.replace(tzinfo=UTC)  # stands in a row that is refused anyway

type BillingPeriod = tuple[datetime, datetime]
type Source = Lines | ParquetRows


class CostRecord(NamedTuple):
    """One row of a bill. Costs keep the decimals they were written with; instants are UTC, periods half-open."""

    line: int
    billed_cost: Decimal
    effective_cost: Decimal
    currency: str
    billing_account_id: str
    billing_period_start: datetime
    billing_period_end: datetime
    charge_period_start: datetime
    charge_period_end: datetime
    charge_category: str  # Usage, Purchase, Tax, Credit or Adjustment
    charge_class: str  # Correction or ""
    charge_frequency: str  # One-Time, Recurring, Usage-Based or ""
    service_name: str
    service_category: str
    sub_account_id: str
    sub_account_name: str
    resource_id: str
    tags: Mapping[str, str]  # read-only, shared by rows with the same tags
    provider: str
    extras: Mapping[str, str]  # every other column that holds a value, as written


class Bill:
    """A bill being read: iterate it once, then ask it for totals and errors."""

    def __init__(self, name: str, lines: Source, rows: Iterator[list[str]], columns: Sequence[str]) -> None:
        self.name = name
        self.columns = tuple(columns)
        self.unknown_columns = tuple(column for column in columns if column not in KNOWN)
        self.errors: list[BillError] = []
        self.rows = 0  # good rows
        self.refused_rows = 0
        self.total = Decimal(0)  # of BilledCost, exact
        self.effective_total = Decimal(0)
        self.total_by_category: dict[str, Decimal] = {}
        self.periods: dict[BillingPeriod, int] = {}  # billing periods found, with their numbers of rows
        self.currency = ""
        self.billing_account_id = ""
        self.provider = ""
        self._lines = lines
        self._rows = rows
        self._at = {column: index for index, column in enumerate(columns)}
        self._extra = [(column, index) for column, index in self._at.items() if column not in TYPED]
        self._plan: list[tuple[str, int, dict[str, Any]]] = [
            (column, self._at.get(column, len(columns)), {}) for column in _READERS if column not in COSTS
        ]
        self._problems: list[tuple[str, str]] = []
        self._stopped = False

    @property
    def sha256(self) -> str:
        """The digest of the unpacked content, once the bill is read: the same bill has the same one."""
        return self._lines.sha256

    def __iter__(self) -> Iterator[CostRecord]:
        """Give out the good rows and collect the errors of the others; stop after a hundred of them."""
        while not self._stopped:
            row, line = self._next_row()
            if row is None:
                break
            if not row:
                continue
            if (record := self._record(row, line)) is None:
                self.refused_rows += 1
                continue
            self._count(record)
            yield record
        if not self.rows and not self.errors:
            self.refuse(self._lines.number, "", "The bill has a heading but no rows.")

    def require_clean(self) -> None:
        """Will raise BillRefused when anything was wrong; call it before anything of the bill is kept."""
        if self.errors:
            raise BillRefused(self.name, self.errors, rows=self.rows + self.refused_rows)

    def _next_row(self) -> tuple[list[str] | None, int]:
        """Fetch the next row and the line it starts on; None at the end, or where the file cannot be read further."""
        line = self._lines.number + 1
        try:
            row = next(self._rows, None)
        except csv.Error as error:
            self.refuse(line, "", f"The row is no valid CSV ({error}). A quotation mark may be missing.")
        except LineUnreadable as error:
            self.refuse(error.line, "", error.message)
        else:
            self._lines.row_done()
            return row, line
        self._stopped = True
        return None, line

    def _record(self, row: list[str], line: int) -> CostRecord | None:
        """Read one row, or note everything that is wrong with it."""
        if len(row) != len(self.columns):
            self.refuse(line, "", f"The row has {len(row)} cells where the heading has {len(self.columns)}.")
            return None
        self._problems = []
        row.append("")  # what a column that the bill lacks would hold
        billed, effective = self._cost(row, "BilledCost"), self._cost(row, "EffectiveCost")
        try:
            values = [memo[row[index]] for _column, index, memo in self._plan]  # most cells of a bill were seen before
        except KeyError:
            values = [self._cell(row[index], column, memo) for column, index, memo in self._plan]
        extras = {column: row[index] for column, index in self._extra if row[index] not in cells.NULLS}
        record = CostRecord._make([line, billed, effective, *values, self._provider(row), extras])
        if not self._problems:
            self._check(record)
        for column, message in self._problems:
            self.refuse(line, column, message)
        return None if self._problems else record

    def _cost(self, row: list[str], column: str) -> Any:
        """Read a cost, which is seldom one that was seen before."""
        text = row[self._at[column]]
        try:
            return cells.cost(text)
        except CellInvalid:
            return self._cell(text, column, {})

    def _cell(self, text: str, column: str, memo: dict[str, Any]) -> Any:
        """Read a cell, noting what is wrong with it; what is right and short is remembered."""
        if text in memo:
            return memo[text]
        read, otherwise, is_needed = _READERS[column]
        if text in cells.NULLS:
            if is_needed:
                self._problems.append((column, f"{column} is empty."))
            else:
                memo[text] = otherwise
            return otherwise
        if len(text) > cells.MAX_CELL_CHARS:
            self._problems.append((column, f"The cell has {len(text)} characters; no bill needs so many."))
            return otherwise
        try:
            value = read(text)
        except CellInvalid as error:
            self._problems.append((column, str(error)))
            return otherwise
        if len(text) <= _REMEMBERED_CHARS:
            if len(memo) >= _REMEMBERED_CELLS:
                memo.clear()
            memo[text] = value
        return value

    def _provider(self, row: list[str]) -> str:
        """Read who sent the bill; FOCUS 1.3 renamed the column."""
        for column in PROVIDERS:
            index = self._at.get(column)
            if index is not None and row[index] not in cells.NULLS:
                return row[index]
        self._problems.append((next(column for column in PROVIDERS if column in self._at), "The provider is empty."))
        return ""

    def _check(self, record: CostRecord) -> None:
        """Hold the row against itself and against the first row of the bill."""
        if record.billing_period_start >= record.billing_period_end:
            self._problems.append(("BillingPeriodEnd", "The billing period does not end after it starts."))
        if record.charge_period_start > record.charge_period_end:
            self._problems.append(("ChargePeriodEnd", "The charge period ends before it starts."))
        for column, first, value in (
            ("BillingCurrency", self.currency, record.currency),
            ("BillingAccountId", self.billing_account_id, record.billing_account_id),
        ):
            if first and first != value:
                self._problems.append(
                    (
                        column,
                        f"The row has {cells.shown(value)}, the bill began with {cells.shown(first)}. Split the file.",
                    )
                )

    def _count(self, record: CostRecord) -> None:
        """Add a good row to the totals."""
        if not self.rows:
            self.currency = record.currency
            self.billing_account_id = record.billing_account_id
            self.provider = record.provider
        self.rows += 1
        add, category, billed = EXACT.add, record.charge_category, record.billed_cost
        self.total = add(self.total, billed)
        self.effective_total = add(self.effective_total, record.effective_cost)
        self.total_by_category[category] = add(self.total_by_category.get(category, _ZERO), billed)
        period = (record.billing_period_start, record.billing_period_end)
        self.periods[period] = self.periods.get(period, 0) + 1

    def refuse(self, line: int, column: str, message: str) -> None:
        """Will note an error of a row, also one that only the caller can see; too many of them end the reading."""
        if self._stopped:
            return
        self.errors.append(BillError(line, column, message))
        if len(self.errors) >= MAX_ERRORS:
            self.errors.append(BillError(line, "", f"Reading stopped after {MAX_ERRORS} errors."))
            self._stopped = True


def read_bill(stream: BinaryIO, name: str) -> Bill:
    """Will open a FOCUS bill in CSV, gzipped or not, or Parquet, and read its heading; `name` is shown in messages.

    Parquet has its contents at the end, so its stream must be able to seek. Raises BillRefused when it is no FOCUS
    bill: empty, binary, a web page, in another encoding, or with columns missing or given twice.
    """
    if is_parquet(stream):
        return _parquet_bill(stream, name)
    try:
        lines = Lines(stream)
        rows = csv.reader(iter(lines), strict=True)
        heading = next(rows, [])
    except LineUnreadable as error:
        raise BillRefused(name, [BillError(error.line, "", error.message)]) from error
    except csv.Error as error:
        raise BillRefused(name, [BillError(1, "", f"The heading is no valid CSV ({error}).")]) from error
    lines.row_done()
    return Bill(name, lines, rows, _columns(heading, name))


def is_parquet(stream: BinaryIO) -> bool:
    """Will tell by the first bytes whether a stream that can seek holds Parquet; its place does not change."""
    if not getattr(stream, "seekable", lambda: False)():
        return False
    place = stream.tell()
    head = stream.read(len(MAGIC))
    stream.seek(place)
    return head == MAGIC


def _parquet_bill(stream: BinaryIO, name: str) -> Bill:
    try:
        rows = ParquetRows(stream)
    except LineUnreadable as error:
        raise BillRefused(name, [BillError(error.line, "", error.message)]) from error
    return Bill(name, rows, iter(rows), _columns(rows.heading, name))


def _columns(heading: Sequence[str], name: str) -> list[str]:
    """Return the names of the columns. Raises BillRefused."""
    columns = [column.strip() for column in heading]
    if errors := _heading_errors(columns):
        raise BillRefused(name, errors)
    return columns


def _heading_errors(columns: Sequence[str]) -> list[BillError]:
    """Refuse a heading that lacks what we bill by, or names a column twice."""
    if len(columns) > MAX_COLUMNS:
        return [BillError(1, "", f"The heading has {len(columns)} columns; at most {MAX_COLUMNS} are read.")]
    if not KNOWN.intersection(columns):
        hint = " Its cells must be separated by commas." if len(columns) == 1 else ""
        return [BillError(1, "", f"This is no FOCUS bill: its first line names none of FOCUS's columns.{hint}")]
    errors = []
    seen: dict[str, str] = {}
    for column in columns:
        if not column:
            errors.append(BillError(1, "", "A column of the heading has no name."))
        elif column.lower() in seen:
            errors.append(BillError(1, column[:100], f"The column {cells.shown(column)} is there twice."))
        seen[column.lower()] = column
    errors.extend(_missing(column, seen.get(column.lower())) for column in MANDATORY if column not in columns)
    if not any(column in columns for column in PROVIDERS):
        errors.append(_missing(PROVIDERS[1], None))
    errors.extend(_missing(column, seen[column.lower()]) for column in OPTIONAL if _misspelt(column, columns, seen))
    return errors[:MAX_ERRORS]


def _misspelt(column: str, columns: Sequence[str], seen: Mapping[str, str]) -> bool:
    """Tell whether a column we would read is there in other capitals: ignoring it would lose its values."""
    return column not in columns and column.lower() in seen


def _missing(column: str, similar: str | None) -> BillError:
    """Say which column is missing, and what is there instead."""
    hint = f" The bill has {cells.shown(similar)}: capitals count." if similar else ""
    return BillError(1, column, f"The column {column} is missing.{hint}")


def _category(text: str) -> str:
    return cells.word(text, CHARGE_CATEGORIES)


def _class(text: str) -> str:
    return cells.word(text, CHARGE_CLASSES)


def _frequency(text: str) -> str:
    return cells.word(text, CHARGE_FREQUENCIES)


# How each column is read, in the order of CostRecord's fields: the reader, the value of an empty cell, and whether a
# cell must hold a value.
_READERS: Final[dict[str, tuple[Callable[[str], Any], Any, bool]]] = {
    "BilledCost": (cells.cost, Decimal(0), True),
    "EffectiveCost": (cells.cost, Decimal(0), True),
    "BillingCurrency": (cells.currency, "", True),
    "BillingAccountId": (str, "", True),
    "BillingPeriodStart": (cells.instant, _NEVER, True),
    "BillingPeriodEnd": (cells.instant, _NEVER, True),
    "ChargePeriodStart": (cells.instant, _NEVER, True),
    "ChargePeriodEnd": (cells.instant, _NEVER, True),
    "ChargeCategory": (_category, "", True),
    "ChargeClass": (_class, "", False),
    "ChargeFrequency": (_frequency, "", False),
    "ServiceName": (str, "", False),
    "ServiceCategory": (str, "", False),
    "SubAccountId": (str, "", False),
    "SubAccountName": (str, "", False),
    "ResourceId": (str, "", False),
    "Tags": (cells.tags, cells.NO_TAGS, False),
}
