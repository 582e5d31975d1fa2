"""Identity providers inside the tests: a SAML one that signs with xmlsec, an OpenID Connect one that can lie."""

import base64
import json
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils as Saml

ENTITY_ID = "https://idp.cedar.example/idp/shibboleth"
SSO_URL = "https://idp.cedar.example/idp/sso"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
MAIL = "urn:oid:0.9.2342.19200300.100.1.3"
NAME = "urn:oid:2.16.840.1.113730.3.1.241"
SUBJECT_ID = "urn:oasis:names:tc:SAML:attribute:subject-id"
AFFILIATION = "urn:oid:1.3.6.1.4.1.5923.1.1.1.9"
ANA = {
    SUBJECT_ID: "ana-17@cedar.example",
    MAIL: "ana@cedar.example",
    NAME: "Ana Lima",
    AFFILIATION: "faculty@cedar.example",
}


def keypair() -> tuple[str, str]:
    """A private key and its self-signed certificate, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.decode(), certificate.public_bytes(pem).decode()


@dataclass(frozen=True)
class Asked:
    """What an AuthnRequest in a redirect asks for."""

    id: str
    acs: str
    audience: str
    relay_state: str

    @classmethod
    def read(cls, url: str) -> "Asked":
        query = parse_qs(urlsplit(url).query)
        request = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15))
        acs, audience = request.get("AssertionConsumerServiceURL"), request.findtext("{*}Issuer")
        return cls(request.get("ID") or "", acs or "", audience or "", query.get("RelayState", [""])[0])


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class SamlIdp:
    """Answers requests; `answer` takes what is to be wrong about the answer."""

    key: str
    certificate: str

    def assertion(
        self,
        asked: Asked,
        attributes: Mapping[str, str],
        *,
        issuer: str = ENTITY_ID,
        audience: str = "",
        recipient: str = "",
        in_response_to: str = "",
        begins: timedelta = timedelta(minutes=-1),
        ends: timedelta = timedelta(minutes=5),
        name_id: str = "_transient",
        context: str = PASSWORD,
        key: tuple[str, str] | None = None,
        signed: bool = True,
    ) -> str:
        now = datetime.now(UTC)
        values = "".join(
            f'<saml:Attribute Name="{name}"><saml:AttributeValue>{escape(value)}</saml:AttributeValue></saml:Attribute>'
            for name, value in attributes.items()
        )
        statement = f"<saml:AttributeStatement>{values}</saml:AttributeStatement>" if values else ""
        xml = f"""<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_{uuid.uuid4().hex}"
 Version="2.0" IssueInstant="{_stamp(now)}"><saml:Issuer>{issuer}</saml:Issuer><saml:Subject>
<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient">{name_id}</saml:NameID>
<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData
 NotOnOrAfter="{_stamp(now + ends)}" Recipient="{recipient or asked.acs}"
 InResponseTo="{in_response_to or asked.id}"/></saml:SubjectConfirmation></saml:Subject>
<saml:Conditions NotBefore="{_stamp(now + begins)}" NotOnOrAfter="{_stamp(now + ends)}"><saml:AudienceRestriction>
<saml:Audience>{audience or asked.audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>
<saml:AuthnStatement AuthnInstant="{_stamp(now)}"><saml:AuthnContext><saml:AuthnContextClassRef>{context}\
</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>{statement}</saml:Assertion>"""
        if not signed:
            return xml
        private, certificate = key or (self.key, self.certificate)
        done = Saml.add_sign(xml, private, certificate)
        return done.decode() if isinstance(done, bytes) else str(done)

    def response(
        self, asked: Asked, assertion: str, *, destination: str = "", in_response_to: str = "", extensions: str = ""
    ) -> str:
        now = _stamp(datetime.now(UTC))
        return f"""<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_{uuid.uuid4().hex}"
 Version="2.0" IssueInstant="{now}" Destination="{destination or asked.acs}"
 InResponseTo="{in_response_to or asked.id}"><saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">\
{ENTITY_ID}</saml:Issuer>{extensions}<samlp:Status><samlp:StatusCode
 Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>{assertion}</samlp:Response>"""

    def metadata(self) -> str:
        body = "".join(self.certificate.splitlines()[1:-1])
        return f"""<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{ENTITY_ID}">
<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing">
<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{body}</ds:X509Certificate>
</ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService
 Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{SSO_URL}"/></md:IDPSSODescriptor>
</md:EntityDescriptor>"""


def encoded(xml: str) -> str:
    """As a browser posts it."""
    return base64.b64encode(xml.encode()).decode()


@dataclass
class OidcIdp:
    """An OpenID Connect provider on loopback. `lies` replaces claims of the ID token; codes are good once."""

    url: str = ""
    private: Any = None
    claims: dict[str, Any] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    sign_with: Any = None
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)

    def authorize(self, location: str) -> dict[str, str]:
        """What the browser brings back after a person agreed at this address."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        self.asked, code = query, uuid.uuid4().hex
        self.codes[code] = query
        return {"code": code, "state": query["state"]}

    def described(self) -> dict[str, Any]:
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
        }
        return found | self.discovery

    def keys(self) -> dict[str, Any]:
        algorithm: Any = jwt.algorithms.RSAAlgorithm  # carries no types
        public = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]}

    def token(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        asked = self.codes.pop(form["code"], None)
        verifier = form.get("code_verifier", "")
        if asked is None or _challenge(verifier) != asked["code_challenge"]:
            return None
        now = int(datetime.now(UTC).timestamp())
        said = {"iss": self.url, "aud": "portal", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        said |= self.claims | self.lies
        key = self.sign_with if self.sign_with is not None else self.private
        return {
            "access_token": "open",
            "token_type": "Bearer",
            "id_token": jwt.encode(said, key, algorithm=self.algorithm, headers={"kid": "one"}),
        }


def _challenge(verifier: str) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(verifier.encode())
    return base64.urlsafe_b64encode(digest.finalize()).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    idp: ClassVar[OidcIdp]

    def do_GET(self) -> None:
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "/.well-known/openid-configuration": self.idp.described,
            "/keys": self.idp.keys,
            "/userinfo": lambda: self.idp.claims | self.idp.userinfo,
        }
        self._send(answers[self.path]())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._send(self.idp.token({name: values[0] for name, values in parse_qs(body).items()}))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of http.server
        """Be silent."""

    def _send(self, value: dict[str, Any] | None) -> None:
        data = json.dumps(value or {"error": "invalid_grant"}).encode()
        self.send_response(200 if value else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def oidc_idp(private: Any) -> Iterator[OidcIdp]:
    """Run the provider for as long as the block lasts."""
    idp = OidcIdp(private=private)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"idp": idp}))
    idp.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield idp
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
