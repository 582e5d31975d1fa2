"""How to reach a cluster and prove who we are: read from a kubeconfig, never written where others could read it."""

import base64
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, SecretStr

from provisioning.gateways.base import GatewayError

_PROGRAMS = ("exec", "auth-provider")
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class KubeconfigError(GatewayError):
    """The text is no kubeconfig that can be kept; the message says what to change."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the kubeconfig cannot be used: {reason}", permanent=True)


class ClusterAccess(BaseModel):
    """A server with its certificate authority, and a token or a client certificate. Its text form shows no secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    ca: str = ""
    token: SecretStr = SecretStr("")
    client_certificate: str = ""
    client_key: SecretStr = SecretStr("")

    @classmethod
    def from_kubeconfig(cls, text: str) -> Self:
        """Reads the current context. Raises KubeconfigError, without repeating what was in the text."""
        config = _loaded(text)
        context = _named(config, "contexts", config.get("current-context"), "context")
        cluster = _named(config, "clusters", context.get("cluster"), "cluster")
        user = _named(config, "users", context.get("user"), "user")
        _refuse_foreign(cluster, user)
        found = cls(
            server=str(cluster.get("server", "")),
            ca=_decoded(cluster, "certificate-authority-data"),
            token=SecretStr(str(user.get("token", ""))),
            client_certificate=_decoded(user, "client-certificate-data"),
            client_key=SecretStr(_decoded(user, "client-key-data")),
        )
        if not found.server.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise KubeconfigError("the server must be an https:// address")
        if not (found.token.get_secret_value() or (found.client_certificate and found.client_key.get_secret_value())):
            raise KubeconfigError("its user has neither a token nor a client certificate with its key")
        try:
            found.tls()
        except (ssl.SSLError, OSError):
            raise KubeconfigError("its certificates or its key cannot be read") from None
        return found

    def secret_json(self) -> bytes:
        """Everything, secrets included: to be sealed."""
        plain = {**self.model_dump(), "token": self.token.get_secret_value()}
        return json.dumps({**plain, "client_key": self.client_key.get_secret_value()}).encode()

    def kubeconfig(self) -> bytes:
        """For Helm, which reads it from a file that exists in memory alone."""
        cluster: dict[str, str] = {"server": self.server}
        user: dict[str, str] = {}
        if self.ca:
            cluster["certificate-authority-data"] = _encoded(self.ca)
        if token := self.token.get_secret_value():
            user["token"] = token
        if self.client_certificate:
            user["client-certificate-data"] = _encoded(self.client_certificate)
            user["client-key-data"] = _encoded(self.client_key.get_secret_value())
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "hub",
            "clusters": [{"name": "hub", "cluster": cluster}],
            "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": "hub"}}],
            "users": [{"name": "hub", "user": user}],
        }
        return json.dumps(config).encode()

    def tls(self) -> ssl.SSLContext:
        """The context that trusts this cluster's authority alone, where it has one of its own."""
        context = ssl.create_default_context(cadata=self.ca or None)
        if self.client_certificate:
            both = f"{self.client_certificate}\n{self.client_key.get_secret_value()}".encode()
            with memory_file(both) as descriptor:
                context.load_cert_chain(f"/dev/fd/{descriptor}")
        return context


@contextmanager
def memory_file(content: bytes) -> Iterator[int]:
    """A file that has no name on any disk and ends with the block, or with the process."""
    descriptor = os.memfd_create("portal", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _loaded(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise KubeconfigError(f"it is not YAML{where}") from None  # the error would repeat the text
    if not isinstance(found, dict):
        raise KubeconfigError("it is not a kubeconfig: paste the whole file")
    return found


def _named(config: dict[str, Any], group: str, name: Any, what: str) -> dict[str, Any]:
    entries = config.get(group)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(what), dict):
            return dict(entry[what])
    raise KubeconfigError(f"its current context names no {what} that it has")


def _refuse_foreign(cluster: dict[str, Any], user: dict[str, Any]) -> None:
    """A program would run here, and a file would be read here, on behalf of whoever wrote the text."""
    if any(name in user for name in _PROGRAMS):
        raise KubeconfigError(
            "its user signs in by running a program; make a service account with a token for the portal"
        )
    if any(name in part for part in (cluster, user) for name in _FILES):
        raise KubeconfigError("it names files; embed them, as `kubectl config view --raw --flatten` does")
    if cluster.get("insecure-skip-tls-verify"):
        raise KubeconfigError("it does not verify the server; give the cluster's certificate authority")


def _decoded(part: dict[str, Any], name: str) -> str:
    try:
        return base64.b64decode(str(part.get(name, "")), validate=True).decode()
    except ValueError:
        raise KubeconfigError(f"{name} is not base64") from None


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
