"""Makes one hub's processes what its folder wants: looked at again and again, from what is, not from what was done."""

import logging
import shutil
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provisioning.gateways.base import GatewayError
from provisioning.gateways.local import launch
from provisioning.gateways.local.files import (
    Desired,
    HubFolder,
    Seen,
    Sight,
    write_atomically,
    write_record,
)
from provisioning.gateways.local.launch import CONFIG_SOURCE, IncompleteWishError, Launch
from provisioning.gateways.local.processes import Part, Privileges, choose_privileges, hub_owner, start

log = logging.getLogger("hubs")

LONGEST_DELAY_SECONDS = 30.0
GOOD_AFTER_SECONDS = 30.0
FAILED_AFTER = 3
PREPARE_AGAIN_SECONDS = 2.0

type Marked = Callable[[], Sequence[Part]]
"""The live processes of one hub: a walk through /proc, so asked for only when it matters."""


@dataclass
class Trouble:
    """How often a part ended too soon, and when it may be started again (monotonic seconds)."""

    started: float = 0.0
    times: int = 0
    not_before: float = 0.0

    def ended(self, now: float) -> None:
        """A part that had run well for a while, or fails for the first time, may start again at once."""
        self.times = 1 if now - self.started >= GOOD_AFTER_SECONDS else self.times + 1
        self.not_before = now + (0 if self.times == 1 else min(LONGEST_DELAY_SECONDS, 0.25 * 2**self.times))


@dataclass
class Plan:
    """What the present wish comes to, worked out once per wish."""

    desired: Desired
    proxy: Launch
    hub: Launch
    privileges: Privileges


class HubKeeper:
    """One hub. `tick` never waits: whatever takes time is looked at again at the next tick."""

    def __init__(self, folder: HubFolder, python: Path, *, grace_seconds: float) -> None:
        self.folder = folder
        self._python = python
        self._grace = grace_seconds
        self._plan: Plan | None = None
        self._plan_of: tuple[int, int] | None = None
        self._parts: dict[str, Part] = {}
        self._trouble = {"proxy": Trouble(), "hub": Trouble()}
        self._ending: dict[int, float] = {}
        self._seen: Seen | None = None
        self._restarts = 0
        self._last_error = ""
        self._settled_as: tuple[int, int] | None = None
        self._not_before = 0.0
        self._found_none = False

    def tick(self, now: float, marked: Marked, ended: Mapping[int, int]) -> None:
        """One look; `ended` are the exit codes reaped since the last one."""
        version = self._version_of_wish()
        if version is None and self._parts:
            # The folder was taken away under a running hub.
            self.end_all(now, marked)
        if version is None or version == self._settled_as or now < self._not_before:
            return
        try:
            desired = self.folder.desired()
            if desired is None:
                return
            if desired.state == "running":
                self._keep_running(desired, version, now, marked, ended)
            elif self.end_all(now, marked):
                self._settled_as = version
                self._write(desired, desired.state)
            else:
                self._write(desired, self._seen.state if self._seen else "starting", note="stopping")
        except (GatewayError, OSError) as error:
            self._not_before = now + PREPARE_AGAIN_SECONDS
            self._complain(str(error))

    def end_all(self, now: float, marked: Marked) -> bool:
        """Asks every process of the hub to end, then makes it; true when none is left.

        Two looks must find none: between fork and exec a process bears no mark for a moment.
        """
        left = marked()
        for part in left:
            self._end(part, now)
        was_empty, self._found_none = self._found_none, not left
        if left or not was_empty:
            return False
        self._ending.clear()
        self._parts.clear()
        self._trouble = {"proxy": Trouble(), "hub": Trouble()}
        self._last_error = ""
        self._plan_of = None
        return True

    def _keep_running(
        self, desired: Desired, version: tuple[int, int], now: float, marked: Marked, ended: Mapping[int, int]
    ) -> None:
        if self._plan is None or self._plan_of != version:
            self._plan = self._prepare(desired)
            self._plan_of = version
        plan = self._plan
        self._look(now, marked, ended)
        proxy = self._keep_part("proxy", plan.proxy, plan.proxy.fingerprint, now, plan.privileges)
        if proxy is not None and _accepts(desired.host, desired.ports.proxy_api if desired.ports else 0):
            # A new proxy knows no routes: the hub is started again with it and gives them.
            of_this_proxy = f"{plan.hub.fingerprint}-{proxy.pid}-{proxy.ticks}"
            self._keep_part("hub", plan.hub, of_this_proxy, now, plan.privileges)
        self._write(desired, self._sight())

    def _prepare(self, desired: Desired) -> Plan:
        folder, secrets = self.folder, self.folder.secrets()
        if secrets is None:
            raise IncompleteWishError(folder.slug)
        folder.create()
        folder.run.mkdir(mode=0o700, exist_ok=True)
        folder.run.chmod(0o700)
        owner = hub_owner()
        shutil.chown(folder.run, *owner)
        privileges = choose_privileges(self._python, folder=folder.run, files=[CONFIG_SOURCE])
        settings = launch.hub_settings(folder, desired, secrets)
        write_atomically(folder.accounts_file, launch.as_file(launch.accounts(secrets)), owner=owner)
        write_atomically(folder.config_file, launch.as_file(settings), owner=owner)
        proxy = launch.proxy_launch(self._python, folder, desired, secrets, privileges.prefix)
        hub = launch.hub_launch(self._python, folder, settings, privileges.prefix)
        return Plan(desired, proxy, hub, privileges)

    def _look(self, now: float, marked: Marked, ended: Mapping[int, int]) -> None:
        """Takes note of what runs. A part that nobody here started was left by an earlier supervisor: it is adopted."""
        alive = {name: part for name, part in self._parts.items() if part.is_alive()}
        for name in self._parts.keys() - alive.keys():
            if self._ending.pop(self._parts[name].pid, None) is None:
                self._note_death(name, self._parts[name], now, ended)
        self._parts = alive
        if len(alive) == len(self._trouble) and not self._ending:
            return
        for part in marked():
            if part.name and self._parts.setdefault(part.name, part).pid != part.pid:
                self._end(part, now)

    def _note_death(self, name: str, part: Part, now: float, ended: Mapping[int, int]) -> None:
        code = ended.get(part.pid)
        how = "ended" if code is None else f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        last = "" if code is None or code < 0 else _last_line(self.folder.logs / f"{name}.log")
        self._last_error = f"the {name} {how}" + (f": {last}" if last else "")
        self._restarts += 1
        self._trouble[name].ended(now)
        log.warning("hub %s: %s", self.folder.slug, self._last_error)

    def _keep_part(
        self, name: str, wanted: Launch, fingerprint: str, now: float, privileges: Privileges
    ) -> Part | None:
        """The part, if it runs as wanted; else brings that nearer."""
        part, trouble = self._parts.get(name), self._trouble[name]
        if part is not None:
            if part.launch == fingerprint and part.pid not in self._ending:
                return part
            self._end(part, now)
            return None
        if now < trouble.not_before:
            return None
        log.info("hub %s: starting the %s as %s", self.folder.slug, name, privileges.note)
        trouble.started = now
        self._parts[name] = start(
            wanted.command,
            environment=wanted.environment,
            folder=self.folder.run,
            log=self.folder.logs / f"{name}.log",
            name=name,
            launch=fingerprint,
        )
        return self._parts[name]

    def _end(self, part: Part, now: float) -> None:
        asked = self._ending.get(part.pid)
        if asked is None:
            self._ending[part.pid] = now
            part.send(signal.SIGTERM)
        elif now - asked >= self._grace:
            part.send(signal.SIGKILL)

    def _sight(self) -> Sight:
        if {"proxy", "hub"} <= self._parts.keys() and not self._ending:
            return "running"
        return "failed" if max(t.times for t in self._trouble.values()) >= FAILED_AFTER else "starting"

    def _complain(self, message: str) -> None:
        """What keeps a hub from even being tried; said once, tried again at every tick."""
        if message != self._last_error:
            log.error("hub %s: %s", self.folder.slug, message)
            self._last_error = message
        with suppress(GatewayError, OSError):
            desired = self.folder.desired()
            if desired is not None:
                self._write(desired, "failed")

    def _write(self, desired: Desired, state: Sight, *, note: str = "") -> None:
        """Writes what is seen, when it is something else than before."""
        hub, proxy = self._parts.get("hub"), self._parts.get("proxy")
        before = self._seen
        seen = Seen(
            generation=desired.generation,
            spec_hash=desired.spec_hash,
            state=state,
            since=before.since if before and before.state == state else datetime.now(UTC).isoformat(),
            hub_pid=hub.pid if hub else None,
            proxy_pid=proxy.pid if proxy else None,
            restarts=self._restarts,
            last_error=note or self._last_error,
            privileges=self._plan.privileges.note if self._plan else "",
        )
        if seen != before:
            write_record(self.folder.observed_file, seen)
            self._seen = seen

    def _version_of_wish(self) -> tuple[int, int] | None:
        try:
            status = self.folder.desired_file.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.2):
            return True
    except OSError:
        return False


def _last_line(path: Path) -> str:
    """The end of a log, short enough for a message."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - 4096))
            lines = handle.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][-200:] if lines else ""
