"""A worker in a process of its own, to be killed: `python -m tests.cluster.worker KUBECONFIG SPEC ADDRESS`."""

import sys
from pathlib import Path

from provisioning.gateways.base import HubTarget
from provisioning.gateways.kubernetes.access import ClusterAccess
from provisioning.gateways.kubernetes.chart import ChartReference
from provisioning.gateways.kubernetes.driver import KubernetesDriver, Limits
from provisioning.places import Place
from provisioning.specs import HubSpec
from tests.cluster.site import CHART, HELM


def main(kubeconfig: str, spec: str, address: str) -> None:
    wanted = HubSpec.model_validate_json(Path(spec).read_text(encoding="utf-8"))
    driver = KubernetesDriver(
        ClusterAccess.from_kubeconfig(Path(kubeconfig).read_text(encoding="utf-8")),
        place=Place(hub_address=f"{address}/{{slug}}/", ingress_class="memory", storage_class="standard"),
        chart=ChartReference(reference=str(CHART)),
        helm=HELM,
        charts=Path(kubeconfig).parent,
        limits=Limits(hold=1.0),
    )
    driver.ensure(HubTarget(slug=wanted.slug, generation=1), wanted)


if __name__ == "__main__":
    main(*sys.argv[1:])
