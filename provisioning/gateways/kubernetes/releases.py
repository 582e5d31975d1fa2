"""Helm's own record of a release, read where Helm keeps it: one call, no process, and its state in plain labels."""

import base64
import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any

import yaml

from provisioning.gateways.base import GatewayError
from provisioning.gateways.kubernetes.api import ClusterApi, Json
from provisioning.gateways.kubernetes.paths import core, namespace_of


class ReleaseUnreadableError(GatewayError):
    """Helm's record is not of the shape that Helm 3 and 4 write."""

    def __init__(self, slug: str) -> None:
        super().__init__(
            f"Helm's record of hub {slug} is not readable; look with helm history {slug} in namespace "
            f"{namespace_of(slug)}",
            permanent=True,
        )


@dataclass(frozen=True, kw_only=True)
class Release:
    """The newest revision of a release. `status` is Helm's: deployed, failed, pending-install, …"""

    revision: int
    status: str
    values: Json
    manifest: str
    chart: str
    last_deployed_revision: int

    @property
    def objects(self) -> list[Json]:
        """What Helm wrote to the cluster."""
        return [found for found in yaml.safe_load_all(self.manifest) if found]


def newest_release(api: ClusterApi, slug: str) -> Release | None:
    """The hub's release as Helm last wrote it; None when there is none. Raises ReleaseUnreadableError."""
    found = api.find(core(namespace_of(slug), "secrets"), labels=f"owner=helm,name={slug}")
    revisions = sorted(found, key=_revision)
    if not revisions:
        return None
    # Helm calls a revision that a newer one replaced superseded; both were deployed once.
    good = [one for one in revisions if _label(one, "status") in {"deployed", "superseded"}]
    newest = revisions[-1]
    content = _content(slug, newest)
    meta = content.get("chart", {}).get("metadata", {})
    return Release(
        revision=_revision(newest),
        status=_label(newest, "status"),
        values=content.get("config") or {},
        manifest=content.get("manifest") or "",
        chart=f"{meta.get('name', '')}-{meta.get('version', '')}",
        last_deployed_revision=_revision(good[-1]) if good else 0,
    )


def _content(slug: str, secret: Json) -> dict[str, Any]:
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        found = json.loads(gzip.decompress(packed))
    except (KeyError, ValueError, OSError, zlib.error):
        raise ReleaseUnreadableError(slug) from None
    return dict(found)


def _label(secret: Json, name: str) -> str:
    return str(secret["metadata"].get("labels", {}).get(name, ""))


def _revision(secret: Json) -> int:
    return int(_label(secret, "version") or 0)
