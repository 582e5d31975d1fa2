"""Which PostgreSQL and Valkey a verb works with: those of the environment, else those that live in the home."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import psycopg
import redis
from psycopg import conninfo

from consortium.embedded import postgres, valkey
from consortium.embedded.errors import EmbeddedError
from consortium.embedded.files import locked
from consortium.embedded.home import Home
from consortium.embedded.postgres import Database
from consortium.embedded.roles import APP_ROLE, OWNER_ROLE, bootstrap_roles, check_version
from consortium.embedded.valkey import Valkey


class ServerUnreachableError(EmbeddedError):
    """A server that the environment names does not answer, or refuses the login."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"The server that {variable} names cannot be used: {reason}")


class OwnerWithoutAppError(EmbeddedError):
    """DATABASE_OWNER_URL alone says nothing about the role under which the portal works."""

    def __init__(self) -> None:
        super().__init__(
            f"DATABASE_OWNER_URL is set but DATABASE_URL is not: set DATABASE_URL to the same database as {APP_ROLE}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """The two servers that are up."""

    database: Database
    valkey: Valkey


def external_database(
    environ: Mapping[str, str], *, owner_password: str, app_password: str, prepare_template: bool = False
) -> Database | None:
    """The server of DATABASE_URL, or None when it is not set.

    With DATABASE_OWNER_URL both are taken as they are. Alone, DATABASE_URL must be able to make roles; theirs get
    passwords that follow from its own (so that every home agrees on them), or the given ones when it has none.
    Raises ServerUnreachableError, OwnerWithoutAppError, PostgresTooOldError, RolesNotAllowedError.
    """
    url, owner_url = environ.get("DATABASE_URL", ""), environ.get("DATABASE_OWNER_URL", "")
    if not url:
        if owner_url:
            raise OwnerWithoutAppError
        return None
    _check_login("DATABASE_URL", url)
    if owner_url:
        _check_login("DATABASE_OWNER_URL", owner_url)
        return Database(owner_url=owner_url, app_url=url, admin_url=owner_url, port=0, started_here=False)
    urls = bootstrap_roles(
        url,
        owner_password=_derived(url, OWNER_ROLE) or owner_password,
        app_password=_derived(url, APP_ROLE) or app_password,
        prepare_template=prepare_template,
    )
    return Database(owner_url=urls.owner_url, app_url=urls.app_url, admin_url=url, port=0, started_here=False)


def external_valkey(environ: Mapping[str, str]) -> Valkey | None:
    """The server of REDIS_URL, or None when it is not set. Raises ServerUnreachableError."""
    url = environ.get("REDIS_URL", "")
    if not url:
        return None
    try:
        valkey.ping(url, seconds=5)
    except (redis.RedisError, ValueError) as error:
        raise ServerUnreachableError("REDIS_URL", _first_line(error)) from error
    return Valkey(url=url, port=0, started_here=False)


class Services:
    """PostgreSQL and Valkey for as long as a `with` block lasts.

    Whoever starts a server leaves a mark with its run beside it; the last verb that leaves the home stops every marked
    server. So a `manage` that ends does not pull the database from under a demo that attached to it.
    """

    def __init__(self, home: Home, environ: Mapping[str, str], *, run_id: str, durable: bool = True) -> None:
        self._home, self._environ, self._run_id, self._durable = home, environ, run_id, durable
        self._users: IO[str] | None = None

    def __enter__(self) -> Servers:
        self._users = (self._home.path / "users.lock").open("a")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        try:
            return Servers(database=self._database(), valkey=self._valkey())
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._users is None:
            return
        # One leaves after the other: of two that left at once, each would think that the other one stays.
        with locked(self._home.path / "leave.lock"):
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._stop_marked()
            except BlockingIOError:
                pass  # someone else still works here and will stop what we started
            finally:
                self._users.close()
                self._users = None

    def _database(self) -> Database:
        passwords = self._home.secrets
        external = external_database(
            self._environ,
            owner_password=passwords["DATABASE_OWNER_PASSWORD"],
            app_password=passwords["DATABASE_APP_PASSWORD"],
            prepare_template=not self._durable,
        )
        database = external or postgres.ensure(self._home.postgres, durable=self._durable)
        self._mark(self._home.postgres, started_here=database.started_here)
        return database

    def _valkey(self) -> Valkey:
        server = external_valkey(self._environ) or valkey.ensure(self._home.valkey)
        self._mark(self._home.valkey, started_here=server.started_here)
        return server

    def _mark(self, directory: Path, *, started_here: bool) -> None:
        if started_here:
            (directory / "run").write_text(self._run_id)

    def _stop_marked(self) -> None:
        for directory, stop in ((self._home.valkey, valkey.stop), (self._home.postgres, postgres.stop)):
            mark = directory / "run"
            if mark.exists():
                stop(directory)
                mark.unlink(missing_ok=True)


def _check_login(variable: str, url: str) -> None:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            check_version(connection)
    except psycopg.Error as error:
        raise ServerUnreachableError(variable, _first_line(error)) from error


def _derived(url: str, role: str) -> str:
    password = str(conninfo.conninfo_to_dict(url).get("password") or "")
    return hmac.new(password.encode(), role.encode(), hashlib.sha256).hexdigest()[:48] if password else ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
