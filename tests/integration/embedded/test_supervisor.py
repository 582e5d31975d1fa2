"""The supervisor: what dies comes back, what is held stays down, what is stopped leaves nothing."""

import os
import signal
import sys
from pathlib import Path

import pytest

from consortium.embedded.guardian import bearers
from consortium.embedded.supervisor import ManagedProcess, ProcessNotReadyError, Supervisor, UnknownProcessError

from .conftest import wait_until

SLEEPER = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
PARENT_OF_SLEEPER = ["/bin/sh", "-c", "sleep 600 & sleep 600"]
DEAF = ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]


def supervised(tmp_path: Path, *processes: ManagedProcess, hold: set[str] | None = None) -> Supervisor:
    return Supervisor(processes, run_id=f"test-{tmp_path.name}", log_dir=tmp_path, hold=hold or set())


def run_of(tmp_path: Path) -> set[str]:
    return {f"test-{tmp_path.name}"}


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path, ManagedProcess(name="worker", argv=SLEEPER)) as supervisor:
        first = supervisor.pid("worker")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: supervisor.pid("worker") not in {None, first})
        (status,) = supervisor.status()
        assert (status.state, status.restarts) == ("running", 1)


def test_what_a_killed_process_left_in_its_group_dies_with_it(tmp_path: Path) -> None:
    with supervised(tmp_path, ManagedProcess(name="worker", argv=PARENT_OF_SLEEPER)) as supervisor:
        wait_until(lambda: len(bearers(run_of(tmp_path))) == 3)
        before = bearers(run_of(tmp_path))
        os.kill(supervisor.pid("worker") or 0, signal.SIGKILL)
        wait_until(lambda: not before & bearers(run_of(tmp_path)))


def test_it_waits_longer_each_time_a_process_dies_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path, ManagedProcess(name="broken", argv=["/bin/false"])) as supervisor:
        wait_until(lambda: supervisor.status()[0].restarts == 2, seconds=5)
        assert supervisor.status()[0].state in {"waiting", "running"}
        assert supervisor.status()[0].restarts == 2, "0.5 s, 1 s, then 2 s"


def test_a_held_process_stays_down_until_it_is_released(tmp_path: Path) -> None:
    with supervised(tmp_path, ManagedProcess(name="worker", argv=SLEEPER), hold={"worker"}) as supervisor:
        assert supervisor.status()[0].state == "held"
        assert supervisor.pid("worker") is None
        supervisor.release("worker")
        wait_until(lambda: supervisor.pid("worker") is not None)
        supervisor.hold("worker")
        assert supervisor.status()[0].state == "held"


def test_holding_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownProcessError, match="there are worker"):
        supervised(tmp_path, ManagedProcess(name="worker", argv=SLEEPER), hold={"wroker"})


def test_stop_leaves_nothing_even_of_a_process_that_does_not_listen(tmp_path: Path) -> None:
    processes = [
        ManagedProcess(name="parent", argv=PARENT_OF_SLEEPER),
        ManagedProcess(name="deaf", argv=DEAF, grace=0.3),
    ]
    with supervised(tmp_path, *processes) as supervisor:
        wait_until(lambda: b"deaf" in supervisor.log("deaf").read_bytes())
        assert len(bearers(run_of(tmp_path))) >= 4
    # A killed orphan is gone only once init has reaped it.
    wait_until(lambda: not bearers(run_of(tmp_path)))


def test_the_last_started_is_stopped_first(tmp_path: Path) -> None:
    says = ["/bin/sh", "-c", "trap 'echo $NAME >> order; exit' TERM; echo up; while :; do sleep 0.01; done"]
    processes = [
        ManagedProcess(name=name, argv=says, env={**os.environ, "NAME": name}, cwd=tmp_path) for name in ("web", "beat")
    ]
    with supervised(tmp_path, *processes) as supervisor:
        wait_until(lambda: all(supervisor.log(name).stat().st_size for name in ("web", "beat")))
    assert (tmp_path / "order").read_text().split() == ["beat", "web"]


def test_output_goes_to_a_log_and_readiness_is_asked_from_outside(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    process = ManagedProcess(name="worker", argv=SLEEPER, ready=lambda: b"up" in log.read_bytes())
    with supervised(tmp_path, process) as supervisor:
        supervisor.wait_ready(timeout=10)


def test_a_process_that_never_gets_ready_is_named_with_its_last_words(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "echo no such broker; exit 1"]
    process = ManagedProcess(name="worker", argv=argv, ready=lambda: False)
    with (
        supervised(tmp_path, process) as supervisor,
        pytest.raises(ProcessNotReadyError, match=r"worker was not ready .* no such broker"),
    ):
        supervisor.wait_ready("worker", timeout=0.4)


def test_a_program_that_does_not_exist_is_a_line_in_its_log(tmp_path: Path) -> None:
    with supervised(tmp_path, ManagedProcess(name="worker", argv=["/no/such/program"])) as supervisor:
        assert "cannot be started" in supervisor.log("worker").read_text()
