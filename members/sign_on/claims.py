"""What an identity provider says of a person, in one shape for SAML and OpenID Connect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

REFEDS_MFA: Final = "https://refeds.org/profile/mfa"
LONGEST_SUBJECT: Final = 190

# SAML attributes by their formal names and the short ones that some providers send.
SUBJECT_IDS = (
    "urn:oasis:names:tc:SAML:attribute:subject-id",
    "subject-id",
    "urn:oasis:names:tc:SAML:attribute:pairwise-id",
    "pairwise-id",
)
MAIL = ("urn:oid:0.9.2342.19200300.100.1.3", "mail")
DISPLAY_NAME = ("urn:oid:2.16.840.1.113730.3.1.241", "displayName", "urn:oid:2.5.4.3", "cn")
GIVEN_NAME = ("urn:oid:2.5.4.42", "givenName")
SURNAME = ("urn:oid:2.5.4.4", "sn")
SCOPED_AFFILIATION = ("urn:oid:1.3.6.1.4.1.5923.1.1.1.9", "eduPersonScopedAffiliation")
OIDC_AFFILIATION = ("eduperson_scoped_affiliation", "eduPersonScopedAffiliation", "affiliation")
PERSISTENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
PROTOCOL_CLAIMS = frozenset(
    {"iss", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash", "azp", "jti", "sid", "auth_time"}
)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Who somebody is, says `issuer`. `affiliations` are scoped, such as staff@cedar.example, in lower case.

    `idp` is the provider behind a proxy such as CILogon; `email_verified` is false only when the provider says so.
    """

    issuer: str
    subject: str = ""
    email: str = ""
    email_verified: bool = True
    name: str = ""
    affiliations: tuple[str, ...] = ()
    idp: str = ""
    mfa: bool = False
    released: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def missing(self, *, needs_affiliation: bool) -> list[str]:
        """What the portal needs and was not given, as words of `MISSING`."""
        given = {"subject": self.subject, "email": self.email, "name": self.name}
        if needs_affiliation:
            given["affiliation"] = "".join(self.affiliations)
        return [word for word, value in given.items() if not value]


def from_saml(
    *, issuer: str, attributes: Mapping[str, Sequence[str]], name_id: str, name_id_format: str, contexts: Sequence[str]
) -> Claims:
    """Read an assertion. A NameID names a person only when it is persistent; a transient one names a session."""
    subject = _first(attributes, SUBJECT_IDS).lower()  # the profile compares subject ids without case
    if not subject and name_id_format == PERSISTENT:
        subject = name_id.strip()
    name = _first(attributes, DISPLAY_NAME) or _joined(_first(attributes, GIVEN_NAME), _first(attributes, SURNAME))
    return Claims(
        issuer=issuer,
        subject=subject if len(subject) <= LONGEST_SUBJECT else "",
        email=_first(attributes, MAIL),
        name=name[:200],
        affiliations=_scoped(value for key in SCOPED_AFFILIATION for value in attributes.get(key, ())),
        mfa=REFEDS_MFA in contexts,
        released={key: tuple(str(value) for value in values) for key, values in attributes.items()},
    )


def from_oidc(*, issuer: str, id_token: Mapping[str, Any], userinfo: Mapping[str, Any]) -> Claims:
    """Read a verified ID token and the user info of the same subject; the signed one wins."""
    said = {**userinfo, **id_token}
    subject = str(id_token.get("sub", ""))
    name = _word(said.get("name")) or _joined(_word(said.get("given_name")), _word(said.get("family_name")))
    return Claims(
        issuer=issuer,
        subject=subject if len(subject) <= LONGEST_SUBJECT else "",
        email=_word(said.get("email")),
        email_verified=said.get("email_verified", True) in (True, "true"),
        name=name[:200],
        affiliations=_scoped(value for key in OIDC_AFFILIATION for value in _words(said.get(key))),
        idp=_word(said.get("idp")),
        mfa=id_token.get("acr") == REFEDS_MFA,
        released={key: tuple(_words(value)) for key, value in said.items() if key not in PROTOCOL_CLAIMS},
    )


def masked(claims: Claims) -> dict[str, list[str]]:
    """What was released, safe to keep: affiliations whole, of everything else the first letter and the domain."""
    open_names = {*SCOPED_AFFILIATION, *OIDC_AFFILIATION, "idp", "idp_name", "acr", "email_verified"}
    return {
        name: [value[:100] if name in open_names else _mask(value) for value in values[:5]]
        for name, values in sorted(claims.released.items())[:60]
    }


def _mask(value: str) -> str:
    local, at, domain = value.partition("@")
    return f"{local[:1]}…{at}{domain[:80]}" if value else ""


def _first(attributes: Mapping[str, Sequence[str]], names: Sequence[str]) -> str:
    return next((str(attributes[name][0]).strip() for name in names if attributes.get(name)), "")


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _word(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [word.strip() for word in value.split(";") if word.strip()]
    if isinstance(value, (list, tuple)):
        return [str(word).strip() for word in value]
    return [] if value is None else [str(value)]


def _scoped(values: Any) -> tuple[str, ...]:
    found = {str(value).strip().lower() for value in values}
    return tuple(sorted(value for value in found if value.count("@") == 1 and all(value.split("@"))))
