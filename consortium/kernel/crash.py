"""Named places around commits and external calls at which a simulator can stop the program.

In production `crash_point` is one dictionary look-up. Tests call `arm`; a whole process is armed by the environment
variable PORTAL_CRASH_AT=name, and then dies as by kill -9.
"""

import os
import signal
from collections.abc import Callable

_armed: dict[str, Callable[[], None]] = {}


class SimulatedCrash(BaseException):
    """Raised at an armed crash point; a BaseException so that no `except Exception` keeps the program alive."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> None:
    raise SimulatedCrash


if _name := os.environ.get("PORTAL_CRASH_AT"):
    _armed[_name] = _kill


def crash_point(name: str) -> None:
    """Stop here if `name` is armed."""
    if _armed and (action := _armed.get(name)):
        action()


def arm(name: str, action: Callable[[], None] = _raise) -> None:
    """Make the next pass of `name` run `action` (by default raise SimulatedCrash)."""
    _armed[name] = action


def disarm() -> None:
    """Forget every armed point."""
    _armed.clear()
