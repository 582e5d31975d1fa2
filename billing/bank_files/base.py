"""What a bank's statement is to us, and how a file that is none is refused."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from consortium.kernel.errors import Invalid
from consortium.kernel.money import (
    EXACT,
    AmountInvalid,
    CurrencyUnknown,
    exact_sum,
    exponent,
    parse_amount,
    plain,
    round_money,
)

LONGEST: Final = 500
EARLIEST: Final = date(2000, 1, 1)
LATEST: Final = date(2100, 1, 1)


class BankFileRefused(Invalid):
    """A bank's file cannot be read, or does not add up. The message says where, and what to do."""

    code = "bank_file_refused"

    def __init__(self, message: str, *, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message, field="file")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLine:
    """One booked line: `amount` above zero came in, below zero left. `place` is where it stands in the file."""

    booked_on: date
    amount: Decimal
    currency: str
    place: str
    bank_reference: str = ""
    payer: str = ""
    payer_account: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadStatement:
    """A statement of one account. Balances are None where the format carries none."""

    account: str
    currency: str
    lines: tuple[ReadLine, ...]
    name: str = ""
    opening: Decimal | None = None
    closing: Decimal | None = None
    place: str = ""


def looks_whole(statement: ReadStatement) -> None:
    """Refuse a statement in two currencies, or whose lines do not lead from its opening to its closing balance."""
    for line in statement.lines:
        if line.currency != statement.currency:
            raise BankFileRefused(
                f"a line is in {line.currency}, the account in {statement.currency}. Ask the bank for one currency.",
                place=line.place,
            )
    if statement.opening is None or statement.closing is None:
        return
    moved = exact_sum(line.amount for line in statement.lines)
    if EXACT.add(statement.opening, moved) != statement.closing:
        raise BankFileRefused(
            f"the lines come to {plain(moved)} {statement.currency}, but the balance went from "
            f"{plain(statement.opening)} to {plain(statement.closing)}. Lines are missing: export it again.",
            place=statement.place or "statement",
        )


def money(text: str | None, currency: str, *, place: str) -> Decimal:
    """Read an exact amount of a currency. Raises BankFileRefused."""
    try:
        amount = parse_amount((text or "").strip().removeprefix("+"))
        rounded = round_money(amount, currency)
    except (AmountInvalid, CurrencyUnknown) as error:
        raise BankFileRefused(error.message, place=place) from None
    if rounded != amount:
        raise BankFileRefused(f"{plain(amount)} has more decimals than {currency}.", place=place)
    return rounded


def checked_currency(text: str | None, *, place: str) -> str:
    """Read a currency that we know. Raises BankFileRefused."""
    code = (text or "").strip().upper()
    try:
        exponent(code)
    except CurrencyUnknown as error:
        raise BankFileRefused(error.message, place=place) from None
    return code


def day(value: date | None, *, place: str) -> date:
    """Accept a day that a statement of ours can have. Raises BankFileRefused."""
    if value is None or not EARLIEST <= value < LATEST:
        raise BankFileRefused("the booking date is missing or cannot be right.", place=place)
    return value


def words(text: object) -> str:
    """One line of text: control characters and runs of blanks become one blank, and what is too long is cut."""
    flat = "".join(sign if sign.isprintable() else " " for sign in str(text or ""))
    return " ".join(flat.split())[:LONGEST]


def account_key(text: str) -> str:
    """An account's number as it is compared: letters and digits, in capitals, without leading zeros."""
    return "".join(sign for sign in text.upper() if sign.isascii() and sign.isalnum()).lstrip("0")
