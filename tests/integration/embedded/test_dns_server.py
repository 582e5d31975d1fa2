"""The small DNS server: what it answers, what it survives, and that its process ends when asked."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.update
from hypothesis import given
from hypothesis import strategies as st

from consortium.embedded.dns_server import DnsServer, ZoneFile, answer, publish

EMPTY = ZoneFile(Path("/nonexistent/zone"))


def zone_with(tmp_path: Path, text: str) -> ZoneFile:
    path = tmp_path / "zone"
    path.write_text(text)
    return ZoneFile(path)


def asked(zone: ZoneFile, name: str, kind: str = "TXT", limit: int | None = None) -> dns.message.Message:
    wire = answer(dns.message.make_query(name, kind).to_wire(), zone, limit=limit)
    assert wire is not None
    return dns.message.from_wire(wire)


def test_names_types_and_absences_are_told_apart(tmp_path: Path) -> None:
    zone = zone_with(tmp_path, 'a.b.example. 1 IN TXT "one"\na.b.example. 1 IN TXT "two"\n')
    assert len(asked(zone, "a.b.example").answer[0]) == 2
    assert asked(zone, "A.B.EXAMPLE").answer
    assert asked(zone, "a.b.example").flags & dns.flags.AA
    for name, kind, code in (
        ("a.b.example", "A", "NOERROR"),
        ("b.example", "TXT", "NOERROR"),
        ("x", "TXT", "NXDOMAIN"),
    ):
        found = asked(zone, name, kind)
        assert (found.answer, dns.rcode.to_text(found.rcode())) == ([], code)


def test_aliases_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    zone = zone_with(tmp_path, "a.example. 1 IN CNAME b.example.\nb.example. 1 IN CNAME a.example.\n")
    assert len(asked(zone, "a.example").answer) == 2  # each alias once, and no TXT


def test_what_is_too_long_for_udp_is_cut_and_says_so(tmp_path: Path) -> None:
    publish(tmp_path / "zone", {"long.example": [f"{number}" + "x" * 300 for number in range(9)]})
    zone = ZoneFile(tmp_path / "zone")
    cut = asked(zone, "long.example", limit=1232)
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert len(asked(zone, "long.example").answer[0]) == 9


def test_the_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "zone"
    zone = ZoneFile(path)
    assert asked(zone, "a.example").rcode() == dns.rcode.NXDOMAIN
    publish(path, {"a.example": ['say "hi" \\ there']})
    assert asked(zone, "a.example").answer[0][0].strings == (b'say "hi" \\ there',)
    path.write_text("this is no zone file\n")
    assert asked(zone, "a.example").answer


def test_an_update_is_not_taken() -> None:
    wire = answer(dns.update.UpdateMessage("example.").to_wire(), EMPTY)
    assert wire is not None
    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOTIMP


@given(st.binary(max_size=600))
def test_no_packet_stops_it(packet: bytes) -> None:
    wire = answer(packet, EMPTY, limit=1232)
    assert wire is None or len(wire) >= 12


def test_its_process_serves_both_protocols_and_ends(tmp_path: Path) -> None:
    publish(tmp_path / "zone", {"a.example": ["here"]})
    with DnsServer(tmp_path / "zone") as taken:
        command = [sys.executable, "-m", "consortium.embedded.dns_server", "--zone", str(tmp_path / "zone"), "--port"]
        busy = subprocess.run([*command, str(taken.port)], capture_output=True, text=True, timeout=30, check=False)
        assert busy.returncode == 1
        assert "choose another" in busy.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([*command, str(port)], stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as server:
        assert server.stderr
        assert str(port) in server.stderr.readline()
        query = dns.message.make_query("a.example", "TXT")
        assert dns.query.udp(query, "127.0.0.1", port=port, timeout=5).answer
        assert dns.query.tcp(query, "127.0.0.1", port=port, timeout=5).answer
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
