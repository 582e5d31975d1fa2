"""SAML 2.0: the request, our metadata, and what must hold of an answer before a word of it is believed.

python3-saml checks schema, signatures, times and issuer; what it lets pass when absent is demanded here: exactly one
assertion, signed itself, in its place; no comments, no DTD; audience, recipient and InResponseTo that are exactly ours.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.utils.translation import gettext as _
from lxml import etree
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Names
from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.idp_metadata_parser import OneLogin_Saml2_IdPMetadataParser
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from consortium.kernel.errors import Invalid
from members.models import Institution, SignOn
from members.sign_on.addresses import acs_url, entity_id
from members.sign_on.claims import PERSISTENT, REFEDS_MFA, Claims, from_saml
from members.sign_on.errors import SignOnRefused

LARGEST: Final = 256 * 1024
ASSERTION: Final = f"{{{Names.NS_SAML}}}Assertion"
RESPONSE: Final = f"{{{Names.NS_SAMLP}}}Response"
SIGNATURE: Final = f"{{{Names.NS_DS}}}Signature"
ORDINARY_CONTEXT: Final = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"


@dataclass(frozen=True)
class Answer:
    """An answer that holds: what it says, its assertion's id, and the request that it answers."""

    claims: Claims
    assertion_id: str
    in_response_to: str


def _refused(reason: str) -> SignOnRefused:
    return SignOnRefused(
        _("The answer of your university's sign-in service could not be trusted, so you were not signed in."),
        reason=reason,
    )


def _sp(institution: Institution) -> dict[str, Any]:
    return {
        "entityId": entity_id(institution),
        "assertionConsumerService": {"url": acs_url(institution), "binding": Names.BINDING_HTTP_POST},
        "NameIDFormat": PERSISTENT,
    }


def _settings(sign_on: SignOn) -> OneLogin_Saml2_Settings:
    certificates = [
        base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
        for certificate in x509.load_pem_x509_certificates(sign_on.certificates.encode())
    ]
    security = {
        "wantAssertionsSigned": True,
        "wantAttributeStatement": False,  # a test must be able to say that nothing was released
        "wantNameId": False,
        "rejectDeprecatedAlgorithm": True,
        "allowRepeatAttributeName": True,
        "allowSingleLabelDomains": bool(settings.SIGN_ON_LOOPBACK),
        "failOnAuthnContextMismatch": False,
        "requestedAuthnContext": [REFEDS_MFA, ORDINARY_CONTEXT] if sign_on.ask_mfa else False,
        "signatureAlgorithm": Names.RSA_SHA256,
        "digestAlgorithm": Names.SHA256,
    }
    idp = {
        "entityId": sign_on.issuer,
        "singleSignOnService": {"url": sign_on.sso_url, "binding": Names.BINDING_HTTP_REDIRECT},
        "x509certMulti": {"signing": certificates, "encryption": certificates[:1]},
    }
    return OneLogin_Saml2_Settings({"strict": True, "sp": _sp(sign_on.institution), "idp": idp, "security": security})


def _request_data(url: str, posted: dict[str, str]) -> dict[str, Any]:
    """What python3-saml takes for the request: the portal's own address, never the Host header."""
    parts = urlsplit(url)
    return {
        "https": "on" if parts.scheme == "https" else "off",
        "http_host": parts.netloc,
        "script_name": parts.path,
        "get_data": {},
        "post_data": posted,
    }


def departure(sign_on: SignOn) -> tuple[str, str]:
    """Return where to send the browser, and the id of the request that the answer must name."""
    auth = OneLogin_Saml2_Auth(_request_data(acs_url(sign_on.institution), {}), _settings(sign_on))
    url: str = auth.login(return_to=str(sign_on.pk))
    return url, str(auth.get_last_request_id())


def metadata(institution: Institution) -> bytes:
    """Our metadata for the institution's provider; it needs no configuration yet."""
    known = OneLogin_Saml2_Settings({"strict": True, "sp": _sp(institution)}, sp_validation_only=True)
    found = known.get_sp_metadata()
    return found if isinstance(found, bytes) else str(found).encode()


def read_metadata(text: str) -> dict[str, str]:
    """Read a provider's metadata into `issuer`, `sso_url` and `certificates`. Raises Invalid."""
    problem = Invalid(
        _("This is not the metadata of one identity provider with a redirect address and a signing certificate."),
        field="metadata",
    )
    try:
        _sound(text.strip().encode())
        idp = OneLogin_Saml2_IdPMetadataParser.parse(text.strip()).get("idp", {})
    except (SignOnRefused, OneLogin_Saml2_Error, etree.LxmlError, ValueError, KeyError) as error:
        raise problem from error
    several = idp.get("x509certMulti", {}).get("signing", [])
    certificates = several or [found for found in [idp.get("x509cert")] if found]
    sso_url = idp.get("singleSignOnService", {}).get("url", "")
    if not idp.get("entityId") or not sso_url or not certificates:
        raise problem
    pem = [f"-----BEGIN CERTIFICATE-----\n{found}\n-----END CERTIFICATE-----\n" for found in certificates]
    return {"issuer": idp["entityId"], "sso_url": sso_url, "certificates": "".join(pem)}


def arrival(sign_on: SignOn, encoded: str) -> Answer:
    """Return what a posted answer says. Raises SignOnRefused for whatever does not hold.

    Whether the request was this browser's, and whether the assertion is new, the caller checks.
    """
    try:
        raw = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refused("the answer is not base64") from error
    _check_shape(_sound(raw))
    url = acs_url(sign_on.institution)
    try:
        response = OneLogin_Saml2_Response(_settings(sign_on), base64.b64encode(raw).decode())
        response.is_valid(_request_data(url, {"SAMLResponse": encoded}), raise_exceptions=True)
        _check_addressed(response.document, sign_on, url)
        attributes = response.get_attributes()
        claims = from_saml(
            issuer=sign_on.issuer,
            attributes={
                name: [value for value in values if isinstance(value, str)] for name, values in attributes.items()
            },
            name_id=response.get_nameid() or "",
            name_id_format=response.get_nameid_format() or "",
            contexts=response.get_authn_contexts(),
        )
        return Answer(claims, str(response.get_assertion_id()), str(response.get_in_response_to()))
    except (OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError, etree.LxmlError, ValueError, KeyError) as error:
        raise _refused(f"{type(error).__name__}: {error}"[:300]) from error


def _sound(raw: bytes) -> Any:
    """Parse without entities, network or size; refuse DTDs, comments and processing instructions."""
    if len(raw) > LARGEST:
        raise _refused("the answer is too large")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _refused("the answer is not XML") from error
    if root.getroottree().docinfo.doctype:
        raise _refused("the answer brings a document type")
    if any(not isinstance(node.tag, str) for node in root.iter()):
        raise _refused("the answer holds comments or instructions")
    return root


def _check_shape(root: Any) -> None:
    """One assertion, the child of the response, with its own signature over itself; ids unique; nothing hidden."""
    assertions = list(root.iter(ASSERTION))
    if root.tag != RESPONSE or len(assertions) != 1 or assertions[0].getparent() is not root:
        raise _refused("the answer must hold one assertion, in its place")
    signatures = assertions[0].findall(SIGNATURE)
    if len(signatures) != 1 or len(list(assertions[0].iter(SIGNATURE))) != 1:
        raise _refused("the assertion must bear one signature")
    references = list(signatures[0].iter(f"{{{Names.NS_DS}}}Reference"))
    if len(references) != 1 or references[0].get("URI") != f"#{assertions[0].get('ID')}":
        raise _refused("the signature is about something else")
    if list(signatures[0].iter(f"{{{Names.NS_DS}}}Object")):
        raise _refused("the signature carries an object")
    ids = [node.get("ID") for node in root.iter() if node.get("ID") is not None]
    if len(ids) != len(set(ids)):
        raise _refused("an id stands twice")


def _check_addressed(document: Any, sign_on: SignOn, url: str) -> None:
    """Destination, audience, recipient and request must be there and be exactly ours."""
    spaces = {"saml": Names.NS_SAML}
    wanted = document.get("InResponseTo")
    if not wanted:
        raise _refused("nobody asked for this answer")
    if document.get("Destination") != url:
        raise _refused("the destination is not ours")
    audiences = [node.text for node in document.findall(".//saml:AudienceRestriction/saml:Audience", spaces)]
    if entity_id(sign_on.institution) not in audiences:
        raise _refused("the audience is not the portal")
    issuer = document.findtext("saml:Assertion/saml:Issuer", namespaces=spaces)
    if issuer != sign_on.issuer:
        raise _refused("another issuer speaks")
    confirmations = document.findall(".//saml:SubjectConfirmation/saml:SubjectConfirmationData", spaces)
    holds = [
        each.get("Recipient") == url and each.get("InResponseTo") == wanted and bool(each.get("NotOnOrAfter"))
        for each in confirmations
    ]
    if not holds or not all(holds):
        raise _refused("the subject is confirmed to somebody else")
