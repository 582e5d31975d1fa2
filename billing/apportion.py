"""The calculator that finance people check us with: a JSON document in, exact shares out. No database, no clock.

One document for the single-pool methods, another for step-down:

    {"currency": "CAD", "total": "100.00", "method": "even", "members": {"A": "1", "B": "1", "C": "1"},
     "floor": "…", "cap": "…", "fx_rate": "…", "fx_currency": "…"}          (the last four may be left out)
    {"currency": "USD", "method": "step_down", "pools": [{"name": "net", "total": "600.01", "to": {"A": "1"}}],
     "direct": {"A": "1000.00"}}

Where there are pools, the method need not be named. The total is converted and rounded once; floor and cap are in the
resulting currency. Amounts are strings: only text is exact in JSON.
"""

import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

from billing.allocation import Conversion, Method, PoolParked, SupportPool, allocate, step_down
from consortium.kernel.errors import Invalid
from consortium.kernel.money import (
    AmountInvalid,
    CurrencyUnknown,
    exact_sum,
    exponent,
    parse_amount,
    plain,
)

STEP_DOWN: Final = "step_down"
_METHODS: Final = (
    Method.EVEN,
    Method.PROPORTIONAL,
    Method.FIXED,
    Method.TIERED,
    Method.IDLE_WEIGHTED,
    Method.IDLE_EVEN,
    Method.DIRECT,
)
_CONVERSION_FIELDS: Final = frozenset({"fx_rate", "fx_currency"})
_POOL_FIELDS: Final = frozenset({"currency", "total", "method", "members", "floor", "cap"}) | _CONVERSION_FIELDS
_STEP_FIELDS: Final = frozenset({"currency", "method", "pools", "direct"}) | _CONVERSION_FIELDS


class ApportionInvalid(Invalid, ValueError):
    """The document cannot be apportioned; `code` is stable, `message` is for a person, `field` says where."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.code = code

    def as_dict(self) -> dict[str, dict[str, str | None]]:
        """Will return what the command prints."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}


def read_document(text: str | bytes) -> dict[str, Any]:
    """Will read the JSON text, refusing what the parser would silently mend: keys given twice, NaN, other encodings.

    Raises ApportionInvalid.
    """
    try:
        document = json.loads(
            text.decode("utf-8-sig") if isinstance(text, bytes) else text,
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
        )
    except ApportionInvalid:
        raise
    except (ValueError, RecursionError) as error:
        raise ApportionInvalid("json_invalid", f"The file is not JSON in UTF-8: {error}.") from error
    if not isinstance(document, dict):
        raise ApportionInvalid("json_invalid", "The file must hold one JSON object, in braces.")
    return document


def apportion(document: Mapping[str, Any]) -> dict[str, Any]:
    """Will return {"currency", "shares": {member: "33.34", …}, "sum"}, members in ascending order.

    The shares sum to the rounded total, or nothing is returned. Raises ApportionInvalid.
    """
    if not isinstance(document, Mapping):
        raise ApportionInvalid("json_invalid", "The document must be one JSON object.")
    try:
        amounts, currency = _step_down(document) if _is_step_down(document) else _single(document)
    except PoolParked as error:
        raise ApportionInvalid(error.code, error.message, error.field) from error
    return {
        "currency": currency,
        "shares": {member: plain(amount) for member, amount in amounts.items()},
        "sum": plain(exact_sum(amounts.values())),
    }


def _is_step_down(document: Mapping[str, Any]) -> bool:
    """Tell which of the two documents it is: pools say so by themselves, the method need not be named with them."""
    return document.get("method") == STEP_DOWN or ("method" not in document and "pools" in document)


def _single(document: Mapping[str, Any]) -> tuple[dict[str, Decimal], str]:
    """Apportion one pool."""
    method = _method(document)
    _only(document, _POOL_FIELDS)
    currency = _currency(document, "currency")
    allocation = allocate(
        method,
        amount=_amount(_required(document, "total"), "total", machine=True),
        currency=currency,
        members=_weights(_required(document, "members"), "members"),
        conversion=_conversion(document, currency),
        floor=_optional_amount(document, "floor"),
        cap=_optional_amount(document, "cap"),
    )
    return allocation.amounts, allocation.currency


def _step_down(document: Mapping[str, Any]) -> tuple[dict[str, Decimal], str]:
    """Apportion pools that feed each other."""
    _only(document, _STEP_FIELDS)
    currency = _currency(document, "currency")
    pools = _required(document, "pools")
    if not isinstance(pools, list):
        raise ApportionInvalid("type_wrong", "Write the pools as a list, in the order they are spread.", "pools")
    spread = step_down(
        [_pool(pool, f"pools.{index}") for index, pool in enumerate(pools)],
        direct=_weights(document.get("direct", {}), "direct"),
        currency=currency,
        conversion=_conversion(document, currency),
    )
    return spread.amounts, spread.currency


def _pool(pool: Any, field: str) -> SupportPool:
    """Read one pool of a step-down."""
    if not isinstance(pool, Mapping):
        raise ApportionInvalid("type_wrong", "Write a pool as an object with name, total and to.", field)
    _only(pool, frozenset({"name", "total", "to"}), field)
    name = _required(pool, "name", field)
    if not isinstance(name, str) or not name.strip():
        raise ApportionInvalid("member_invalid", "A pool needs a name.", f"{field}.name")
    return SupportPool(
        name=name,
        amount=_amount(_required(pool, "total", field), f"{field}.total", machine=True),
        to=_weights(_required(pool, "to", field), f"{field}.to"),
    )


def _method(document: Mapping[str, Any]) -> Method:
    """Read the method's name."""
    name = _required(document, "method")
    try:
        method = Method(name)
    except ValueError:
        method = None
    if not isinstance(name, str) or method not in _METHODS:
        known = ", ".join([*(str(each) for each in _METHODS), STEP_DOWN])
        raise ApportionInvalid("method_unknown", f"There is no method {name!a}. Use one of: {known}.", "method")
    return method


def _conversion(document: Mapping[str, Any], currency: str) -> Conversion | None:
    """Read the rate and the currency it leads to; one without the other means nothing."""
    given = _CONVERSION_FIELDS.intersection(key for key in document if document[key] is not None)
    if not given:
        return None
    if given != _CONVERSION_FIELDS:
        missing = next(iter(_CONVERSION_FIELDS - given))
        raise ApportionInvalid("field_missing", "Give fx_rate and fx_currency together.", missing)
    target = _currency(document, "fx_currency")
    rate = _amount(document["fx_rate"], "fx_rate", machine=True)
    if rate <= 0:
        raise ApportionInvalid("rate_invalid", "The rate must be above zero.", "fx_rate")
    if target == currency and rate != 1:
        raise ApportionInvalid("rate_invalid", f"{currency} to {target} has the rate 1 and no other.", "fx_rate")
    return Conversion(rate=rate, currency=target)


def _weights(value: Any, field: str) -> dict[str, Decimal]:
    """Read exact figures by member key."""
    if not isinstance(value, Mapping):
        raise ApportionInvalid("type_wrong", 'Write an object of members, such as {"A": "1", "B": "2"}.', field)
    weights: dict[str, Decimal] = {}
    for member, figure in value.items():
        if not isinstance(member, str) or not member.strip() or not _encodable(member):
            raise ApportionInvalid("member_invalid", f"{member!a} is no member's key.", field)
        weights[member] = _amount(figure, f"{field}.{member}", machine=True)
    return weights


def _currency(document: Mapping[str, Any], field: str) -> str:
    """Read a currency that exists."""
    value = _required(document, field)
    try:
        exponent(value)
    except CurrencyUnknown as error:
        raise ApportionInvalid(error.code, error.message, field) from error
    return str(value)


def _optional_amount(document: Mapping[str, Any], field: str) -> Decimal | None:
    """Read a floor or cap where one is given."""
    value = document.get(field)
    return None if value is None else _amount(value, field)


def _amount(value: Any, field: str, *, machine: bool = False) -> Decimal:
    """Read an exact figure: a string, or a JSON whole number, which is as exact; `machine` allows E notation."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30 else value
    try:
        return parse_amount(text, allow_exponent=machine)
    except AmountInvalid as error:
        raise ApportionInvalid(error.code, error.message, field) from error


def _required(document: Mapping[str, Any], field: str, inside: str = "") -> Any:
    """Fetch a field that must be there."""
    if document.get(field) is None:
        where = f"{inside}.{field}" if inside else field
        raise ApportionInvalid("field_missing", f"The field {where} is missing.", where)
    return document[field]


def _only(document: Mapping[str, Any], known: frozenset[str], inside: str = "") -> None:
    """Refuse a field we would ignore: a misspelt floor must not vanish."""
    for field in document:
        if field not in known:
            where = f"{inside}.{field}" if inside else str(field)
            raise ApportionInvalid(
                "field_unknown", f"There is no field {where!a} here. Known are: {', '.join(sorted(known))}.", where
            )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key given twice: JSON parsers keep the last one and drop a member in silence."""
    document = dict(pairs)
    if len(document) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ApportionInvalid("key_twice", f"The key {twice!a} is given twice.", twice)
    return document


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ApportionInvalid("amount_invalid", f"{name} is not an amount.")


def _encodable(text: str) -> bool:
    """Tell whether a key can be written as UTF-8 (half a surrogate pair cannot)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
