"""A small process that outlives the parent just long enough to end what the parent left behind.

It holds the read end of a pipe. "done" on it means an orderly end; silence and end-of-file mean that the parent died,
however hard. Then everything that bears PORTAL_RUN=<id> in its environment is ended within ten seconds.

It is run as a plain file with the standard library only, so that it starts in a moment and needs nothing that could
be gone when it is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

KILL_AFTER = 6.0
GIVE_UP_AFTER = 30.0
NOBODY = 65534
_QUIET_SCANS = 5


def new_run_id() -> str:
    """A name for one run of one verb, borne by every process it starts."""
    return secrets.token_hex(8)


class Guardian:
    """Watches over this process while a `with` block lasts."""

    def __init__(self, run_id: str, *, home: Path | None = None) -> None:
        """With `home`, servers of that home which a verb left to the others are ended with the last of them."""
        self._run_id, self._home = run_id, home
        self._argv = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), "watch", run_id, str(home or "")]
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts the watcher in a session of its own, where Ctrl-C of the terminal does not reach it."""
        environ = {name: value for name, value in os.environ.items() if name != "PORTAL_RUN"}
        self._popen = subprocess.Popen(
            self._argv, env=environ, cwd="/", start_new_session=True, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends what an orderly stop forgot, then lets the watcher go."""
        if self._popen is None or self._popen.stdin is None:
            return
        if bearers({self._run_id}) - _services(self._home)[0]:
            end_all({self._run_id}, self._home)
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(b"done")
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        self._popen.wait(timeout=5)


def watch(run_id: str, home: str) -> None:
    """Waits for the parent's end, then ends what it left, unless the parent said that it had cleaned up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = os.getppid()
    # A fork without exec would keep the pipe open, so the parent's number is looked at as well.
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], 1.0)
        if readable:
            if os.read(0, 16):
                return
            break
    end_all({run_id}, Path(home) if home else None)


def end_all(run_ids: set[str], home: Path | None = None) -> None:
    """Asks every bearer to end, kills those that stay, and looks again until none is left."""
    started, asked, quiet = time.monotonic(), set[int](), 0
    while quiet < _QUIET_SCANS and time.monotonic() - started < GIVE_UP_AFTER:
        spared, more = _services(home)
        alive = bearers(run_ids | more) - spared
        quiet = 0 if alive else quiet + 1
        for pid in alive:
            if time.monotonic() - started >= KILL_AFTER:
                _send(pid, signal.SIGKILL)
            elif pid not in asked:
                asked.add(pid)
                _ask(pid)
        time.sleep(0.1)


def bearers(run_ids: set[str]) -> set[int]:
    """The living processes with PORTAL_RUN=<one of the ids>, and all their descendants, but not this process."""
    marks = {f"PORTAL_RUN={run_id}".encode() for run_id in run_ids}
    found, unreadable = set[int](), False
    parents = _parents()
    for pid in parents:
        try:
            if marks & set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
                found.add(pid)
        except PermissionError:
            unreadable = True
        except OSError:
            continue
    if unreadable and os.geteuid() == 0:
        found |= _ask_as_nobody(run_ids) & set(parents)
    grew = True
    while grew:  # servers that rewrite their titles lose their environment; their parents do not
        children = {pid for pid, parent in parents.items() if parent in found} - found
        grew = bool(children)
        found |= children
    return found - {os.getpid()}


def _parents() -> dict[int, int]:
    """The parent of every living process; a zombie is already dead."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    parents[int(entry.name)] = int(parent)
    return parents


def _ask_as_nobody(run_ids: set[str]) -> set[int]:
    """In a container, root without CAP_SYS_PTRACE may not look into what runs as nobody, but nobody may."""
    drop = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    keep = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    scan = (sys.executable, "-I", "-S", str(Path(__file__).resolve()), "scan", *sorted(run_ids))
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    done = subprocess.run([setpriv, *drop, *keep, *scan], capture_output=True, text=True, timeout=5, check=False)
    return {int(word) for word in done.stdout.split()}


def _services(home: Path | None) -> tuple[set[int], set[str]]:
    """The servers of the home to spare because another verb still works there; else the runs that left them here."""
    if home is None:
        return set(), set()
    pids, runs = set[int](), set[str]()
    for name, file in (("postgres", "postmaster.pid"), ("valkey", "pid")):
        with contextlib.suppress(OSError, ValueError):
            pids.add(int((home / name / "data" / file).read_text().split("\n", 1)[0]))
        with contextlib.suppress(OSError):
            runs.add((home / name / "run").read_text())
    if _in_use(home):
        parents = _parents()
        return pids | {pid for pid, parent in parents.items() if parent in pids}, set()
    return set(), runs


def _in_use(home: Path) -> bool:
    try:
        with (home / "users.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _ask(pid: int) -> None:
    """SIGTERM; for PostgreSQL SIGINT to the postmaster alone, which means "now, in order" and tells its children."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return
    if words[0].startswith(b"postgres: "):
        return
    is_postmaster = Path(os.fsdecode(words[0])).name == "postgres" and b"-D" in words
    _send(pid, signal.SIGINT if is_postmaster else signal.SIGTERM)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


if __name__ == "__main__":
    if sys.argv[1] == "scan":
        sys.stdout.write(" ".join(map(str, bearers(set(sys.argv[2:])))))
    else:
        watch(sys.argv[2], sys.argv[3])
