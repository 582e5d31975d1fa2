"""The take-away bundle of a hub on a cluster: the common one, with the images and volumes that it really has."""

import json
from pathlib import Path

from provisioning.gateways.kubernetes.api import ClusterApi, Json
from provisioning.gateways.kubernetes.paths import core, namespace_of
from provisioning.gateways.local.bundle import write_bundle
from provisioning.specs import HubSpec


def write_cluster_bundle(api: ClusterApi, spec: HubSpec, *, into: Path) -> Path:
    """Writes `<slug>-take-away.zip` with `storage.json` and `images.json` beside what every bundle has."""
    name = namespace_of(spec.slug)
    claims = [_claim(found) for found in api.find(core(name, "persistentvolumeclaims"))]
    images = sorted({image for pod in api.find(core(name, "pods")) for image in _images(pod)})
    more = {"storage.json": _text({"claims": claims}), "images.json": _text({"images": images})}
    return write_bundle(spec, into=into, more=more)


def _claim(found: Json) -> Json:
    wanted = found.get("spec", {})
    return {
        "name": found["metadata"]["name"],
        "size": wanted.get("resources", {}).get("requests", {}).get("storage", ""),
        "storage_class": wanted.get("storageClassName"),
        "access_modes": wanted.get("accessModes", []),
    }


def _images(pod: Json) -> list[str]:
    """By digest where the node says which one it runs."""
    running = [one.get("imageID", "") for one in pod.get("status", {}).get("containerStatuses", [])]
    named = [one.get("image", "") for one in pod.get("spec", {}).get("containers", [])]
    return [one for one in running if "@sha256:" in one] or named


def _text(content: Json) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
