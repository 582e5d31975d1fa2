"""A cluster with the Kubernetes driver in front of it: what the driver's tests stand on."""

import base64
import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioning.gateways.base import HubTarget
from provisioning.gateways.kubernetes.access import ClusterAccess
from provisioning.gateways.kubernetes.chart import ChartReference
from provisioning.gateways.kubernetes.driver import KubernetesDriver, Limits
from provisioning.gateways.kubernetes.paths import namespace_of
from provisioning.places import Place
from tests.cluster.controllers import Controllers
from tests.cluster.hub import SimulatedHubs
from tests.cluster.resources import Json, Key
from tests.cluster.server import ClusterServer
from tests.cluster.store import wait_until

PROJECT = Path(__file__).resolve().parents[2]
HELM = Path(os.environ.get("HELM") or PROJECT / ".tools" / "helm")
CHART = Path(__file__).with_name("chart")


class KubernetesSite:
    """One in-memory cluster; `driver` reaches it with patience enough for any of its acts."""

    def __init__(self, root: Path, server: ClusterServer, hubs: SimulatedHubs, controllers: Controllers) -> None:
        self.root, self.server, self.hubs, self.controllers = root, server, hubs, controllers
        self.store = server.store
        self.place = Place(hub_address=f"{hubs.address}/{{slug}}/", ingress_class="memory", storage_class="standard")
        self.access = ClusterAccess.from_kubeconfig(server.kubeconfig())
        self.driver = self.make_driver()

    def make_driver(self, **limits: float) -> KubernetesDriver:
        """Another worker's driver, with limits of its own; what a killed one held is free again in a moment."""
        return KubernetesDriver(
            self.access,
            place=self.place,
            chart=ChartReference(reference=str(CHART), version="1.0.0"),
            helm=HELM,
            charts=self.root / "charts",
            limits=Limits(**{"act": 20.0, "helm": 5.0, "grace": 2.0, "hold": 3.0, "pause": 0.02, **limits}),
        )

    def password(self, target: HubTarget, name: str) -> str:
        del name  # its people share one
        return self.driver.password(target)

    def kill_hub(self, target: HubTarget) -> None:
        self.store.delete(self.key(target, "v1", "pods", "hub-0"))
        wait_until(lambda: self.hub_identity(target), "the cluster to make the hub's pod again")

    def hub_identity(self, target: HubTarget) -> object:
        pods = self.objects(target, "pods")
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods if "jupyter-" not in str(pod)} or None

    def homes(self, target: HubTarget) -> set[str]:
        names = {found["metadata"]["name"] for found in self.objects(target, "persistentvolumeclaims")}
        return {name.removeprefix("claim-") for name in names if name.startswith("claim-")}

    def processes(self, target: HubTarget | None = None) -> dict[int, Any]:
        slug = None if target is None else namespace_of(target.slug)
        return dict(enumerate(pod["metadata"]["name"] for pod in self.store.find("pods", slug)))

    def objects(self, target: HubTarget, plural: str) -> list[Json]:
        return self.store.find(plural, namespace_of(target.slug))

    def key(self, target: HubTarget, group_version: str, plural: str, name: str) -> Key:
        return Key(group_version, plural, namespace_of(target.slug), name)

    def everything(self, target: HubTarget) -> set[str]:
        """Kind and name of all that the hub's namespace holds."""
        return {f"{key.plural}/{key.name}" for key in self.store.keys_of(namespace_of(target.slug))}

    def releases(self, target: HubTarget) -> list[tuple[int, str]]:
        """Helm's revisions of the hub's release with their states."""
        labels = [one["metadata"].get("labels", {}) for one in self.objects(target, "secrets")]
        return sorted((int(one["version"]), one["status"]) for one in labels if one.get("owner") == "helm")

    def release_texts(self, target: HubTarget) -> str:
        """All that Helm has stored of the release, unpacked."""
        found = [one for one in self.objects(target, "secrets") if one.get("type", "").startswith("helm.sh/release")]
        texts = [gzip.decompress(base64.b64decode(base64.b64decode(one["data"]["release"]))) for one in found]
        return "\n".join(json.dumps(json.loads(text)) for text in texts)


@contextmanager
def kubernetes_site(root: Path) -> Iterator[KubernetesSite]:
    """A cluster of its own, gone with the block."""
    if not os.access(HELM, os.X_OK):
        pytest.fail(f"no Helm at {HELM}: run ./portal test, which fetches it, or set HELM")
    server = ClusterServer(root)
    controllers, hubs = Controllers(server.store, server.pods), SimulatedHubs(server.store, server.volumes)
    with server.listening(), controllers.running(), hubs.listening():
        yield KubernetesSite(root, server, hubs, controllers)
