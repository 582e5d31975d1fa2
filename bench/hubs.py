"""`./portal bench hubs [NUMBER]`: many hubs on a cluster in memory: all made, all looked at, all changed at once.

The floor of a look is as many plain requests as it makes; the floor of a change is Helm alone.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from provisioning.gateways.base import HubTarget
from provisioning.gateways.kubernetes.api import ClusterApi
from provisioning.gateways.kubernetes.helm import Helm
from provisioning.gateways.kubernetes.patience import Patience
from provisioning.places import values_on
from provisioning.specs import HubSpec, LocalSignOn
from tests.cluster.site import CHART, HELM, KubernetesSite, kubernetes_site

WORKERS = 4


def main(hubs: int = 200) -> None:
    """Measure and say."""
    specs = [_spec(number) for number in range(hubs)]
    changed = [spec.model_copy(update={"max_servers": spec.max_servers + 1}) for spec in specs]
    with tempfile.TemporaryDirectory() as folder, kubernetes_site(Path(folder)) as site:
        driver = site.make_driver(act=60, helm=30, hold=60, pause=0.2)
        made = _all(specs, lambda spec: driver.ensure(HubTarget(slug=spec.slug, generation=1), spec))
        begun = len(site.server.calls)
        looked = _all(specs, lambda spec: driver.ensure(HubTarget(slug=spec.slug, generation=1), spec))
        requests = (len(site.server.calls) - begun) / hubs
        stormed = _all(changed, lambda spec: driver.ensure(HubTarget(slug=spec.slug, generation=2), spec))
        raw = _all(specs, lambda _: _plain_requests(site, round(requests)))
        helm = Helm(HELM, site.access, timeout_seconds=30)
        alone = _all(specs, lambda spec: helm.upgrade(spec.slug, CHART, values_on(spec, site.place)))
    _say(f"make {hubs} hubs", made, alone, "helm upgrade alone")
    _say(f"reconcile {hubs} unchanged hubs ({requests:.0f} requests each)", looked, raw, "as many plain requests")
    _say(f"storm: all {hubs} change", stormed, alone, "helm upgrade alone")


def _spec(number: int) -> HubSpec:
    return HubSpec(
        slug=f"hub-{number:03}",
        display_name=f"Hub {number}",
        image="registry.example/notebook:2026-10-01",
        sign_on=LocalSignOn(allowed_users=frozenset({"ada"})),
    )


def _all[T](of: list[T], act: Callable[[T], object]) -> tuple[float, list[float]]:
    """Does the act to all, some at a time; the seconds of the whole and of each."""

    def timed(one: T) -> float:
        begun = time.perf_counter()
        act(one)
        return time.perf_counter() - begun

    begun = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        each = list(pool.map(timed, of))
    return time.perf_counter() - begun, each


def _plain_requests(site: KubernetesSite, number: int) -> None:
    with ClusterApi(site.access, Patience(60)) as api:
        for _ in range(number):
            api.get("/api/v1/namespaces/default")


def _say(what: str, ours: tuple[float, list[float]], floor: tuple[float, list[float]], name: str) -> None:
    slowest = statistics.quantiles(ours[1], n=20)[-1]
    sys.stdout.write(
        f"{what:<52}{ours[0]:7.1f} s (p95 {slowest:.2f} s) {name:>24}{floor[0]:7.1f} s   × {ours[0] / floor[0]:4.1f}\n"
    )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
