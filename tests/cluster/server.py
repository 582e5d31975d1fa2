"""The API over HTTP, with faults on demand and a record of every request."""

import base64
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from tests.cluster import discovery, wire
from tests.cluster.certificates import loopback_certificate, server_context
from tests.cluster.jobs import CarrierPods
from tests.cluster.merging import merged, selects
from tests.cluster.resources import RESOURCES, ApiError, Json, Key
from tests.cluster.store import Store
from tests.cluster.volumes import Volumes

VERSION = "v1.37.0"
TOKEN = "in-memory-token-8f1c"  # a canary too: it must appear nowhere

_OBJECT = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/status)?"
)
_POD = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods/(?P<pod>[^/:]+):[0-9]+/proxy(?P<rest>/.*)")
_NAMESPACE = re.compile(r"/api/v1/namespaces(?:/(?P<name>[^/]+))?")


@dataclass(frozen=True)
class Call:
    """A request as a fault sees it: `name` is what a reader would call it, with the object's own name left out."""

    method: str
    path: str
    agent: str

    @property
    def name(self) -> str:
        if proxied := _POD.fullmatch(self.path):
            return f"{self.agent} {self.method} pods/proxy{proxied['rest']}"
        known = _NAMESPACE.fullmatch(self.path) or _OBJECT.fullmatch(self.path)
        plural = self.path if known is None else known.groupdict().get("plural", "namespaces")
        return f"{self.agent} {self.method} {plural}"


@dataclass(frozen=True)
class Outcome:
    """What a fault does: answer with a status, or late, or drop the line, or lose the answer of work that is done."""

    status: int = 0
    delay: float = 0.0
    lose_answer: bool = False
    reset: bool = False


type Fault = Callable[[Call], Outcome | None]


class ClusterServer:
    """A cluster that listens on a port of this machine."""

    def __init__(self, root: Path) -> None:
        self.store = Store()
        self.volumes = Volumes(self.store, root / "volumes")
        self.pods = CarrierPods(self.store, self.volumes)
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.forbidden: set[str] = set()  # such as "delete namespaces"
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._http = _Server(("127.0.0.1", 0), handler)
        self._http.socket = server_context().wrap_socket(
            self._http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._http.server_port}"
        self.over = False

    @contextmanager
    def listening(self) -> Iterator["ClusterServer"]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True, name="cluster")
        thread.start()
        try:
            yield self
        finally:
            self.over = True
            self.pods.stop_all()
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        self.faults.append(fault)
        try:
            yield
        finally:
            self.faults.remove(fault)

    def kubeconfig(self) -> str:
        authority = base64.b64encode(loopback_certificate()[0].encode()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "memory",
                "clusters": [{"name": "memory", "cluster": cluster}],
                "contexts": [{"name": "memory", "context": {"cluster": "memory", "user": "portal"}}],
                "users": [{"name": "portal", "user": {"token": TOKEN}}],
            }
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    cluster: ClusterServer

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def _answer(self, content: Json | bytes, code: int = 200) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _any(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        agent = "helm" if "helm" in self.headers.get("User-Agent", "").lower() else "portal"
        call = Call(self.command, url.path.rstrip("/"), agent)
        self.cluster.calls.append(call)
        try:
            outcome = self._fault(call)
            if self.command == "GET" and query.get("watch") in {"true", "1"}:
                self._watch(call.path, query)
                return
            answer = self._handled(call, query, raw)
            if outcome is not None and outcome.lose_answer:
                self.close_connection = True
                return
            self._answer(*answer)
        except ApiError as error:
            self._answer(error.body, error.code)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - the names are those of http.server

    def _fault(self, call: Call) -> Outcome | None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise ApiError(401, "Unauthorized", "Unauthorized")
        for fault in list(self.cluster.faults):
            outcome = fault(call)
            if outcome is None:
                continue
            time.sleep(outcome.delay)
            if outcome.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                raise ConnectionResetError
            if outcome.status:
                raise ApiError(outcome.status, "Injected", f"injected fault {outcome.status}")
            return outcome
        return None

    def _handled(self, call: Call, query: dict[str, str], raw: bytes) -> tuple[Json | bytes, int]:
        if call.path.endswith("/selfsubjectaccessreviews"):
            asked = json.loads(raw)["spec"]["resourceAttributes"]
            allowed = f"{asked['verb']} {asked['resource']}" not in self.cluster.forbidden
            return {"status": {"allowed": allowed}}, 201
        if (found := discovery.answer(call.path, VERSION)) is not None:
            return found, 200
        if proxied := _POD.fullmatch(call.path):
            return self.cluster.pods.answer(
                proxied["namespace"], proxied["pod"], proxied["rest"], call.method, self.headers, raw
            )
        key = _key(call.path)
        body = wire.decoded(raw) if raw.startswith(wire.MAGIC) and call.method != "DELETE" else None
        if body is None and raw and not raw.startswith(wire.MAGIC):
            body = json.loads(raw)
        match call.method:
            case "GET":
                return (self.cluster.store.get(key) if key.name else self._list(key, query)), 200
            case "DELETE":
                return self._delete(key, query), 200
            case _:
                return self._write(call.method, key, query, body or {})

    def _list(self, key: Key, query: dict[str, str]) -> Json:
        kind = RESOURCES[key.group_version][key.plural][0]
        store = self.cluster.store
        items = [found for found in store.find(key.plural, key.namespace or None) if _is_selected(found, query)]
        return {
            "kind": f"{kind}List",
            "apiVersion": key.group_version,
            "metadata": {"resourceVersion": store.version()},
            "items": items,
        }

    def _delete(self, key: Key, query: dict[str, str]) -> Json:
        if key.name:
            return self.cluster.store.delete(key)
        for found in self._list(key, query)["items"]:
            meta = found["metadata"]
            self.cluster.store.delete(Key(key.group_version, key.plural, meta.get("namespace", ""), meta["name"]))
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _write(self, method: str, key: Key, query: dict[str, str], body: Json) -> tuple[Json, int]:
        store = self.cluster.store
        manager = query.get("fieldManager") or self.headers.get("User-Agent", "unknown").split("/")[0]
        dry = "dryRun" in query
        if method == "POST":
            meta = body.setdefault("metadata", {})
            name = meta.get("name") or meta["generateName"] + uuid4().hex[:5]
            key = Key(key.group_version, key.plural, key.namespace, name)
            return store.create(key, body, manager=manager, dry_run=dry), 201
        if method == "PUT":
            return store.replace(key, body, manager=manager, dry_run=dry), 200
        if "apply-patch" in self.headers.get("Content-Type", ""):
            force = query.get("force") == "true"
            return store.apply(key, body, manager=manager, force=force, dry_run=dry), 200
        return store.patch(key, lambda live: merged(live, body), manager=manager, dry_run=dry), 200

    def _watch(self, path: str, query: dict[str, str]) -> None:
        key, store = _key(path), self.cluster.store
        index = store.index_after(int(query.get("resourceVersion") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if query.get("sendInitialEvents") == "true" or not query.get("resourceVersion"):
            for found in self._list(key, query)["items"]:
                self._event("ADDED", found)
        if query.get("sendInitialEvents") == "true":
            self._event("BOOKMARK", self._bookmark(key))
        end = time.monotonic() + float(query.get("timeoutSeconds") or 300)
        while time.monotonic() < end and not self.cluster.over:
            events, index = store.events_after(index, patience=0.5)
            for _, what, where, found in events:
                is_ours = (where.group_version, where.plural) == (key.group_version, key.plural)
                if is_ours and key.namespace in {"", where.namespace} and _is_selected(found, query):
                    self._event(what, found)
        self.wfile.write(b"0\r\n\r\n")

    def _bookmark(self, key: Key) -> Json:
        meta = {"resourceVersion": self.cluster.store.version(), "annotations": {"k8s.io/initial-events-end": "true"}}
        kind = RESOURCES[key.group_version][key.plural][0]
        return {"kind": kind, "apiVersion": key.group_version, "metadata": meta}

    def _event(self, what: str, found: Json) -> None:
        raw = json.dumps({"type": what, "object": found}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        self.wfile.flush()


def _key(path: str) -> Key:
    if found := _NAMESPACE.fullmatch(path):
        return Key("v1", "namespaces", "", found["name"] or "")
    parts = _OBJECT.fullmatch(path)
    group_version = (parts["core"] or parts["group"]) if parts else ""
    if parts is None or parts["plural"] not in RESOURCES.get(group_version, {}):
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    return Key(group_version, parts["plural"], parts["namespace"] or "", parts["name"] or "")


def _is_selected(found: Json, query: dict[str, str]) -> bool:
    meta = found["metadata"]
    named = re.findall(r"metadata\.name=([^,]+)", query.get("fieldSelector", ""))
    return selects(query.get("labelSelector", ""), meta.get("labels") or {}) and all(n == meta["name"] for n in named)
