"""Snapshots of a hub's volumes, where the cluster can make them: taken before the end, and kept beyond the namespace.

A snapshot belongs to its namespace and would go with it; what it holds is an object of the cluster's, told here to stay
until somebody releases it.
"""

from typing import Final

from consortium.kernel.crash import crash_point
from provisioning.gateways.base import GatewayError
from provisioning.gateways.kubernetes.api import ClusterApi, Json
from provisioning.gateways.kubernetes.paths import HUB_LABEL, core, namespace_of

GROUP: Final = "/apis/snapshot.storage.k8s.io/v1"
_CONTENTS = f"{GROUP}/volumesnapshotcontents"


class SnapshotNotReadyError(GatewayError):
    """The storage has not finished a snapshot, or cannot make it."""

    def __init__(self, slug: str, claim: str, reason: str) -> None:
        why = f": {reason}" if reason else "; it is looked at again"
        super().__init__(f"the snapshot of a volume of hub {slug} ({claim}) is not ready{why}", permanent=False)


def snapshot_volumes(api: ClusterApi, slug: str) -> int:
    """Snapshots every volume whose class can be, waits for each, and keeps it; returns how many. It may be repeated.

    Raises SnapshotNotReadyError.
    """
    wanted = _classes_of_claims(api, slug)
    for claim, name in wanted.items():
        if api.get(_snapshot(slug, claim)) is None:
            api.create(_snapshot(slug), _body(slug, claim, name))
        crash_point("kubernetes.snapshot_made")
    for claim in wanted:
        kept = {"metadata": {"labels": {HUB_LABEL: slug}}, "spec": {"deletionPolicy": "Retain"}}
        api.merge(f"{_CONTENTS}/{_ready(api, slug, claim)}", kept)
        crash_point("kubernetes.snapshot_kept")
    return len(wanted)


def release_snapshots(api: ClusterApi, slug: str) -> int:
    """Has the storage delete what was kept of the hub; returns how many there were."""
    found = api.find(_CONTENTS, labels=f"{HUB_LABEL}={slug}")
    for one in found:
        path = f"{_CONTENTS}/{one['metadata']['name']}"
        api.merge(path, {"spec": {"deletionPolicy": "Delete"}})
        api.delete(path)
    return len(found)


def _classes_of_claims(api: ClusterApi, slug: str) -> dict[str, str]:
    """Each claim that can be snapshot, with the class of snapshots that fits its storage."""
    classes = {one["driver"]: one["metadata"]["name"] for one in api.find(f"{GROUP}/volumesnapshotclasses")}
    if not classes:
        return {}
    stores = api.find("/apis/storage.k8s.io/v1/storageclasses")
    drivers = {one["metadata"]["name"]: one.get("provisioner", "") for one in stores}
    found = {}
    for claim in api.find(core(namespace_of(slug), "persistentvolumeclaims")):
        name = classes.get(drivers.get(claim.get("spec", {}).get("storageClassName") or "", ""))
        if name is not None:
            found[str(claim["metadata"]["name"])] = str(name)
    return found


def _ready(api: ClusterApi, slug: str, claim: str) -> str:
    """The name of what the snapshot holds, once it is whole."""
    attempt = 0
    while True:
        status = (api.get(_snapshot(slug, claim)) or {}).get("status", {})
        if status.get("readyToUse") and status.get("boundVolumeSnapshotContentName"):
            return str(status["boundVolumeSnapshotContentName"])
        reason = str((status.get("error") or {}).get("message", ""))[:200]
        if not api.patience.pause(min(attempt, 4)):
            raise SnapshotNotReadyError(slug, claim, reason)
        attempt += 1


def _snapshot(slug: str, claim: str = "") -> str:
    return f"{GROUP}/namespaces/{namespace_of(slug)}/volumesnapshots" + (f"/{claim}" if claim else "")


def _body(slug: str, claim: str, name: str) -> Json:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": claim, "labels": {HUB_LABEL: slug}},
        "spec": {"volumeSnapshotClassName": name, "source": {"persistentVolumeClaimName": claim}},
    }
