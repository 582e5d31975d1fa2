"""What is wrong with a bill, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

from consortium.kernel.errors import Invalid


@dataclass(frozen=True, slots=True)
class BillError:
    """One thing wrong: the line of the file (1 is the first, 0 all of it), the column if it is a cell, the sentence."""

    line: int
    column: str
    message: str

    def as_dict(self) -> dict[str, int | str]:
        """Will return what `import_bill --json` prints."""
        return {"line": self.line, "column": self.column, "message": self.message}


class BillRefused(Invalid, ValueError):
    """The file is no bill we can read, or a bill with errors: nothing of it may be imported."""

    code = "bill_refused"

    def __init__(self, name: str, errors: Sequence[BillError], *, rows: int = 0) -> None:
        first = errors[0]
        where = f", line {first.line}" if first.line else ""
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{name}{where}: {first.message}{more}")
        self.name = name
        self.errors = tuple(errors)
        self.rows = rows  # how many were read before reading ended


class CellInvalid(ValueError):
    """A cell cannot be read; the message ends up in a BillError."""


class LineUnreadable(ValueError):
    """The file cannot be read beyond a line; the message ends up in a BillError."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
