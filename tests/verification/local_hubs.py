"""A real hub supervisor for tests, and a look at what it keeps."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from provisioning.gateways.base import HubTarget
from provisioning.gateways.local.driver import LocalDriver
from provisioning.gateways.local.files import HubFolder, Seen, is_supervised
from provisioning.specs import HubSpec, LocalSignOn, Size

PROJECT = Path(__file__).resolve().parents[2]
HUB_PYTHON = Path(os.environ.get("HUB_PYTHON", PROJECT / ".venv-hub" / "bin" / "python"))

SPEC = HubSpec(
    slug="north-uni",
    display_name="North University",
    image="registry.example/notebook:2026-10-01",
    size=Size(memory_guarantee_mib=384, memory_limit_mib=1536, cpu_guarantee_millis=100),
    sign_on=LocalSignOn(allowed_users=frozenset({"ada", "bob"})),
)
FIRST = HubTarget(slug=SPEC.slug, generation=1)


class LocalSite:
    """Local hubs under one root. Every process that belongs to them bears PORTAL_RUN with this site's own id."""

    def __init__(self, root: Path, *, hub_python: Path = HUB_PYTHON) -> None:
        self.root = root
        self.hub_python = hub_python
        self.run_id = f"test-{uuid4()}"
        self.driver = LocalDriver(root, deadline_seconds=60)
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not self.hub_python.is_file():
            pytest.fail(
                f"no Python for hubs at {self.hub_python}: run ./portal test, which makes it, or set HUB_PYTHON"
            )
        command = [sys.executable, "-m", "provisioning.gateways.local.supervisor"]
        environment = {"PATH": os.environ["PATH"], "PORTAL_RUN": self.run_id, "SECRET_KEY": "not-for-hubs"}
        self._supervisor = subprocess.Popen(
            [*command, f"--root={self.root}", f"--hub-python={self.hub_python}"], cwd=PROJECT, env=environment
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The supervisor's exit status."""
        if self._supervisor is None:
            return 0
        self._supervisor.send_signal(number)
        status = self._supervisor.wait(timeout=30)
        self._supervisor = None
        return status

    def password(self, target: HubTarget, name: str) -> str:
        return self.driver.passwords(target)[name]

    def kill_hub(self, target: HubTarget) -> None:
        self.kill(self.seen(target).hub_pid)
        wait_until(lambda: self.seen(target).restarts > 0, "the supervisor to notice that the hub is gone")

    def kill(self, pid: int | None) -> None:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def hub_identity(self, target: HubTarget) -> object:
        seen = self.seen(target)
        return seen.hub_pid, seen.proxy_pid

    def homes(self, target: HubTarget) -> set[str]:
        homes = HubFolder(self.root, target.slug).homes
        return {entry.name for entry in homes.iterdir()} if homes.is_dir() else set()

    def seen(self, target: HubTarget) -> Seen:
        seen = HubFolder(self.root, target.slug).seen()
        assert seen is not None
        return seen

    def processes(self, target: HubTarget | None = None) -> dict[int, dict[str, str]]:
        """The environments of the live processes of this site, or of one of its hubs, the supervisor's apart."""
        mark = None if target is None else HubFolder(self.root, target.slug).mark
        found: dict[int, dict[str, str]] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                words = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            environment = dict(word.decode(errors="replace").partition("=")[::2] for word in words if word)
            is_ours = environment.get("PORTAL_RUN") == self.run_id and "PORTAL_HUB" in environment
            if is_ours and mark in {None, environment["PORTAL_HUB"]}:
                found[int(entry.name)] = environment
        return found


@contextmanager
def local_site(root: Path, *, hub_python: Path = HUB_PYTHON) -> Iterator[LocalSite]:
    """A site whose supervisor runs; when it ends no process is left, whatever the test did."""
    site = LocalSite(root, hub_python=hub_python)
    site.start()
    try:
        wait_until(lambda: is_supervised(root), "the hub supervisor to stand")
        yield site
    finally:
        status = site.stop()
        left = site.processes()
        for pid in left:
            site.kill(pid)
        assert not left, f"the supervisor ended with status {status} and left {left}"


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
