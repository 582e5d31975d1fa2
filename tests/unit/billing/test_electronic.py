"""Electronic invoices: the same figures as the PDF, valid before they are sent, and no claim that does not hold."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from lxml import etree

from billing.documents.electronic import CreditOf, EInvoiceInvalid, EInvoiceRefused
from billing.documents.facturx import facturx_xml
from billing.documents.ubl import ubl_xml
from billing.documents.validation import check_xml
from billing.snapshot import InvoiceSnapshot, LinePart, TaxPart
from tests.unit.billing.issued import ISSUER, PAYER, lines, snapshot

UBL = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
RAM = {"ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"}
CREDIT = CreditOf(invoice_number="ICC-2026-0007", invoice_issued_on="2026-10-02", reason="A hub stood still.")


def nothing_charged(line: LinePart, code: str) -> LinePart:
    """The line as a foreign buyer gets it."""
    tax = TaxPart(
        jurisdiction="CA", tax="GST", rate=Decimal(0), basis=line.net, amount=Decimal("0.00"), reason=code,
        reason_en="Reverse charge." if code == "reverse_charge" else "Zero-rated.", reason_fr="Détaxé.",
    )  # fmt: skip
    return line.model_copy(update={"taxes": (tax,)})


def european(*, vat: bool = True, currency: str = "EUR", **changes: Any) -> InvoiceSnapshot:
    """The same invoice to a university in Germany, with or without a validated VAT number."""
    code = "reverse_charge" if vat else "zero_rated_export"
    parts = changes.pop("lines", tuple(nothing_charged(line, code) for line in lines()))
    payer = PAYER.model_copy(update={"country": "DE", "province": "", "vat_number": "DE136695976" if vat else ""})
    issuer = ISSUER.model_copy(update={"tax_number": "12345 6789 RT0001"})
    frozen = snapshot(lines=parts, payer=payer, issuer=issuer, currency=currency, **changes)
    whole = parts[0].taxes[0].model_copy(update={"basis": frozen.net_total})
    return frozen.model_copy(update={"taxes": (whole,)})


@pytest.mark.parametrize("vat", [True, False])
@pytest.mark.parametrize("credit", [None, CREDIT])
def test_a_european_members_xml_passes_schema_and_rules_in_both_syntaxes(vat: bool, credit: CreditOf | None) -> None:
    for made in (facturx_xml, ubl_xml):
        check_xml(made(european(vat=vat), credit=credit))


def test_the_vat_number_is_named_where_the_tax_is_the_buyers() -> None:
    with_number, without = etree.fromstring(facturx_xml(european())), etree.fromstring(facturx_xml(european(vat=False)))
    category = "//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax/ram:CategoryCode/text()"
    assert with_number.xpath(category, namespaces=RAM) == ["AE"]
    assert without.xpath(category, namespaces=RAM) == ["O"]
    assert b"DE136695976" in etree.tostring(with_number)
    assert b"VA" not in [each.get("schemeID") for each in without.iter()]


def test_every_total_is_the_invoices_to_the_digit() -> None:
    frozen = european()
    cii = etree.fromstring(facturx_xml(frozen))
    ubl = etree.fromstring(ubl_xml(frozen))
    summed = cii.xpath("//ram:SpecifiedTradeSettlementHeaderMonetarySummation", namespaces=RAM)[0]
    assert summed.xpath("ram:LineTotalAmount/text()", namespaces=RAM) == ["2255.15"]
    assert summed.xpath("ram:DuePayableAmount/text()", namespaces=RAM) == ["2255.15"]
    assert ubl.xpath("//cac:LegalMonetaryTotal/cbc:PayableAmount/text()", namespaces=UBL) == ["2255.15"]
    nets = ubl.xpath("//cac:InvoiceLine/cbc:LineExtensionAmount/text()", namespaces=UBL)
    assert nets == ["1041.67", "1000.00", "213.48"]


def test_a_canadian_member_gets_plain_ubl_with_each_tax_and_no_claim() -> None:
    xml = ubl_xml(snapshot())
    check_xml(xml)
    root = etree.fromstring(xml)
    assert b"en16931" not in xml
    assert root.xpath("//cac:TaxTotal[1]/cbc:TaxAmount/text()", namespaces=UBL)[0] == "112.75"
    assert root.xpath(
        "/*/cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory/cac:TaxScheme/cbc:ID/text()", namespaces=UBL
    ) == ["GST"]
    assert root.xpath("//cac:LegalMonetaryTotal/cbc:PayableAmount/text()", namespaces=UBL) == ["2367.90"]


def test_a_tax_of_canada_has_no_category_in_europe() -> None:
    payer = PAYER.model_copy(update={"country": "FR"})
    for made in (facturx_xml, ubl_xml):
        with pytest.raises(EInvoiceRefused, match="no category"):
            made(snapshot(payer=payer))


def test_a_currency_of_three_decimals_is_refused_with_the_reason() -> None:
    line = nothing_charged(lines()[0].model_copy(update={"net": Decimal("5.125"), "unit_price": Decimal("5.125")}), "x")
    for made in (facturx_xml, ubl_xml):
        with pytest.raises(EInvoiceRefused, match="KWD has 3 decimals"):
            made(european(currency="KWD", lines=(line,)))


def test_a_credit_on_an_invoice_turns_the_quantity_not_the_price() -> None:
    credit = nothing_charged(
        lines()[0].model_copy(
            update={"position": 4, "kind": "sla_credit", "net": Decimal("-41.67"), "unit_price": Decimal("-41.67")}
        ),
        "reverse_charge",
    )
    parts = (*(nothing_charged(line, "reverse_charge") for line in lines()), credit)
    for made in (facturx_xml, ubl_xml):
        check_xml(made(european(lines=parts)))


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (lambda xml: xml.replace(b">2255.15<", b">2255.16<", 1), "BR-"),
        (lambda xml: xml.replace(b">AE<", b">S<"), "BR-"),
        (lambda xml: xml.replace(b">EUR<", b">EURO<"), "BR-|schema"),
        (lambda xml: xml.replace(b"IssueDate", b"IssuedDate"), "schema"),
    ],
)
def test_an_electronic_invoice_that_is_wrong_is_refused(wrong: Any, rule: str) -> None:
    with pytest.raises(EInvoiceInvalid, match=rule):
        check_xml(wrong(ubl_xml(european(issued_on=date(2026, 10, 2)))))
