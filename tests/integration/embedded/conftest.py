"""What the tests of the embedded services share: a database cluster made once, and patience."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stripe

from consortium.embedded import postgres
from consortium.embedded.memory import remove_folder
from consortium.embedded.postgres import Database
from consortium.embedded.stripe_simulator.server import Simulator
from consortium.embedded.stripe_simulator.settings import Settings
from tests.integration.embedded.stripe_account import KEY, SECRET, Receiver, connect


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
    remove_folder(directory / "data")


@pytest.fixture
def database(cluster: Path) -> Database:
    """The running server, started again when a test killed it."""
    return postgres.ensure(cluster, durable=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def start(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[[], Simulator]]:
    """Starts a simulator; called again it is a restart with the same state."""
    running: list[tuple[Simulator, threading.Thread]] = []

    def stop_all() -> None:
        while running:
            simulator, thread = running.pop()
            simulator.stop()
            thread.join()

    def start_again() -> Simulator:
        stop_all()
        settings = Settings(
            port=0, state=tmp_path / "stripe.sqlite3", webhook_url=receiver.url, webhook_secret=SECRET, api_key=KEY
        )
        simulator = Simulator(settings)
        thread = threading.Thread(target=simulator.serve)
        thread.start()
        running.append((simulator, thread))
        return simulator

    yield start_again
    stop_all()


@pytest.fixture
def simulator(start: Callable[[], Simulator]) -> Simulator:
    return start()


@pytest.fixture
def client(simulator: Simulator) -> stripe.StripeClient:
    return connect(simulator)
