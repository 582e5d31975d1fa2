"""Helm as a process of our own: values on its standard input, credentials in memory, ended politely before by force.

Its limits nest: Helm's own timeout, then ours for the process, then the worker's. Helm that is asked to stop marks its
release as failed, which a later try mends by itself; Helm that is killed leaves it pending, which must be cleared.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from consortium.kernel.crash import crash_point
from provisioning.gateways.base import GatewayError
from provisioning.gateways.kubernetes.access import ClusterAccess, memory_file
from provisioning.gateways.kubernetes.paths import namespace_of
from provisioning.specs import Values

GRACE_SECONDS = 5.0
_HISTORY = "5"
_PERMANENT = re.compile(
    r"don't meet the specifications of the schema|validation:|parse error|YAML parse|template:|is invalid|Forbidden"
    r"|forbidden|unauthorized|Unauthorized|unknown object type|no matches for kind",
)
_MOST_WORDS = 400


class HelmMissingError(GatewayError):
    """There is no Helm to run."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no Helm at {path}: ./portal fetches it, or set HELM to yours", permanent=True)


class HelmFailedError(GatewayError):
    """Helm ended with an error of its own."""

    def __init__(self, act: str, slug: str, said: str) -> None:
        permanent = bool(_PERMANENT.search(said))
        super().__init__(f"helm {act} of hub {slug} failed: {said}", permanent=permanent)


class HelmTooSlowError(GatewayError):
    """Helm did not end within its limit and was stopped."""

    def __init__(self, act: str, slug: str, seconds: float) -> None:
        super().__init__(
            f"helm {act} of hub {slug} did not end within {seconds:.0f} s and was stopped", permanent=False
        )


class Helm:
    """Runs Helm against one cluster. `timeout_seconds` is Helm's own limit; the process gets `grace_seconds` more.

    After those it is asked to end, and gets as long again to do so.
    """

    def __init__(
        self, program: Path, access: ClusterAccess, *, timeout_seconds: float, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._program, self._access = program, access
        self._timeout, self._grace = timeout_seconds, grace_seconds

    @property
    def limit_seconds(self) -> float:
        """How long one run can take at most, its end by force included."""
        return self._timeout + 3 * self._grace

    def upgrade(self, slug: str, chart: Path, values: Values) -> None:
        """Installs the release, or makes it equal to chart and values, whoever changed its objects meanwhile."""
        flags = ["--values", "-", "--reset-values", "--server-side", "true", "--force-conflicts"]
        self._run("upgrade", slug, [str(chart), "--install", "--history-max", _HISTORY, *flags], stdin=values)

    def rollback(self, slug: str, revision: int) -> None:
        """Goes back to a revision that was deployed: the way out of an upgrade that was cut off."""
        self._run("rollback", slug, [str(revision), "--force-conflicts", "--server-side", "true"])

    def uninstall(self, slug: str) -> None:
        """Takes the release away, in whatever state; one that is gone is no error."""
        self._run("uninstall", slug, ["--ignore-not-found"])

    def _run(self, act: str, slug: str, words: Sequence[str], *, stdin: Values | None = None) -> None:
        if not os.access(self._program, os.X_OK):
            raise HelmMissingError(self._program)
        crash_point(f"kubernetes.helm.{act}")
        with tempfile.TemporaryDirectory(prefix="helm-") as home, memory_file(self._access.kubeconfig()) as config:
            command = [
                str(self._program), act, slug, *words, "--namespace", namespace_of(slug),
                "--timeout", f"{self._timeout:.3f}s", "--kubeconfig", f"/dev/fd/{config}",
            ]  # fmt: skip
            process = subprocess.Popen(
                command, env=_environment(home), start_new_session=True, pass_fds=(config,),
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            said = self._finish(process, act, slug, b"" if stdin is None else json.dumps(stdin).encode())
        if process.returncode != 0:
            raise HelmFailedError(act, slug, _readable(said) or f"it ended with {process.returncode}")
        crash_point(f"kubernetes.helm.{act}.done")

    def _finish(self, process: subprocess.Popen[bytes], act: str, slug: str, given: bytes) -> bytes:
        try:
            return process.communicate(given, timeout=self._timeout + self._grace)[1]
        except subprocess.TimeoutExpired:
            _stop(process, self._grace)
            raise HelmTooSlowError(act, slug, self._timeout + self._grace) from None
        except BaseException:
            # The worker is asked to end: Helm must not go on without it.
            _stop(process, self._grace)
            raise


def _stop(process: subprocess.Popen[bytes], grace: float) -> None:
    """Asks first, so that the release becomes `failed`; by force when it does not listen."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.communicate(timeout=grace)
        except subprocess.TimeoutExpired:
            continue
        break
    process.wait()


def _environment(home: str) -> dict[str, str]:
    """Nothing of the portal's own: its keys and its database are no business of Helm's."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PORTAL_RUN") if name in os.environ}
    folders = {f"HELM_{name}_HOME": f"{home}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA")}
    return {**kept, **folders, "HOME": home, "HELM_DRIVER": "secret", "GOMAXPROCS": "2"}


def _readable(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("level=WARN", "WARNING"))] or lines
    return " ".join(kept)[-_MOST_WORDS:]
