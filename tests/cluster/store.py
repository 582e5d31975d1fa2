"""The objects of a cluster in memory, with what happened to them: for watches, and for tests to look at."""

import base64
import copy
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from uuid import uuid4

from tests.cluster.merging import Owners, applied, own_changes
from tests.cluster.resources import RESOURCES, ApiError, Json, Key, not_found

type Event = tuple[int, str, Key, Json]

NAMESPACES = ("v1", "namespaces", "")
_WITH_STATUS = {
    "deployments", "statefulsets", "daemonsets", "jobs", "pods", "persistentvolumeclaims", "services", "ingresses",
}  # fmt: skip


def instant() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """All objects by their key. Every method holds the lock by itself."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.objects: dict[Key, Json] = {}
        self._within: dict[str, dict[Key, Json]] = {}
        self.events: list[Event] = []
        self._owners: dict[Key, Owners] = {}
        self._versions = itertools.count(1)
        for name in ("default", "kube-system"):
            self.put(Key(*NAMESPACES, name), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def version(self) -> str:
        return str(next(self._versions))

    def get(self, key: Key) -> Json:
        with self.changed:
            if key not in self.objects:
                raise not_found(key)
            return copy.deepcopy(self.objects[key])

    def find(self, plural: str, namespace: str | None = None) -> list[Json]:
        """Every object of a kind, in order of namespace and name; nobody may change what it returns."""
        with self.changed:
            among = self.objects if namespace is None else self._within.get(namespace, {})
            found = [(key, one) for key, one in among.items() if key.plural == plural]
            return [one for _, one in sorted(found, key=itemgetter(0))]

    def keys_of(self, namespace: str) -> list[Key]:
        """What a namespace holds."""
        with self.changed:
            return list(self._within.get(namespace, {}))

    def create(self, key: Key, body: Json, *, manager: str, dry_run: bool) -> Json:
        with self.changed:
            self._check_namespace(key)
            if key in self.objects:
                text = f'{key.plural} "{key.name}" already exists'
                raise ApiError(409, "AlreadyExists", text, {"name": key.name, "kind": key.plural})
            if dry_run:
                return body
            own_changes(self._owners.setdefault(key, {}), {}, body, manager)
            return self.put(key, body)

    def replace(self, key: Key, body: Json, *, manager: str, dry_run: bool) -> Json:
        with self.changed:
            live = self.get(key)
            version = body.get("metadata", {}).get("resourceVersion")
            if version and version != live["metadata"]["resourceVersion"]:
                text = f'Operation cannot be fulfilled on {key.plural} "{key.name}": the object has been modified'
                raise ApiError(409, "Conflict", text, {"name": key.name, "kind": key.plural})
            return self._change(key, live, body, manager=manager, dry_run=dry_run)

    def patch(self, key: Key, change: Callable[[Json], Json], *, manager: str, dry_run: bool) -> Json:
        with self.changed:
            live = self.get(key)
            return self._change(key, live, change(live), manager=manager, dry_run=dry_run)

    def apply(self, key: Key, body: Json, *, manager: str, force: bool, dry_run: bool) -> Json:
        with self.changed:
            self._check_namespace(key)
            live = copy.deepcopy(self.objects.get(key, {}))
            before = self._owners.get(key, {})
            after, owners = applied(live, body, before, manager=manager, force=force, name=key.name)
            if dry_run:
                return after
            self._owners[key] = owners
            return self.put(key, after)

    def delete(self, key: Key) -> Json:
        with self.changed:
            if key not in self.objects:
                raise not_found(key)
            found = {**self.objects.pop(key)}
            found["metadata"] = {**found["metadata"]}
            self._within[key.namespace].pop(key)
            self._owners.pop(key, None)
            found["metadata"]["resourceVersion"] = self.version()
            self._tell("DELETED", key, found)
            if key.plural == "namespaces":
                for inner in self.keys_of(key.name):
                    self.delete(inner)
            return found

    def put(self, key: Key, body: Json) -> Json:
        """Writes the object with what a cluster fills in."""
        with self.changed:
            old = self.objects.get(key, {})
            self._fill_in(key, body, old)
            kept = copy.deepcopy(body)
            self.objects[key] = self._within.setdefault(key.namespace, {})[key] = kept
            self._tell("MODIFIED" if old else "ADDED", key, kept)
            return body

    def set_status(self, key: Key, status: Json) -> None:
        """What a controller writes."""
        with self.changed:
            if key in self.objects:
                live = self.objects[key]
                self.put(key, {**live, "metadata": {**live["metadata"]}, "status": status})

    def _fill_in(self, key: Key, body: Json, old: Json) -> None:
        meta, was = body.setdefault("metadata", {}), old.get("metadata", {})
        meta["name"] = key.name
        meta["uid"] = was.get("uid") or str(uuid4())
        meta["creationTimestamp"] = was.get("creationTimestamp") or instant()
        meta["resourceVersion"] = self.version()
        body.setdefault("apiVersion", key.group_version)
        body.setdefault("kind", RESOURCES[key.group_version][key.plural][0])
        if key.namespace:
            meta["namespace"] = key.namespace
        if key.plural in _WITH_STATUS:
            body.setdefault("status", {})
        if "spec" in body:
            meta["generation"] = was.get("generation", 0) + (body["spec"] != old.get("spec"))
        if key.plural == "secrets":
            given = body.pop("stringData", {})
            for name, text in given.items():
                body.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
        if key.plural == "namespaces":
            body.setdefault("status", {"phase": "Active"})

    def _change(self, key: Key, live: Json, body: Json, *, manager: str, dry_run: bool) -> Json:
        if dry_run:
            return body
        own_changes(self._owners.setdefault(key, {}), live, body, manager)
        return self.put(key, body)

    def _check_namespace(self, key: Key) -> None:
        if key.namespace and Key(*NAMESPACES, key.namespace) not in self.objects:
            raise not_found(Key(*NAMESPACES, key.namespace))

    def _tell(self, what: str, key: Key, body: Json) -> None:
        self.events.append((int(body["metadata"]["resourceVersion"]), what, key, body))
        self.changed.notify_all()

    def events_after(self, index: int, *, patience: float) -> tuple[list[Event], int]:
        """What happened since; waits a little when nothing did."""
        with self.changed:
            if index >= len(self.events):
                self.changed.wait(patience)
            return self.events[index:], len(self.events)

    def index_after(self, version: int) -> int:
        with self.changed:
            if not version:
                return len(self.events)
            found = (number for number, event in enumerate(self.events) if event[0] > version)
            return next(found, len(self.events))


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)
