"""Free and busy ports on the loopback address."""

from __future__ import annotations

import socket

from consortium.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"


class PortBusyError(EmbeddedError):
    """Another program listens on the port that was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(
            f"Port {port} on {LOOPBACK} is already in use by another program: stop that program, "
            f"or choose another port with --port N (--port 0 takes any free one)."
        )


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket() as probe:
        # Web servers set this option too, so a port that merely lingers in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Any port that no one listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def choose_port(wanted: int) -> int:
    """`wanted`, or any free port for 0.

    Raises PortBusyError when another program listens on the wanted one.
    """
    if wanted == 0:
        return free_port()
    if not is_free(wanted):
        raise PortBusyError(wanted)
    return wanted
