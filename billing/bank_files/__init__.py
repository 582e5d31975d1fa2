"""Reading what banks send: CAMT.053, OFX, BAI2 and CSV, each whole or not at all. Values in, values out.

A file that is damaged, hostile or does not add up is refused with the place and what to do; nothing of it is kept.
"""

from collections.abc import Callable
from typing import Final

from billing.bank_files.bai2_file import read_bai2
from billing.bank_files.base import BankFileRefused, ReadLine, ReadStatement, looks_whole
from billing.bank_files.camt import read_camt
from billing.bank_files.csv_file import Mapping, read_csv
from billing.bank_files.ofx_file import read_ofx

__all__ = ["BankFileRefused", "Mapping", "ReadLine", "ReadStatement", "guess_format", "read_statements"]

LARGEST: Final = 20_000_000
_READERS: Final[dict[str, Callable[[bytes], list[ReadStatement]]]] = {
    "camt": read_camt,
    "ofx": read_ofx,
    "bai2": read_bai2,
}


def guess_format(content: bytes) -> str:
    """Tell which kind of file it is by how it begins: camt, ofx, bai2, or csv for anything else."""
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"01,"):
        return "bai2"
    if b"OFXHEADER" in head or b"<OFX>" in head:
        return "ofx"
    return "camt" if head.startswith(b"<") else "csv"


def read_statements(content: bytes, *, mapping: Mapping | None = None) -> list[ReadStatement]:
    """Return the statements of a file, each checked: its lines in its currency and, where it says so, its balances.

    CSV needs the `mapping` of its account. Raises BankFileRefused.
    """
    if not content.strip():
        raise BankFileRefused("The file is empty. Export the statement again.")
    if len(content) > LARGEST:
        raise BankFileRefused("The file is larger than 20 MB. Export a shorter span of days.")
    kind = guess_format(content)
    if kind == "csv":
        if mapping is None:
            raise BankFileRefused("This is no CAMT.053, OFX or BAI2 file, and the account has no mapping for CSV.")
        found = read_csv(content, mapping)
    else:
        found = _READERS[kind](content)
    if not found:
        raise BankFileRefused("The file holds no statement. Export the booked transactions of the account.")
    for statement in found:
        looks_whole(statement)
    return found
