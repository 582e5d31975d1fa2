"""Mending what the PDF library leaves behind an attached electronic invoice, so that strict readers accept the file.

It lists each attachment twice in `/AF`, and metadata that are added stand in an `rdf:RDF` of their own: readers of
hybrid invoices want one list entry and one `rdf:RDF` that declares the extension.
"""

import io
from dataclasses import dataclass
from typing import Final

import pikepdf
from lxml import etree

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_EXTENSION: Final = """
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
      xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
    <pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
      <pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>
      <pdfaSchema:namespaceURI>urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#</pdfaSchema:namespaceURI>
      <pdfaSchema:prefix>fx</pdfaSchema:prefix>
      <pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property>
    </rdf:li></rdf:Bag></pdfaExtension:schemas>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:fx="urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#">
    <fx:DocumentType>INVOICE</fx:DocumentType>
    <fx:DocumentFileName>{name}</fx:DocumentFileName>
    <fx:Version>1.0</fx:Version>
    <fx:ConformanceLevel>{level}</fx:ConformanceLevel>
  </rdf:Description>
</rdf:RDF>
"""
_PROPERTY: Final = (
    '<rdf:li rdf:parseType="Resource"><pdfaProperty:name>{}</pdfaProperty:name>'
    "<pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category>"
    "<pdfaProperty:description>{}</pdfaProperty:description></rdf:li>"
)
_PROPERTIES: Final = {
    "DocumentFileName": "The name of the embedded XML document",
    "DocumentType": "The type of the hybrid document in capital letters",
    "Version": "The version of the standard of the embedded XML document",
    "ConformanceLevel": "The conformance level of the embedded XML document",
}


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file inside a PDF: an electronic invoice that says the same as its pages, and the level it claims."""

    name: str
    content: bytes
    description: str
    level: str = "EN 16931"


def mended(pdf: bytes, attached: Attached) -> bytes:
    """Will return the PDF with one `/AF` entry, the attachment's media type, and metadata that declare it."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        first, *again = list(document.Root.AF)
        if any(each.objgen != first.objgen and each.EF != first.EF for each in again):
            raise ValueError("There is more than one attachment, and only one was asked for.")
        document.Root.AF = pikepdf.Array([first])
        first.EF.F.Subtype = pikepdf.Name("/text/xml")
        metadata = document.Root.Metadata
        metadata.write(_declared(bytes(metadata.read_bytes()), attached))
        out = io.BytesIO()
        document.save(out, deterministic_id=True)
    return out.getvalue()


def _declared(xmp: bytes, attached: Attached) -> bytes:
    """The metadata with the extension and its values in their one `rdf:RDF`."""
    start, end = xmp.index(b"<x:xmpmeta"), xmp.index(b"</x:xmpmeta>") + len(b"</x:xmpmeta>")
    root = etree.fromstring(xmp[start:end], etree.XMLParser(resolve_entities=False))
    here = root.find(f"{{{RDF}}}RDF")
    properties = "".join(_PROPERTY.format(name, words) for name, words in _PROPERTIES.items())
    extension = _EXTENSION.format(properties=properties, name=attached.name, level=attached.level)
    for description in etree.fromstring(extension):
        here.append(description)
    written: bytes = etree.tostring(root)
    return xmp[:start] + written + xmp[end:]
