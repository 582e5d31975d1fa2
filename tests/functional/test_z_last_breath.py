"""The end of the demonstration, told last because it takes the demonstration away."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.functional.conftest import Demo
from tests.functional.test_demo import bears, portal

pytestmark = pytest.mark.slow


def test_killed_hard_it_leaves_no_process_and_a_second_run_doubles_nothing(demo: Demo) -> None:
    mark = f"PORTAL_HOME={demo.home}".encode()
    demo.process.send_signal(signal.SIGKILL)
    demo.process.wait(5)
    time.sleep(10)
    left = [p for p in Path("/proc").iterdir() if p.name.isdigit() and bears(p, mark)]
    assert left == []
    started = time.monotonic()
    again = portal("demo", "--once", "--json", home=demo.home)
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout.splitlines()[-1])
    assert told["invoice"] == demo.result["invoice"]
    assert told["ledger"] == demo.result["ledger"]
    assert told["allocation"] == demo.result["allocation"]
    assert time.monotonic() - started < 120
