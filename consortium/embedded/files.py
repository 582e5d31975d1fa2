"""Private files, locks and the last line of a log: what every embedded service needs of a disk."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def write_private(path: Path, text: str) -> None:
    """Replaces `path` by `text` in one step; no one but its owner can read it, not even for a moment."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_private_json(path: Path, value: dict[str, Any]) -> None:
    """The same for a JSON object."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object of `path`, or None when there is no such file or an interrupted writer left nonsense."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until no other process is inside the same block. The kernel frees the lock of a killed holder."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def names(pid: int, path: Path) -> bool:
    """Whether the command line of a living process names `path`.

    A pid file alone proves nothing: it outlives a kill -9, another process may have got the number, and a zombie still
    has it. The command line tells, and unlike the working folder even root without CAP_SYS_PTRACE may read it.
    """
    try:
        return os.fsencode(path) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def last_line(log: Path) -> str:
    """The last line with text in it of a log, or a dash."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "-"
    return next((line.strip() for line in reversed(lines) if line.strip()), "-")
