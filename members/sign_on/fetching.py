"""Fetching from an identity provider that a member named: a guarded way out of this server.

The address is looked up once, must be a public one, and is the one that is connected to; redirects are not followed,
answers are short and quick. So no configuration can make the portal read what only this machine can reach.
"""

import ipaddress
import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpcore
from django.conf import settings
from django.utils.translation import gettext as _

from consortium.kernel.crash import crash_point
from members.sign_on.errors import SignOnRefused

SECONDS: Final = 5.0
LARGEST: Final = 512 * 1024


def _unreachable(reason: str) -> SignOnRefused:
    return SignOnRefused(
        _("The sign-in service of the university does not answer as it should. Try again in a few minutes."),
        reason=reason,
    )


class _PublicOnly(httpcore.SyncBackend):
    """Connects to public addresses alone (and to this machine in the demo, which has its providers there)."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` if every one may be. Raises ConnectError."""
        try:
            found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        refused = [address for address in found if not _may_connect(address)]
        if refused or not found:
            raise httpcore.ConnectError(f"{host} is not a public address")
        # IPv4 first: a loopback provider of the demo listens there only.
        chosen = min(found, key=lambda address: ":" in address)
        return super().connect_tcp(chosen, port, timeout, local_address, socket_options)


def _may_connect(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return (parsed.is_global and not parsed.is_multicast) or (settings.SIGN_ON_LOOPBACK and parsed.is_loopback)


def is_allowed_url(url: str) -> bool:
    """Whether a member may name this address: https, or this machine in the demo; no user, no odd scheme."""
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username or parts.fragment:
        return False
    on_this_machine = settings.SIGN_ON_LOOPBACK and parts.hostname in {"localhost", "127.0.0.1"}
    return parts.scheme == "https" or (parts.scheme == "http" and on_this_machine)


def fetch_json(
    url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """GET, or POST a form, and return the JSON object that comes back. Raises SignOnRefused for everything else."""
    if not is_allowed_url(url):
        raise _unreachable(f"{url} may not be fetched")
    sent: dict[bytes | str, bytes | str] = {
        "Accept": "application/json",
        "User-Agent": "consortium-portal",
    }
    sent.update({name: value for name, value in (headers or {}).items()})  # noqa: C416 - other types of keys
    content = None
    if form is not None:
        content = urlencode(form).encode()
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    crash_point("sign_on.before_fetch")
    status, body = _exchange("GET" if form is None else "POST", url, sent, content)
    crash_point("sign_on.fetched")
    if status != 200:
        raise _unreachable(f"{url} answered {status}")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise _unreachable(f"{url} did not answer with JSON") from error
    if not isinstance(value, dict):
        raise _unreachable(f"{url} did not answer with an object")
    return value


def _exchange(
    method: str, url: str, headers: Mapping[bytes | str, bytes | str], content: bytes | None
) -> tuple[int, bytes]:
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)
    body = bytearray()
    try:
        with (
            httpcore.ConnectionPool(network_backend=_PublicOnly()) as pool,
            pool.stream(method, url, headers=headers, content=content, extensions={"timeout": timeouts}) as answer,
        ):
            for chunk in answer.iter_stream():
                body += chunk
                if len(body) > LARGEST:
                    raise _unreachable(f"{url} answered with more than {LARGEST} bytes")
            return answer.status, bytes(body)
    except (
        httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError
    ) as error:  # fmt: skip
        raise _unreachable(f"{url}: {type(error).__name__}: {error}") from error
