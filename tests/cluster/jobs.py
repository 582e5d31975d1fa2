"""What a cluster makes of the portal's Jobs: a pod that runs the Job's own program over the folder of its claim."""

import base64
import http.client
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from types import ModuleType
from typing import Any

from tests.cluster.resources import ApiError, Json, Key
from tests.cluster.store import Store
from tests.cluster.volumes import Volumes


class CarrierPods:
    """Pods of Jobs. With `stuck` set, a new one waits for its image for ever."""

    def __init__(self, store: Store, volumes: Volumes) -> None:
        self._store, self._volumes = store, volumes
        self._running: dict[tuple[str, str], ThreadingHTTPServer] = {}
        self.stuck = False

    def tick(self, namespace: str) -> set[str]:
        """Makes what is missing and ends what is over; returns the uids of the Jobs that there are."""
        jobs = self._store.find("jobs", namespace)
        pods = {pod["metadata"]["name"]: pod for pod in self._store.find("pods", namespace)}
        for place in [place for place in self._running if place[0] == namespace and place[1] not in pods]:
            self._stop(place)
        for job in jobs:
            if f"{job['metadata']['name']}-0" not in pods:
                with suppress(ApiError):  # what it mounts is not there: it waits
                    self._start(namespace, job)
        return {str(job["metadata"]["uid"]) for job in jobs}

    def stop_all(self) -> None:
        for place in list(self._running):
            self._stop(place)

    def answer(self, namespace: str, pod: str, path: str, method: str, headers: Any, raw: bytes) -> tuple[bytes, int]:
        """What the pod answers behind the API's proxy."""
        server = self._running.get((namespace, pod))
        if server is None:
            raise ApiError(503, "ServiceUnavailable", "error trying to reach service: connection refused")
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            kept = {name: value for name, value in headers.items() if name.lower().startswith("x-")}
            connection.request(method, path, body=raw or None, headers=kept)
            found = connection.getresponse()
            return found.read(), found.status
        finally:
            connection.close()

    def _start(self, namespace: str, job: Json) -> None:
        meta, template = job["metadata"], job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
        labels = {**template["metadata"]["labels"], "job-name": meta["name"]}
        name = f"{meta['name']}-0"
        phase = "Pending"
        if not self.stuck:
            self._running[namespace, name] = self._serve(namespace, template["spec"])
            phase = "Running"
        waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
        status = {"phase": phase, "containerStatuses": [waiting] if self.stuck else []}
        body = {"metadata": {"labels": labels, "ownerReferences": [owner]}, "spec": template["spec"], "status": status}
        self._store.create(Key("v1", "pods", namespace, name), body, manager="kubelet", dry_run=False)

    def _serve(self, namespace: str, pod: Json) -> ThreadingHTTPServer:
        """The program as its ConfigMap has it, over the claim's folder, with the token of its Secret."""
        volumes = {one["name"]: one for one in pod["volumes"]}
        config = self._store.get(Key("v1", "configmaps", namespace, volumes["program"]["configMap"]["name"]))
        program = ModuleType("carrier_of_a_pod")
        exec(compile(config["data"]["carrier.py"], "carrier.py", "exec"), vars(program))
        entry = {one["name"]: one for one in pod["containers"][0]["env"]}["CARRIER_TOKEN"]["valueFrom"]["secretKeyRef"]
        secret = self._store.get(Key("v1", "secrets", namespace, entry["name"]))
        traits = {
            "home": self._volumes.of(namespace, volumes["home"]["persistentVolumeClaim"]["claimName"]),
            "token": base64.b64decode(secret["data"][entry["key"]]).decode(),
        }
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfAPod", (program.Carrier,), traits))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name="carrier").start()
        return server

    def _stop(self, place: tuple[str, str]) -> None:
        server = self._running.pop(place)
        server.shutdown()
        server.server_close()
