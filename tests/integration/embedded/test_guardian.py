"""The guardian: ten seconds after the parent was killed nothing of it is left; after an orderly end it does nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consortium.embedded import guardian
from consortium.embedded.guardian import bearers, new_run_id
from consortium.embedded.memory import remove_folder
from consortium.embedded.postgres import postmaster_pid
from consortium.embedded.valkey import server_pid

from .conftest import wait_until

PARENT = """
import os, subprocess, sys, time
from collections.abc import Iterator
from pathlib import Path
from consortium.embedded import postgres, valkey
from consortium.embedded.guardian import Guardian
from consortium.embedded.home import Home
from consortium.embedded.services import Services

run_id, home = sys.argv[1], Home(Path(sys.argv[2]))
os.environ["PORTAL_RUN"] = run_id
with Guardian(run_id, home=home.path), Services(home, {}, run_id=run_id, durable=False):
    stray = subprocess.Popen(["setsid", "sleep", "600"])
    if "deaf" in sys.argv[3]:
        subprocess.Popen(["/bin/sh", "-c", "trap '' TERM INT; while :; do sleep 1; done"])
    print(stray.pid, flush=True)
    if "wait" in sys.argv[3]:
        time.sleep(60)
"""


@pytest.fixture(autouse=True)
def freed(tmp_path: Path) -> Iterator[None]:
    """What a home keeps in memory is not left there."""
    yield
    remove_folder(tmp_path / "postgres" / "data")


def parent(run_id: str, home: Path, what: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PARENT, run_id, str(home), what], stdout=subprocess.PIPE)


def stray_of(process: subprocess.Popen[bytes]) -> int:
    """Waits until the parent is up; the process that it started in a session of its own."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_nothing_is_left_ten_seconds_after_the_parent_was_killed(tmp_path: Path) -> None:
    run_id = new_run_id()
    with parent(run_id, tmp_path, "deaf wait") as process:
        assert stray_of(process) in bearers({run_id})
        process.kill()
        wait_until(lambda: not bearers({run_id}), seconds=10)
    assert postmaster_pid(tmp_path / "postgres" / "data") is None
    assert server_pid(tmp_path / "valkey") is None
    assert b"received fast shutdown request" in (tmp_path / "postgres" / "data" / "server.log").read_bytes()


def test_an_orderly_end_leaves_nothing_either(tmp_path: Path) -> None:
    run_id = new_run_id()
    with parent(run_id, tmp_path, "end") as process:
        assert process.wait(30) == 0
    assert not bearers({run_id})


def test_a_server_that_another_verb_still_uses_survives_the_one_that_started_it(tmp_path: Path) -> None:
    first, second = new_run_id(), new_run_id()
    with parent(first, tmp_path, "wait") as starter, parent(second, tmp_path, "wait") as user:
        strays = {stray_of(starter), stray_of(user)}
        server = postmaster_pid(tmp_path / "postgres" / "data")
        starter.kill()
        wait_until(lambda: not strays & bearers({first}))
        assert server in bearers({first, second})
        user.kill()
        wait_until(lambda: not bearers({first, second}))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to nobody")
def test_root_without_ptrace_still_finds_what_runs_as_nobody() -> None:
    run_id = new_run_id()
    environ = {**os.environ, "PORTAL_RUN": run_id}
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "600"]
    with subprocess.Popen(argv, env=environ) as nobody:
        wait_until(lambda: Path(f"/proc/{nobody.pid}/comm").read_text() == "sleep\n")
        scan = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", sys.executable, guardian.__file__]
        found = subprocess.run([*scan, "scan", run_id], capture_output=True, text=True, check=True).stdout
        nobody.send_signal(signal.SIGKILL)
    assert found.split() == [str(nobody.pid)]
