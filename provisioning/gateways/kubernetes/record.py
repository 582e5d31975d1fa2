"""What the portal wants of each hub, kept on the cluster itself in a ConfigMap of the portal's own namespace.

It outlives the hub, so that an older wish cannot bring a destroyed one back. It is changed by compare-and-set, and it
names who is at work: of two workers one holds the hub and the other is told to wait. A holder that was killed is
forgotten when its time is over, which is never sooner than Helm could still be running.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from consortium.kernel.crash import crash_point
from provisioning.gateways.base import GatewayError, HubTarget, StaleGenerationError
from provisioning.gateways.kubernetes.api import ClusterApi, ClusterUnavailableError, Json
from provisioning.gateways.kubernetes.errors import BusyError
from provisioning.gateways.kubernetes.paths import HUB_LABEL, PORTAL_NAMESPACE, core, namespace
from provisioning.gateways.local.files import Wish
from provisioning.specs import HubSpec

_TRIES = 20


class RecordUnreadableError(GatewayError):
    """Somebody wrote something else where the portal keeps what it wants of a hub."""

    def __init__(self, slug: str) -> None:
        super().__init__(
            f"the portal's record of hub {slug} on the cluster is not readable; restore the ConfigMap hub-{slug} in "
            f"namespace {PORTAL_NAMESPACE}, or delete it to begin anew",
            permanent=True,
        )


class HubRecord(BaseModel):
    """A hub as it is wanted, and as it was last made: `applied` is the hash of the chart and values of its release."""

    model_config = ConfigDict(frozen=True)

    generation: int
    wish: Wish = "running"
    spec: HubSpec | None = None
    spec_hash: str = ""
    applied: str = ""
    applied_generation: int = 0
    applied_spec_hash: str = ""
    holder: str = ""
    held_until: float = 0.0


class Records:
    """Reads and holds the records of one cluster. `hold_seconds` must exceed the longest single step of the work."""

    def __init__(self, api: ClusterApi, *, hold_seconds: float) -> None:
        self._api = api
        self._hold_seconds = hold_seconds

    def read(self, slug: str) -> HubRecord | None:
        """What is wanted of the hub; None when it was never wanted. Raises RecordUnreadableError."""
        return self._read(slug)[0]

    @contextmanager
    def held(self, target: HubTarget) -> Iterator["Hold"]:
        """Keeps every other worker from the hub. A hub that nobody wanted yet gets an empty record.

        Raises StaleGenerationError, BusyError.
        """
        hold = self._take(target)
        try:
            yield hold
        except Exception:
            hold.release()
            raise
        else:
            hold.release()
        # A worker that is killed releases nothing: its hold runs out.

    def _take(self, target: HubTarget) -> "Hold":
        holder = uuid4().hex  # the same in every try: one whose answer was lost has taken the hub all the same
        for attempt in range(_TRIES):
            found, body = self._read(target.slug)
            if found is not None and target.generation < found.generation:
                raise StaleGenerationError(slug=target.slug, asked=target.generation, stored=found.generation)
            now = time.time()
            if found is not None and found.holder not in {"", holder} and found.held_until > now:
                raise BusyError(target.slug, found.held_until - now)
            hold = Hold(self, target.slug, found, holder=holder)
            if self._write(target.slug, body, hold.renewed()):
                crash_point("kubernetes.held")
                return hold
            if not self._api.patience.pause(min(attempt, 3)):
                break
        raise ClusterUnavailableError(f"the record of hub {target.slug}", "others change it all the time")

    def _read(self, slug: str) -> tuple[HubRecord | None, Json | None]:
        body = self._api.get(core(PORTAL_NAMESPACE, "configmaps", f"hub-{slug}"))
        if body is None:
            return None, None
        try:
            return HubRecord.model_validate_json(body["data"]["record"]), body
        except (KeyError, TypeError, ValidationError):
            raise RecordUnreadableError(slug) from None

    def _write(self, slug: str, body: Json | None, record: HubRecord) -> bool:
        content = {"record": json.dumps(_in_order(record.model_dump(mode="json")), sort_keys=True)}
        if body is not None:
            path = core(PORTAL_NAMESPACE, "configmaps", f"hub-{slug}")
            return self._api.replace(path, {**body, "data": content})
        own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PORTAL_NAMESPACE}}
        self._api.apply(namespace(PORTAL_NAMESPACE), own)
        meta = {"name": f"hub-{slug}", "labels": {HUB_LABEL: slug}}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": content}
        return self._api.create(core(PORTAL_NAMESPACE, "configmaps"), made)

    def save(self, slug: str, record: HubRecord) -> None:
        """Writes a record that the caller holds. Raises BusyError when another worker has taken the hub over."""
        for attempt in range(_TRIES):
            found, body = self._read(slug)
            if found is not None and found.holder != record.holder and found.holder:
                raise BusyError(slug, max(found.held_until - time.time(), 0.0))
            if self._write(slug, body, record):
                return
            if not self._api.patience.pause(min(attempt, 3)):
                break
        raise ClusterUnavailableError(f"the record of hub {slug}", "others change it all the time")

    def forget(self, slug: str) -> None:
        """Takes the record away: whoever wants the hub next begins anew."""
        self._api.delete(core(PORTAL_NAMESPACE, "configmaps", f"hub-{slug}"))

    @property
    def hold_seconds(self) -> float:
        """How long a hold lasts after its last renewal."""
        return self._hold_seconds


class Hold:
    """One worker's hold on a hub, with the record as it stands. `before` is None for a hub that nobody wanted yet."""

    def __init__(self, records: Records, slug: str, before: HubRecord | None, *, holder: str) -> None:
        self._records, self._slug, self._holder = records, slug, holder
        self.before = before if before is not None and before.generation else None
        self.record = before or HubRecord(generation=0)

    def renewed(self, **changes: Any) -> HubRecord:
        """The record with the hold as from now."""
        until = time.time() + self._records.hold_seconds
        self.record = self.record.model_copy(update={**changes, "holder": self._holder, "held_until": until})
        return self.record

    def save(self, **changes: Any) -> HubRecord:
        """Writes changes, and holds on."""
        record = self.renewed(**changes)
        self._records.save(self._slug, record)
        return record

    def release(self) -> None:
        """Lets others at the hub at once. A cluster that cannot be told forgets the hold by itself."""
        with suppress(GatewayError):
            self._records.save(self._slug, self.record.model_copy(update={"held_until": 0.0}))


def _in_order(value: Any) -> Any:
    """Sets come out of a spec in any order; equal records should be equal text."""
    if isinstance(value, dict):
        return {key: _in_order(inner) for key, inner in value.items()}
    return sorted(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value
