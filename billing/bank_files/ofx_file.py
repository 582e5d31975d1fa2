"""OFX, as banks in North America export it, in both of its spellings (SGML and XML)."""

import io
from decimal import Decimal
from typing import Any

from ofxtools.Parser import OFXTree

from billing.bank_files.base import BankFileRefused, ReadLine, ReadStatement, checked_currency, day, money, words
from consortium.kernel.money import plain


def read_ofx(content: bytes) -> list[ReadStatement]:
    """Return the statements of an OFX file; its closing balance is as of a day and is not compared. Raises
    BankFileRefused.
    """
    if b"<!" in content:
        raise BankFileRefused("the file declares a document type or entities, which no bank needs. Do not trust it.")
    try:
        tree = OFXTree()
        tree.parse(io.BytesIO(content))
        found = tree.convert()
        statements = list(found.statements)
    except Exception as error:  # noqa: BLE001 - the library raises whatever a damaged file leads it to
        raise BankFileRefused(f"this is no readable OFX file ({words(error)[:120]}). Export it again.") from None
    return [_statement(each, number) for number, each in enumerate(statements, 1)]


def _statement(found: Any, number: int) -> ReadStatement:
    place = f"statement {number}"
    currency = checked_currency(getattr(found, "curdef", None), place=place)
    account = getattr(found, "account", None)
    transactions = list(getattr(found, "transactions", None) or [])
    lines = [_line(each, currency, f"{place}, transaction {position}") for position, each in enumerate(transactions, 1)]
    return ReadStatement(
        account=words(getattr(account, "acctid", "")),
        currency=currency,
        lines=tuple(line for line in lines if line.amount),
        place=place,
    )


def _line(found: Any, currency: str, place: str) -> ReadLine:
    posted = getattr(found, "dtposted", None)
    amount = getattr(found, "trnamt", None)
    if not isinstance(amount, Decimal) or not amount.is_finite():
        raise BankFileRefused("the amount is missing or is no number.", place=place)
    own = getattr(getattr(found, "currency", None), "cursym", None)
    payee = getattr(getattr(found, "payee", None), "name", None)
    return ReadLine(
        booked_on=day(posted.date() if posted else None, place=place),
        amount=money(plain(amount), currency, place=place),
        currency=checked_currency(own, place=place) if own else currency,
        place=place,
        bank_reference=words(getattr(found, "fitid", "")),
        payer=words(getattr(found, "name", None) or payee),
        text=words(" ".join(str(each) for each in (found.memo, found.checknum, found.refnum) if each)),
    )
