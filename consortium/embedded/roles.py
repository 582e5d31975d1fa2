"""The two database roles: `portal_owner` migrates and owns, `portal_app` works under row-level security."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import conninfo, sql

from consortium.embedded.errors import EmbeddedError

OWNER_ROLE = "portal_owner"
APP_ROLE = "portal_app"
DATABASE = "portal"
OLDEST_VERSION = 180000  # uuidv7() arrived with PostgreSQL 18

_Connection = psycopg.Connection[tuple[object, ...]]


class PostgresTooOldError(EmbeddedError):
    """The server is older than the first version that has uuidv7()."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"PostgreSQL {version // 10000} is too old: the portal needs PostgreSQL 18 or newer. "
            f"Upgrade the server, or unset DATABASE_URL to use the one that comes with the portal."
        )


class RolesNotAllowedError(EmbeddedError):
    """The login of DATABASE_URL may not create the two roles."""

    def __init__(self, user: str, reason: str) -> None:
        super().__init__(
            f"The role {user} of DATABASE_URL may not set up the portal's roles ({reason}). Use a role that may create "
            f"roles and databases, or make {OWNER_ROLE} and {APP_ROLE} yourself and set DATABASE_OWNER_URL as well."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleUrls:
    """Where the portal's database is, for each of its two roles."""

    owner_url: str
    app_url: str


def bootstrap_roles(
    admin_url: str, *, owner_password: str, app_password: str, prepare_template: bool = True
) -> RoleUrls:
    """Makes the two login roles, the database `portal` and btree_gist in it; changes nothing that is already right.

    `prepare_template` also puts btree_gist and the default grants into template1, so that databases which tests create
    have them. Raises PostgresTooOldError and RolesNotAllowedError; psycopg.OperationalError when no login succeeds.
    """
    user = str(conninfo.conninfo_to_dict(admin_url).get("user") or "")
    try:
        with psycopg.connect(admin_url, autocommit=True, connect_timeout=5) as admin:
            check_version(admin)
            admin.execute("SELECT pg_advisory_lock(hashtext('consortium.embedded.roles'))")
            _make_role(admin, OWNER_ROLE, owner_password, "NOSUPERUSER CREATEDB NOCREATEROLE NOBYPASSRLS")
            _make_role(admin, APP_ROLE, app_password, "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS")
            _make_database(admin)
            for database in (DATABASE, "template1") if prepare_template else (DATABASE,):
                _prepare_database(database_url(admin_url, dbname=database))
    except psycopg.errors.InsufficientPrivilege as error:
        raise RolesNotAllowedError(user, error.diag.message_primary or "insufficient privilege") from error
    return role_urls(admin_url, owner_password=owner_password, app_password=app_password)


def role_urls(admin_url: str, *, owner_password: str, app_password: str) -> RoleUrls:
    """The logins of the two roles on the server of `admin_url`; asks no server."""
    return RoleUrls(
        owner_url=database_url(admin_url, user=OWNER_ROLE, password=owner_password, dbname=DATABASE),
        app_url=database_url(admin_url, user=APP_ROLE, password=app_password, dbname=DATABASE),
    )


def check_version(connection: _Connection) -> None:
    """Raises PostgresTooOldError when the server lacks what the migrations need."""
    version = connection.info.server_version
    if version < OLDEST_VERSION:
        raise PostgresTooOldError(version)


def _make_role(admin: _Connection, role: str, password: str, attributes: str) -> None:
    # Only a digest of the password travels, so that no statement log ever shows it.
    digest = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    exists = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = sql.SQL("ALTER ROLE" if exists else "CREATE ROLE")
    admin.execute(
        sql.SQL("{} {} LOGIN " + attributes + " PASSWORD {}").format(verb, sql.Identifier(role), sql.Literal(digest))
    )


def _make_database(admin: _Connection) -> None:
    if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
        return
    superuser = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if superuser != (True,):
        # A role that may create others may grant itself the right to give the database away.
        admin.execute(
            sql.SQL("GRANT {} TO CURRENT_USER WITH SET TRUE, INHERIT TRUE").format(sql.Identifier(OWNER_ROLE))
        )
    admin.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
            sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)
        )
    )


def _prepare_database(url: str) -> None:
    app, owner = sql.Identifier(APP_ROLE), sql.Identifier(OWNER_ROLE)
    with _connect_patiently(url) as database:
        database.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        database.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(app))
        # What migrations create later is readable and writable for the portal, never TRUNCATE, REFERENCES or TRIGGER.
        for rights, kind in (("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("USAGE, SELECT", "SEQUENCES")):
            statement = (
                "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT " + rights + " ON " + kind + " TO {}"
            )
            database.execute(sql.SQL(statement).format(owner, app))


def _connect_patiently(url: str) -> _Connection:
    """A login that waits while someone clones template1, which shuts everyone else out for a moment."""
    for _ in range(20):
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError as error:
            if "is being accessed" not in str(error):
                raise
            time.sleep(0.25)
    return psycopg.connect(url, autocommit=True, connect_timeout=5)


def database_url(url: str, *, user: str | None = None, password: str | None = None, dbname: str) -> str:
    """The same server as `url` for another database and, when given, another login."""
    parts = urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    if user is not None:
        credentials = f"{quote(user, safe='')}:{quote(password or '', safe='')}"
    netloc = f"{credentials}@{host}" if credentials else host
    return urlunsplit((parts.scheme, netloc, f"/{quote(dbname, safe='')}", parts.query, ""))
