"""What the tests of the embedded services share: a database cluster made once, and patience."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consortium.embedded import postgres
from consortium.embedded.postgres import Database


def wait_until(true: Callable[[], bool], *, seconds: float = 10.0) -> None:
    """Waits until `true()` is; fails the test when it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running PostgreSQL that is stopped after the module."""
    directory = tmp_path_factory.mktemp("home") / "postgres"
    postgres.ensure(directory, durable=False)
    yield directory
    postgres.stop(directory)


@pytest.fixture
def database(cluster: Path) -> Database:
    """The running server, started again when a test killed it."""
    return postgres.ensure(cluster, durable=False)
