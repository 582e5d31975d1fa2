"""Any cluster of yours with any chart, for the same contract: named by KUBECONFIG_TEST and CHART_TEST."""

import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provisioning.gateways.base import HubTarget
from provisioning.gateways.kubernetes.access import ClusterAccess
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.chart import ChartReference
from provisioning.gateways.kubernetes.driver import KubernetesDriver, Limits
from provisioning.gateways.kubernetes.paths import core, namespace_of
from provisioning.gateways.kubernetes.patience import Patience
from provisioning.places import Place
from tests.cluster.resources import Json
from tests.cluster.site import HELM
from tests.cluster.store import wait_until

KUBECTL = HELM.with_name("kubectl")
ACT_SECONDS = 600.0


class RealSite:
    """A hub on a real cluster, reached through kubectl's port-forward, so that no ingress is needed.

    With HUB_ADDRESS_TEST (such as https://hubs.example/{slug}/) and INGRESS_CLASS_TEST it is reached as people do.
    """

    def __init__(self, root: Path, kubeconfig: Path, chart: str) -> None:
        self._kubeconfig = kubeconfig
        self.address = os.environ.get("HUB_ADDRESS_TEST", "")
        self._access = ClusterAccess.from_kubeconfig(kubeconfig.read_text(encoding="utf-8"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.driver = KubernetesDriver(
            self._access,
            place=Place(
                hub_address=self.address or f"http://127.0.0.1:{self.port}/{{slug}}/",
                ingress_class=os.environ.get("INGRESS_CLASS_TEST") or None,
            ),
            chart=ChartReference(reference=chart, digest=os.environ.get("CHART_DIGEST_TEST", "")),
            helm=HELM,
            charts=root / "charts",
            limits=Limits(act=ACT_SECONDS, helm=60.0, hold=90.0),
        )

    @contextmanager
    def forwarding(self, target: HubTarget) -> Iterator[None]:
        """Keeps a port of this machine leading to the hub's proxy, whenever that is there, unless people have a way."""
        if self.address:
            yield
            return
        over = threading.Event()
        where = ["--namespace", namespace_of(target.slug), "service/proxy-public", f"{self.port}:80"]
        command = [str(KUBECTL), "--kubeconfig", str(self._kubeconfig), "port-forward", *where]

        def keep() -> None:
            while not over.is_set():
                with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
                    while running.poll() is None and not over.wait(0.2):
                        pass
                    running.terminate()
                over.wait(0.5)

        thread = threading.Thread(target=keep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def password(self, target: HubTarget, name: str) -> str:
        del name
        return self.driver.password(target)

    def kill_hub(self, target: HubTarget) -> None:
        before = self.hub_identity(target)
        for pod in self._find(target, "pods", "component=hub"):
            self._delete(core(namespace_of(target.slug), "pods", pod["metadata"]["name"]))
        wait_until(lambda: self.hub_identity(target) not in ((), before), "the hub's pod to be made again", seconds=120)

    def hub_identity(self, target: HubTarget) -> object:
        return tuple(sorted(pod["metadata"]["uid"] for pod in self._find(target, "pods", "component=hub")))

    def homes(self, target: HubTarget) -> set[str]:
        names = [found["metadata"]["name"] for found in self._find(target, "persistentvolumeclaims", "")]
        return {name.removeprefix("claim-").partition("-")[0] for name in names if name.startswith("claim-")}

    def processes(self, target: HubTarget | None = None) -> dict[int, Any]:
        return {} if target is None else dict(enumerate(self._find(target, "pods", "")))

    def _find(self, target: HubTarget, plural: str, labels: str) -> list[Json]:
        with ClusterApi(self._access, Patience(30)) as api:
            return api.find(core(namespace_of(target.slug), plural), labels=labels)

    def _delete(self, path: str) -> None:
        with ClusterApi(self._access, Patience(30)) as api:
            api.delete(path)


@contextmanager
def real_cluster_site(root: Path) -> Iterator[RealSite]:
    """The cluster of KUBECONFIG_TEST; skipped with the reason where none is given."""
    kubeconfig, chart = os.environ.get("KUBECONFIG_TEST"), os.environ.get("CHART_TEST")
    if not (kubeconfig and chart):
        pytest.skip("no real cluster: set KUBECONFIG_TEST to a kubeconfig and CHART_TEST to a chart")
    site = RealSite(root, Path(kubeconfig), chart)
    target = HubTarget(slug="north-uni", generation=1)
    left = HubTarget(slug="north-uni", generation=1_000_000 + secrets.randbelow(1_000_000))
    try:
        with site.forwarding(target):
            yield site
    finally:
        site.driver.destroy(left, keep_data=False)
        site._delete(core("consortium-portal", "configmaps", f"hub-{target.slug}"))
