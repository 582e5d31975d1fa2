"""What a hub is: the spec that the portal owns, versions and prices, and the chart values it becomes.

Pure: no Django, no clock, no network. The paths of `render_values` are those of the Zero to JupyterHub chart's own
values schema; a test holds the two together.
"""

import hashlib
import json
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

type Values = dict[str, Any]

# The only scopes the portal's token has: enough to meter, not enough to read tokens, start servers or change a user.
METERING_SCOPES: tuple[str, ...] = ("list:users", "read:users:activity", "read:servers", "read:hub")

# The synthetic user of every hub. It proves that people can work, and is never metered.
CHECK_USER: Final = "portal-check"
# A service of its own, apart from the meter's: it may start, use and stop this one user's server, and nothing else.
CHECK_SERVICE: Final = "portal-check"
CHECK_SCOPES: tuple[str, ...] = tuple(
    f"{scope}!user={CHECK_USER}" for scope in ("read:users:name", "servers", "access:servers")
)

# A slug is a folder, a namespace and a release name: the strictest of the three decides, and no path can be made of it.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$")]
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@+-]{0,63}$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")]
DomainName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$")
]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
WebAddress = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$")]

_IMAGE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._/-]*(?::[0-9]+/[a-z0-9._/-]+)?)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@sha256:(?P<digest>[0-9a-f]{64}))?"
)


class Part(BaseModel):
    """A piece of a spec: frozen, and a field it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Size(Part):
    """What one server is guaranteed and may use at most; memory in MiB, CPU in thousandths of a core."""

    memory_guarantee_mib: int = Field(default=512, ge=64, le=1_048_576)
    memory_limit_mib: int = Field(default=1024, ge=64, le=1_048_576)
    cpu_guarantee_millis: int = Field(default=50, ge=0, le=256_000)
    cpu_limit_millis: int = Field(default=1000, ge=50, le=256_000)

    @model_validator(mode="after")
    def _guarantee_within_limit(self) -> Self:
        if self.memory_guarantee_mib > self.memory_limit_mib:
            raise ValueError("the memory guarantee is larger than the memory limit; raise the limit or lower it")
        if self.cpu_guarantee_millis > self.cpu_limit_millis:
            raise ValueError("the CPU guarantee is larger than the CPU limit; raise the limit or lower it")
        return self


class Cull(Part):
    """When an idle server is stopped; all three in seconds, `max_age_seconds` 0 means never by age alone."""

    enabled: bool = True
    timeout_seconds: int = Field(default=3600, ge=60)
    every_seconds: int = Field(default=300, ge=10)
    max_age_seconds: int = Field(default=0, ge=0)


class LocalSignOn(Part):
    """Names and passwords that the hub itself keeps: for the demo and for trials, not for a university's students."""

    kind: Literal["local"] = "local"
    allowed_users: frozenset[UserName] = Field(min_length=1)
    admins: frozenset[UserName] = frozenset()


class OidcSignOn(Part):
    """A generic OpenID Connect provider. The client secret is never here: it stands in the hub's own secret."""

    kind: Literal["oidc"] = "oidc"
    client_id: ShortText
    authorize_url: WebAddress
    token_url: WebAddress
    userdata_url: WebAddress
    username_claim: ShortText = "preferred_username"
    groups_claim: ShortText = "groups"
    allowed_users: frozenset[UserName] = frozenset()
    allowed_groups: frozenset[ShortText] = frozenset()
    admins: frozenset[UserName] = frozenset()

    @model_validator(mode="after")
    def _someone_is_allowed(self) -> Self:
        if not (self.allowed_users or self.allowed_groups):
            raise ValueError("nobody could sign in: name allowed users or allowed groups")
        return self


class CILogonSignOn(Part):
    """CILogon, narrowed to one identity provider by its entity id and to the e-mail domains of the university."""

    kind: Literal["cilogon"] = "cilogon"
    client_id: ShortText
    idp_entity_id: WebAddress
    username_claim: ShortText = "eppn"
    allowed_domains: frozenset[DomainName] = frozenset()
    allowed_users: frozenset[UserName] = frozenset()
    admins: frozenset[UserName] = frozenset()

    @model_validator(mode="after")
    def _someone_is_allowed(self) -> Self:
        if not (self.allowed_users or self.allowed_domains):
            raise ValueError("nobody could sign in: name allowed domains or allowed users")
        return self


SignOn = Annotated[LocalSignOn | OidcSignOn | CILogonSignOn, Field(discriminator="kind")]


class HubSpec(Part):
    """A hub, complete: two hubs with equal specs are the same hub but for their data.

    Units stand in the names. `image` is a reference `name:tag`, `name:tag@sha256:…` or `name@sha256:…`; the bespoke
    environment must name a digest, because a tag can move under a university's feet.
    """

    slug: Slug
    display_name: ShortText
    environment: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,38}$")] = "standard"
    image: Annotated[str, StringConstraints(max_length=400)]
    default_url: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9/_.-]*$")] = "/lab"
    domain: DomainName | None = None
    size: Size = Size()
    max_servers: int = Field(default=50, ge=1, le=100_000)
    named_servers_per_user: int = Field(default=0, ge=0, le=20)
    storage_per_user_gib: int = Field(default=10, ge=1, le=10_000)
    cull: Cull = Cull()
    sign_on: SignOn
    expected_users: int = Field(default=1, ge=1, le=1_000_000)
    cost_labels: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,38}$")], LabelValue] = {}

    @model_validator(mode="after")
    def _image_is_pinned(self) -> Self:
        found = _IMAGE.fullmatch(self.image)
        if found is None or not (found["tag"] or found["digest"]):
            raise ValueError(f"image {self.image!r} needs a tag or a digest, as in name:2026-10-01 or name@sha256:…")
        if self.environment == "bespoke" and not found["digest"]:
            raise ValueError("a bespoke image must be named by its digest, as in name:tag@sha256:…")
        return self


def spec_hash(spec: HubSpec) -> str:
    """The SHA-256 of the spec in canonical JSON, as hex: equal for equal specs, whatever the order of sets and keys."""
    canonical = json.dumps(_sorted_sets(spec.model_dump(mode="python")), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def render_values(spec: HubSpec) -> Values:
    """The values for the Zero to JupyterHub chart, without any secret: `existingSecret` names where those stand."""
    labels = _labels(spec)
    return {
        "custom": {
            "portal": {
                "hub": spec.slug,
                "displayName": spec.display_name,
                "environment": spec.environment,
                "expectedUsers": spec.expected_users,
            }
        },
        "hub": _hub_values(spec, labels),
        # The chart's default is a load balancer per hub, which a cloud bills by the hour.
        "proxy": {"service": {"type": "ClusterIP", "labels": labels}, "labels": labels},
        "singleuser": _singleuser_values(spec, labels),
        "cull": {
            "enabled": spec.cull.enabled,
            "timeout": spec.cull.timeout_seconds,
            "every": spec.cull.every_seconds,
            "maxAge": spec.cull.max_age_seconds,
        },
        "ingress": _ingress_values(spec),
    }


def existing_secret_name(spec: HubSpec) -> str:
    """The Secret, in the hub's own namespace, that carries its client secret or shared password."""
    return f"{spec.slug}-portal"


def image_name_and_tag(image: str) -> tuple[str, str]:
    """Splits a reference into the chart's two fields, which it joins with a colon; it has no field for a digest."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise ValueError(f"image {image!r} is not a reference like name:tag or name@sha256:…")
    name, tag, digest = found["name"], found["tag"], found["digest"]
    if digest is None:
        return name, tag
    return (name, f"{tag}@sha256:{digest}") if tag else (f"{name}@sha256", digest)


def _hub_values(spec: HubSpec, labels: dict[str, str]) -> Values:
    return {
        "config": _authenticator_values(spec),
        "existingSecret": existing_secret_name(spec),
        "activeServerLimit": spec.max_servers,
        "allowNamedServers": spec.named_servers_per_user > 0,
        "namedServerLimitPerUser": spec.named_servers_per_user or None,
        "labels": labels,
        "services": {name: {"name": name} for name in ("portal", CHECK_SERVICE)},
        "loadRoles": {role["name"]: {key: role[key] for key in role if key != "name"} for role in portal_roles()},
    }


def _singleuser_values(spec: HubSpec, labels: dict[str, str]) -> Values:
    name, tag = image_name_and_tag(spec.image)
    return {
        "image": {"name": name, "tag": tag},
        "defaultUrl": spec.default_url,
        # Strings, not bytes as numbers: Helm may print a large number with an exponent.
        "memory": {"guarantee": f"{spec.size.memory_guarantee_mib}M", "limit": f"{spec.size.memory_limit_mib}M"},
        "cpu": {"guarantee": spec.size.cpu_guarantee_millis / 1000, "limit": spec.size.cpu_limit_millis / 1000},
        "storage": {
            "type": "dynamic",
            "capacity": f"{spec.storage_per_user_gib}Gi",
            "homeMountPath": "/home/jovyan",
            "extraLabels": labels,
        },
        "networkPolicy": {"enabled": True},
        "extraLabels": labels,
    }


def _ingress_values(spec: HubSpec) -> Values:
    if spec.domain is None:
        return {"enabled": False}
    return {
        "enabled": True,
        "hosts": [spec.domain],
        "tls": [{"hosts": [spec.domain], "secretName": f"{spec.slug}-tls"}],
    }


def _authenticator_values(spec: HubSpec) -> Values:
    """Each kind with an explicit allow rule: JupyterHub 5 and later admit nobody without one."""
    sign_on = spec.sign_on
    base: Values = {"Authenticator": {"admin_users": sorted(sign_on.admins)}}
    callback = {"oauth_callback_url": f"https://{spec.domain}/hub/oauth_callback"} if spec.domain else {}
    match sign_on:
        case LocalSignOn():
            # The accounts of a local hub do not travel; on a cluster its people share a password from the secret.
            base["JupyterHub"] = {"authenticator_class": "shared-password"}
            base["Authenticator"]["allowed_users"] = sorted({*sign_on.allowed_users, *sign_on.admins, CHECK_USER})
        case OidcSignOn():
            base["JupyterHub"] = {"authenticator_class": "generic-oauth"}
            base["GenericOAuthenticator"] = {**oidc_settings(sign_on), **callback}
        case CILogonSignOn():
            base["JupyterHub"] = {"authenticator_class": "cilogon"}
            base["CILogonOAuthenticator"] = {**_cilogon_settings(sign_on), **callback}
    return base


def portal_roles() -> list[Values]:
    """What the portal may do on a hub: the meter reads; the check works as the synthetic user, whom the role makes."""
    return [
        {"name": "portal", "services": ["portal"], "scopes": list(METERING_SCOPES)},
        {
            "name": CHECK_SERVICE,
            "services": [CHECK_SERVICE],
            "users": [CHECK_USER],
            "scopes": list(CHECK_SCOPES),
        },
    ]


def oidc_settings(sign_on: OidcSignOn) -> Values:
    """The traits of GenericOAuthenticator, secret and callback apart; the local hub and the chart use the same."""
    return {
        "client_id": sign_on.client_id,
        "authorize_url": sign_on.authorize_url,
        "token_url": sign_on.token_url,
        "userdata_url": sign_on.userdata_url,
        "username_claim": sign_on.username_claim,
        "scope": ["openid", "profile", "email"],
        "manage_groups": True,
        "auth_state_groups_key": f"oauth_user.{sign_on.groups_claim}",
        "allowed_users": sorted(sign_on.allowed_users),
        "allowed_groups": sorted(sign_on.allowed_groups),
    }


def _cilogon_settings(sign_on: CILogonSignOn) -> Values:
    idp: Values = {"username_derivation": {"username_claim": sign_on.username_claim}}
    if sign_on.allowed_domains:
        idp["allowed_domains"] = sorted(sign_on.allowed_domains)
    return {
        "client_id": sign_on.client_id,
        "allowed_idps": {sign_on.idp_entity_id: idp},
        "allowed_users": sorted(sign_on.allowed_users),
    }


def _labels(spec: HubSpec) -> dict[str, str]:
    """Cost labels of everything the hub runs, so that a cloud's bill can be read by hub."""
    return {**dict(sorted(spec.cost_labels.items())), "hub": spec.slug}


def _sorted_sets(value: Any) -> Any:
    match value:
        case dict():
            return {key: _sorted_sets(inner) for key, inner in value.items()}
        case frozenset():
            return sorted(value)
        case _:
            return value
