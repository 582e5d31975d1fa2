"""Patches: JSON merge patch, server-side apply with field owners, and label selectors."""

import re
from collections.abc import Iterator
from typing import Any

from tests.cluster.resources import ApiError, Json

type Path = tuple[str, ...]
type Owners = dict[Path, str]

_TERM = re.compile(r"(\S+)\s+(in|notin)\s+\((.*)\)")


def merged(base: Any, patch: Any) -> Any:
    """RFC 7386; lists are whole values, which is near enough for what Helm and we send."""
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def leaves(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no object, with its path; an empty object counts as one."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))
    else:
        yield at, value


def own_changes(owners: Owners, before: Json, after: Json, manager: str) -> None:
    """Whoever changes a field by another way than apply owns it from then on."""
    was = dict(leaves(before))
    for path, value in leaves(after):
        if path not in was or was[path] != value:
            owners[path] = manager


def applied(live: Json, body: Json, owners: Owners, *, manager: str, force: bool, name: str) -> tuple[Json, Owners]:
    """The object after a server-side apply, and who owns its fields then. Raises ApiError 409 on a conflict."""
    wanted = dict(leaves(body))
    current = dict(leaves(live))
    conflicts = [
        (path, owners[path])
        for path, value in wanted.items()
        if owners.get(path, manager) != manager and path in current and current[path] != value
    ]
    if conflicts and not force:
        path, other = conflicts[0]
        text = f'Apply failed with {len(conflicts)} conflict: conflict with "{other}": .{".".join(path)}'
        raise ApiError(409, "Conflict", text, {"name": name})
    kept = {path: value for path, value in current.items() if path in wanted or owners.get(path) != manager}
    result = merged(_tree(kept), body)
    new_owners = {path: owner for path, owner in owners.items() if owner != manager and path not in wanted}
    return result, {**new_owners, **dict.fromkeys(wanted, manager)}


def _tree(flat: dict[Path, Any]) -> Json:
    result: Json = {}
    for path, value in flat.items():
        if not path:
            continue
        place = result
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    return result


def selects(selector: str, labels: Json) -> bool:
    """Whether labels meet a selector: `a=b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`, joined by commas."""
    terms = re.split(r",(?![^(]*\))", selector or "")
    return all(_meets(term.strip(), labels) for term in terms if term.strip())


def _meets(term: str, labels: Json) -> bool:
    if found := _TERM.match(term):
        among = labels.get(found[1]) in [word.strip() for word in found[3].split(",")]
        return among == (found[2] == "in")
    if "!=" in term:
        key, value = term.split("!=")
        return bool(labels.get(key) != value)
    if "=" in term:
        key, value = re.split("==?", term)
        return bool(labels.get(key) == value)
    return term[1:] not in labels if term.startswith("!") else term in labels
