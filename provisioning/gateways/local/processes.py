"""Processes of hubs as the kernel shows them: found by their marks, started with few rights, ended for certain."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.gateways.base import GatewayError

NOBODY = 65534
HUB_MARK = "PORTAL_HUB"
PART_MARK = "PORTAL_PART"
_PR_SET_CHILD_SUBREAPER = 36


class UnreachableForHubError(GatewayError):
    """The user that hubs drop to cannot get at the hubs' Python or folder, not even with the one capability."""

    def __init__(self, python: Path, folder: Path, said: str) -> None:
        super().__init__(
            f"the hubs' user (uid {NOBODY}) cannot run {python} or enter {folder}: {said or 'no reason given'}; "
            "move both out of closed folders, or let others pass through them (chmod o+x)",
            permanent=True,
        )


@dataclass(frozen=True)
class Part:
    """A live process of a hub. `name` is hub or proxy, or empty for a person's server and what it started.

    `launch` is the hash of what it was started with; `ticks`, its start, tells it from a later process of its number.
    """

    pid: int
    ticks: int
    name: str = ""
    launch: str = ""

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return _start_ticks(self.pid) == self.ticks

    def send(self, number: signal.Signals) -> None:
        """Signals it, if it still is itself."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


@dataclass(frozen=True)
class Privileges:
    """How a hub is started: the words before its command, and what the log says about it."""

    prefix: tuple[str, ...]
    note: str


def parts_by_hub() -> dict[str, list[Part]]:
    """All live processes that bear a hub's mark, by that mark."""
    found: dict[str, list[Part]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        ticks = _start_ticks(int(entry.name))
        marks = _environment(entry) if ticks is not None else {}
        if ticks is not None and HUB_MARK in marks:
            name, _, launch = marks.get(PART_MARK, "").partition(":")
            found.setdefault(marks[HUB_MARK], []).append(Part(int(entry.name), ticks, name, launch))
    return found


def start(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path, name: str, launch: str
) -> Part:
    """Starts a part of a hub in a session of its own, its output at the end of the log."""
    marked = {**environment, PART_MARK: f"{name}:{launch}"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=marked,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    ticks = _start_ticks(process.pid)
    # The supervisor reaps whatever ends, adopted servers too; Popen must not wait for it a second time.
    process.returncode = 0
    return Part(process.pid, -1 if ticks is None else ticks, name, launch)


def adopt_orphans() -> None:
    """Makes this process the one that inherits servers whose hub was killed, so that none stays a zombie."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) was refused")


def reap() -> dict[int, int]:
    """Exit codes of the children that ended since the last call (negative: by that signal), by process number."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def hub_owner() -> tuple[int, int]:
    """User and group of every local hub and its files: nobody when the portal runs as root, else the portal's own."""
    return (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def choose_privileges(python: Path, *, folder: Path, files: Iterable[Path]) -> Privileges:
    """The fewest rights with which a hub can run: an ordinary user's own, or root dropped to nobody.

    Where nobody cannot reach the interpreter or the folder, the hub keeps the one capability that lets it read them.

    Raises:
        UnreachableForHubError: not even that is enough.
    """
    if os.geteuid() != 0:
        return Privileges((), "the portal's own user")
    plain = _drop()
    said = _try_to_reach(plain, python, folder, files)
    if said is None:
        return Privileges(plain, "nobody, without capabilities")
    reading = _drop("dac_read_search")
    said = _try_to_reach(reading, python, folder, files)
    if said is None:
        note = "nobody, with CAP_DAC_READ_SEARCH because its Python or its folder lies in a closed one: it can read all"
        return Privileges(reading, note)
    raise UnreachableForHubError(python, folder, said)


def _drop(*kept: str) -> tuple[str, ...]:
    words = ",".join(["-all", *(f"+{name}" for name in kept)])
    return (
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--no-new-privs",
        f"--inh-caps={words}",
        f"--ambient-caps={words}",
        f"--bounding-set={words}",
    )


def _try_to_reach(prefix: Sequence[str], python: Path, folder: Path, files: Iterable[Path]) -> str | None:
    """Nothing when it works, else the last line of the complaint."""
    look = "import os, sys; os.listdir(sys.argv[1]); [open(name).close() for name in sys.argv[2:]]"
    command = [*prefix, str(python), "-c", look, str(folder), *map(str, files)]
    try:
        done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=30, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; nothing when it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _environment(process: Path) -> dict[str, str]:
    """What the process was started with; empty for another user's."""
    try:
        words = process.joinpath("environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = (word.decode(errors="replace").partition("=") for word in words if word)
    return {name: value for name, _, value in pairs}
