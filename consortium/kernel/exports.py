"""Cells for spreadsheets: nothing that we export may run when somebody opens it."""

import unicodedata
from typing import Final

_FORMULA: Final = frozenset("=+-@|")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def safe_cell(text: str) -> str:
    """Will put an apostrophe before text that a spreadsheet would run as a formula.

    Spreadsheets skip blanks and invisible characters first, and read full-width signs as their ordinary ones.
    """
    seen = unicodedata.normalize("NFKC", text)
    first = next((sign for sign in seen if unicodedata.category(sign) not in _INVISIBLE), "")
    return f"'{text}" if first in _FORMULA or text[:1] in {"\t", "\r", "\n"} else text
