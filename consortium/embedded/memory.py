"""A folder in memory, for a server of tests: nothing in it need outlive the machine, and no disk is waited for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  (the name says who the folder belongs to, and it is made 0700)
NEEDED_BYTES = 4 * 1024**3


def make_folder(path: Path, *, in_memory: bool) -> None:
    """Make the empty folder `path`, only for its owner, in place of whatever is there.

    `in_memory` asks for one in memory, to which `path` then leads; where there are not 4 GiB of it, it is on the disk.
    A machine that was started again has forgotten the folder, and `path` leads nowhere: make it again.
    """
    remove_folder(path)
    if in_memory:
        with contextlib.suppress(OSError):  # no such system, or the name is taken by somebody else
            if shutil.disk_usage(MEMORY).free >= NEEDED_BYTES:
                _in_memory(path).mkdir(0o700)
                path.symlink_to(_in_memory(path))
                return
    path.mkdir(0o700)


def remove_folder(path: Path) -> None:
    """Remove the folder, wherever it is."""
    shutil.rmtree(_in_memory(path), ignore_errors=True)
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _in_memory(path: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
    return MEMORY / f"portal-{os.getuid()}-{digest}"
