"""Bills in Parquet: the same rows of text that a CSV bill gives, a batch at a time.

Rows have no lines in Parquet: row n is called line n + 1, as if the heading stood on line 1. Costs that the provider
stored as doubles are read in their shortest exact spelling; nothing is added to them or rounded.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final

from billing.focus.errors import LineUnreadable

MAGIC: Final = b"PAR1"
MAX_GROUP_BYTES: Final = 1 << 30  # what a group of rows may unpack to
MAX_TOTAL_BYTES: Final = 16 << 30
_BATCH: Final = 4096
_CHUNK: Final = 1 << 20


class ParquetRows:
    """The heading and rows of a Parquet file as text. Iterate once. Raises LineUnreadable."""

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 1  # of the line last given out; the heading is line 1
        self._hash = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            self._hash.update(chunk)
        stream.seek(0)
        self._file = _opened(stream)
        self.heading: list[str] = list(self._file.schema_arrow.names)

    @property
    def sha256(self) -> str:
        """The digest of the file."""
        return self._hash.hexdigest()

    def row_done(self) -> None:
        """Nothing to do: a batch has a bound of its own."""

    def __iter__(self) -> Iterator[list[str]]:
        """Give out each row, its cells as text, missing values as the empty string."""
        from pyarrow import ArrowException  # noqa: PLC0415 - heavy, and most bills are CSV

        try:
            for batch in self._file.iter_batches(batch_size=_BATCH):
                columns = [_texts(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    self.number += 1
                    yield [self._cell(cell) for cell in cells]
        except LineUnreadable:
            raise
        except (ArrowException, OSError, ValueError, OverflowError) as error:
            raise LineUnreadable(
                self.number + 1, f"The Parquet file is damaged from here on ({_short(error)}). Fetch it again."
            ) from error

    def _cell(self, value: str) -> str:
        if "\x00" in value:
            raise LineUnreadable(self.number, "A cell holds a NUL character, so the file is damaged.")
        return value


def _opened(stream: BinaryIO) -> Any:
    """Open the file and look at its sizes. Raises LineUnreadable."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - heavy, and most bills are CSV

    try:
        file = parquet.ParquetFile(stream, pre_buffer=False)
        groups = [file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups)]
    except (ArrowException, OSError, ValueError) as error:
        raise LineUnreadable(0, f"The Parquet file is damaged or cut off ({_short(error)}). Fetch it again.") from error
    if max(groups, default=0) > MAX_GROUP_BYTES or sum(groups) > MAX_TOTAL_BYTES:
        raise LineUnreadable(0, "The Parquet file unpacks to more than a bill needs. Export it in smaller row groups.")
    return file


def _texts(column: Any) -> list[str]:
    """Turn a column of a batch into text."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and most bills are CSV

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz))  # refuses to lose nanoseconds
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return [value or "" for value in column.to_pylist()]
    if pa.types.is_map(column.type):
        return ["" if pairs is None else _pairs(pairs) for pairs in column.to_pylist()]
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    """Write one value as a CSV bill would; doubles in the shortest spelling that is exactly theirs."""
    match value:
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case Decimal():
            text = format(value, "f")
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            text = moment.astimezone(UTC).isoformat()
        case date():
            text = f"{value.isoformat()}T00:00:00Z"
        case list() | dict():
            text = json.dumps(value, default=_text, ensure_ascii=False)
        case _:
            text = str(value)
    return text


def _pairs(pairs: list[tuple[Any, Any]]) -> str:
    """Write a map as a JSON object; a key that comes twice stays visible to whoever reads the object."""
    members = (f"{json.dumps(str(key), ensure_ascii=False)}: {_member(value)}" for key, value in pairs)
    return "{" + ", ".join(members) + "}"


def _member(value: Any) -> str:
    return json.dumps(value if value is None or isinstance(value, str | bool) else _text(value), ensure_ascii=False)


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
