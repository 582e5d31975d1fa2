"""The home: the one folder where the state of a portal lives (databases, documents, mail, hubs, logs, secrets)."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from consortium.embedded import ports
from consortium.embedded.certificates import self_made_certificate
from consortium.embedded.errors import EmbeddedError
from consortium.embedded.files import locked, read_json, write_private, write_private_json

ROOT = Path(__file__).resolve().parents[2]
NEEDED_BYTES = 300 * 1024 * 1024
SIGNING = ("SIGNING_KEY", "SIGNING_CERTIFICATE")
FOLDERS = ("postgres", "valkey", "documents", "mail", "hubs", "stripe", "dns", "logs")


class HomeNotWritableError(EmbeddedError):
    """The folder cannot be made or written to."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The home {path} cannot be written to ({reason}): choose another folder with --home DIR or PORTAL_HOME."
        )


class DiskFullError(EmbeddedError):
    """Too little space for a database, a hub and a few documents."""

    def __init__(self, path: Path, free: int) -> None:
        super().__init__(
            f"The disk of the home {path} has {free // 2**20} MB free, and {NEEDED_BYTES // 2**20} MB are needed: "
            f"make room, or choose another disk with --home DIR or PORTAL_HOME."
        )


class HomeInUseError(EmbeddedError):
    """Another demo runs in this home."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            f"A demo already runs in the home {path} (process {holder}): stop it with Ctrl-C or `kill {holder}`, "
            f"or start this one in another home with --home DIR."
        )


class SecretsUnreadableError(EmbeddedError):
    """secrets.json is there but is no longer what we wrote; making new ones would lock out what is stored."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} cannot be read as the secrets of this home: restore it, or start with a new home.")


class Home:
    """Where state lives, and the secrets that were made for it once."""

    def __init__(self, path: Path) -> None:
        """Makes the folder (0700) and those inside it. Raises HomeNotWritableError and DiskFullError."""
        self.path = path.resolve()
        self.postgres, self.valkey = self.path / "postgres", self.path / "valkey"
        self.documents, self.mail = self.path / "documents", self.path / "mail"
        self.hubs, self.stripe, self.logs = self.path / "hubs", self.path / "stripe", self.path / "logs"
        self._make_folders()
        self._check_space()

    @classmethod
    def resolve(cls, option: str | None, environ: Mapping[str, str], *, below: str = "") -> Home:
        """The home of `--home`, else of PORTAL_HOME, else `var/` of the project.

        Relative paths count from where ./portal was called (PORTAL_CWD). `below` names a home inside it.
        """
        named = option or environ.get("PORTAL_HOME")
        where = Path(environ.get("PORTAL_CWD") or Path.cwd(), named) if named else ROOT / "var"
        return cls(where / below)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The secrets of this home, made on first use and never changed. Raises SecretsUnreadableError."""
        file = self.path / "secrets.json"
        with locked(self.path / "secrets.lock"):
            kept = read_json(file)
            if kept is None and file.exists():
                raise SecretsUnreadableError(file)
            complete = _new_secrets() | {name: str(value) for name, value in (kept or {}).items()}
            if SIGNING[0] not in complete:
                complete |= dict(zip(SIGNING, self_made_certificate(), strict=True))
            if complete != kept:  # the first time, or a later version of the portal needs one more
                write_private_json(file, dict(complete))
        return complete

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lets one demo run per home. Raises HomeInUseError with the process that is there first."""
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise HomeInUseError(self.path, lock.read().strip() or "unknown") from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)

    def stripe_port(self) -> int:
        """The port of the Stripe simulator: the same one as last time while it is free, so that links stay good."""
        return self._port(self.stripe)

    def dns_port(self) -> int:
        """The port of the demo's DNS server: the same one as last time while it is free."""
        return self._port(self.path / "dns")

    @staticmethod
    def _port(folder: Path) -> int:
        kept = read_json(folder / "port")
        port = int(kept["port"]) if kept else 0
        if not port or not ports.is_free(port):
            port = ports.free_port()
            write_private(folder / "port", f'{{"port": {port}}}\n')
        return port

    def environment(
        self,
        *,
        app_url: str,
        owner_url: str,
        redis_url: str,
        port: int,
        stripe_api_base: str = "",
        dns_resolver: str = "",
        demo: bool = False,
        sample_interval_seconds: int = 60,
    ) -> dict[str, str]:
        """Every value that the settings read, for a portal on 127.0.0.1:`port` whose state lives here."""
        ours = ("SECRET_KEY", "FIELD_KEYS", "AUDIT_SALT", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", *SIGNING)
        return {
            **{name: self.secrets[name] for name in ours},
            "PORTAL_HOME": str(self.path),
            "DATABASE_URL": app_url,
            "DATABASE_OWNER_URL": owner_url,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": f"http://{ports.LOOPBACK}:{port}",
            "ALLOWED_HOSTS": f"{ports.LOOPBACK},localhost",
            "STRIPE_API_BASE": stripe_api_base,
            "DNS_RESOLVER": dns_resolver,
            "SIGN_ON_LOOPBACK": "true" if demo else "false",
            "SAMPLE_INTERVAL_SECONDS": str(sample_interval_seconds),
            "WORK_CHECK_INTERVAL_SECONDS": str(sample_interval_seconds * 30 if demo else 300),
            "DEMO": "true" if demo else "false",
            "HUB_PYTHON": str(ROOT / ".venv-hub" / "bin" / "python"),
            "DJANGO_SETTINGS_MODULE": "consortium.settings",
        }

    def _make_folders(self) -> None:
        try:
            self.path.mkdir(0o700, parents=True, exist_ok=True)
            for name in FOLDERS:
                (self.path / name).mkdir(0o700, exist_ok=True)
            # Hubs run as nobody and must get through to their own folders; nobody may list the others.
            for folder in (self.path, self.path / "hubs"):
                folder.chmod(0o711)
            probe = self.path / f".probe.{os.getpid()}.{secrets.token_hex(4)}"
            probe.write_bytes(b"x")
            probe.unlink()
        except OSError as error:
            raise HomeNotWritableError(self.path, error.strerror or str(error)) from error

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < NEEDED_BYTES:
            raise DiskFullError(self.path, free)


def _new_secrets() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),  # one Fernet key
        "AUDIT_SALT": secrets.token_hex(32),
        "STRIPE_API_KEY": f"sk_test_simulator{secrets.token_hex(16)}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(24)}",
        "DATABASE_OWNER_PASSWORD": secrets.token_hex(24),
        "DATABASE_APP_PASSWORD": secrets.token_hex(24),
        "PEOPLE_PASSWORD_SEED": secrets.token_hex(24),
    }
