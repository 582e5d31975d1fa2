"""What crosses between two drivers when a hub moves: people's homes, one by one, and what its sign-on must keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from provisioning.gateways.base import GatewayError, HubTarget, StepReport, no_progress
from provisioning.gateways.carrier import Sums
from provisioning.specs import HubSpec


class HomeDamagedError(GatewayError):
    """What was read of a home, or written to it, is not whole; it is carried again."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a home did not travel whole: {reason}; it is carried again", permanent=False)


class HomeRefusedError(GatewayError):
    """The other place has nowhere to put this home."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a home cannot be carried there: {reason}", permanent=True)


@dataclass(frozen=True, kw_only=True)
class Home:
    """One home: of a person, and where a place keeps one per server, of which of the person's named servers.

    `claim` and `size_gib` are what the place it comes from calls it and allows it; empty and 0 where it has neither.
    """

    user: str
    server: str = ""
    claim: str = ""
    size_gib: int = 0

    @property
    def key(self) -> str:
        """Its name among the hub's homes."""
        return f"{self.user}/{self.server}" if self.server else self.user


@dataclass(frozen=True, kw_only=True)
class SignOnSecrets:
    """What people's sign-on rests on. Its text form shows none of it."""

    client_secret: str = field(default="", repr=False)
    shared: Mapping[str, str] = field(default_factory=dict, repr=False)
    accounts: Mapping[str, Any] = field(default_factory=dict, repr=False)


@runtime_checkable
class HomeCarrier(Protocol):
    """A driver whose hubs can move: it hands over homes and takes them in. Every method may be repeated."""

    def homes(self, target: HubTarget) -> list[Home]:
        """The homes of people, the synthetic user's left out, in order of their names. Raises GatewayError."""
        ...

    def read_home(
        self, target: HubTarget, home: Home, *, into: Path, progress: StepReport = no_progress
    ) -> tuple[Path, Sums]:
        """Writes one home of a hub that sleeps as an archive into the folder; returns it with its sums.

        The sums are counted where the home lies. Raises GatewayError.
        """
        ...

    def write_home(self, target: HubTarget, home: Home, archive: Path, *, progress: StepReport = no_progress) -> Sums:
        """Puts the archive in place of that home on a hub that sleeps; returns the sums of what then lies there.

        Raises HomeRefusedError where the place cannot have it, GatewayError.
        """
        ...

    def end_carrying(self, target: HubTarget) -> None:
        """Takes away whatever served only to carry homes."""
        ...

    def sign_on_secrets(self, target: HubTarget) -> SignOnSecrets:
        """What the hub's sign-on keeps secret here."""
        ...

    def keep_sign_on_secrets(self, target: HubTarget, spec: HubSpec, secrets: SignOnSecrets) -> None:
        """Keeps of it what this place can use, before the first `ensure`; people's passwords then stay as they were."""
        ...
