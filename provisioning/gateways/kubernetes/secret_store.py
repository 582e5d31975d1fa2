"""What a hub's sign-on needs to know and nobody else: it stands in the hub's own Secret, on the cluster alone."""

import base64
import json
import secrets as randomness
from typing import Any

from provisioning.gateways.carrying import SignOnSecrets
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.errors import MissingClientSecretError
from provisioning.gateways.kubernetes.objects import secret_object
from provisioning.gateways.kubernetes.paths import core, namespace_of
from provisioning.specs import CILogonSignOn, HubSpec, LocalSignOn, OidcSignOn, existing_secret_name

_CLIENT_SECRET = "client-secret"  # noqa: S105 - the name of an entry


def prepare_secret(api: ClusterApi, spec: HubSpec) -> None:
    """Makes what is missing of the hub's Secret; passwords that are there stay. Raises MissingClientSecretError."""
    path = core(namespace_of(spec.slug), "secrets", existing_secret_name(spec))
    stored = api.get(path)
    kept: dict[str, Any] = {} if stored is None else _values(stored.get("data", {}))
    wanted = _wanted(spec, kept, client_secret=_client_secret(api, spec.slug))
    if stored is None or wanted != kept:
        api.apply(path, secret_object(spec, wanted))


def store_client_secret(api: ClusterApi, slug: str, client_secret: str) -> None:
    """Keeps what a hub with OIDC or CILogon shows its provider, in the hub's namespace, which must exist."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _CLIENT_SECRET},
        "type": "Opaque",
        "data": {"client-secret": base64.b64encode(client_secret.encode()).decode()},
    }
    api.apply(core(namespace_of(slug), "secrets", _CLIENT_SECRET), body)


def shared_password(api: ClusterApi, slug: str, *, of_admin: bool) -> str:
    """The password by which the people of a hub with names of its own sign in; empty when there is none."""
    stored = api.get(core(namespace_of(slug), "secrets", f"{slug}-portal"))
    config = _values((stored or {}).get("data", {})).get("hub", {}).get("config", {})
    name = "admin_password" if of_admin else "user_password"
    return str(config.get("SharedPasswordAuthenticator", {}).get(name, ""))


def portal_token(api: ClusterApi, slug: str, *, service: str = "portal") -> str:
    """The token that the chart made for a service of ours; read each time and never stored. Empty when none is."""
    stored = api.get(core(namespace_of(slug), "secrets", "hub"))
    text = (stored or {}).get("data", {}).get(f"hub.services.{service}.apiToken", "")
    return base64.b64decode(text).decode()


def sign_on_secrets(api: ClusterApi, slug: str) -> SignOnSecrets:
    """What the hub's sign-on rests on, for taking it along to another cluster."""
    stored = api.get(core(namespace_of(slug), "secrets", f"{slug}-portal"))
    config = _values((stored or {}).get("data", {})).get("hub", {}).get("config", {})
    return SignOnSecrets(
        client_secret=_client_secret(api, slug), shared=dict(config.get("SharedPasswordAuthenticator", {}))
    )


def keep_sign_on_secrets(api: ClusterApi, spec: HubSpec, secrets: SignOnSecrets) -> None:
    """Keeps what came along from elsewhere, in the hub's namespace, which must exist."""
    if secrets.client_secret and not isinstance(spec.sign_on, LocalSignOn):
        store_client_secret(api, spec.slug, secrets.client_secret)
    if secrets.shared and isinstance(spec.sign_on, LocalSignOn):
        values = {"hub": {"config": {"SharedPasswordAuthenticator": dict(secrets.shared)}}}
        path = core(namespace_of(spec.slug), "secrets", existing_secret_name(spec))
        api.apply(path, secret_object(spec, values))


def client_secret_path(slug: str) -> str:
    """Where a client secret waits, for taking it away."""
    return core(namespace_of(slug), "secrets", _CLIENT_SECRET)


def _wanted(spec: HubSpec, kept: dict[str, Any], *, client_secret: str) -> dict[str, Any]:
    match spec.sign_on:
        case LocalSignOn():
            old = kept.get("hub", {}).get("config", {}).get("SharedPasswordAuthenticator", {})
            traits = {
                name: old.get(name) or randomness.token_urlsafe(24) for name in ("user_password", "admin_password")
            }
            return {"hub": {"config": {"SharedPasswordAuthenticator": traits}}}
        case OidcSignOn():
            name = "GenericOAuthenticator"
        case CILogonSignOn():
            name = "CILogonOAuthenticator"
    if not client_secret:
        raise MissingClientSecretError(spec.slug)
    return {"hub": {"config": {name: {"client_secret": client_secret}}}}


def _client_secret(api: ClusterApi, slug: str) -> str:
    stored = api.get(client_secret_path(slug))
    return base64.b64decode((stored or {}).get("data", {}).get("client-secret", "")).decode()


def _values(data: dict[str, str]) -> dict[str, Any]:
    try:
        found = json.loads(base64.b64decode(data.get("values.yaml", "")) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
