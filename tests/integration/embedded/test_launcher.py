"""./portal's verbs: a wrong call or an impossible start is one sentence, before anything moves."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consortium.embedded.home import ROOT, Home
from consortium.embedded.launcher import _split
from consortium.embedded.verbs import VERBS

from .conftest import wait_until


def clean_environment(home: Path) -> dict[str, str]:
    """Without the servers that `./portal test` itself runs on: they would be taken for given ones."""
    given = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in given}
    return kept | {"PORTAL_HOME": str(home), "PORTAL_CWD": str(home)}


def portal(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "consortium.embedded.launcher", *arguments]
    return subprocess.run(
        argv, cwd=ROOT, env=clean_environment(home), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_help_explains_every_verb_without_any_set_up() -> None:
    page = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "consortium" / "embedded" / "verbs.py")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert all(f"  {verb} " in page for verb in VERBS)


def test_home_may_stand_before_or_after_the_verb_but_what_follows_manage_is_djangos() -> None:
    assert _split(["--home", "h", "demo", "--once"]) == ("h", "demo", ["--once"])
    assert _split(["demo", "--once", "--home", "h"]) == ("h", "demo", ["--once"])
    assert _split(["--home", "h", "manage", "load", "--home", "x"]) == ("h", "manage", ["load", "--home", "x"])
    assert _split([]) == (None, "", [])


def test_an_unknown_verb_and_an_unknown_option_end_with_status_two(tmp_path: Path) -> None:
    assert portal("dmeo", home=tmp_path).returncode == 2
    assert portal("demo", "--wonce", home=tmp_path).returncode == 2
    assert not list(tmp_path.iterdir())


def test_an_unreadable_bill_is_one_sentence_and_nothing_was_started(tmp_path: Path) -> None:
    done = portal("demo", "--bill", "missing.csv", home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "missing.csv") in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_busy_port_is_one_sentence_that_names_it(tmp_path: Path, busy_port: int) -> None:
    done = portal("demo", "--port", str(busy_port), home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Port {busy_port}" in done.stderr
    assert "--port" in done.stderr


def test_a_second_demo_in_a_home_is_refused_with_the_process_that_holds_it(tmp_path: Path) -> None:
    with Home(tmp_path).held():
        done = portal("demo", "--once", home=tmp_path)
    assert done.returncode == 1
    assert f"process {os.getpid()}" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_servers_in_order(tmp_path: Path, number: signal.Signals) -> None:
    waits = "import time; print('up', flush=True); time.sleep(60)"
    script = (
        "import sys; from consortium.embedded import launcher; "
        f"launcher._listen_for_the_end(); sys.exit(launcher._in_test_home({str(tmp_path)!r}, "
        f"lambda: launcher._child([sys.executable, '-c', {waits!r}])))"
    )
    argv, environ = [sys.executable, "-c", script], clean_environment(tmp_path)
    with subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    log = tmp_path / "test" / "postgres" / "data" / "server.log"
    wait_until(lambda: "database system is shut down" in log.read_text())
