"""CSV as each bank writes it, read by a mapping that is saved with the account."""

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from billing.bank_files.base import BankFileRefused, ReadLine, ReadStatement, day, money, words
from consortium.kernel.money import EXACT


class Mapping(BaseModel):
    """Which column says what. Columns are named as the file's first row names them; "" where there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    booked_on: str
    date_format: str = "%Y-%m-%d"
    amount: str = ""
    credit: str = ""
    debit: str = ""
    payer: str = ""
    payer_account: str = ""
    text: str = ""
    reference: str = ""
    delimiter: Literal[",", ";", "\t", "|"] = ","
    decimal_mark: Literal[".", ","] = "."
    account: str = ""
    currency: str = "CAD"


def read_csv(content: bytes, mapping: Mapping) -> list[ReadStatement]:
    """Return the one statement of a CSV file; it carries no balances. Raises BankFileRefused."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    rows = _rows(text, mapping)
    lines = tuple(line for row, place in rows if (line := _line(row, mapping, place)).amount)
    return [ReadStatement(account=mapping.account, currency=mapping.currency, lines=lines, place="the file")]


def _rows(text: str, mapping: Mapping) -> Iterator[tuple[dict[str, str], str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mapping.delimiter, strict=True)
    try:
        head = [words(cell) for cell in next(reader, [])]
        wanted = [name for name in _columns(mapping) if name]
        if missing := [name for name in wanted if head.count(name) != 1]:
            raise BankFileRefused(
                f"the column {missing[0]!r} is missing or there twice; the file has {', '.join(head[:20])}. "
                "Correct the mapping.",
                place="line 1",
            )
        for cells in reader:
            place = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(head):
                raise BankFileRefused(f"{len(cells)} cells where the first line has {len(head)}.", place=place)
            yield dict(zip(head, cells, strict=True)), place
    except csv.Error as error:
        raise BankFileRefused(f"{error}. Export it again.", place=f"line {reader.line_num}") from None


def _columns(mapping: Mapping) -> tuple[str, ...]:
    amounts = (mapping.amount,) if mapping.amount else (mapping.credit, mapping.debit)
    if not any(amounts):
        raise BankFileRefused("the mapping names no column for the amount, nor for credits and debits.")
    return (mapping.booked_on, *amounts, mapping.payer, mapping.payer_account, mapping.text, mapping.reference)


def _line(row: dict[str, str], mapping: Mapping, place: str) -> ReadLine:
    return ReadLine(
        booked_on=_date(row[mapping.booked_on], mapping.date_format, place),
        amount=_amount(row, mapping, place),
        currency=mapping.currency,
        place=place,
        bank_reference=words(row.get(mapping.reference)),
        payer=words(row.get(mapping.payer)),
        payer_account=words(row.get(mapping.payer_account)),
        text=words(row.get(mapping.text)),
    )


def _amount(row: dict[str, str], mapping: Mapping, place: str) -> Decimal:
    if mapping.amount:
        return _number(row[mapping.amount], mapping, place)
    credit = _number(row.get(mapping.credit, ""), mapping, place, empty=True)
    debit = _number(row.get(mapping.debit, ""), mapping, place, empty=True)
    return EXACT.subtract(credit, debit.copy_abs())


def _number(text: str, mapping: Mapping, place: str, *, empty: bool = False) -> Decimal:
    bare = text.strip().replace("\N{NO-BREAK SPACE}", "").replace("\N{NARROW NO-BREAK SPACE}", "").replace(" ", "")
    bare = bare.replace("$", "").replace("," if mapping.decimal_mark == "." else ".", "")
    if mapping.decimal_mark == ",":
        bare = bare.replace(",", ".")
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    if empty and not bare:
        return Decimal(0)
    return money(bare, mapping.currency, place=place)


def _date(text: str, pattern: str, place: str) -> date:
    try:
        return day(datetime.strptime(text.strip(), pattern).date(), place=place)  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise BankFileRefused(f"{text[:20]!r} is no date of the form {pattern}.", place=place) from None
