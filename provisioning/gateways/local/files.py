"""The folder of a local hub: what is wanted, what is seen, what is secret, and where the hub itself lives.

<root>/<slug>/             the portal's, 0711: it can be passed through, not listed
    desired.json           written by the driver, read by the supervisor
    observed.json          written by the supervisor, read by the driver
    secrets.json           0600: tokens, and the accounts of a hub that keeps its own
    logs/                  0700: hub.log, proxy.log
    run/                   0700, the hub's user's: configuration, database, homes
"""

import os
import secrets as randomness
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from provisioning.gateways.base import GatewayError
from provisioning.specs import HubSpec

type Wish = Literal["running", "suspended", "absent"]
type Sight = Literal["starting", "running", "suspended", "absent", "failed"]


class Record(BaseModel):
    """A file's content: frozen, complete, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ports(Record):
    """Where a hub listens on its host: for people, for the hub at its proxy, for the proxy and servers at the hub."""

    public: int
    proxy_api: int
    hub: int


class Desired(Record):
    """What the portal wants of a hub. An absent hub leaves this behind, so that an older wish cannot bring it back."""

    generation: int
    state: Wish
    host: str
    ports: Ports | None
    spec: HubSpec | None
    spec_hash: str

    @property
    def url(self) -> str:
        """Where people find the hub, with a slash at its end."""
        return f"http://{self.host}:{self.ports.public}/" if self.ports else ""


class Seen(Record):
    """What the supervisor sees of a hub; `since` is a UTC instant in ISO form."""

    generation: int
    spec_hash: str
    state: Sight
    since: str
    hub_pid: int | None = None
    proxy_pid: int | None = None
    restarts: int = 0
    last_error: str = ""
    privileges: str = ""


class Account(Record):
    """A person of a hub that keeps its own accounts; the hub gets salt and hash, never the password."""

    password: str
    salt: str
    hash: str


class Secrets(Record):
    """What a local hub must keep to itself."""

    portal_token: str
    proxy_token: str
    cookie_secret: str
    check_token: str = ""
    client_secret: str = ""
    accounts: dict[str, Account] = {}


class UnreadableRecordError(GatewayError):
    """A file of a hub's folder is not what was written there."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}; restore it or remove the hub's folder", permanent=True)


class HubFolder:
    """One hub's folder under the root of all local hubs."""

    def __init__(self, root: Path, slug: str) -> None:
        self.slug = slug
        self.path = root.absolute() / slug
        self.desired_file = self.path / "desired.json"
        self.observed_file = self.path / "observed.json"
        self.secrets_file = self.path / "secrets.json"
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        self.homes = self.run / "home"
        self.config_file = self.run / "config.json"
        self.accounts_file = self.run / "accounts.json"

    @property
    def mark(self) -> str:
        """What every process of this hub bears as PORTAL_HUB in its environment."""
        return str(self.path)

    def create(self) -> None:
        """Makes the portal's part of the folder; the supervisor makes `run`, which belongs to the hub's user."""
        self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        for folder, mode in ((self.path, 0o711), (self.logs, 0o700)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)

    def desired(self) -> Desired | None:
        """What is wanted, or nothing when nobody ever wanted this hub."""
        return _read(Desired, self.desired_file)

    def seen(self) -> Seen | None:
        """What the supervisor wrote last, if it ever saw the hub."""
        return _read(Seen, self.observed_file)

    def secrets(self) -> Secrets | None:
        """The hub's secrets, if it has been prepared."""
        return _read(Secrets, self.secrets_file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer per hub: two at once would each read the old wish and overwrite the other's."""
        self.create()
        with (self.path / "lock").open("w") as handle:
            flock(handle, LOCK_EX)
            yield


def write_atomically(
    path: Path, content: str | bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None
) -> None:
    """Writes a whole file or none: temporary file beside it, fsync, rename. Follows no link a hub's user may plant."""
    temporary = path.with_name(f".{path.name}.{randomness.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            if owner is not None and os.geteuid() == 0:
                os.fchown(handle.fileno(), *owner)
            handle.write(content.encode() if isinstance(content, str) else content)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_record(path: Path, record: Record) -> None:
    """Writes a record into its file, readable by the portal alone."""
    write_atomically(path, record.model_dump_json(indent=2) + "\n")


@contextmanager
def supervising(root: Path) -> Iterator[bool]:
    """Holds the root for one supervisor; gives False when another one has it.

    It tries for a moment: a driver that only asks whether somebody supervises holds the lock while it asks.
    """
    root.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (root / "supervisor.lock").open("w") as handle:
        deadline = time.monotonic() + 1
        while not (held := _try_lock(handle.fileno(), LOCK_EX)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield held


def is_supervised(root: Path) -> bool:
    """Whether a supervisor lives for this root: the kernel frees its lock however it ended."""
    path = root / "supervisor.lock"
    if not path.exists():
        return False
    with path.open("r") as handle:
        return not _try_lock(handle.fileno(), LOCK_SH)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        flock(descriptor, kind | LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read[R: Record](kind: type[R], path: Path) -> R | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableRecordError(path, error.strerror or str(error)) from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise UnreadableRecordError(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
