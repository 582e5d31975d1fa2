"""Reading the cells of a FOCUS bill as providers really write them."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from billing.focus.errors import CellInvalid
from consortium.kernel.money import AmountInvalid, CurrencyUnknown, exponent, parse_amount

MAX_CELL_CHARS: Final = 100_000
MAX_TAGS: Final = 500

# Providers mix these in one file; all mean that there is no value.
NULLS: Final = frozenset({"", "NULL", "null"})
NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})

_SIMPLE_COST: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,18})?", re.ASCII)
_INSTANT: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
    r"(?:Z| ?UTC|(?P<offset>[+-][0-9]{2}:?[0-9]{2}))?"
)


def cost(text: str) -> Decimal:
    """Will read a cost exactly, with the decimals it is written with; E notation is valid in FOCUS."""
    if _SIMPLE_COST.fullmatch(text):  # as nearly all are: nothing to bound, no sign to take from a zero
        return Decimal(text)
    try:
        return parse_amount(text, allow_exponent=True)
    except AmountInvalid as error:
        raise CellInvalid(error.message) from error


@lru_cache(maxsize=64)
def currency(text: str) -> str:
    """Will read an ISO 4217 code."""
    try:
        exponent(text)
    except CurrencyUnknown as error:
        raise CellInvalid(error.message) from error
    return text


@lru_cache(maxsize=16_384)
def instant(text: str) -> datetime:
    """Will read a time; FOCUS times are UTC, and some providers leave out the T, the Z or both."""
    match = _INSTANT.fullmatch(text)
    if match is not None:
        with suppress(ValueError, OverflowError):  # the 31st of June, the year 0
            moment = datetime.fromisoformat(f"{match['day']}T{match['time']}{match['offset'] or '+00:00'}")
            return moment.astimezone(UTC)
    raise CellInvalid(f"{shown(text)} is no time. Expected is one such as 2026-11-01T00:00:00Z.")


def word(text: str, known: Mapping[str, str]) -> str:
    """Will read one of FOCUS's own words whatever its capitals ("Usage-based" is "Usage-Based")."""
    try:
        return known[text.lower()]
    except KeyError:
        raise CellInvalid(f"{shown(text)} is none of: {', '.join(known.values())}.") from None


@lru_cache(maxsize=16_384)
def tags(text: str) -> Mapping[str, str]:
    """Will read a JSON object of tags as text, with blanks around a key taken off (" org" is "org").

    Where taking them off would make two keys one with different values, the key without blanks keeps its name and the
    other its blanks: nothing is lost and the outcome does not depend on their order.
    """
    try:
        pairs: Any = json.loads(
            text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise CellInvalid(f"{shown(text)} is no JSON object of tags.") from error
    if not isinstance(pairs, _Pairs):
        raise CellInvalid(f"{shown(text)} is no JSON object of tags.")
    if len(pairs) > MAX_TAGS:
        raise CellInvalid(f"The row has {len(pairs)} tags; at most {MAX_TAGS} are read.")
    raw = {key: _tag_value(key, value) for key, value in pairs}
    if len(raw) != len(pairs):
        raise CellInvalid(f"{shown(text)} gives a tag key twice.")
    clean: dict[str, str] = {}
    for key in sorted(raw, key=lambda key: (key != key.strip(), key)):
        name = key.strip()
        clean[name if clean.get(name, raw[key]) == raw[key] else key] = raw[key]
    return MappingProxyType(clean)


def shown(text: str) -> str:
    """Will quote a cell for a message, shortened and in ASCII, so that a hostile cell stays harmless in any log."""
    quoted = ascii(text[:60])
    return quoted if len(text) <= 60 else f"{quoted}..."


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object in order, with repeated keys still visible."""


def _tag_value(key: str, value: Any) -> str:
    """Turn a tag's value into text; FOCUS allows text, numbers and booleans."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise CellInvalid(f"The tag {shown(key)} holds a list or an object; a tag is a single value.")


def _no_constant(name: str) -> str:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError(name)
