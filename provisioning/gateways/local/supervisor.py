"""Keeps all local hubs as their folders want them: `python -m provisioning.gateways.local.supervisor --root DIR …`.

It owns the hubs, so that no web server or worker does. It ends cleanly on SIGTERM or SIGINT and leaves no process;
killed outright, it leaves the hubs running, and the next supervisor adopts them.
"""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FrameType

from provisioning.gateways.local.files import HubFolder, supervising
from provisioning.gateways.local.keeper import HubKeeper, Marked
from provisioning.gateways.local.processes import Part, adopt_orphans, parts_by_hub, reap

log = logging.getLogger("hubs")

TICK_SECONDS = 0.2


class Supervisor:
    """The loop over the hubs' folders."""

    def __init__(self, root: Path, python: Path, *, grace_seconds: float = 8.0) -> None:
        self._root = root.absolute()
        self._python = python.absolute()
        self._grace = grace_seconds
        self._keepers: dict[str, HubKeeper] = {}
        self._stopping = False

    def run(self) -> None:
        """Until a signal asks it to stop; then until no process of any hub is left."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        adopt_orphans()
        for told in self._root.glob("*/observed.json"):
            # What an earlier supervisor saw is no answer to whoever waits now.
            told.unlink()
        log.info("supervising the hubs under %s", self._root)
        while not self._stopping:
            self.look()
            time.sleep(TICK_SECONDS)
        self._end_all()
        log.info("all hubs have ended")

    def look(self) -> None:
        """One pass over all hubs, new ones included."""
        for entry in sorted(self._root.glob("*/desired.json")):
            slug = entry.parent.name
            if slug not in self._keepers:
                folder = HubFolder(self._root, slug)
                self._keepers[slug] = HubKeeper(folder, self._python, grace_seconds=self._grace)
        ended = reap()
        now = time.monotonic()
        parts = cache(parts_by_hub)
        for keeper in self._keepers.values():
            keeper.tick(now, _of(keeper, parts), ended)

    def _end_all(self) -> None:
        """Every keeper kills after its grace; the bound is for a process that not even SIGKILL ends."""
        bound = time.monotonic() + self._grace + 5
        while time.monotonic() < bound:
            reap()
            parts, now = cache(parts_by_hub), time.monotonic()
            ended = [keeper.end_all(now, _of(keeper, parts)) for keeper in self._keepers.values()]
            if all(ended):
                return
            time.sleep(TICK_SECONDS / 2)
        log.error("some processes of hubs could not be ended; look for PORTAL_HUB in their environment")

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what signal() calls
        self._stopping = True


def _of(keeper: HubKeeper, parts: Callable[[], Mapping[str, Sequence[Part]]]) -> Marked:
    return lambda: parts().get(keeper.folder.mark, ())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 2 when it cannot begin."""
    parser = argparse.ArgumentParser(prog="supervisor", description="Keeps the local hubs running.")
    parser.add_argument("--root", type=Path, required=True, help="the folder of all local hubs")
    parser.add_argument("--hub-python", type=Path, required=True, help="the Python that has JupyterHub")
    parser.add_argument("--grace", type=float, default=8.0, help="seconds between asking and killing")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if not options.hub_python.is_file():
        log.error(
            "there is no Python for hubs at %s; run ./portal once, or name it with --hub-python", options.hub_python
        )
        return 2
    with supervising(options.root) as alone:
        if not alone:
            log.error("another supervisor already keeps the hubs under %s; stop it first", options.root)
            return 2
        Supervisor(options.root, options.hub_python, grace_seconds=options.grace).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
