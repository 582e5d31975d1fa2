"""CAMT.053, the ISO 20022 statement, in any of its versions: booked entries alone, and their single transactions."""

from datetime import date
from decimal import Decimal
from typing import Any

from lxml import etree

from billing.bank_files.base import BankFileRefused, ReadLine, ReadStatement, checked_currency, day, money, words
from consortium.kernel.money import EXACT


def read_camt(content: bytes) -> list[ReadStatement]:
    """Return the statements of a CAMT.053 file. Entities and document types are refused. Raises BankFileRefused."""
    if b"<!" in content.replace(b"<!--", b""):
        raise BankFileRefused("the file declares a document type or entities, which no bank needs. Do not trust it.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BankFileRefused(f"this is no well-formed XML ({error}). Export it again.") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]  # every version has a namespace of its own
    if root.find("BkToCstmrStmt") is None:
        raise BankFileRefused("the file is XML, but no CAMT.053 statement. Ask the bank for camt.053.")
    return [_statement(each, number) for number, each in enumerate(root.iterfind("BkToCstmrStmt/Stmt"), 1)]


def _statement(node: Any, number: int) -> ReadStatement:
    place = f"statement {number}"
    account = node.findtext("Acct/Id/IBAN") or node.findtext("Acct/Id/Othr/Id") or ""
    currency = node.findtext("Acct/Ccy") or next((each.get("Ccy") for each in node.iterfind("Bal/Amt")), None)
    currency = checked_currency(currency, place=place)
    lines = [
        line
        for position, entry in enumerate(node.iterfind("Ntry"), 1)
        for line in _entry(entry, f"{place}, entry {position}")
    ]
    return ReadStatement(
        account=account.strip(),
        currency=currency,
        lines=tuple(lines),
        name=words(node.findtext("Id")),
        opening=_balance(node, ("OPBD", "PRCD"), currency, place),
        closing=_balance(node, ("CLBD",), currency, place),
        place=place,
    )


def _balance(node: Any, codes: tuple[str, ...], currency: str, place: str) -> Decimal | None:
    for balance in node.iterfind("Bal"):
        code = balance.findtext("Tp/CdOrPrtry/Cd")
        if code in codes:
            return _signed(balance, currency, f"{place}, balance {code}")
    return None


def _signed(node: Any, currency: str, place: str) -> Decimal:
    amount = node.find("Amt")
    if amount is None or amount.get("Ccy", currency) != currency:
        raise BankFileRefused("the amount is missing, or in another currency than the account.", place=place)
    value = money(amount.text, currency, place=place)
    side = node.findtext("CdtDbtInd")
    if side not in {"CRDT", "DBIT"} or value < 0:
        raise BankFileRefused("it does not say whether it is a credit or a debit.", place=place)
    return value if side == "CRDT" else EXACT.minus(value)


def _entry(entry: Any, place: str) -> list[ReadLine]:
    """One line per booked entry, or per transaction of it where those come to the entry."""
    status = entry.findtext("Sts/Cd") or entry.findtext("Sts") or ""
    if status.strip() != "BOOK":
        return []
    amount = entry.find("Amt")
    currency = checked_currency(None if amount is None else amount.get("Ccy"), place=place)
    whole = _signed(entry, currency, place)
    booked = _date(entry, place)
    details = list(entry.iterfind("NtryDtls/TxDtls"))
    parts = _parts(details, currency, whole, place)
    nodes: list[tuple[Any, Decimal]] = list(zip(details, parts, strict=True)) if parts else [(entry, whole)]
    return [
        ReadLine(
            booked_on=booked, amount=value, currency=currency, place=place,
            bank_reference=words(node.findtext("Refs/AcctSvcrRef") or entry.findtext("AcctSvcrRef")),
            payer=words(_payer(node if parts else (details[0] if details else node), "Nm")),
            payer_account=words(_payer_account(details[0] if details and not parts else node)),
            text=_text(node if parts or not details else details[0], entry),
        )
        for node, value in nodes
        if value
    ]  # fmt: skip


def _parts(details: list[Any], currency: str, whole: Decimal, place: str) -> list[Decimal]:
    """The amounts of an entry's transactions, when each has one and they come to the entry."""
    if len(details) < 2:
        return []
    found = []
    for node in details:
        amount = node.find("Amt") if node.find("Amt") is not None else node.find("AmtDtls/TxAmt/Amt")
        if amount is None or amount.get("Ccy") != currency:
            return []
        value = money(amount.text, currency, place=place)
        side = node.findtext("CdtDbtInd") or ("CRDT" if whole > 0 else "DBIT")
        found.append(value if side == "CRDT" else EXACT.minus(value))
    total = Decimal(0)
    for value in found:
        total = EXACT.add(total, value)
    return found if total == whole else []


def _date(entry: Any, place: str) -> date:
    text = entry.findtext("BookgDt/Dt") or (entry.findtext("BookgDt/DtTm") or "")[:10]
    try:
        return day(date.fromisoformat(text.strip()[:10]), place=place)
    except ValueError:
        raise BankFileRefused("the booking date is missing or is no date.", place=place) from None


def _payer(node: Any, _name: str) -> str:
    return (
        node.findtext("RltdPties/Dbtr/Nm")
        or node.findtext("RltdPties/Dbtr/Pty/Nm")
        or node.findtext("RltdPties/UltmtDbtr/Nm")
        or ""
    )


def _payer_account(node: Any) -> str:
    return node.findtext("RltdPties/DbtrAcct/Id/IBAN") or node.findtext("RltdPties/DbtrAcct/Id/Othr/Id") or ""


def _text(node: Any, entry: Any) -> str:
    said = [each.text for each in node.iterfind("RmtInf/Ustrd")]
    said += [each.text for each in node.iterfind("RmtInf/Strd/CdtrRefInf/Ref")]
    said += [node.findtext("Refs/EndToEndId") if node.findtext("Refs/EndToEndId") != "NOTPROVIDED" else None]
    said += [entry.findtext("AddtlNtryInf")]
    return words(" ".join(each for each in said if each))
