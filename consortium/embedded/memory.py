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
    A machine that was started again has forgotten the folder, and `path` leads nowhere: make it again. Folders to which
    nothing leads any more, of homes that were deleted, are removed.
    """
    remove_folder(path)
    if in_memory:
        with contextlib.suppress(OSError):  # no such system, or the name is taken by somebody else
            _sweep()
            if shutil.disk_usage(MEMORY).free >= NEEDED_BYTES:
                _lead_to_memory(path)
                return
    path.mkdir(0o700)


def remove_folder(path: Path) -> None:
    """Remove the folder, wherever it is."""
    shutil.rmtree(_in_memory(path), ignore_errors=True)
    _note_of(_in_memory(path)).unlink(missing_ok=True)
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _lead_to_memory(path: Path) -> None:
    """The link first: whoever sweeps meanwhile finds that something leads to what is noted."""
    target = _in_memory(path)
    path.symlink_to(target)
    try:
        _note_of(target).write_text(str(path.absolute()))
        target.mkdir(0o700)
    except OSError:
        path.unlink()
        raise


def _sweep() -> None:
    for note in MEMORY.glob(f"portal-{os.getuid()}-*.leads-from"):
        leads_from = note.read_text()  # nothing yet while somebody is about to write it
        if leads_from and not Path(leads_from).is_symlink():
            shutil.rmtree(note.with_suffix(""), ignore_errors=True)
            note.unlink(missing_ok=True)


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.leads-from")


def _in_memory(path: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
    return MEMORY / f"portal-{os.getuid()}-{digest}"
