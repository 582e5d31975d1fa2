"""A cluster in memory as a process of its own: `python -m tests.cluster FOLDER` prints what the contract suite needs.

It lives until it is asked to end, so that the suite can be pointed at it as at any other cluster:

    KUBECONFIG_TEST=… CHART_TEST=… HUB_ADDRESS_TEST=… INGRESS_CLASS_TEST=… ./portal test -k contract-real_cluster
"""

import signal
import sys
import threading
from pathlib import Path

from tests.cluster.site import CHART, kubernetes_site


def main(folder: str) -> None:
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    root = Path(folder)
    with kubernetes_site(root) as site:
        config = root / "kubeconfig"
        config.write_text(site.server.kubeconfig(), encoding="utf-8")
        config.chmod(0o600)
        told = {
            "KUBECONFIG_TEST": config,
            "CHART_TEST": CHART,
            "HUB_ADDRESS_TEST": site.place.hub_address,
            "INGRESS_CLASS_TEST": site.place.ingress_class,
        }
        sys.stdout.write("".join(f"{name}={value}\n" for name, value in told.items()) + "ready\n")
        sys.stdout.flush()
        over.wait()


if __name__ == "__main__":
    main(sys.argv[1])
