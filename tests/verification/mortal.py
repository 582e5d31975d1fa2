"""Workers that die by kill -9 at the n-th thing they say to the outside world, whatever that is.

`mortals` starts one process with Django loaded (`mortal_worker`), which forks a worker for each act; so a death costs
milliseconds, and no connection is shared.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parents[2]
WORKER = "import django; django.setup(); from tests.verification.mortal_worker import main; main()"
Side = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Kill:
    """Die on this side of the n-th call."""

    side: Side
    n: int


@dataclass(frozen=True, slots=True)
class Act:
    """What a worker does: its name in `mortal_worker`, and what it is done to."""

    name: str
    what: dict[str, str]


class Mortals:
    """The process from which workers are forked, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def do(self, act: Act, *, at: datetime, kill: Kill | None = None) -> bool:
        """Let a worker do an act; returns whether kill -9 ended it. Any other end but a good one fails the test."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        hour = [kill.side, kill.n] if kill else None
        wish = {"act": act.name, "what": act.what, "at": at.isoformat(), "kill": hour}
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert died or status == 0, f"{act} {kill}: the worker ended with {status}; it printed why"
        return died


@contextmanager
def mortals(database: str, *, mail_port: int, **environment: str) -> Iterator[Mortals]:
    """Workers in that database, with a mail server on that port; `environment` says the rest (STRIPE_…)."""
    url = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}"))
    own = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "consortium.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(mail_port)],
        cwd=ROOT, env=os.environ | environment | own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:  # which closes its input, and waits for it to end
        yield Mortals(process)
