"""Ports for local hubs: below those that the kernel lends to outgoing connections, so that none is taken in passing."""

import secrets as randomness
import socket
from collections.abc import Iterable

from provisioning.gateways.base import GatewayError
from provisioning.gateways.local.files import Ports

FIRST, LAST = 21_000, 31_999


class NoFreePortError(GatewayError):
    """Every port of the range is taken."""

    def __init__(self, host: str) -> None:
        super().__init__(f"no free port between {FIRST} and {LAST} on {host}; end a hub there first", permanent=False)


def choose_ports(host: str, *, taken: Iterable[int]) -> Ports:
    """Three ports that nobody listens on and no other hub has been promised.

    Raises:
        NoFreePortError: there are not three.
    """
    closed = set(taken)
    found: list[int] = []
    size = LAST - FIRST + 1
    start = randomness.randbelow(size)
    for step in range(size):
        port = FIRST + (start + step) % size
        if port not in closed and is_free(host, port):
            found.append(port)
        if len(found) == 3:
            return Ports(public=found[0], proxy_api=found[1], hub=found[2])
    raise NoFreePortError(host)


def is_free(host: str, port: int) -> bool:
    """Whether a program could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
