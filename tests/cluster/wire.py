"""Reads the protobuf in which client-go sends typed objects; Helm does so with its release Secret alone."""

import base64
from collections.abc import Iterator

from tests.cluster.resources import ApiError, Json

MAGIC = b"k8s\0"
_NAMES = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
_MAPS = {11: "labels", 12: "annotations"}


def decoded(raw: bytes) -> Json:
    """The object as JSON would have it. Raises ApiError for another kind than Secret and ConfigMap."""
    envelope = {field: value for field, value in _fields(raw[len(MAGIC) :]) if isinstance(value, bytes)}
    kind = {field: value.decode() for field, value in _fields(envelope[1]) if isinstance(value, bytes)}
    if kind[2] not in {"Secret", "ConfigMap"}:
        raise ApiError(415, "UnsupportedMediaType", "protobuf only for Secret and ConfigMap here")
    found: Json = {"apiVersion": kind[1], "kind": kind[2], "metadata": {}}
    for field, value in _fields(envelope[2]):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            found["metadata"] = _metadata(value)
        elif field == 2:
            pair = dict(_fields(value))
            content = _bytes(pair.get(2, b""))
            text = base64.b64encode(content).decode() if kind[2] == "Secret" else content.decode()
            found.setdefault("data", {})[_bytes(pair[1]).decode()] = text
        elif field == 3 and kind[2] == "Secret":
            found["type"] = value.decode()
    return found


def _metadata(raw: bytes) -> Json:
    found: Json = {}
    for field, value in _fields(raw):
        if not isinstance(value, bytes):
            continue
        if field in _NAMES and value:
            found[_NAMES[field]] = value.decode()
        elif field in _MAPS:
            pair = dict(_fields(value))
            found.setdefault(_MAPS[field], {})[_bytes(pair[1]).decode()] = _bytes(pair.get(2, b"")).decode()
    return found


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        tag = number()
        match tag & 7:
            case 0:
                yield tag >> 3, number()
            case 2:
                size = number()
                yield tag >> 3, raw[at : at + size]
                at += size
            case 1:
                at += 8
            case _:
                at += 4
