"""As root, the servers run as `nobody`: PostgreSQL refuses root. (Hubs drop their rights by themselves.)

The one privilege that is kept, CAP_DAC_OVERRIDE, lets the server reach its own folder below a home that only root may
enter; as an ordinary user nothing changes and nothing is needed.
"""

from __future__ import annotations

import os
from pathlib import Path

NOBODY = 65534

_SETPRIV = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)


def is_root() -> bool:
    """Whether this process could, and therefore must, drop its rights before it starts a server."""
    return os.geteuid() == 0


def dropped(argv: list[str]) -> list[str]:
    """`argv` as it must be started: unchanged for an ordinary user, behind setpriv for root."""
    return [*_SETPRIV, *argv] if is_root() else argv


def hand_over(path: Path) -> None:
    """Gives `path` (not what is in it) to the user under which the server will run."""
    if is_root():
        os.chown(path, NOBODY, NOBODY)
