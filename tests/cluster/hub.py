"""What answers where a hub's Deployment is available: a JupyterHub's REST API as far as the portal and a person use it.

It is configured the way the Zero to JupyterHub chart's own configuration is: from the Secret `hub` with the hub's
existing Secret merged over it. So a wrong values path, role or secret shows as a hub that refuses.
"""

import base64
import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.cluster.merging import merged
from tests.cluster.resources import ApiError, Json, Key
from tests.cluster.store import Store
from tests.cluster.volumes import Volumes

VERSION = "5.4.2"
PAGED = "application/jupyterhub-pagination+json"


class Refused(Exception):
    def __init__(self, status: int, message: str, *, by_proxy: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.by_proxy = by_proxy


class SimulatedHubs:
    """All hubs of a cluster behind its one ingress, told apart by the first part of the path."""

    def __init__(self, store: Store, volumes: Volumes) -> None:
        self.store, self.volumes = store, volumes
        self.tokens: dict[tuple[str, str], str] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hubs": self}))
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def listening(self) -> Iterator["SimulatedHubs"]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True, name="hubs")
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def namespace_of(self, base: str) -> str:
        """The namespace whose Ingress leads here."""
        for ingress in self.store.find("ingresses"):
            paths = [path["path"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
            if base in paths:
                return str(ingress["metadata"]["namespace"])
        raise Refused(404, "no ingress leads there", by_proxy=True)

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        try:
            data = self.store.get(Key("v1", "secrets", namespace, name)).get("data", {})
        except ApiError:
            return {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def configuration(self, namespace: str) -> Json:
        """The chart's values as the hub reads them, both secrets merged."""
        own = self.secret(namespace, "hub")
        values: Json = yaml.safe_load(own["values.yaml"])
        existing = self.secret(namespace, values["hub"]["existingSecret"])
        result: Json = merged(values, yaml.safe_load(existing.get("values.yaml", "{}")))
        tokens = {key.split(".")[2]: text for key, text in {**own, **existing}.items() if key.endswith(".apiToken")}
        return {**result, "token": tokens["portal"], "tokens": tokens}

    def is_up(self, namespace: str, component: str) -> bool:
        try:
            found = self.store.get(Key("apps/v1", "deployments", namespace, component))
        except ApiError:
            return False
        pods = [pod for pod in self.store.find("pods", namespace) if _label(pod, "component") == component]
        return bool(found.get("status", {}).get("readyReplicas")) and bool(pods)

    def servers(self, namespace: str) -> list[Json]:
        return [pod for pod in self.store.find("pods", namespace) if _label(pod, "component") == "singleuser-server"]

    def spawn(self, namespace: str, name: str, values: Json) -> None:
        """What KubeSpawner does: the person's claim, and a pod."""
        claim = Key("v1", "persistentvolumeclaims", namespace, f"claim-{name}")
        if claim not in self.store.objects:
            notes = {"hub.jupyter.org/username": name, "hub.jupyter.org/servername": ""}
            labels = {"component": "singleuser-storage", "app": "jupyterhub"}
            storage = values["singleuser"]["storage"]
            wanted = {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage["dynamic"]["storageClass"],
                "resources": {"requests": {"storage": storage["capacity"]}},
            }
            body = {"metadata": {"labels": labels, "annotations": notes}, "spec": wanted}
            self.store.create(claim, body, manager="kubespawner", dry_run=False)
        size = values["singleuser"]
        memory = int(size["memory"]["guarantee"].rstrip("M")) * 1024**2
        requests = {"memory": str(memory), "cpu": str(size["cpu"]["guarantee"])}
        image = f"{size['image']['name']}:{size['image']['tag']}"
        body = {
            "metadata": {
                "labels": {"component": "singleuser-server", "hub.jupyter.org/username": secrets.token_hex(4)},
                "annotations": {"hub.jupyter.org/username": name, "started": datetime.now(UTC).isoformat()},
            },
            "spec": {"containers": [{"name": "notebook", "image": image, "resources": {"requests": requests}}]},
            "status": {"phase": "Running"},
        }
        self.store.create(Key("v1", "pods", namespace, f"jupyter-{name}"), body, manager="kubespawner", dry_run=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hubs: SimulatedHubs

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def _any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._route(raw)
        except Refused as refused:
            self._send(refused.status, {"message": str(refused)}, by_hub=not refused.by_proxy)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the names are those of http.server

    def _route(self, raw: bytes) -> None:
        url = urlsplit(self.path)
        base, _, rest = url.path.lstrip("/").partition("/")
        namespace = self.hubs.namespace_of(f"/{base}/")
        if not self.hubs.is_up(namespace, "proxy"):
            raise Refused(503, "no proxy", by_proxy=True)
        if found := re.fullmatch(r"user/([^/]+)/api(/contents/.+)?", rest):
            self._server_api(namespace, unquote(found[1]), unquote(found[2] or ""), raw)
            return
        if not self.hubs.is_up(namespace, "hub"):
            raise Refused(503, "no hub behind the proxy", by_proxy=True)
        values = self.hubs.configuration(namespace)
        query = {key: given[0] for key, given in parse_qs(url.query).items()}
        if rest == "hub/login":
            self._login(namespace, values, raw)
        elif rest == "hub/oauth_login":
            self._lead_away(values)
        elif rest == "hub/api/info":
            self._allow(values, "read:hub")
            self._send(200, {"version": VERSION})
        elif rest == "hub/api/users":
            self._allow(values, "list:users")
            self._users(namespace, query)
        elif found := re.fullmatch(r"hub/api/users/([^/]+)(/\w+(?:/\w+)?)?", rest):
            self._user(namespace, values, unquote(found[1]), found[2] or "")
        else:
            raise Refused(404, "no such page")

    def _login(self, namespace: str, values: Json, raw: bytes) -> None:
        xsrf = secrets.token_hex(8)
        cookies = [f"_xsrf={xsrf}; Path=/"]
        if self.command == "GET":
            self._send(200, {}, cookies=cookies)
            return
        form = {key: given[0] for key, given in parse_qs(raw.decode()).items()}
        config = values["hub"]["config"]
        passwords = config.get("SharedPasswordAuthenticator", {})
        rules = config["Authenticator"]
        name = form["username"]
        wanted = passwords.get("admin_password" if name in rules["admin_users"] else "user_password")
        is_right = name in rules["allowed_users"] and bool(wanted) and form["password"] == wanted
        if not is_right:
            self._send(403, {"message": "Invalid username or password"}, cookies=cookies)
            return
        session = secrets.token_hex(16)
        self.hubs.tokens[namespace, session] = name
        self._send(302, {}, cookies=[*cookies, f"session={session}; Path=/"], location=f"{self.path[:-5]}home")

    def _lead_away(self, values: Json) -> None:
        config = values["hub"]["config"]
        address = config.get("GenericOAuthenticator", {}).get("authorize_url")
        if config["JupyterHub"]["authenticator_class"] == "cilogon":
            address = "https://cilogon.org/authorize"
        if not address:
            raise Refused(404, "no such page")
        self._send(302, {}, location=address)

    def _user(self, namespace: str, values: Json, name: str, what: str) -> None:
        if not self._may_work_as(values, name) and self._who(namespace) != name:
            raise Refused(403, "not you")
        match self.command, what:
            case "POST", "/tokens":
                token = secrets.token_hex(16)
                self.hubs.tokens[namespace, token] = name
                self._send(201, {"token": token})
            case "POST", "/server":
                if len(self.hubs.servers(namespace)) >= values["hub"]["activeServerLimit"]:
                    raise Refused(429, "the hub is full")
                self.hubs.spawn(namespace, name, values)
                self._send(201, {})
            case "GET", "/server/progress":
                event = json.dumps({"progress": 100, "ready": True, "message": f"Server ready at /user/{name}/"})
                self._send(200, f"data: {event}\n\n".encode())
            case "DELETE", "/server":
                self.hubs.store.delete(Key("v1", "pods", namespace, f"jupyter-{name}"))
                self._send(204, b"")
            case "GET", "":
                servers = [one for one in self._listed(namespace) if one["name"] == name]
                self._send(200, servers[0] if servers else {"name": name, "servers": {}})
            case _:
                raise Refused(405, "no such act")

    def _users(self, namespace: str, query: dict[str, str]) -> None:
        listed, start, size = self._listed(namespace), int(query.get("offset", 0)), int(query.get("limit", 50))
        more = {"offset": start + size} if start + size < len(listed) else None
        self._send(200, {"items": listed[start : start + size], "_pagination": {"total": len(listed), "next": more}})

    def _listed(self, namespace: str) -> list[Json]:
        found = []
        for pod in self.hubs.servers(namespace):
            notes = pod["metadata"]["annotations"]
            server = {"name": "", "started": notes["started"], "ready": True, "last_activity": notes["started"]}
            found.append({"name": notes["hub.jupyter.org/username"], "servers": {"": server}})
        return found

    def _server_api(self, namespace: str, name: str, path: str, raw: bytes) -> None:
        if Key("v1", "pods", namespace, f"jupyter-{name}") not in self.hubs.store.objects:
            raise Refused(503, "no server", by_proxy=True)
        if not path:
            self._send(200, {"version": "2.17.0"})
            return
        values = self.hubs.configuration(namespace)
        if not self._may_work_as(values, name) and self._who(namespace) != name:
            raise Refused(403, "not yours")
        file = self.hubs.volumes.of(namespace, f"claim-{name}") / path.removeprefix("/contents/")
        if self.command == "PUT":
            file.write_text(json.loads(raw)["content"])
        if not file.is_file():
            raise Refused(404, "no such file")
        self._send(200, {"type": "file", "content": file.read_text()})

    def _may_work_as(self, values: Json, name: str) -> bool:
        """By the token of a service whose role has the scopes for this one user, and makes the user."""
        token = self.headers.get("Authorization", "").removeprefix("token ")
        names = [service for service, known in values["tokens"].items() if known == token]
        for role in values["hub"]["loadRoles"].values():
            scopes = {f"servers!user={name}", f"access:servers!user={name}"} <= set(role["scopes"])
            if scopes and set(names) & set(role["services"]) and name in role.get("users", ()):
                return True
        return False

    def _allow(self, values: Json, scope: str) -> None:
        if self.headers.get("Authorization") != f"token {values['token']}":
            raise Refused(403, "Missing or invalid credentials.")
        roles = values["hub"]["loadRoles"].values()
        if not any("portal" in role["services"] and scope in role["scopes"] for role in roles):
            raise Refused(403, f"the scope {scope} is missing")

    def _who(self, namespace: str) -> str:
        cookie = SimpleCookie(self.headers.get("Cookie", ""))
        given = self.headers.get("Authorization", "").removeprefix("token ")
        token = given or (cookie["session"].value if "session" in cookie else "")
        name = self.hubs.tokens.get((namespace, token))
        if name is None:
            raise Refused(403, "sign in first")
        return name

    def _send(
        self,
        status: int,
        content: Json | bytes,
        *,
        cookies: list[str] | None = None,
        location: str = "",
        by_hub: bool = True,
    ) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if raw.startswith(b"data:") else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if by_hub:
            self.send_header("X-JupyterHub-Version", VERSION)
        for cookie in cookies or []:
            self.send_header("Set-Cookie", cookie)
        if location:
            self.send_header("Location", location)
        self.end_headers()
        if status != 204:
            self.wfile.write(raw)


def _label(pod: Json, name: str) -> str:
    return str(pod["metadata"].get("labels", {}).get(name, ""))
