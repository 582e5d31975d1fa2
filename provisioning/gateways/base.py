"""The protocol of every hub driver, and what crosses it. No Django: a driver also runs in tests and tools alone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from provisioning.specs import HubSpec

StepReport = Callable[[str, str], None]
"""`progress(step, message)`: called as a step begins or changes; the message is for the person who watches."""


def no_progress(step: str, message: str) -> None:
    """The report of a caller who does not watch."""


class GatewayError(Exception):
    """An outside system did not do what was asked.

    `permanent` says whether the same call may succeed later: a worker retries only when it is false.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.message = message


class StaleGenerationError(GatewayError):
    """Somebody has meanwhile asked for a newer state of the hub; the older wish must not undo it."""

    def __init__(self, *, slug: str, asked: int, stored: int) -> None:
        super().__init__(
            f"hub {slug}: generation {asked} is out of date, generation {stored} is already wanted; "
            "read the hub again and repeat the act if it is still meant",
            permanent=True,
        )


class ProofImpossibleError(GatewayError):
    """Nothing can be proven about this hub as it is made now: neither that people can work nor that they cannot."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"hub {slug} was made without a synthetic user; reconcile it once to make one", permanent=True)


class HubState(StrEnum):
    """What a driver sees, not what the portal wants."""

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class HubTarget:
    """Which hub, and which generation of its desired state the caller holds (it grows with every wish)."""

    slug: str
    generation: int


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A hub as it is. `url` and `version` are empty unless it answers; `detail` says why it is not running."""

    state: HubState
    url: str = ""
    version: str = ""
    generation: int = 0
    spec_hash: str = ""
    detail: str = ""

    @property
    def healthy(self) -> bool:
        """Whether the hub answered its own API just now."""
        return self.state is HubState.RUNNING and bool(self.version)


@dataclass(frozen=True, kw_only=True)
class ServerSample:
    """One person's server as the hub reports it; the instants are UTC.

    `memory_bytes`, `cpu` (cores) and `gpus` are what the server is guaranteed: that is metered, not its momentary use.
    """

    user_name: str
    server_name: str
    started: datetime
    ready: bool
    last_activity: datetime | None
    memory_bytes: int
    cpu: Decimal
    gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where what runs is not what the spec says; secrets are shown as dots."""

    path: str
    wanted: str
    found: str


class HubDriver(Protocol):
    """A place where hubs run. Every method may be called again after a crash at any point; all raise GatewayError."""

    def ensure(self, target: HubTarget, spec: HubSpec, progress: StepReport = no_progress) -> Observed:
        """Makes the hub equal its spec and waits until it answers; a suspended hub takes the spec and stays asleep.

        Raises:
            StaleGenerationError: a newer generation is already wanted, or this one was already destroyed.
            GatewayError: it did not become healthy in time; the message names the step and the remedy.
        """
        ...

    def observe(self, target: HubTarget) -> Observed:
        """The hub as it is now. Changes nothing."""
        ...

    def suspend(self, target: HubTarget, progress: StepReport = no_progress) -> Observed:
        """Stops the hub and every server on it; homes and settings stay."""
        ...

    def resume(self, target: HubTarget, progress: StepReport = no_progress) -> Observed:
        """Wakes a suspended hub and waits until it answers."""
        ...

    def destroy(self, target: HubTarget, *, keep_data: bool, progress: StepReport = no_progress) -> Observed:
        """Ends the hub. Its secrets go; homes and the hub's database stay only with `keep_data`."""
        ...

    def sample(self, target: HubTarget) -> list[ServerSample]:
        """The servers that exist now, of all users, each once."""
        ...

    def drift(self, target: HubTarget, spec: HubSpec) -> list[Difference]:
        """Where what runs differs from the spec; empty when nothing does."""
        ...

    def take_away(self, target: HubTarget, spec: HubSpec, *, into: Path) -> Path:
        """Writes a bundle from which the hub can be set up elsewhere, into the folder, and returns its path."""
        ...


@runtime_checkable
class HomeExporter(Protocol):
    """A driver that can hand out its people's files."""

    def export_homes(self, target: HubTarget, *, into: Path) -> Path:
        """Writes `<slug>-homes.tar.gz` with every home and a SHA256SUMS of all files; returns its path.

        Stop the hub first where files must not change meanwhile. Raises GatewayError.
        """
        ...


@runtime_checkable
class StorageMeter(Protocol):
    """A driver that can tell how much room its people's files take."""

    def stored_bytes(self, target: HubTarget) -> int:
        """The bytes that the hub's homes take, or that are set aside for them. Raises GatewayError."""
        ...


@runtime_checkable
class SnapshotKeeper(Protocol):
    """A driver that can keep snapshots of a hub's volumes beyond the hub's end."""

    def snapshot(self, target: HubTarget) -> int:
        """Takes one of every volume whose storage can; returns how many are kept. Raises GatewayError."""
        ...

    def release_snapshots(self, target: HubTarget) -> int:
        """Deletes what was kept of the hub; returns how many there were. Raises GatewayError."""
        ...


@runtime_checkable
class WorkProver(Protocol):
    """A driver that can prove that people can work on a hub, not only that the hub answers."""

    def prove(self, target: HubTarget, progress: StepReport = no_progress) -> None:
        """Has the synthetic user sign in, start a server, write to its home and read it back, and stop the server.

        Where people sign on through their university nobody can do so for a program: there the hub must lead to that
        sign-on, and the rest is done with a token that is good for the synthetic user's server alone.
        `progress` is told each step as it begins: sign_in, start, write, stop.

        Raises:
            ProofImpossibleError: the hub was made before it had a synthetic user.
            GatewayError: a step failed; the last step told is the one.
        """
        ...
