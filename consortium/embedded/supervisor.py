"""Keeps the demo's processes up: starts them, starts a dead one again, ends them all in order.

One thread watches; the demo goes on in the main thread. Each process leads a group of its own, so that Ctrl-C in the
terminal reaches the parent alone and the parent decides the order in which things end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from consortium.embedded.errors import EmbeddedError
from consortium.embedded.files import last_line

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
HEALTHY_AFTER = 30.0
_TICK = 0.05

State = Literal["running", "waiting", "held", "stopped"]


class ProcessNotReadyError(EmbeddedError):
    """A process did not become ready in time."""

    def __init__(self, name: str, seconds: float, log: Path) -> None:
        super().__init__(f"{name} was not ready within {seconds:.0f} s; its log {log} ends with: {last_line(log)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedProcess:
    """What to run. `ready` asks the process from outside; `grace` is how many seconds it has to end by itself."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    ready: Callable[[], bool] | None = None
    stop_signal: int = signal.SIGTERM
    grace: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """How a process is doing; `since` are monotonic seconds in its state so far."""

    name: str
    state: State
    pid: int | None
    restarts: int
    since: float


@dataclass(slots=True)
class _Child:
    """One managed process with what happened to it. `popen` is None while it is down."""

    spec: ManagedProcess
    held: bool
    popen: subprocess.Popen[bytes] | None = None
    restarts: int = -1
    changed: float = field(default_factory=time.monotonic)
    pause: float = FIRST_PAUSE
    next_start: float = 0.0


class Supervisor:
    """Starts `processes` in order, restarts the dead with back-off, stops them in reverse order."""

    def __init__(
        self, processes: Sequence[ManagedProcess], *, run_id: str, log_dir: Path, hold: Iterable[str] = ()
    ) -> None:
        """Every child bears PORTAL_RUN=`run_id`; output goes to `log_dir`/<name>.log. Those in `hold` stay down."""
        held = set(hold)
        self._children = {process.name: _Child(spec=process, held=process.name in held) for process in processes}
        self._run_id, self._log_dir = run_id, log_dir
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        unknown = held - set(self._children)
        if unknown:
            raise UnknownProcessError(sorted(unknown), sorted(self._children))

    def start(self) -> None:
        """Starts every process that is not held, and the thread that watches them."""
        self._log_dir.mkdir(0o700, parents=True, exist_ok=True)
        with self._lock:
            for child in self._children.values():
                if not child.held:
                    self._launch(child)
        self._thread.start()

    def wait_ready(self, *names: str, timeout: float = 60.0) -> None:
        """Waits until the named processes (or all that are not held) say so. Raises ProcessNotReadyError."""
        deadline = time.monotonic() + timeout
        for name in names or [name for name, child in self._children.items() if not child.held]:
            child = self._children[name]
            while not self._is_ready(child):
                if time.monotonic() > deadline or self._stopping.is_set():
                    raise ProcessNotReadyError(name, timeout, self.log(name))
                time.sleep(_TICK)

    def status(self) -> list[ProcessStatus]:
        """How every process is doing, in starting order."""
        now = time.monotonic()
        with self._lock:
            return [
                ProcessStatus(
                    name=name,
                    state=self._state(child),
                    pid=child.popen.pid if child.popen else None,
                    restarts=max(child.restarts, 0),
                    since=now - child.changed,
                )
                for name, child in self._children.items()
            ]

    def pid(self, name: str) -> int | None:
        """The process id of a running process, or None."""
        popen = self._children[name].popen
        return popen.pid if popen else None

    def log(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self._log_dir / f"{name}.log"

    def release(self, name: str) -> None:
        """Starts a process that was held down."""
        with self._lock:
            child = self._children[name]
            if child.held and not self._stopping.is_set():
                child.held, child.next_start = False, 0.0

    def hold(self, name: str) -> None:
        """Ends a process and keeps it down until `release`."""
        with self._lock:
            self._children[name].held = True
        self._end(self._children[name])

    def stop(self) -> None:
        """Ends all in reverse order; after each one's grace its whole group is killed. Safe to call twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for child in reversed(self._children.values()):
            self._end(child)

    def __enter__(self) -> Self:
        """Starts; the end of the block stops."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops all, whatever happened in the block."""
        self.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(_TICK):
            with self._lock:
                for child in self._children.values():
                    self._tend(child)

    def _tend(self, child: _Child) -> None:
        now = time.monotonic()
        if child.popen is not None and has_ended(child.popen):
            child.pause = FIRST_PAUSE if now - child.changed >= HEALTHY_AFTER else child.pause
            child.next_start, child.pause = now + child.pause, min(child.pause * 2, LONGEST_PAUSE)
            self._bury(child)
        if child.popen is None and not child.held and now >= child.next_start:
            self._launch(child)

    def _launch(self, child: _Child) -> None:
        spec = child.spec
        env = {**(os.environ if spec.env is None else spec.env), "PORTAL_RUN": self._run_id}
        child.restarts, child.changed = child.restarts + 1, time.monotonic()
        with self.log(spec.name).open("ab") as log:
            try:
                child.popen = subprocess.Popen(
                    list(spec.argv), env=env, cwd=spec.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    process_group=0,
                )  # fmt: skip
            except OSError as error:
                log.write(f"{spec.argv[0]} cannot be started: {error.strerror}\n".encode())
                child.next_start, child.pause = time.monotonic() + child.pause, min(child.pause * 2, LONGEST_PAUSE)

    def _end(self, child: _Child) -> None:
        popen = child.popen
        if popen is None:
            return
        with self._lock, contextlib.suppress(ProcessLookupError):
            if popen.returncode is None:
                os.kill(popen.pid, child.spec.stop_signal)
        deadline = time.monotonic() + child.spec.grace
        while not has_ended(popen) and time.monotonic() < deadline:
            time.sleep(_TICK / 2)
        with self._lock:
            if child.popen is popen:
                self._bury(child)

    def _bury(self, child: _Child) -> None:
        """Kills what is left of the group, then reaps its leader: until then no other process can get its number."""
        if child.popen is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.popen.pid, signal.SIGKILL)
        child.popen.wait()
        child.popen, child.changed = None, time.monotonic()

    def _is_ready(self, child: _Child) -> bool:
        popen = child.popen
        if popen is None or has_ended(popen):
            return False
        return child.spec.ready is None or child.spec.ready()

    def _state(self, child: _Child) -> State:
        if child.popen is not None:
            return "running"
        if child.held:
            return "held"
        return "stopped" if self._stopping.is_set() else "waiting"


class UnknownProcessError(EmbeddedError):
    """`--hold` names something that the supervisor does not run."""

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(f"There is no process {', '.join(unknown)} to hold; there are {', '.join(known)}.")


def has_ended(popen: subprocess.Popen[bytes]) -> bool:
    """Whether a child is dead, without reaping it: its number, and that of its group, stay taken."""
    if popen.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # another thread reaped it between the two lines
        return True
