"""OpenID Connect: the authorization code flow with PKCE, state and nonce, the issuer pinned, the signature checked."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import jwt
from django.utils.translation import gettext as _

from members.models import SignOn
from members.sign_on.claims import REFEDS_MFA, Claims, from_oidc
from members.sign_on.configuring import client_secret
from members.sign_on.errors import SignOnRefused
from members.sign_on.fetching import fetch_json
from members.sign_on.trips import Trip

# Signatures that only the provider can make: never "none", never one made with a secret that both sides know.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LEEWAY_SECONDS: Final = 60
SCOPES: Final = {"oidc": "openid email profile", "cilogon": "openid email profile org.cilogon.userinfo"}


def _refused(reason: str) -> SignOnRefused:
    return SignOnRefused(
        _("The answer of your university's sign-in service could not be trusted, so you were not signed in."),
        reason=reason,
    )


def discover(issuer: str) -> dict[str, Any]:
    """Fetch the provider's description of itself. Raises SignOnRefused unless it names exactly this issuer."""
    found = fetch_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise _refused(f"discovery names the issuer {found.get('issuer')!r}, not {issuer!r}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not isinstance(found.get(name), str):
            raise _refused(f"discovery names no {name}")
    return found


def departure(sign_on: SignOn, *, redirect_uri: str) -> tuple[str, str, dict[str, str]]:
    """Return where to send the browser, the state that must come back, and what the trip must remember."""
    found = discover(sign_on.issuer)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    wanted = {
        "response_type": "code",
        "client_id": sign_on.client_id,
        "redirect_uri": redirect_uri,
        "scope": SCOPES[sign_on.kind],
        "state": state,
        "nonce": nonce,
        "code_challenge": _base64(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    if sign_on.kind == "cilogon":
        wanted |= {"idphint": sign_on.idp, "selected_idp": sign_on.idp}
    if sign_on.ask_mfa:
        wanted["acr_values"] = REFEDS_MFA
    joint = "&" if "?" in found["authorization_endpoint"] else "?"
    url = f"{found['authorization_endpoint']}{joint}{urlencode(wanted)}"
    return url, state, {"nonce": nonce, "verifier": verifier}


def arrival(sign_on: SignOn, trip: Trip, *, answer: Mapping[str, str], redirect_uri: str) -> Claims:
    """Exchange the code and return what the provider says. Raises SignOnRefused for whatever does not hold."""
    if answer.get("error"):
        raise SignOnRefused(
            _("Your university did not sign you in. Try again, or ask its help desk."),
            reason=f"the provider answered {answer['error'][:80]}",
        )
    if answer.get("iss", sign_on.issuer) != sign_on.issuer:
        raise _refused("another issuer answered")
    if not answer.get("code"):
        raise _refused("the answer holds no code")
    found = discover(sign_on.issuer)
    tokens = _exchange(sign_on, found, trip, code=answer["code"], redirect_uri=redirect_uri)
    id_token = verified(sign_on, str(tokens.get("id_token", "")), keys_url=found["jwks_uri"], nonce=trip.nonce)
    userinfo: dict[str, Any] = {}
    if isinstance(found.get("userinfo_endpoint"), str) and isinstance(tokens.get("access_token"), str):
        userinfo = fetch_json(found["userinfo_endpoint"], headers={"Authorization": f"Bearer {tokens['access_token']}"})
        if userinfo.get("sub") != id_token["sub"]:
            raise _refused("the user info is about another subject")
    return from_oidc(issuer=sign_on.issuer, id_token=id_token, userinfo=userinfo)


def _exchange(sign_on: SignOn, found: Mapping[str, Any], trip: Trip, *, code: str, redirect_uri: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": trip.verifier,
    }
    secret, headers = client_secret(sign_on), {}
    # A provider that says nothing understands the header (OpenID Connect Discovery 1.0).
    if "client_secret_basic" in found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
        pair = f"{quote(sign_on.client_id, safe='')}:{quote(secret, safe='')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        form |= {"client_id": sign_on.client_id, "client_secret": secret}
    return fetch_json(found["token_endpoint"], headers=headers, form=form)


def verified(sign_on: SignOn, id_token: str, *, keys_url: str, nonce: str) -> dict[str, Any]:
    """Return the ID token's claims once signature, issuer, audience, times and nonce hold. Raises SignOnRefused."""
    try:
        header = jwt.get_unverified_header(id_token)
        if header.get("alg") not in ALGORITHMS:
            raise _refused(f"the ID token is signed with {header.get('alg')!r}")
        said: dict[str, Any] = jwt.decode(
            id_token,
            key=_key(fetch_json(keys_url), header),
            algorithms=[header["alg"]],
            audience=sign_on.client_id,
            issuer=sign_on.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "sub", "iss", "aud"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _refused(f"the ID token does not hold: {type(error).__name__}") from error
    if not nonce or not hmac.compare_digest(str(said.get("nonce", "")), nonce):
        raise _refused("the nonce is not ours")
    if said.get("azp", sign_on.client_id) != sign_on.client_id:
        raise _refused("the ID token was made for another client")
    return said


def _key(published: Mapping[str, Any], header: Mapping[str, Any]) -> Any:
    keys = [each for each in published.get("keys", ()) if isinstance(each, dict) and each.get("use", "sig") == "sig"]
    if header.get("kid"):
        keys = [each for each in keys if each.get("kid") == header["kid"]]
    if len(keys) != 1:
        raise _refused("the provider publishes no such key")
    return jwt.PyJWK.from_json(json.dumps(keys[0]), algorithm=header["alg"]).key


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
