"""What the two parts of a local hub are started with: the proxy, and the hub behind it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.gateways.base import GatewayError
from provisioning.gateways.local.files import Desired, HubFolder, Secrets
from provisioning.gateways.local.processes import HUB_MARK
from provisioning.specs import CHECK_SERVICE, LocalSignOn, portal_roles, render_values

CONFIG_SOURCE = Path(__file__).with_name("jupyterhub_config.py")

# All else of the portal's environment (its keys, its database) is no business of a hub's.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "PORTAL_RUN")


class IncompleteWishError(GatewayError):
    """The wish for a running hub lacks what a hub cannot start without."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"hub {slug}: a running hub is wanted, but not with which spec and ports", permanent=True)


@dataclass(frozen=True)
class Launch:
    """A command with its environment; equal fingerprints mean that a running part need not be restarted."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    fingerprint: str


def hub_settings(folder: HubFolder, desired: Desired, secrets: Secrets) -> dict[str, Any]:
    """The JSON that `jupyterhub_config.py` reads, secrets included: for a file that only the hub's user can read.

    Raises:
        IncompleteWishError: the wish names no spec or no ports.
    """
    spec, ports = desired.spec, desired.ports
    if spec is None or ports is None:
        raise IncompleteWishError(folder.slug)
    config = render_values(spec)["hub"]["config"]
    if isinstance(spec.sign_on, LocalSignOn):
        del config["JupyterHub"]
    else:
        oauth = next(name for name in config if name.endswith("OAuthenticator"))
        config[oauth]["client_secret"] = secrets.client_secret
        config[oauth]["oauth_callback_url"] = f"{desired.url}hub/oauth_callback"
    return {
        "run": str(folder.run),
        "public_url": desired.url,
        "hub_url": f"http://{desired.host}:{ports.hub}",
        "proxy_api_url": f"http://{desired.host}:{ports.proxy_api}",
        "cookie_secret": secrets.cookie_secret,
        "proxy_token": secrets.proxy_token,
        "service_tokens": _service_tokens(secrets),
        "roles": [role for role in portal_roles() if set(role["services"]) <= _service_tokens(secrets).keys()],
        "max_servers": spec.max_servers,
        "named_servers_per_user": spec.named_servers_per_user,
        "default_url": spec.default_url,
        "size": spec.size.model_dump(),
        "cull": spec.cull.model_dump(),
        "authenticator": config,
        "accounts_file": str(folder.accounts_file) if isinstance(spec.sign_on, LocalSignOn) else "",
    }


def _service_tokens(secrets: Secrets) -> dict[str, str]:
    """By service; one without a token is none."""
    both = {"portal": secrets.portal_token, CHECK_SERVICE: secrets.check_token}
    return {name: token for name, token in both.items() if token}


def accounts(secrets: Secrets) -> dict[str, dict[str, str]]:
    """What the hub needs to check a password, which is not the password."""
    return {name: account.model_dump(exclude={"password"}) for name, account in sorted(secrets.accounts.items())}


def as_file(content: Mapping[str, Any]) -> str:
    """Its one spelling, so that equal content is an equal file."""
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def proxy_launch(
    python: Path, folder: HubFolder, desired: Desired, secrets: Secrets, prefix: tuple[str, ...]
) -> Launch:
    """The proxy, in a process of its own: people keep their servers while the hub behind it restarts."""
    if desired.ports is None:
        raise IncompleteWishError(folder.slug)
    command = (
        *prefix,
        str(python),
        str(python.with_name("configurable-http-proxy")),
        f"--ip={desired.host}",
        f"--port={desired.ports.public}",
        f"--api-ip={desired.host}",
        f"--api-port={desired.ports.proxy_api}",
        f"--error-target=http://{desired.host}:{desired.ports.hub}/hub/error",
        "--log-level=warning",
    )
    environment = {**_environment(folder), "CONFIGPROXY_AUTH_TOKEN": secrets.proxy_token}
    return Launch(command, environment, _fingerprint(command, environment))


def hub_launch(python: Path, folder: HubFolder, settings: Mapping[str, Any], prefix: tuple[str, ...]) -> Launch:
    """The hub itself; its fingerprint covers its settings and the configuration that reads them."""
    command = (*prefix, str(python), "-m", "jupyterhub", f"--config={CONFIG_SOURCE}")
    environment = {**_environment(folder), "HUB_CONFIG": str(folder.config_file)}
    return Launch(
        command,
        environment,
        _fingerprint(command, environment, as_file(settings), CONFIG_SOURCE.read_text(encoding="utf-8")),
    )


def _environment(folder: HubFolder) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, HUB_MARK: folder.mark, "HOME": str(folder.run), "PYTHONUNBUFFERED": "1"}


def _fingerprint(*parts: object) -> str:
    """PORTAL_RUN is left out: a supervisor of another run adopts what it finds running."""
    told = [
        {name: value for name, value in part.items() if name != "PORTAL_RUN"} if isinstance(part, dict) else part
        for part in parts
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
