"""Compiles the message catalogues with Babel where a compiled one is missing or older than its source."""

import os
from pathlib import Path

from consortium.embedded.home import ROOT


def compile_catalogues(root: Path = ROOT / "locale") -> int:
    """Will write every stale .mo beside its .po, whole or not at all; returns how many were written."""
    written = 0
    for source in sorted(root.glob("*/LC_MESSAGES/*.po")):
        compiled = source.with_suffix(".mo")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            _compile(source, compiled)
            written += 1
    return written


def _compile(source: Path, compiled: Path) -> None:
    # Babel is imported only when there is something to do: a start should cost nothing.
    from babel.messages.mofile import write_mo  # noqa: PLC0415
    from babel.messages.pofile import read_po  # noqa: PLC0415

    with source.open("rb") as file:
        catalogue = read_po(file, locale=source.parts[-3])
    part = compiled.with_name(f".{compiled.name}.{os.getpid()}")
    with part.open("wb") as out:
        write_mo(out, catalogue)
    part.replace(compiled)
