"""An invoice as UBL 2.1: plain for buyers in Canada and the United States, under EN 16931 for those in Europe."""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from lxml import etree

from billing.documents.electronic import (
    CREDIT_NOTE_TYPE,
    EN16931,
    INVOICE_TYPE,
    CreditOf,
    category_of,
    check_currency,
    is_european,
    quantity_and_price,
    seller_identifier,
    unit_code,
)
from billing.snapshot import InvoiceSnapshot, LinePart, TaxPart
from consortium.kernel.money import exact_sum, plain
from consortium.kernel.periods import local_date

_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd"
CAC: Final = f"{_UBL}:CommonAggregateComponents-2"
CBC: Final = f"{_UBL}:CommonBasicComponents-2"
SEVERAL_CATEGORIES: Final = "S"  # UNCL 5305: standard rate; each tax beside it says its own name
CREDIT_TRANSFER: Final = "30"
SCHEMES: Final = {"GST": "GST", "HST": "GST", "QST": "QST", "PST": "PST", "RST": "RST"}


class _Node:
    """Builds UBL: children in the order in which they are added, empty ones left out."""

    def __init__(self, element: etree._Element) -> None:
        self.element = element

    def aggregate(self, name: str) -> "_Node":
        """Add a `cac:` element."""
        return _Node(etree.SubElement(self.element, f"{{{CAC}}}{name}"))

    def basic(self, name: str, text: str, **attributes: str) -> None:
        """Add a `cbc:` element, unless there is nothing to say."""
        if text:
            etree.SubElement(self.element, f"{{{CBC}}}{name}", attributes).text = text

    def amount(self, name: str, value: Decimal, currency: str) -> None:
        """Add an amount with its currency."""
        self.basic(name, plain(value), currencyID=currency)


def ubl_xml(snapshot: InvoiceSnapshot, *, credit: CreditOf | None = None) -> bytes:
    """Will write the snapshot as UBL 2.1, the same figures to the digit. Raises EInvoiceRefused.

    With `credit` it is a credit note: the amounts of the snapshot are what is taken back.
    """
    check_currency(snapshot.currency)
    kind = "CreditNote" if credit else "Invoice"
    namespace = f"{_UBL}:{kind}-2"
    root = _Node(etree.Element(f"{{{namespace}}}{kind}", nsmap={None: namespace, "cac": CAC, "cbc": CBC}))
    _header(root, snapshot, credit)
    _party(root.aggregate("AccountingSupplierParty"), snapshot, is_seller=True)
    _party(root.aggregate("AccountingCustomerParty"), snapshot, is_seller=False)
    root.aggregate("Delivery").basic("ActualDeliveryDate", _last_day(snapshot).isoformat())
    _payment(root, snapshot, credit)
    _tax_totals(root, snapshot)
    _totals(root, snapshot)
    for line in snapshot.lines:
        _line(root, line, snapshot, credit)
    xml: bytes = etree.tostring(root.element, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return xml


def _header(root: _Node, snapshot: InvoiceSnapshot, credit: CreditOf | None) -> None:
    root.basic("UBLVersionID", "" if is_european(snapshot) else "2.1")
    root.basic("CustomizationID", EN16931 if is_european(snapshot) else "")
    root.basic("ID", snapshot.number)
    root.basic("IssueDate", snapshot.issued_on.isoformat())
    if credit:
        root.basic("CreditNoteTypeCode", CREDIT_NOTE_TYPE)
    else:
        root.basic("DueDate", snapshot.due_on.isoformat())
        root.basic("InvoiceTypeCode", INVOICE_TYPE)
    root.basic("Note", credit.reason if credit else "")
    root.basic("DocumentCurrencyCode", snapshot.currency)
    root.basic("AccountingCost", snapshot.payer.cost_centre)
    root.basic("BuyerReference", snapshot.po_number or snapshot.payer.cost_centre or snapshot.payer.institution_slug)
    period = root.aggregate("InvoicePeriod")
    period.basic("StartDate", local_date(snapshot.period_start, snapshot.zone).isoformat())
    period.basic("EndDate", _last_day(snapshot).isoformat())
    if snapshot.po_number:
        root.aggregate("OrderReference").basic("ID", snapshot.po_number)
    if credit:
        about = root.aggregate("BillingReference").aggregate("InvoiceDocumentReference")
        about.basic("ID", credit.invoice_number)
        about.basic("IssueDate", credit.invoice_issued_on)


def _party(parent: _Node, snapshot: InvoiceSnapshot, *, is_seller: bool) -> None:
    issuer, payer = snapshot.issuer, snapshot.payer
    source = issuer if is_seller else payer
    name = issuer.word("name", snapshot.language) if is_seller else payer.name
    party = parent.aggregate("Party")
    if is_seller:
        party.aggregate("PartyIdentification").basic("ID", seller_identifier(snapshot))
    party.aggregate("PartyName").basic("Name", name)
    address = party.aggregate("PostalAddress")
    first, second, *rest = [*source.address.splitlines(), "", ""]
    address.basic("StreetName", first)
    address.basic("AdditionalStreetName", second)
    address.basic("CountrySubentity", "" if is_seller else payer.province)
    if further := ", ".join(line for line in rest if line):
        address.aggregate("AddressLine").basic("Line", further)
    address.aggregate("Country").basic("IdentificationCode", source.country)
    for scheme, number in _numbers(snapshot, is_seller=is_seller):
        tax = party.aggregate("PartyTaxScheme")
        tax.basic("CompanyID", number)
        tax.aggregate("TaxScheme").basic("ID", scheme)
    party.aggregate("PartyLegalEntity").basic("RegistrationName", name)
    contact = party.aggregate("Contact")
    contact.basic("ElectronicMail", source.email)


def _numbers(snapshot: InvoiceSnapshot, *, is_seller: bool) -> list[tuple[str, str]]:
    """The tax numbers of a party: of the seller those of the taxes on the invoice, of the buyer its VAT number."""
    if not is_seller:
        shown = snapshot.payer.vat_number if _reverse_charged(snapshot) else ""
        return [("VAT", shown)] if shown else []
    if is_european(snapshot):
        # BT-32: the seller's number at its own tax office; what is outside VAT carries no VAT identifier at all.
        return [("LOC", snapshot.issuer.tax_number)] if snapshot.issuer.tax_number else []
    held = {SCHEMES[tax.tax]: tax.registration for tax in snapshot.taxes if tax.registration}
    return list(held.items())


def _reverse_charged(snapshot: InvoiceSnapshot) -> bool:
    return any(tax.reason == "reverse_charge" for tax in snapshot.taxes)


def _payment(root: _Node, snapshot: InvoiceSnapshot, credit: CreditOf | None) -> None:
    if snapshot.bank and not credit:
        means = root.aggregate("PaymentMeans")
        means.basic("PaymentMeansCode", CREDIT_TRANSFER)
        means.basic("PaymentID", snapshot.number)
        account = means.aggregate("PayeeFinancialAccount")
        account.basic("ID", snapshot.bank.account_number)
        account.basic("Name", snapshot.bank.holder)
        account.aggregate("FinancialInstitutionBranch").basic("ID", snapshot.bank.routing)
    if not credit:
        root.aggregate("PaymentTerms").basic("Note", f"Due on {snapshot.due_on.isoformat()}")


def _tax_totals(root: _Node, snapshot: InvoiceSnapshot) -> None:
    """One subtotal for each tax; under EN 16931 one for each category."""
    total = root.aggregate("TaxTotal")
    total.amount("TaxAmount", snapshot.tax_total, snapshot.currency)
    if is_european(snapshot):
        groups: dict[str, list[LinePart]] = {}
        for line in snapshot.lines:
            groups.setdefault(category_of(line, snapshot).code, []).append(line)
        for lines in groups.values():
            part = total.aggregate("TaxSubtotal")
            part.amount("TaxableAmount", exact_sum(line.net for line in lines), snapshot.currency)
            part.amount("TaxAmount", Decimal("0.00"), snapshot.currency)
            _category(part.aggregate("TaxCategory"), lines[0], snapshot, with_reason=True)
        return
    for tax in snapshot.taxes:
        part = total.aggregate("TaxSubtotal")
        part.amount("TaxableAmount", tax.basis, snapshot.currency)
        part.amount("TaxAmount", tax.amount, snapshot.currency)
        _own_tax(part.aggregate("TaxCategory"), tax, snapshot)


def _category(node: _Node, line: LinePart, snapshot: InvoiceSnapshot, *, with_reason: bool) -> None:
    found = category_of(line, snapshot)
    node.basic("ID", found.code)
    node.basic("Percent", "0" if found.code != "O" else "")
    if with_reason:
        node.basic("TaxExemptionReasonCode", found.reason_code)
        node.basic("TaxExemptionReason", found.reason)
    node.aggregate("TaxScheme").basic("ID", "VAT")


def _own_tax(node: _Node, tax: TaxPart, snapshot: InvoiceSnapshot) -> None:
    """GST, QST and their like, each by its own name."""
    node.basic("ID", SEVERAL_CATEGORIES if tax.rate else "Z")
    node.basic("Name", tax.tax)
    node.basic("Percent", plain(tax.rate))
    node.basic("TaxExemptionReason", "" if tax.rate else tax.word("reason", snapshot.language))
    scheme = node.aggregate("TaxScheme")
    scheme.basic("ID", tax.tax)
    scheme.aggregate("JurisdictionRegionAddress").basic("CountrySubentityCode", tax.jurisdiction)


def _totals(root: _Node, snapshot: InvoiceSnapshot) -> None:
    totals, currency = root.aggregate("LegalMonetaryTotal"), snapshot.currency
    totals.amount("LineExtensionAmount", snapshot.net_total, currency)
    totals.amount("TaxExclusiveAmount", snapshot.net_total, currency)
    totals.amount("TaxInclusiveAmount", snapshot.total, currency)
    totals.amount("PayableAmount", snapshot.total, currency)


def _line(root: _Node, line: LinePart, snapshot: InvoiceSnapshot, credit: CreditOf | None) -> None:
    node = root.aggregate("CreditNoteLine" if credit else "InvoiceLine")
    quantity, price = quantity_and_price(line)
    node.basic("ID", str(line.position))
    node.basic("CreditedQuantity" if credit else "InvoicedQuantity", plain(quantity), unitCode=unit_code(line.unit))
    node.amount("LineExtensionAmount", line.net, snapshot.currency)
    if not is_european(snapshot):
        _line_taxes(node, line.taxes, snapshot)
    item = node.aggregate("Item")
    item.basic("Name", line.word("description", snapshot.language))
    if is_european(snapshot):
        _category(item.aggregate("ClassifiedTaxCategory"), line, snapshot, with_reason=False)
    else:
        for tax in line.taxes:
            _own_tax(item.aggregate("ClassifiedTaxCategory"), tax, snapshot)
    node.aggregate("Price").amount("PriceAmount", price, snapshot.currency)


def _line_taxes(node: _Node, taxes: Iterable[TaxPart], snapshot: InvoiceSnapshot) -> None:
    """What each tax of a line comes to, so that GST stands beside QST with amounts of their own."""
    taxes = tuple(taxes)
    total = node.aggregate("TaxTotal")
    total.amount("TaxAmount", exact_sum(tax.amount for tax in taxes), snapshot.currency)
    for tax in taxes:
        part = total.aggregate("TaxSubtotal")
        part.amount("TaxableAmount", tax.basis, snapshot.currency)
        part.amount("TaxAmount", tax.amount, snapshot.currency)
        _own_tax(part.aggregate("TaxCategory"), tax, snapshot)


def _last_day(snapshot: InvoiceSnapshot) -> date:
    """The last day of the half-open period."""
    return local_date(snapshot.period_end - timedelta(microseconds=1), snapshot.zone)
