"""Homes travel whole: what is packed is what is found, links are never followed, and nothing is written elsewhere."""

import io
import os
import socket
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.gateways import carrier
from provisioning.gateways.carrier import ArchiveRefusedError, pack, sums, unpack
from provisioning.gateways.carrying import Home, HomeRefusedError
from provisioning.gateways.kubernetes.homes import claim_of
from provisioning.gateways.local.homes import list_homes, read_home, write_home

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)
ENTRIES = st.one_of(
    st.binary(max_size=300), st.just("folder"), st.sampled_from(["link:../elsewhere", "link:/etc/passwd", "link:."])
)
TREES = st.dictionaries(
    st.lists(NAMES.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3).map(tuple), ENTRIES, max_size=6
)


def packed(home: Path) -> io.BytesIO:
    archive = io.BytesIO()
    pack(home, archive)
    archive.seek(0)
    return archive


def grown(home: Path, tree: dict[tuple[str, ...], bytes | str]) -> None:
    """As much of the tree as a file system takes: no file is a folder, and no name is too long."""
    for parts, entry in tree.items():
        path = home.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(entry, bytes):
                path.write_bytes(entry)
                path.chmod(0o755 if len(entry) % 2 else 0o644)
            elif entry == "folder":
                path.mkdir(exist_ok=True)
            else:
                path.symlink_to(entry.removeprefix("link:"))
        except OSError:
            continue


@settings(max_examples=40)
@given(tree=TREES, before=TREES)
def test_what_arrives_is_what_was_sent_whatever_lay_there(
    tree: dict[tuple[str, ...], bytes | str], before: dict[tuple[str, ...], bytes | str]
) -> None:
    with TemporaryDirectory() as folder:
        sent, there = Path(folder, "sent"), Path(folder, "there")
        sent.mkdir()
        there.mkdir()
        # Links that lead out of a home would let the growing itself write elsewhere.
        grown(sent, {parts: entry for parts, entry in tree.items() if len(parts) == 1 or isinstance(entry, bytes)})
        grown(there, {parts: entry for parts, entry in before.items() if isinstance(entry, bytes)})
        unpack(packed(sent), there)
        assert sums(there) == sums(sent)
        assert {path.name for path in Path(folder).iterdir()} == {"sent", "there"}


def test_a_link_is_carried_as_a_link_and_a_pipe_is_left_behind(tmp_path: Path) -> None:
    home = tmp_path / "ada"
    home.mkdir()
    (tmp_path / "secret").write_text("of the machine")
    (home / "to-secret").symlink_to(tmp_path / "secret")
    (home / "run.sh").write_text("#!/bin/sh\n")
    (home / "run.sh").chmod(0o755)
    os.link(home / "run.sh", home / "same.sh")
    os.mkfifo(home / "pipe")
    os.utime(home / "run.sh", (1, 1_000_000_000))
    archive = packed(home)

    there = tmp_path / "there"
    unpack(archive, there)

    assert b"of the machine" not in archive.getvalue()
    assert (there / "to-secret").is_symlink()
    assert {path.name for path in there.iterdir()} == {"to-secret", "run.sh", "same.sh"}
    assert (there / "same.sh").read_text() == "#!/bin/sh\n", "a file of two names arrives as two files"
    assert (there / "run.sh").stat().st_mode & stat.S_IXUSR
    assert (there / "run.sh").stat().st_mtime == 1_000_000_000
    assert sums(there) == sums(home)


def made_by_hand(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    whole.seek(0)
    return whole


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_an_archive_that_leads_out_of_the_home_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveRefusedError):
        unpack(made_by_hand((tarfile.TarInfo(name), b"evil")), tmp_path / "home")
    assert not (tmp_path / "outside").exists()


def test_nothing_is_written_through_a_link_of_the_archive(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    with pytest.raises(OSError, match="exists"):
        unpack(made_by_hand((link, b""), (tarfile.TarInfo("link/evil"), b"evil")), tmp_path / "home")
    assert list(outside.iterdir()) == []


def test_local_homes_that_are_links_or_of_named_servers_are_not_carried(tmp_path: Path) -> None:
    homes, owner = tmp_path / "home", (os.geteuid(), os.getegid())
    for name in ("ada", "portal-check"):
        (homes / name).mkdir(parents=True)
    (homes / "mallory").symlink_to("/etc")
    assert list_homes(homes) == [Home(user="ada")], "the synthetic user's stays behind"
    archive, _ = read_home(homes, Home(user="ada"), into=tmp_path)
    for refused in (Home(user="mallory"), Home(user="ada", server="second"), Home(user="..")):
        with pytest.raises(HomeRefusedError):
            write_home(homes, refused, archive, owner=owner)


@pytest.mark.parametrize(
    ("user", "claim"),
    [
        ("ada", "claim-ada"),
        ("grace.hopper", "claim-grace-hopper---"),
        ("9lives", "claim-x-9lives---"),
        ("x--y", "claim-x-y---"),
        ("@@", "claim-x---"),
    ],
)
def test_a_claim_bears_the_name_that_the_hub_will_look_for(user: str, claim: str) -> None:
    found = claim_of(Home(user=user))
    assert found.startswith(claim)
    assert len(found) <= len("claim-") + 32
    assert claim_of(Home(user=user, claim="claim-as-it-was")) == "claim-as-it-was"


def test_the_program_of_the_pod_serves_one_home_to_who_knows_its_token(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "work.txt").write_text("a year of work")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(carrier.__file__).read_text().replace(f"PORT = {carrier.PORT}", f"PORT = {port}")
    environment = {"HOME_FOLDER": str(home), "CARRIER_TOKEN": "canary"}
    with subprocess.Popen([sys.executable, "-I", "-c", program], env=environment) as running:
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 20
            while not answers(url):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            known = {carrier.TOKEN_HEADER: "canary"}
            assert httpx.get(f"{url}/sums").status_code == 403
            assert httpx.get(f"{url}/sums", headers=known).json() == sums(home)
            archive = httpx.get(f"{url}/home", headers=known).content
            (home / "work.txt").write_text("damaged")
            answered = httpx.put(f"{url}/home", headers=known, content=archive)
            assert (answered.json(), (home / "work.txt").read_text()) == (sums(home), "a year of work")
            cut = httpx.put(f"{url}/home", headers=known, content=archive[:40])
            assert cut.status_code == 422
            assert httpx.get(f"{url}/else", headers=known).status_code == 404
        finally:
            running.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 403
    except httpx.HTTPError:
        return False
