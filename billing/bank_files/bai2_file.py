"""BAI2, the cash management format of banks in the United States and Canada. Amounts are in minor units."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from bai2 import bai2  # type: ignore[import-untyped]

from billing.bank_files.base import BankFileRefused, ReadLine, ReadStatement, checked_currency, day, words
from consortium.kernel.money import EXACT, from_minor

OPENING: Final = "010"
CLOSING: Final = "015"


def read_bai2(content: bytes) -> list[ReadStatement]:
    """Return one statement per account of a BAI2 file, its control totals checked. Raises BankFileRefused."""
    try:
        text = content.decode("utf-8-sig")
        found = bai2.parse_from_string(text, check_integrity=True)
        groups = list(found.children)
    except Exception as error:  # noqa: BLE001 - the library raises whatever a damaged file leads it to
        raise BankFileRefused(f"this is no whole BAI2 file ({words(error)[:120]}). Export it again.") from None
    return [
        _statement(account, group, f"group {number}, account {position}")
        for number, group in enumerate(groups, 1)
        for position, account in enumerate(group.children, 1)
    ]


def _statement(account: Any, group: Any, place: str) -> ReadStatement:
    currency = checked_currency(account.header.currency or group.header.currency or "USD", place=place)
    booked = day(_date(group.header.as_of_date), place=place)
    lines = [
        _line(each, currency, booked, f"{place}, transaction {position}")
        for position, each in enumerate(account.children, 1)
    ]
    balances = {_code(each.type_code): each.amount for each in account.header.summary_items}
    return ReadStatement(
        account=words(account.header.customer_account_number),
        currency=currency,
        lines=tuple(line for line in lines if line.amount),
        opening=_minor(balances.get(OPENING), currency),
        closing=_minor(balances.get(CLOSING), currency),
        place=place,
    )


def _line(found: Any, currency: str, booked: date, place: str) -> ReadLine:
    amount, code = found.amount, _code(found.type_code)
    if not isinstance(amount, int) or not code.isdigit():
        raise BankFileRefused("the amount or the type code is missing.", place=place)
    value = from_minor(amount, currency)
    is_debit = 400 <= int(code) <= 699
    return ReadLine(
        booked_on=booked,
        amount=EXACT.minus(value) if is_debit else value,
        currency=currency,
        place=place,
        bank_reference=words(found.bank_reference),
        text=words(f"{found.customer_reference or ''} {found.text or ''}"),
    )


def _minor(amount: object, currency: str) -> Decimal | None:
    return from_minor(amount, currency) if isinstance(amount, int) else None


def _code(found: Any) -> str:
    return str(getattr(found, "code", found) or "")


def _date(found: object) -> date | None:
    return found.date() if isinstance(found, datetime) else found if isinstance(found, date) else None
