"""Reads Stripe's form encoding: `line_items[0][price_data][currency]=cad` becomes nested dictionaries and lists."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from consortium.embedded.stripe_simulator.problems import StripeRefusalError, invalid, unknown

type Params = dict[str, Any]

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_LONGEST = 5
METADATA_KEYS, METADATA_KEY_LENGTH, METADATA_VALUE_LENGTH = 50, 40, 500


def parse(encoded: str) -> Params:
    """The nested parameters of a form body or a query string. Refuses a key that makes no sense."""
    tree: Params = {}
    for key, value in parse_qsl(encoded, keep_blank_values=True, max_num_fields=2000):
        match = _KEY.match(key)
        path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])] if match else []
        if not path or len(path) > _LONGEST + 1:
            raise invalid(key, f"Invalid parameter name: {key}")
        _insert(tree, path, value)
    return {name: _with_lists(value) for name, value in tree.items()}


def _insert(tree: Params, path: list[str], value: str) -> None:
    *folders, leaf = path
    for folder in folders:
        tree = tree.setdefault(folder or str(len(tree)), {})
        if not isinstance(tree, dict):
            raise invalid(path[0], f"Invalid parameter: {path[0]} is both a value and an object")
    tree[leaf or str(len(tree))] = value


def _with_lists(value: Any) -> Any:
    """A dictionary whose keys are 0, 1, 2… was a list."""
    if not isinstance(value, dict):
        return value
    values = {key: _with_lists(item) for key, item in value.items()}
    if values and all(key.isdecimal() for key in values):
        return [values[key] for key in sorted(values, key=int)]
    return values


def only(params: Params, allowed: frozenset[str] | set[str], *, prefix: str = "") -> None:
    """Refuses parameters that the endpoint does not have; `expand` is always allowed."""
    extra = sorted(set(params) - allowed - {"expand"})
    if extra:
        raise unknown([f"{prefix}[{name}]" if prefix else name for name in extra])


def text(params: Params, name: str) -> str | None:
    """A string, or None when it is absent or blank."""
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(name, f"Invalid string: {name}")
    return value or None


def address(params: Params, name: str) -> str | None:
    """A web address to send the payer to, or None when absent."""
    value = text(params, name)
    if value is None:
        return None
    if not re.fullmatch(r"https?://[^\s\x00-\x1f\x7f]+", value):
        raise StripeRefusalError("Not a valid URL", code="url_invalid", param=name)
    return value


def whole(value: Any, param: str) -> int:
    """A whole number; Stripe knows no other amounts."""
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,12}", value):
        raise StripeRefusalError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=param)
    return int(value)


def positive(value: Any, param: str) -> int:
    """A whole number above zero."""
    number = whole(value, param)
    if number <= 0:
        raise StripeRefusalError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=param
        )
    return number


def words(params: Params, name: str) -> list[str]:
    """A list of strings, empty when absent."""
    value = params.get(name) or []
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise invalid(name, f"Invalid array: {name}")
    return value


def metadata(params: Params, *, name: str = "metadata") -> dict[str, str]:
    """Stripe's free key-value pairs, within Stripe's limits."""
    value = params.get("metadata") or {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise invalid(name, "Invalid metadata: it must be a flat set of key-value pairs.")
    if len(value) > METADATA_KEYS:
        raise invalid(name, f"You can specify up to {METADATA_KEYS} metadata keys.")
    for key, item in value.items():
        if len(key) > METADATA_KEY_LENGTH or len(item) > METADATA_VALUE_LENGTH:
            raise invalid(f"{name}[{key}]", "Metadata keys have up to 40, values up to 500 characters.")
    return {key: item for key, item in value.items() if item != ""}
