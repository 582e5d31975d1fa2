"""Setting sign-on up: prepare, test, turn on, require, turn off.

A configuration that is live is never edited: a change is a new row, which takes over once its own test has passed.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.secrets import seal, unseal
from members.domains import verified_domains
from members.models import Institution, SignOn, SignOnTest, User
from members.models.sign_on import LIVE, OPEN, JoinAffiliation, SignOnKind
from members.permissions import Permission, check_at
from members.sign_on.claims import Claims, masked
from members.sign_on.fetching import is_allowed_url
from members.sign_on.passwords import sign_out_bound
from members.sign_on_states import SIGN_ON

CILOGON: Final = "https://cilogon.org"
SMALLEST_RSA: Final = 2048
FIELDS: Final = ("kind", "issuer", "client_id", "idp", "sso_url", "certificates", "ask_mfa")


class NotTested(PortalError):
    """Only what a real sign-in has tested may be turned on."""

    code = "sign_on_not_tested"


class NoVerifiedDomain(PortalError):
    """Without a domain nobody could be meant."""

    code = "no_verified_domain"


def _owner(institution_id: UUID) -> str:
    return f"sign-on:{institution_id}"


def client_secret(sign_on: SignOn) -> str:
    """The client secret, opened. Raises SecretUnreadable."""
    return unseal(sign_on.sealed_secret, owner=_owner(sign_on.institution_id)).decode()


def live_sign_on(institution_id: UUID) -> SignOn | None:
    """The configuration that people use, if there is one. Needs a scope that sees the institution."""
    return SignOn.objects.filter(institution_id=institution_id, status__in=LIVE).select_related("institution").first()


def open_sign_on(institution_id: UUID) -> SignOn | None:
    """The configuration in preparation, if there is one. Needs a scope that sees the institution."""
    return SignOn.objects.filter(institution_id=institution_id, status__in=OPEN).select_related("institution").first()


def digest_of(values: Mapping[str, Any], secret: str) -> str:
    """A digest of everything that a test tests; any change of it needs a new test."""
    facts = [values[name] for name in FIELDS] + [audit.digest(secret)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@transaction.atomic
def save_sign_on(
    *, institution: Institution, values: Mapping[str, Any], secret: str = "", by: User, at: datetime
) -> SignOn:
    """Prepare a configuration, or change the one in preparation; what is live stays as it is.

    `secret` empty keeps the one of the newest configuration with the same issuer and client. A change of anything
    that was tested puts it back to draft. Raises Forbidden, Invalid.
    """
    check_at(by, Permission.MANAGE_SIGN_ON, institution.pk)
    plain = _checked({name: values.get(name, "") for name in FIELDS}, at=at)
    secret = secret or _kept_secret(institution, plain)
    if plain["kind"] != "saml" and not secret:
        raise Invalid(_("Enter the client secret."), field="secret")
    row = SignOn.objects.select_for_update().filter(institution=institution, status__in=OPEN).first()
    digest = digest_of(plain, secret)
    live = live_sign_on(institution.pk)
    if (same := row or live) is not None and same.digest == digest:
        return same
    sealed = seal(secret.encode(), owner=_owner(institution.pk)) if secret else ""
    changes = {**plain, "sealed_secret": sealed, "digest": digest, "tested_digest": ""}
    if row is None:
        joins = {"join_affiliations": live.join_affiliations} if live else {}
        row = SignOn.objects.create(institution=institution, created_by=by, created_at=at, **changes, **joins)
    elif row.status == "tested":
        SIGN_ON.move(row, "draft", **changes)
    else:
        SignOn.objects.filter(pk=row.pk, status="draft").update(**changes)
        row.refresh_from_db()
    _record("members.sign_on_saved", row, by=by, at=at)
    return row


def _kept_secret(institution: Institution, plain: Mapping[str, Any]) -> str:
    same = SignOn.objects.filter(institution=institution, issuer=plain["issuer"], client_id=plain["client_id"])
    row = same.exclude(sealed_secret="").order_by("-created_at").first()
    return client_secret(row) if row and plain["kind"] != "saml" else ""


def _checked(values: dict[str, Any], *, at: datetime) -> dict[str, Any]:
    """The values that this kind has, each sound. Raises Invalid naming the first that is not."""
    plain = {name: str(values[name] or "").strip() for name in FIELDS if name != "ask_mfa"}
    if plain["kind"] not in SignOnKind.values:
        raise Invalid(_("Choose what your identity provider speaks."), field="kind")
    check = {"saml": _check_saml, "cilogon": _check_cilogon, "oidc": _check_oidc}[plain["kind"]]
    check(plain, at)
    return {**plain, "ask_mfa": bool(values["ask_mfa"])}


def _check_saml(plain: dict[str, Any], at: datetime) -> None:
    plain.update(client_id="", idp="")
    if not plain["issuer"] or len(plain["issuer"]) > 150:
        raise Invalid(_("Enter the entity id of your identity provider, of at most 150 characters."), field="issuer")
    if not is_allowed_url(plain["sso_url"]):
        raise Invalid(_("Enter the address that people are sent to, beginning with https://."), field="sso_url")
    plain["certificates"] = _plain_certificates(plain["certificates"], at)


def _check_cilogon(plain: dict[str, Any], at: datetime) -> None:
    if not plain["idp"]:
        raise Invalid(
            _("Enter your university's entity id, which CILogon shows as its identity provider."), field="idp"
        )
    # Another issuer than CILogon's own is another instance of it, such as the one for tests.
    plain["issuer"] = plain["issuer"] or CILOGON
    _check_client(plain, at)


def _check_oidc(plain: dict[str, Any], at: datetime) -> None:
    plain["idp"] = ""
    _check_client(plain, at)


def _check_client(plain: dict[str, Any], _at: datetime) -> None:
    plain.update(sso_url="", certificates="")
    if not is_allowed_url(plain["issuer"]) or len(plain["issuer"]) > 150:
        raise Invalid(_("Enter the issuer, an address beginning with https://."), field="issuer")
    if not plain["client_id"]:
        raise Invalid(_("Enter the client id that your identity provider gave the portal."), field="client_id")


def _plain_certificates(text: str, at: datetime) -> str:
    """The PEM certificates of a text, each still valid and strong enough. Raises Invalid."""
    if "-----BEGIN" not in text and text:
        text = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise Invalid(_("This is not a certificate in PEM form."), field="certificates") from error
    for certificate in found:
        key = certificate.public_key()
        strong = isinstance(key, ec.EllipticCurvePublicKey) or (
            isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA
        )
        if not strong:
            raise Invalid(_("A certificate has a weak key: RSA needs at least 2048 bits."), field="certificates")
    if all(certificate.not_valid_after_utc <= at.astimezone(UTC) for certificate in found):
        raise Invalid(_("Every certificate has expired. Enter the one that signs today."), field="certificates")
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in found)


def certificates_end(sign_on: SignOn) -> datetime | None:
    """When the last of the signing certificates ends, in UTC; None where there are none."""
    if not sign_on.certificates:
        return None
    return max(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(sign_on.certificates.encode()))


@transaction.atomic
def record_test(sign_on: SignOn, claims: Claims, *, by: User, at: datetime) -> SignOnTest:
    """Write what a real sign-in released. A configuration in preparation is tested from then on, or draft again.

    Raises Forbidden.
    """
    check_at(by, Permission.MANAGE_SIGN_ON, sign_on.institution_id)
    sign_on = SignOn.objects.select_for_update().get(pk=sign_on.pk)
    missing = claims.missing(needs_affiliation=bool(sign_on.join_affiliations))
    if not is_bound(sign_on, claims):
        missing.append("idp")
    test = SignOnTest.objects.create(
        institution_id=sign_on.institution_id,
        sign_on=sign_on,
        digest=sign_on.digest,
        by=by,
        at=at,
        released=masked(claims),
        missing=missing,
        passed=not missing,
    )
    if sign_on.status == "draft" and test.passed:
        SIGN_ON.move(sign_on, "tested", tested_digest=sign_on.digest)
    elif sign_on.status == "tested" and not test.passed:
        SIGN_ON.move(sign_on, "draft", tested_digest="")
    audit.record(
        "members.sign_on_tested",
        test,
        by=by,
        at=at,
        institution_id=sign_on.institution_id,
        after={"passed": test.passed, "missing": ",".join(missing)},
    )
    return test


def is_bound(sign_on: SignOn, claims: Claims) -> bool:
    """Whether the institution's own provider spoke: always, except through CILogon, where `idp` says who did."""
    return sign_on.kind != "cilogon" or claims.idp == sign_on.idp


@transaction.atomic
def enable_sign_on(sign_on: SignOn, *, by: User | System, at: datetime) -> None:
    """Let people use it; it takes the place of the one that was live, and is required if that one was.

    Raises Forbidden, NotTested, TransitionRefused.
    """
    check_at(by, Permission.MANAGE_SIGN_ON, sign_on.institution_id)
    if sign_on.status not in ("tested", *LIVE):
        raise NotTested(_("Test this configuration first: it can be turned on when its last test passed."))
    live = SignOn.objects.select_for_update().filter(institution_id=sign_on.institution_id, status__in=LIVE).first()
    was_enforced = live is not None and live.status == "enforced"
    if live is not None and live.pk != sign_on.pk:
        SIGN_ON.move(live, "off")
    SIGN_ON.move(sign_on, "enabled")
    _record("members.sign_on_enabled", sign_on, by=by, at=at, tell=True)
    if was_enforced:
        SIGN_ON.move(sign_on, "enforced")


@transaction.atomic
def enforce_sign_on(sign_on: SignOn, *, by: User | System, at: datetime) -> None:
    """Refuse passwords to addresses in the institution's verified domains, its owners' excepted; they are signed out.

    Raises Forbidden, NoVerifiedDomain, TransitionRefused.
    """
    check_at(by, Permission.MANAGE_SIGN_ON, sign_on.institution_id)
    if not verified_domains(sign_on.institution_id):
        raise NoVerifiedDomain(_("Verify a domain first: sign-on is required of addresses in your verified domains."))
    SIGN_ON.move(sign_on, "enforced")
    sign_out_bound(sign_on.institution, but=by if isinstance(by, User) else None)
    _record("members.sign_on_enforced", sign_on, by=by, at=at, tell=True)


@transaction.atomic
def relax_sign_on(sign_on: SignOn, *, by: User | System, at: datetime) -> None:
    """Allow passwords again beside sign-on. Raises Forbidden, TransitionRefused."""
    check_at(by, Permission.MANAGE_SIGN_ON, sign_on.institution_id)
    SIGN_ON.move(sign_on, "enabled")
    _record("members.sign_on_relaxed", sign_on, by=by, at=at, tell=True)


@transaction.atomic
def stop_sign_on(sign_on: SignOn, *, by: User | System, at: datetime) -> None:
    """Turn it off for good, or discard one in preparation; people use passwords.

    Raises Forbidden, TransitionRefused.
    """
    check_at(by, Permission.MANAGE_SIGN_ON, sign_on.institution_id)
    was_live = sign_on.status in LIVE
    SIGN_ON.move(sign_on, "off")
    _record("members.sign_on_stopped", sign_on, by=by, at=at, tell=was_live)


@transaction.atomic
def choose_affiliations(sign_on: SignOn, *, affiliations: list[str], by: User | System, at: datetime) -> None:
    """Say whose seats come by themselves; only an owner may. Raises Forbidden, Invalid."""
    check_at(by, Permission.MANAGE_PEOPLE, sign_on.institution_id)
    if set(affiliations) - set(JoinAffiliation.values):
        raise Invalid(_("Only faculty, staff and employees can join by themselves."), field="affiliations")
    chosen = sorted(set(affiliations))
    if chosen == sorted(sign_on.join_affiliations):
        return
    before = ",".join(sorted(sign_on.join_affiliations))
    SignOn.objects.filter(pk=sign_on.pk).update(join_affiliations=chosen)
    sign_on.join_affiliations = chosen
    audit.record(
        "members.sign_on_affiliations_chosen",
        sign_on,
        by=by,
        at=at,
        institution_id=sign_on.institution_id,
        before={"affiliations": before},
        after={"affiliations": ",".join(chosen)},
    )


def _record(action: str, sign_on: SignOn, *, by: User | System, at: datetime, tell: bool = False) -> None:
    audit.record(
        action,
        sign_on,
        by=by,
        at=at,
        institution_id=sign_on.institution_id,
        after={"status": sign_on.status, "kind": sign_on.kind, "issuer": sign_on.issuer, "digest": sign_on.digest},
        deliver_to=("members.mail_sign_on",) if tell else (),
    )
