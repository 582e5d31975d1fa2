"""From the bytes of an uploaded file to lines of text: gzip, encodings, and limits that no bill comes near.

The file is read once, a line at a time, so a bill of a million rows needs no more memory than one of ten, and a few
kilobytes that unpack to gigabytes are stopped at their first overlong line.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Buffer, Iterator
from typing import BinaryIO, Final

from billing.focus.errors import LineUnreadable

MAX_LINE_BYTES: Final = 1 << 20
MAX_ROW_BYTES: Final = 4 << 20  # a row whose quoted cells hold line breaks
MAX_TOTAL_BYTES: Final = 16 << 30
_HEAD_BYTES: Final = 4096
_CHUNK_BYTES: Final = 1 << 20
_TOO_LARGE: Final = "The unpacked file is larger than 16 GiB. Split the bill by period."
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"

_OTHER_FORMATS: Final = (
    (b"PAR1", "This is a Parquet file inside another one. Unpack it, so that it can be read from its end."),
    (b"PK\x03\x04", "This is a ZIP file or a spreadsheet. Unpack it, or export the bill as CSV; it may be gzipped."),
    (b"%PDF", "This is a PDF. Fetch the FOCUS export of the bill as CSV."),
    (b"\xff\xfe", "The file is written in UTF-16. Save it as CSV in UTF-8."),
    (b"\xfe\xff", "The file is written in UTF-16. Save it as CSV in UTF-8."),
    (_GZIP, "The file is gzipped twice. Unpack it once."),
)


class Lines:
    """The lines of a bill as text, counted, hashed and bounded. Iterate once. Raises LineUnreadable."""

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 0  # of the line last given out
        self._row_bytes = 0
        self._total = 0
        self._hash = hashlib.sha256()
        self._stream = _unpacked(stream)

    @property
    def sha256(self) -> str:
        """The digest of the unpacked bytes read so far: the same for a bill and its gzipped form."""
        return self._hash.hexdigest()

    def rest_sha256(self) -> str:
        """Will read the rest of the stream at once and return the digest of all of it. Raises LineUnreadable."""
        try:
            while chunk := self._stream.read(_CHUNK_BYTES):
                self._hash.update(chunk)
                self._total += len(chunk)
                if self._total > MAX_TOTAL_BYTES:
                    raise LineUnreadable(0, _TOO_LARGE)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise LineUnreadable(0, f"The gzip file is damaged or incomplete ({error}). Fetch it again.") from error
        return self.sha256

    def row_done(self) -> None:
        """Will start counting the next row's size."""
        self._row_bytes = 0

    def __iter__(self) -> Iterator[str]:
        """Give out each line with its line break."""
        while raw := self._next():
            self.number += 1
            self._count(raw)
            self._hash.update(raw)
            yield self._text(raw.removeprefix(_BOM) if self.number == 1 else raw)

    def _next(self) -> bytes:
        """Fetch a line, which may be broken off inside a damaged gzip file."""
        try:
            return self._stream.readline(MAX_LINE_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise LineUnreadable(
                self.number + 1, f"The gzip file is damaged or incomplete ({error}). Fetch it again."
            ) from error

    def _count(self, raw: bytes) -> None:
        """Stop at sizes that no bill has."""
        self._row_bytes += len(raw)
        self._total += len(raw)
        if len(raw) > MAX_LINE_BYTES or self._row_bytes > MAX_ROW_BYTES:
            raise LineUnreadable(
                self.number,
                "The row is longer than any row of a bill. A quotation mark may be missing, or it is no bill.",
            )
        if self._total > MAX_TOTAL_BYTES:
            raise LineUnreadable(self.number, _TOO_LARGE)

    def _text(self, raw: bytes) -> str:
        """Decode a line; a bill in another encoding is refused, not guessed at."""
        if b"\x00" in raw:
            raise LineUnreadable(self.number, "The line holds a NUL byte, so the file is damaged or no text.")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise LineUnreadable(
                self.number, f"The line is not UTF-8 (byte {error.start + 1} of it). Save the file as CSV in UTF-8."
            ) from error


class _Joined(io.RawIOBase):
    """What was already read, then the rest of the stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill the buffer with the head first."""
        view = memoryview(buffer)
        chunk = self._head[: len(view)] if self._head else self._rest.read(len(view))
        self._head = self._head[len(chunk) :]
        view[: len(chunk)] = chunk
        return len(chunk)


def _unpacked(stream: BinaryIO) -> io.BufferedIOBase:
    """Look at the first bytes, unpack gzip, and refuse what is no text. Raises LineUnreadable."""
    head, joined = _peeked(stream)
    if not head.startswith(_GZIP):
        _check_text(head)
        return joined
    try:
        head, unpacked = _peeked(gzip.GzipFile(fileobj=joined))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LineUnreadable(0, f"The gzip file is damaged or incomplete ({error}). Fetch it again.") from error
    _check_text(head)
    return unpacked


def _peeked(stream: BinaryIO | gzip.GzipFile) -> tuple[bytes, io.BufferedReader]:
    """Read the first bytes and put them back."""
    head = b""
    while len(head) < _HEAD_BYTES and (chunk := stream.read(_HEAD_BYTES - len(head))):
        head += chunk
    return head, io.BufferedReader(_Joined(head, stream), buffer_size=1 << 17)  # type: ignore[arg-type]  # only .read


def _check_text(head: bytes) -> None:
    """Refuse other formats by their first bytes, with a sentence that helps."""
    body = head.removeprefix(_BOM).lstrip()
    if not body:
        raise LineUnreadable(0, "The file is empty.")
    for magic, message in _OTHER_FORMATS:
        if head.startswith(magic):
            raise LineUnreadable(0, message)
    if body.startswith(b"<"):
        raise LineUnreadable(
            1, "This is a web page or XML, not a bill. The download may have ended at a sign-in page; fetch it again."
        )
    if body.startswith((b"{", b"[")):
        raise LineUnreadable(1, "This is JSON. Export the bill as CSV; it may be gzipped.")
    if head.count(0) > len(head) // 10:  # a stray NUL is reported with its line
        raise LineUnreadable(1, "This is a binary file, not CSV.")
