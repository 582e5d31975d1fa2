"""What a cluster makes of objects: pods of Deployments, bound claims, statuses; with ways to make it fail."""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tests.cluster.jobs import CarrierPods
from tests.cluster.resources import ApiError, Json, Key
from tests.cluster.store import Store, instant

_WATCHED = {"deployments", "pods", "persistentvolumeclaims", "jobs", "volumesnapshots"}


class Controllers:
    """A loop in a thread. A Deployment named in `never_ready` has pods that never get ready."""

    def __init__(self, store: Store, pods: CarrierPods) -> None:
        self._store, self._jobs = store, pods
        self._over = threading.Event()
        self.never_ready: set[tuple[str, str]] = set()

    @contextmanager
    def running(self) -> Iterator["Controllers"]:
        thread = threading.Thread(target=self._loop, daemon=True, name="controllers")
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _loop(self) -> None:
        index = 0
        while not self._over.is_set():
            events, index = self._store.events_after(index, patience=0.1)
            touched = {key.namespace for _, _, key, _ in events if key.plural in _WATCHED}
            with self._store.changed:
                for namespace in touched:
                    self._tick(namespace)

    def _tick(self, namespace: str) -> None:
        for claim in self._store.find("persistentvolumeclaims", namespace):
            if claim.get("status", {}).get("phase") != "Bound":
                self._store.set_status(key_of("v1", "persistentvolumeclaims", claim), {"phase": "Bound"})
        self._snapshots(namespace)
        owners = self._jobs.tick(namespace)
        for deployment in self._store.find("deployments", namespace):
            owners.add(deployment["metadata"]["uid"])
            self._deployment(deployment)
        for pod in self._store.find("pods", namespace):
            if _owner(pod) and _owner(pod) not in owners:
                self._store.delete(key_of("v1", "pods", pod))

    def _snapshots(self, namespace: str) -> None:
        """A snapshot holds an object of the cluster's, which goes with it unless it is told to stay."""
        kinds = "snapshot.storage.k8s.io/v1"
        for one in self._store.find("volumesnapshots", namespace):
            name = f"snapcontent-{one['metadata']['uid']}"
            if not one.get("status", {}).get("readyToUse"):
                held = {"spec": {"deletionPolicy": "Delete", "volumeSnapshotRef": {"uid": one["metadata"]["uid"]}}}
                self._store.put(Key(kinds, "volumesnapshotcontents", "", name), held)
                status = {"readyToUse": True, "boundVolumeSnapshotContentName": name}
                self._store.set_status(key_of(kinds, "volumesnapshots", one), status)
        there = {one["metadata"]["uid"] for one in self._store.find("volumesnapshots")}
        for content in self._store.find("volumesnapshotcontents"):
            if (
                content["spec"]["deletionPolicy"] == "Delete"
                and content["spec"]["volumeSnapshotRef"]["uid"] not in there
            ):
                self._store.delete(key_of(kinds, "volumesnapshotcontents", content))

    def _deployment(self, deployment: Json) -> None:
        meta = deployment["metadata"]
        wanted = deployment["spec"].get("replicas", 1)
        pods = [pod for pod in self._store.find("pods", meta["namespace"]) if _owner(pod) == meta["uid"]]
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        old = [pod for pod in pods if pod["spec"]["containers"][0]["image"] != image]
        for pod in [*old, *[pod for pod in pods if pod not in old][wanted:]]:
            self._store.delete(key_of("v1", "pods", pod))
        have = {pod["metadata"]["name"] for pod in pods if pod not in old}
        for number in range(wanted):
            if f"{meta['name']}-{number}" not in have:
                self._pod(deployment, f"{meta['name']}-{number}")
        ready = 0 if (meta["namespace"], meta["name"]) in self.never_ready else wanted
        status = _status(meta.get("generation", 1), wanted, ready)
        shown = deployment.get("status", {})
        if {key: shown.get(key) for key in ("observedGeneration", "readyReplicas", "replicas")} != {
            key: status[key] for key in ("observedGeneration", "readyReplicas", "replicas")
        }:
            self._store.set_status(key_of("apps/v1", "deployments", deployment), status)

    def _pod(self, deployment: Json, name: str) -> None:
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}
        body = {
            "metadata": {"labels": template["metadata"].get("labels", {}), "ownerReferences": [owner]},
            "spec": copy.deepcopy(template["spec"]),
            "status": {"phase": "Running", "startTime": datetime.now(UTC).isoformat()},
        }
        try:
            self._store.create(Key("v1", "pods", meta["namespace"], name), body, manager="kubelet", dry_run=False)
        except ApiError:
            return  # its namespace has just gone


def key_of(group_version: str, plural: str, found: Json) -> Key:
    return Key(group_version, plural, found["metadata"].get("namespace", ""), found["metadata"]["name"])


def _owner(pod: Json) -> str:
    references = pod["metadata"].get("ownerReferences", [])
    return references[0]["uid"] if references else ""


def _status(generation: int, wanted: int, ready: int) -> Json:
    progressed = "NewReplicaSetAvailable" if ready == wanted else "ReplicaSetUpdated"
    return {
        "observedGeneration": generation,
        "replicas": wanted,
        "updatedReplicas": wanted,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": wanted - ready,
        "conditions": [
            {
                "type": "Available",
                "status": "True" if ready == wanted else "False",
                "reason": "MinimumReplicasAvailable" if ready == wanted else "MinimumReplicasUnavailable",
                "message": "",
                "lastUpdateTime": instant(),
                "lastTransitionTime": instant(),
            },
            {
                "type": "Progressing",
                "status": "True",
                "reason": progressed,
                "message": "",
                "lastUpdateTime": instant(),
                "lastTransitionTime": instant(),
            },
        ],
    }
