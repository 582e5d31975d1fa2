"""A university whose domain is verified and whose sign-on is on: what the stories of signing on begin with."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Domain, Seat, SignOn
from members.sign_on.claims import Claims
from members.sign_on.configuring import enable_sign_on, enforce_sign_on, record_test, save_sign_on
from tests.cast import Cast
from tests.integration.members.identity_providers import ENTITY_ID, SSO_URL, Asked, OidcIdp, SamlIdp, encoded

WHOLE = {"subject": "t", "email": "t@cedar.example", "name": "T", "affiliations": ("staff@cedar.example",)}


def verified_domain(cast: Cast, at: datetime, name: str = "cedar.example") -> Domain:
    """A domain that the DNS has proven."""
    domain = Domain.objects.create(institution=cast.university, name=name, token=f"token-{name}", created_at=at)
    Domain.objects.filter(pk=domain.pk).update(status="verified", verified_at=at)
    return domain


def live(cast: Cast, at: datetime, *, enforced: bool = False, secret: str = "", **values: Any) -> SignOn:
    """A configuration that was tested and turned on."""
    with consortium_scope(Scope.COMMAND):
        verified_domain(cast, at)
        row = save_sign_on(institution=cast.university, values=values, secret=secret, by=cast.technical, at=at)
        claims = Claims(issuer=row.issuer, idp=row.idp, **WHOLE)  # type: ignore[arg-type]
        record_test(row, claims, by=cast.technical, at=at)
        row.refresh_from_db()
        enable_sign_on(row, by=cast.technical, at=at)
        if enforced:
            enforce_sign_on(row, by=cast.owner, at=at)
        return row


def live_saml(cast: Cast, idp: SamlIdp, at: datetime, **more: Any) -> SignOn:
    """SAML's."""
    values = {"kind": "saml", "issuer": ENTITY_ID, "sso_url": SSO_URL, "certificates": idp.certificate}
    return live(cast, at, **(values | more))


def live_oidc(cast: Cast, idp: OidcIdp, at: datetime, **more: Any) -> SignOn:
    """OpenID Connect's."""
    return live(cast, at, **({"kind": "oidc", "issuer": idp.url, "client_id": "portal", "secret": "s3cret"} | more))


def ask(browser: Client, path: str = "/sign-on/cedar/") -> Asked:
    """Begin, and read what the portal asks the SAML provider."""
    answer = browser.get(path)
    assert answer.status_code == 302, answer.content
    return Asked.read(answer["Location"])


def post(asked: Asked, xml: str, *, relay_state: str | None = None) -> Any:
    """Post an answer as a browser does from another site: without the session's cookie."""
    state = asked.relay_state if relay_state is None else relay_state
    return Client().post(urlsplit(asked.acs).path, {"SAMLResponse": encoded(xml), "RelayState": state})


def saml_sign_on(browser: Client, idp: SamlIdp, attributes: dict[str, str], **changes: Any) -> Any:
    """A whole sign-in through SAML; returns the last answer."""
    asked = ask(browser)
    posted = post(asked, idp.response(asked, idp.assertion(asked, attributes, **changes)))
    assert posted.status_code == 302, posted.content
    return browser.get(posted["Location"])


def oidc_sign_on(browser: Client, idp: OidcIdp, path: str = "/sign-on/cedar/") -> Any:
    """A whole sign-in through OpenID Connect; returns the last answer."""
    begun = browser.get(path)
    assert begun.status_code == 302, begun.content
    return browser.get("/sign-on/cedar/callback/", idp.authorize(begun["Location"]))


def seats_at(cast: Cast, email: str) -> list[tuple[str, str]]:
    """Role and source of the seats that a person has there now."""
    with consortium_scope(Scope.COMMAND):
        rows = Seat.objects.filter(institution=cast.university, user__email=email, ended_at=None)
        return sorted(rows.values_list("role", "source"))
