"""The chart that a cluster names: found or pulled once, its digest checked, its own schema asked about our values."""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from provisioning.gateways.base import GatewayError
from provisioning.specs import Values

PULL_SECONDS = 120.0


class ChartUnavailableError(GatewayError):
    """The chart cannot be had, now or ever; the message says which."""

    def __init__(self, reference: str, reason: str, *, permanent: bool = True) -> None:
        super().__init__(f"the chart {reference} cannot be used: {reason}", permanent=permanent)


class ValuesRefusedError(GatewayError):
    """The chart's own schema does not allow what the specification would become."""

    def __init__(self, chart: str, where: str, said: str) -> None:
        super().__init__(
            f"the chart {chart} does not take {where or 'the values'}: {said}; use a chart version that the portal "
            "knows, or change the specification",
            permanent=True,
        )


@dataclass(frozen=True, kw_only=True)
class ChartReference:
    """A folder or archive on this machine, or `oci://…`, or `https://…/name`; the digest is that of the archive.

    Only a folder or archive of this machine may do without a digest.
    """

    reference: str
    version: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart on this machine. `schema` is None for a chart that has none."""

    path: Path
    name: str
    version: str
    digest: str
    values: Values
    schema: dict[str, Any] | None

    def check(self, values: Values) -> None:
        """Asks the chart's schema about its own values with ours merged over them. Raises ValuesRefusedError."""
        if self.schema is None:
            return
        validator = jsonschema.Draft7Validator(self.schema)
        problem = next(iter(validator.iter_errors(_merged(self.values, values))), None)
        if problem is not None:
            where = ".".join(str(part) for part in problem.absolute_path)
            raise ValuesRefusedError(f"{self.name} {self.version}", where, problem.message[:200])


class Charts:
    """Finds charts; what was pulled stays in the folder `cache` under its digest."""

    def __init__(self, helm: Path, cache: Path) -> None:
        self._helm, self._cache = helm, cache

    def find(self, wanted: ChartReference) -> Chart:
        """The chart, ready for Helm. Raises ChartUnavailableError."""
        if "://" in wanted.reference:
            return _checked(_read(self._pulled(wanted)), wanted)
        path = Path(wanted.reference)
        if not path.exists():
            raise ChartUnavailableError(wanted.reference, "there is no such folder or archive on this machine")
        return _checked(_read(path), wanted)

    def digest_of_remote(self, wanted: ChartReference) -> str:
        """Pulls the chart and says its digest, for a person who pins it after looking. Raises ChartUnavailableError."""
        with tempfile.TemporaryDirectory(prefix="chart-") as folder:
            return archive_digest(self._pull(wanted, Path(folder)))

    def _pulled(self, wanted: ChartReference) -> Path:
        if not wanted.digest:
            raise ChartUnavailableError(wanted.reference, "a chart from elsewhere needs its digest; pin it first")
        kept = self._cache / f"{wanted.digest.removeprefix('sha256:')}.tgz"
        if not kept.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as folder:
                archive = self._pull(wanted, Path(folder))
                found = archive_digest(archive)
                if found != wanted.digest.removeprefix("sha256:"):
                    raise ChartUnavailableError(wanted.reference, f"its digest is {found}, not the one that is pinned")
                archive.replace(kept)
        return kept

    def _pull(self, wanted: ChartReference, into: Path) -> Path:
        version = ["--version", wanted.version] if wanted.version else []
        command = [str(self._helm), "pull", wanted.reference, *version, "--destination", str(into)]
        if wanted.reference.startswith("https://") and not wanted.reference.endswith(".tgz"):
            repository, _, name = wanted.reference.rpartition("/")
            command[2:3] = [name, "--repo", repository]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PULL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChartUnavailableError(wanted.reference, type(error).__name__, permanent=False) from error
        found = next(into.glob("*.tgz"), None)
        if done.returncode != 0 or found is None:
            said = done.stderr.strip().splitlines()
            raise ChartUnavailableError(wanted.reference, said[-1][:300] if said else "no archive", permanent=False)
        return found


def archive_digest(path: Path) -> str:
    """The SHA-256 of an archive, or of a folder's files in order of their names, as hex."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        whole.update(f"{file.relative_to(path)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def _checked(chart: Chart, wanted: ChartReference) -> Chart:
    if wanted.digest and chart.digest != wanted.digest.removeprefix("sha256:"):
        raise ChartUnavailableError(wanted.reference, f"its digest is {chart.digest}, not the one that is pinned")
    if wanted.version and chart.version != wanted.version:
        raise ChartUnavailableError(wanted.reference, f"it is version {chart.version}, not {wanted.version}")
    return chart


def _read(path: Path) -> Chart:
    files = dict(_files(path))
    try:
        about = yaml.safe_load(files["Chart.yaml"])
        values = yaml.safe_load(files.get("values.yaml", b"{}")) or {}
        schema = _schema(files)
        return Chart(
            path=path, name=str(about["name"]), version=str(about["version"]), digest=archive_digest(path),
            values=values, schema=schema,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ChartUnavailableError(path.name, "it is not a Helm chart") from error


def _schema(files: dict[str, bytes]) -> dict[str, Any] | None:
    """Zero to JupyterHub keeps its schema in YAML and packs the JSON that is made of it."""
    if "values.schema.json" in files:
        return dict(json.loads(files["values.schema.json"]))
    return dict(yaml.safe_load(files["values.schema.yaml"])) if "values.schema.yaml" in files else None


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files at the chart's own top, by name."""
    if path.is_dir():
        for file in path.iterdir():
            if file.is_file():
                yield file.name, file.read_bytes()
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.name.count("/") == 1 and (content := archive.extractfile(member)):
                    yield member.name.partition("/")[2], content.read()
    except (tarfile.TarError, OSError) as error:
        raise ChartUnavailableError(path.name, "it is not a Helm chart") from error


def _merged(base: Any, over: Any) -> Any:
    """As Helm merges values: objects by key, null takes a key away, anything else replaces."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result
