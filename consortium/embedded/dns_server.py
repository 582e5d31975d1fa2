"""A small authoritative DNS server on loopback for the demo and the tests: answers from a zone file that may change.

`python -m consortium.embedded.dns_server --port 5353 --zone home/dns/zone` serves UDP and TCP until SIGTERM. The file
is an ordinary master file with absolute names; it is read again whenever it changed.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socketserver
import struct
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

from consortium.embedded.ports import LOOPBACK

log = logging.getLogger(__name__)
TTL = 1
LARGEST_UDP = 1232
CHAIN = 8


class ZoneFile:
    """The records of a master file, as it is now."""

    def __init__(self, path: Path) -> None:
        """An absent file is an empty zone."""
        self._path, self._lock = path, threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._zone = dns.zone.Zone(dns.name.root, relativize=False)

    def node(self, name: dns.name.Name) -> dns.node.Node | None:
        """The records of a name, or None when there is no such name."""
        return self._fresh().get_node(name)

    def has_below(self, name: dns.name.Name) -> bool:
        """Whether some name ends with this one: then it exists, though it has no records of its own."""
        return any(other.is_subdomain(name) for other in self._fresh())

    def _fresh(self) -> dns.zone.Zone:
        with self._lock:
            try:
                status = self._path.stat()
            except FileNotFoundError:
                return self._zone
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                text = self._path.read_text(encoding="utf-8")
                try:
                    self._zone = dns.zone.from_text(text, origin=dns.name.root, relativize=False, check_origin=False)
                except dns.exception.DNSException:
                    log.exception("the zone file %s cannot be read; the records before it stay", self._path)
                self._stamp = stamp
            return self._zone


def publish(path: Path, records: dict[str, list[str]]) -> None:
    """Write TXT records (name to values) as a zone file that replaces the one that is there."""
    lines = []
    for name, values in sorted(records.items()):
        for value in values:
            strings = [value[start : start + 255] for start in range(0, len(value), 255)] or [""]
            quoted = " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in strings)
            lines.append(f"{name.rstrip('.')}. {TTL} IN TXT {quoted}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(lines), encoding="utf-8")
    temporary.rename(path)


def answer(wire: bytes, zone: ZoneFile, *, limit: int | None = None) -> bytes | None:
    """The answer to a query, or None for what is no query. Longer than `limit`, it is cut and marked as such."""
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    response = dns.message.make_response(query, our_payload=LARGEST_UDP)
    response.flags |= dns.flags.AA
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        response.set_rcode(dns.rcode.NOTIMP)
        return response.to_wire()
    name, kind = query.question[0].name, query.question[0].rdtype
    for _step in range(CHAIN):
        node = zone.node(name)
        if node is None:
            response.set_rcode(dns.rcode.NOERROR if zone.has_below(name) else dns.rcode.NXDOMAIN)
            break
        found = node.get_rdataset(dns.rdataclass.IN, kind)
        alias = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME)
        if found is not None:
            response.answer.append(dns.rrset.from_rdata_list(name, found.ttl, list(found)))
        if found is not None or alias is None:
            break
        response.answer.append(dns.rrset.from_rdata_list(name, alias.ttl, list(alias)))
        name = next(iter(alias)).target
    whole = response.to_wire()
    if limit is None or len(whole) <= limit:
        return whole
    response.answer.clear()
    response.flags |= dns.flags.TC
    return response.to_wire()


class _Udp(socketserver.BaseRequestHandler):
    zone: ClassVar[ZoneFile]

    def handle(self) -> None:
        wire, socket = self.request
        reply = answer(wire, self.zone, limit=LARGEST_UDP)
        if reply is not None:
            socket.sendto(reply, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    zone: ClassVar[ZoneFile]
    timeout = 5

    def handle(self) -> None:
        while len(head := self.rfile.read(2)) == 2:
            reply = answer(self.rfile.read(struct.unpack("!H", head)[0]), self.zone)
            if reply is None:
                return
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class DnsServer:
    """The server, on UDP and TCP of one port; `with` starts and stops it."""

    def __init__(self, zone_path: Path, *, port: int = 0) -> None:
        """Listens from now on; port 0 takes one that is free for both. Raises OSError when it is not."""
        handlers = {"zone": ZoneFile(zone_path)}
        self._tcp = _TcpServer((LOOPBACK, port), type("Tcp", (_Tcp,), handlers))
        self.port = int(self._tcp.server_address[1])
        try:
            self._udp = socketserver.ThreadingUDPServer((LOOPBACK, self.port), type("Udp", (_Udp,), handlers))
        except OSError:
            self._tcp.server_close()
            raise
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            for server in (self._tcp, self._udp)
        ]

    @property
    def address(self) -> str:
        """What DNS_RESOLVER names."""
        return f"{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self._tcp, self._udp):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()


def main() -> int:
    """Serves until SIGTERM or Ctrl-C; 1 when the port is taken."""
    parser = argparse.ArgumentParser(prog="dns_server", allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--zone", type=Path, required=True, help="a master file; it may appear later")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        with DnsServer(options.zone, port=options.port) as server:
            sys.stderr.write(f"DNS on {server.address}\n")
            ended.wait()
    except OSError as error:
        sys.stderr.write(f"The port {options.port} cannot be used ({error.strerror}): choose another.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
