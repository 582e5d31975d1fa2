"""The EN 16931 form of an invoice (Factur-X), made by the factur-x library from the snapshot, every figure as text."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from facturx.generate_xml import generate_cii_xml

from billing.documents.electronic import (
    CREDIT_NOTE_TYPE,
    INVOICE_TYPE,
    CreditOf,
    category_of,
    check_currency,
    quantity_and_price,
    seller_identifier,
    unit_code,
)
from billing.snapshot import InvoiceSnapshot, LinePart
from consortium.kernel.money import exact_sum, plain
from consortium.kernel.periods import local_date

FILE_NAME: Final = "factur-x.xml"
LEVEL: Final = "en16931"
CREDIT_TRANSFER: Final = "30"


def facturx_xml(snapshot: InvoiceSnapshot, *, credit: CreditOf | None = None) -> bytes:
    """Will write the snapshot as Factur-X of the level EN 16931. Raises EInvoiceRefused.

    It is not validated here: the library's own check would call a server (see billing.documents.validation).
    """
    check_currency(snapshot.currency)
    facts = _facts(snapshot, credit)
    xml: bytes = generate_cii_xml(facts, level=LEVEL, check_xsd=False, check_schematron=False)
    return xml


def _facts(snapshot: InvoiceSnapshot, credit: CreditOf | None) -> dict[str, Any]:
    """The business terms of EN 16931 by their numbers."""
    last = local_date(snapshot.period_end - timedelta(microseconds=1), snapshot.zone)
    facts: dict[str, Any] = {
        "BT-1": snapshot.number,
        "BT-2": snapshot.issued_on,
        "BT-3": CREDIT_NOTE_TYPE if credit else INVOICE_TYPE,
        "BT-5": snapshot.currency,
        "BT-9": snapshot.due_on,
        "BT-10": snapshot.po_number or snapshot.payer.cost_centre or snapshot.payer.institution_slug,
        "BT-72": last,
        "BT-73": local_date(snapshot.period_start, snapshot.zone),
        "BT-74": last,
        "BG-4": _seller(snapshot),
        "BG-7": _buyer(snapshot),
        "BG-23": _breakdown(snapshot),
        "BG-25": [_line(line, snapshot) for line in snapshot.lines],
        "BT-106": plain(snapshot.net_total),
        "BT-109": plain(snapshot.net_total),
        "BT-110": plain(snapshot.tax_total),
        "BT-112": plain(snapshot.total),
        "BT-115": plain(snapshot.total),
    }
    if snapshot.po_number:
        facts["BT-13"] = snapshot.po_number
    if snapshot.bank and not credit:
        facts |= {"BT-81": CREDIT_TRANSFER, "BT-83": snapshot.number, "BT-84": snapshot.bank.account_number}
        facts["BT-85"] = snapshot.bank.holder
    if credit:
        facts["BG-3"] = [{"BT-25": credit.invoice_number, "BT-26": credit.invoice_issued_on}]
        if credit.reason:
            facts["BG-1"] = [{"BT-22": credit.reason}]
    return facts


def _party(name: str, address: str, country: str, email: str) -> dict[str, Any]:
    first, second, *rest = [*address.splitlines(), "", ""]
    return {
        "name": name,
        "addr_l1": first,
        "addr_l2": second,
        "addr_l3": ", ".join(line for line in rest if line),
        "country_code": country,
        "contacts": [{"name": name, "email": email}],
    }


def _seller(snapshot: InvoiceSnapshot) -> dict[str, Any]:
    issuer = snapshot.issuer
    party = _party(issuer.word("name", snapshot.language), issuer.address, issuer.country, issuer.email)
    party["identifiers"] = {None: seller_identifier(snapshot)}
    if issuer.tax_number:
        party["tax_identifier"] = issuer.tax_number
    return party


def _buyer(snapshot: InvoiceSnapshot) -> dict[str, Any]:
    payer = snapshot.payer
    party = _party(payer.name, payer.address, payer.country, payer.email)
    if any(tax.reason == "reverse_charge" for tax in snapshot.taxes):
        party["vat_identifier"] = payer.vat_number
    return party


def _breakdown(snapshot: InvoiceSnapshot) -> list[dict[str, Any]]:
    """What each category comes to; nothing is charged in any of them."""
    groups: dict[str, list[LinePart]] = {}
    for line in snapshot.lines:
        groups.setdefault(category_of(line, snapshot).code, []).append(line)
    found = []
    for code, lines in groups.items():
        category = category_of(lines[0], snapshot)
        part: dict[str, Any] = {
            "BT-116": plain(exact_sum(line.net for line in lines)),
            "BT-117": plain(Decimal("0.00")),
            "BT-118": code,
            "BT-120": category.reason,
            "BT-121": category.reason_code,
        }
        found.append(part | ({"BT-119": "0"} if code != "O" else {}))
    return found


def _line(line: LinePart, snapshot: InvoiceSnapshot) -> dict[str, Any]:
    quantity, price = quantity_and_price(line)
    category = category_of(line, snapshot)
    facts: dict[str, Any] = {
        "BT-126": str(line.position),
        "BT-129": plain(quantity),
        "BT-130": unit_code(line.unit),
        "BT-131": plain(line.net),
        "BT-146": plain(price),
        "BT-151": category.code,
        "BT-153": line.word("description", snapshot.language),
    }
    return facts | ({"BT-152": "0"} if category.code != "O" else {})
