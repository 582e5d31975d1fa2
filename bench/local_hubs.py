"""`./portal bench local [NUMBER]`: so many real JupyterHubs on this machine, from nothing to healthy.

The floor is their Python alone, importing JupyterHub as often; memory is what is not shared (PSS), proxies included.
"""

import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from provisioning.gateways.base import HubTarget, Observed
from provisioning.specs import HubSpec, LocalSignOn
from tests.verification.local_hubs import HUB_PYTHON, LocalSite, local_site

WORKERS = 4


def main(hubs: int = 20) -> None:
    """Measure and say."""
    with tempfile.TemporaryDirectory(prefix="bench-hubs-") as folder:
        root = Path(folder) / "hubs"
        with local_site(root) as site:
            site.driver = type(site.driver)(root, deadline_seconds=600)
            started = time.perf_counter()
            with ThreadPoolExecutor(hubs) as pool:
                seen = list(pool.map(lambda number: _ready(site, number, started), range(hubs)))
            memory = sum(_proportional(pid) for pid in site.processes()) / 2**20
    floor = _imports(hubs)
    times = sorted(seconds for seconds, _observed in seen)
    healthy = sum(observed.healthy for _seconds, observed in seen)
    sys.stdout.write(
        f"{hubs} real hubs at once: {healthy} healthy, the first after {times[0]:.1f} s, the last after "
        f"{times[-1]:.1f} s; {memory:.0f} MiB, {memory / hubs:.0f} MiB each\n"
        f"floor: importing JupyterHub {hubs} times, {WORKERS} at once, {floor:.1f} s   × {times[-1] / floor:.1f}\n"
    )
    if healthy != hubs:
        raise SystemExit("not every hub became healthy")


def _ready(site: LocalSite, number: int, started: float) -> tuple[float, Observed]:
    spec = HubSpec(
        slug=f"bench-{number:02}",
        display_name=f"Bench {number}",
        image="registry.example/notebook:2026-10-01",
        sign_on=LocalSignOn(allowed_users=frozenset({"ada"})),
    )
    observed = site.driver.ensure(HubTarget(slug=spec.slug, generation=1), spec)
    return time.perf_counter() - started, observed


def _proportional(pid: int) -> int:
    """The bytes of a process, each shared page divided by who shares it; 0 for one that is gone."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) * 1024 if found else 0


def _imports(count: int) -> float:
    command = [str(HUB_PYTHON), "-c", "import jupyterhub.app"]
    started = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _: subprocess.run(command, check=True), range(count)))
    return time.perf_counter() - started
