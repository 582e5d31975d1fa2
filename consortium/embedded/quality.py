"""`./portal check` and `./portal fix`: one list of tools, run one after the other, and a table at the end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from consortium.embedded.home import ROOT

_BIN = ROOT / ".venv" / "bin"
_PYTHON = str(_BIN / "python")


def _tool(name: str, *arguments: str) -> list[str]:
    return [str(_BIN / name), *arguments]


CHECKS: dict[str, list[str]] = {
    "ruff check": _tool("ruff", "check", "."),
    "ruff format": _tool("ruff", "format", "--check", "."),
    "mypy": _tool("mypy", "."),
    "import layers": _tool("lint-imports"),
    "templates": _tool("djlint", "templates", "--lint", "--quiet"),
    "migrations": [_PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"],
    "diagrams": [_PYTHON, "manage.py", "diagrams", "--check"],
}

FIXES: dict[str, list[str]] = {
    "ruff check": _tool("ruff", "check", "--fix", "."),
    "ruff format": _tool("ruff", "format", "."),
}


def run_all(tools: Mapping[str, Sequence[str]], environ: Mapping[str, str]) -> int:
    """Runs every tool even when an earlier one fails; shows a table; 0 only when all passed."""
    results: list[tuple[str, int, float]] = []
    for name, argv in tools.items():
        sys.stderr.write(f"── {name}\n")
        sys.stderr.flush()
        started = time.monotonic()
        done = subprocess.run(argv, cwd=ROOT, env=dict(environ), stdout=sys.stderr, check=False)
        results.append((name, done.returncode, time.monotonic() - started))
    sys.stderr.write("\n")
    for name, status, seconds in results:
        verdict = "passed" if status == 0 else f"FAILED ({status})"
        sys.stderr.write(f"  {name:<16}{verdict:<14}{seconds:6.1f} s\n")
    return 1 if any(status for _, status, _ in results) else 0
