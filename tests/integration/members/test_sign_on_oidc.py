"""OpenID Connect: a real provider signs in, and every token that does not hold is refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import oidc_provider_mock
import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.test import Client

from members.models import User
from members.sign_on.claims import REFEDS_MFA
from tests.cast import Cast
from tests.integration.members.identity_providers import OidcIdp
from tests.integration.members.sign_on_story import live, live_oidc, oidc_sign_on, seats_at

Lie = Callable[[OidcIdp, Any], None]


def test_a_provider_that_we_did_not_write_signs_in(cast: Cast, settings: Any, at: datetime) -> None:
    settings.SIGN_ON_LOOPBACK = True
    with oidc_provider_mock.run_server_in_thread() as server:
        url = f"http://localhost:{server.server_port}"
        found = requests.get(f"{url}/.well-known/openid-configuration", timeout=5).json()
        person = {"email": "ana@cedar.example", "name": "Ana Lima"}
        person["eduperson_scoped_affiliation"] = "staff@cedar.example"
        requests.put(f"{url}/users/{quote('ana-17')}", json=person, timeout=5)
        live(cast, at, kind="oidc", issuer=found["issuer"], client_id="portal", secret="s3cret")
        browser = Client()
        begun = browser.get("/sign-on/cedar/")
        agreed = requests.post(begun["Location"], data={"sub": "ana-17"}, allow_redirects=False, timeout=5)
        back = urlsplit(agreed.headers["Location"])
        assert back.path == "/sign-on/cedar/callback/"
        assert browser.get(f"{back.path}?{back.query}").status_code == 302
    user = User.objects.get(email="ana@cedar.example")
    assert browser.session["_auth_user_id"] == str(user.pk)
    assert seats_at(cast, user.email) == [("viewer", "sign_on")]


def test_the_request_carries_state_nonce_and_a_challenge(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at, ask_mfa=True)
    first, second = (parse_qs(urlsplit(Client().get("/sign-on/cedar/")["Location"]).query) for _ in range(2))
    assert first["code_challenge_method"] == ["S256"]
    assert first["acr_values"] == [REFEDS_MFA]
    assert first["redirect_uri"][0].endswith("/sign-on/cedar/callback/")
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43
        assert first[name] != second[name]


def _claim(**lies: Any) -> Lie:
    return lambda idp, _key: idp.lies.update(lies)


def _expired(idp: OidcIdp, _key: Any) -> None:
    idp.lies["exp"] = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp())


def _forged(idp: OidcIdp, key: Any) -> None:
    idp.sign_with = key


def _shared_secret(idp: OidcIdp, _key: Any) -> None:
    idp.sign_with, idp.algorithm = "s3cret" * 10, "HS256"


def _unsigned(idp: OidcIdp, _key: Any) -> None:
    idp.sign_with, idp.algorithm = "", "none"


def _other_discovery(idp: OidcIdp, _key: Any) -> None:
    idp.discovery["issuer"] = "https://accounts.example"


def _other_subject(idp: OidcIdp, _key: Any) -> None:
    idp.userinfo["sub"] = "somebody-else"


LIES: dict[str, Lie] = {
    "issuer": _claim(iss="https://accounts.example"),
    "audience": _claim(aud="another-client"),
    "authorized-party": _claim(aud=["portal", "other"], azp="other"),
    "expired": _expired,
    "nonce": _claim(nonce="not-ours"),
    "no-subject": _claim(sub=None),
    "forged": _forged,
    "shared-secret": _shared_secret,
    "unsigned": _unsigned,
    "user-info-of-another": _other_subject,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_token_that_does_not_hold_is_refused(
    cast: Cast, oidc: OidcIdp, other_keys: tuple[str, str], at: datetime, lie: Lie
) -> None:
    live_oidc(cast, oidc, at)
    lie(oidc, load_pem_private_key(other_keys[0].encode(), None))
    browser = Client()
    answer = oidc_sign_on(browser, oidc)
    assert answer.status_code == 403
    assert "_auth_user_id" not in browser.session
    assert not SocialAccount.objects.exists()


def test_a_provider_that_names_another_issuer_is_not_asked(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at)
    _other_discovery(oidc, None)
    assert Client().get("/sign-on/cedar/").status_code == 403


def test_an_answer_is_good_once_and_in_its_own_browser(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at)
    browser = Client()
    answer = oidc.authorize(browser.get("/sign-on/cedar/")["Location"])
    assert Client().get("/sign-on/cedar/callback/", answer).status_code == 403
    assert browser.get("/sign-on/cedar/callback/", answer | {"iss": "https://mixed-up.example"}).status_code == 403
    answer = oidc.authorize(browser.get("/sign-on/cedar/")["Location"])
    assert browser.get("/sign-on/cedar/callback/", answer).status_code == 302
    assert browser.get("/sign-on/cedar/callback/", answer).status_code == 403
    with_old_code = oidc.authorize(browser.get("/sign-on/cedar/")["Location"]) | {"code": answer["code"]}
    assert browser.get("/sign-on/cedar/callback/", with_old_code).status_code == 403


def test_who_declines_is_told_so(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at)
    browser = Client()
    state = oidc.authorize(browser.get("/sign-on/cedar/")["Location"])["state"]
    answer = browser.get("/sign-on/cedar/callback/", {"error": "access_denied", "state": state})
    assert answer.status_code == 403
    assert "did not sign you in" in answer.content.decode()


def test_a_provider_on_this_machine_is_not_reached_in_production(
    cast: Cast, oidc: OidcIdp, settings: Any, at: datetime
) -> None:
    live_oidc(cast, oidc, at)
    settings.SIGN_ON_LOOPBACK = False
    assert Client().get("/sign-on/cedar/").status_code == 403
