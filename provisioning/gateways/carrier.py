"""One home, carried whole: packed, unpacked, and summed file by file, on this machine or in a pod beside its volume.

It is also the program of that pod, which runs with whatever Python the hub's own image has: so it imports the standard
library alone and stays within Python 3.8. There it answers on a port, to who knows its token:

    GET /ready  nothing: it listens
    GET /sums   the home as it is now, as JSON: path to checksum
    GET /home   the home as a tar archive, in chunks
    PUT /home   takes an archive in place of whatever is there, and answers the sums of what it then finds
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import os
import shutil
import stat
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Dict, Optional, Tuple, cast  # noqa: UP035 - a pod may have an older Python

Sums = Dict[str, str]  # noqa: UP006 - read at run time

PORT = 8099
TOKEN_HEADER = "X-Portal-Token"  # noqa: S105 - the name of a header
_PIECE = 1024 * 1024


class ArchiveRefusedError(Exception):
    """The archive holds what no archive of ours does; nothing of it may be written."""


def sums(home: Path) -> Sums:
    """Every file, link and folder below `home` by its path: the SHA-256 of content, where a link leads, or `folder`.

    Sockets, pipes and devices are left out: they are of the machine, not of the person.
    """
    found: Sums = {}
    for path in _below(home):
        name = path.relative_to(home).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[name] = "link to " + str(path.readlink())
        elif stat.S_ISDIR(mode):
            found[name] = "folder"
        elif stat.S_ISREG(mode):
            found[name] = _digest(path) + (" x" if mode & stat.S_IXUSR else "")
    return found


def pack(home: Path, into: IO[bytes]) -> None:
    """Writes the home as a gzipped tar archive. Links are packed as links and never followed."""
    with (
        gzip.GzipFile(fileobj=into, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=cast("IO[bytes]", packed), mode="w|") as archive,
    ):
        for path in _below(home):
            _add(archive, path, path.relative_to(home).as_posix())


def unpack(archive: IO[bytes], home: Path, owner: Optional[Tuple[int, int]] = None) -> None:  # noqa: UP006, UP045
    """Puts the archive's content in place of the home's. Links come last, so that nothing is written through one.

    Raises ArchiveRefusedError for a name that leads out of the home; OSError and tarfile.TarError for a broken archive.
    """
    home.mkdir(mode=0o700, exist_ok=True)
    for entry in home.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    links = []
    with tarfile.open(fileobj=archive, mode="r|gz") as opened:
        for member in opened:
            path = _inside(home, member.name)
            if member.issym():
                links.append((path, member.linkname))
            elif member.isdir():
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif member.isfile():
                _write(opened.extractfile(member), path, member)
    for path, target in links:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.symlink_to(target)
    if owner is not None:
        for path in (home, *_below(home)):
            os.chown(path, *owner, follow_symlinks=False)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    info = archive.gettarinfo(str(path), arcname=name)
    if info is None or not (info.issym() or info.isdir() or info.isreg() or info.islnk()):
        return
    if info.issym() or info.isdir():
        archive.addfile(info)
        return
    info.type = tarfile.REGTYPE  # a file of two names is packed as two files
    with _opened(path) as file:
        info.size = os.fstat(file.fileno()).st_size
        archive.addfile(info, file)


def _write(content: Optional[IO[bytes]], path: Path, member: tarfile.TarInfo) -> None:  # noqa: UP045
    if content is None:
        raise ArchiveRefusedError("a file without content")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, _PIECE)
    path.chmod(0o700 if member.mode & stat.S_IXUSR else 0o600)
    os.utime(path, (member.mtime, member.mtime))


def _inside(home: Path, name: str) -> Path:
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise ArchiveRefusedError("a name that leads out of the home")
    return home.joinpath(*parts)


def _below(home: Path) -> Any:
    """Everything below a folder in the order of names, links not followed; a folder comes before what it holds."""
    for folder, folders, files in os.walk(home, followlinks=False):
        folders.sort()
        for name in sorted((*folders, *files)):
            yield Path(folder, name)


def _opened(path: Path) -> IO[bytes]:
    """The file to read, never through a link that somebody put in its place."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def _digest(path: Path) -> str:
    whole = hashlib.sha256()
    with _opened(path) as file:
        for piece in iter(lambda: file.read(_PIECE), b""):
            whole.update(piece)
    return whole.hexdigest()


class _Chunks:
    """A file to write to whose pieces go out as HTTP chunks."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def write(self, piece: bytes) -> int:
        if piece:
            self._out.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
        return len(piece)

    def flush(self) -> None:
        self._out.flush()


class Carrier(BaseHTTPRequestHandler):
    """The pod's answers; see the top of this file."""

    protocol_version = "HTTP/1.1"
    home: Path
    token: str

    def do_GET(self) -> None:
        if not self._is_known():
            return
        if self.path == "/ready":
            self._answer({})
        elif self.path == "/sums":
            self._answer(sums(self.home))
        elif self.path == "/home":
            self.send_response(200)
            self.send_header("Content-Type", "application/gzip")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            pack(self.home, cast("IO[bytes]", _Chunks(self.wfile)))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_error(404)

    def do_PUT(self) -> None:
        if not self._is_known():
            return
        try:
            unpack(cast("IO[bytes]", _Body(self.rfile, int(self.headers["Content-Length"]))), self.home)
        except (ArchiveRefusedError, EOFError, OSError, tarfile.TarError) as error:
            self.close_connection = True
            self._answer({"message": type(error).__name__ + ": " + str(error)}, 422)
        else:
            self._answer(sums(self.home))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is that of http.server
        """Says nothing: names of files are people's own business."""

    def _is_known(self) -> bool:
        if hmac.compare_digest(self.headers.get(TOKEN_HEADER, ""), self.token):
            return True
        self.close_connection = True
        self.send_error(403)
        return False

    def _answer(self, content: Any, status: int = 200) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class _Body:
    """The body of a request as a file that ends where the request does."""

    def __init__(self, source: Any, size: int) -> None:
        self._source, self._left = source, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece: bytes = self._source.read(wanted) if wanted else b""
        self._left -= len(piece)
        return piece


def main() -> None:
    """Serves one home, which HOME_FOLDER names, to who shows CARRIER_TOKEN."""
    Carrier.home, Carrier.token = Path(os.environ["HOME_FOLDER"]), os.environ["CARRIER_TOKEN"]
    ThreadingHTTPServer(("", PORT), Carrier).serve_forever()


if __name__ == "__main__":
    main()
