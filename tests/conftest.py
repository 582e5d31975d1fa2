"""The database of the tests: real PostgreSQL, migrated once as its owner, used as the application's role.

`./portal test` starts the servers and names them in the environment. A migrated template is made once per state of
the migrations; each run works in a copy of it, and a test that commits (`committed_db`) in a copy of its own: nothing
is ever flushed, since append-only tables refuse it.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, connections
from django.utils import translation
from psycopg import sql

from tests.cast import Cast, make_cast

ROOT = Path(__file__).resolve().parent.parent


def _own_valkey() -> None:
    """A numbered database of Valkey for each worker: what one forgets between its tests the others still count."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16  # so many there are
    url = urlunsplit(urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}"))
    os.environ["REDIS_URL"] = settings.REDIS_URL = settings.CELERY_BROKER_URL = url
    settings.CACHES["default"]["LOCATION"] = url


_own_valkey()  # before anything has asked for it
SHARED_DATA = ROOT.parent / "shared" / "data"


def _with_name(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def _owner(name: str = "postgres") -> str:
    return _with_name(os.environ["DATABASE_OWNER_URL"], name)


def _execute(statement: str, *names: str) -> None:
    with psycopg.connect(_owner(), autocommit=True) as owner:
        owner.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def _drop(name: str) -> None:
    """Takes a database away. The server's own autovacuum may be in it, which we may not end: it leaves in a moment."""
    for attempt in range(100):
        try:
            _execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        except psycopg.errors.InsufficientPrivilege:
            if attempt == 99:
                raise
            time.sleep(0.1)
        else:
            return


def _migrations_digest() -> str:
    files = sorted([*ROOT.glob("*/migrations/*.py"), ROOT / "consortium/kernel/sql.py", ROOT / "requirements/dev.txt"])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _template() -> str:
    """The name of a migrated database, made now if this state of the migrations has none yet."""
    name = f"portal_template_{_migrations_digest()}"
    with psycopg.connect(_owner(), autocommit=True) as owner:
        if owner.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
    building = f"portal_building_{uuid4().hex[:8]}"
    _execute("CREATE DATABASE {}", building)
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(command, env={**os.environ, "DATABASE_URL": _owner(building)}, check=True, cwd=ROOT)
    _execute("ALTER DATABASE {} RENAME TO {}", building, name)
    return name


def _point_to(name: str) -> str:
    """Let every thread's next connection use that database; returns the one it used before."""
    before = str(connection.settings_dict["NAME"])
    connections.close_all()
    connections.settings["default"]["NAME"] = name
    connection.settings_dict["NAME"] = name
    return before


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long stories first: a worker that is given one at the end lets the other worker wait."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def database_template() -> str:
    """The template's name; of two workers that start at once the second waits for the first."""
    with (ROOT / "tests" / "conftest.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _template()


@pytest.fixture(scope="session")
def django_db_setup(database_template: str, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    name = f"portal_test_{os.getpid()}"
    _execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    _execute("CREATE DATABASE {} TEMPLATE {}", name, database_template)
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        before = _point_to(name)
    yield
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        _point_to(before)
    _drop(name)


@contextmanager
def _own_database(template: str, blocker: pytest.FixtureRequest) -> Iterator[str]:
    """A copy of the template in which commits are real, for as long as the block lasts; yields its name."""
    name = f"portal_clone_{uuid4().hex[:8]}"
    _execute("CREATE DATABASE {} TEMPLATE {}", name, template)
    with blocker.unblock():  # type: ignore[attr-defined]
        before = _point_to(name)
        yield name
        _point_to(before)
    _drop(name)


@pytest.fixture
def committed_db(
    django_db_setup: None, database_template: str, django_db_blocker: pytest.FixtureRequest
) -> Iterator[str]:
    """A database of this test alone, in which commits are real; yields its name."""
    with _own_database(database_template, django_db_blocker) as name:
        yield name


@pytest.fixture(scope="module")
def committed_db_of_all(
    django_db_setup: None, database_template: str, django_db_blocker: pytest.FixtureRequest
) -> Iterator[str]:
    """A database that all tests of a file share, in which commits are real; yields its name."""
    with _own_database(database_template, django_db_blocker) as name:
        yield name


@pytest.fixture(autouse=True)
def forgotten_limits(request: pytest.FixtureRequest) -> None:
    """Limits on sign-in attempts are shared by all processes; no test begins with another one's."""
    if {"db", "committed_db", "client"} & set(request.fixturenames):
        cache.clear()


@pytest.fixture(autouse=True)
def own_language() -> None:
    """A page leaves its language to the thread; no test begins with another one's."""
    translation.deactivate()


@pytest.fixture
def at() -> datetime:
    """The instant at which the tests' stories begin."""
    return datetime(2026, 10, 15, 16, 0, tzinfo=UTC)


@pytest.fixture
def cast(db: None, at: datetime) -> Cast:
    """The people and institutions that every story uses."""
    return make_cast(at)


@pytest.fixture
def focus_sample() -> Path:
    """The FinOps Foundation's public sample; where it is absent the test says so."""
    path = SHARED_DATA / "focus-1.0-sample-300.csv"
    if not path.exists():
        pytest.skip(f"the public FOCUS sample is not beside this checkout ({path.name})")
    return path
