"""Which electronic form an invoice takes, and why one takes none. Pure.

EN 16931 knows one VAT category per line: it cannot say GST beside QST. So buyers in Europe get it (Factur-X in the PDF
and UBL 2.1 beside it), everybody else a plain UBL 2.1 that claims no such profile.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from billing.snapshot import InvoiceSnapshot, LinePart, Part
from billing.tax import EUROPEAN_UNION
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT, exponent

EUROPE: Final = EUROPEAN_UNION | {"IS", "LI", "NO"}
EN16931: Final = "urn:cen.eu:en16931:2017"
MOST_DECIMALS: Final = 2
INVOICE_TYPE: Final = "380"
CREDIT_NOTE_TYPE: Final = "381"
# UN/ECE recommendation 20.
UNITS: Final = {"day": "DAY", "month": "MON", "year": "ANN", "hour": "HUR"}
ANY_UNIT: Final = "C62"


class EInvoiceRefused(PortalError):
    """The invoice cannot have an electronic form; the sentence says why. Its PDF and CSV are not touched by that."""

    code = "einvoice_refused"


class EInvoiceInvalid(PortalError):
    """An electronic invoice broke a rule of its format, so it was not kept and is not sent."""

    code = "einvoice_invalid"
    status = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A VAT category of EN 16931 with the reason for charging nothing, in the invoice's own words."""

    code: str
    reason: str
    reason_code: str = ""


class CreditOf(Part):
    """What makes a document a credit note: the invoice that it takes back from."""

    invoice_number: str
    invoice_issued_on: str
    reason: str = ""


def is_european(snapshot: InvoiceSnapshot) -> bool:
    """Tell whether the buyer gets an EN 16931 invoice."""
    return snapshot.payer.country in EUROPE


def check_currency(currency: str) -> None:
    """Refuse a currency whose smallest unit has more than two decimals. Raises EInvoiceRefused."""
    if exponent(currency) > MOST_DECIMALS:
        raise EInvoiceRefused(
            f"{currency} has {exponent(currency)} decimals, and electronic invoices carry at most {MOST_DECIMALS}: "
            "rounding would change what is owed. Send the PDF and the CSV."
        )


def seller_identifier(snapshot: InvoiceSnapshot) -> str:
    """Will return by what a buyer's program knows the issuer: its number at the tax office, else its address."""
    return snapshot.issuer.tax_number or snapshot.issuer.email


def unit_code(unit: str) -> str:
    """Will return the code of a unit; of one that is only ours, the code of "one"."""
    return UNITS.get(unit.removesuffix("s"), ANY_UNIT)


def category_of(line: LinePart, snapshot: InvoiceSnapshot) -> Category:
    """Will name the one category of a European line. Raises EInvoiceRefused for a line that bears a tax of Canada."""
    if any(tax.rate for tax in line.taxes):
        raise EInvoiceRefused(
            f"Line {line.position} bears a Canadian tax, which EN 16931 has no category for. Send the plain UBL 2.1."
        )
    codes = {tax.reason for tax in line.taxes}
    words = " ".join(dict.fromkeys(tax.word("reason", snapshot.language) for tax in line.taxes))
    if codes == {"reverse_charge"} and snapshot.payer.vat_number:
        return Category(code="AE", reason=words, reason_code="VATEX-EU-AE")
    return Category(code="O", reason=words, reason_code="VATEX-EU-O")


def quantity_and_price(line: LinePart) -> tuple[Decimal, Decimal]:
    """Will return quantity and unit price with the sign on the quantity: no price of EN 16931 is below zero."""
    if line.unit_price < 0:
        return EXACT.minus(line.quantity), EXACT.minus(line.unit_price)
    return line.quantity, line.unit_price
