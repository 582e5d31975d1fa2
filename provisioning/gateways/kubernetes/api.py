"""The cluster's REST API, as far as hubs need it: objects as JSON, retried while the cluster says "not now"."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Any, Self

import httpx

from provisioning.gateways.base import GatewayError
from provisioning.gateways.kubernetes.access import ClusterAccess
from provisioning.gateways.kubernetes.patience import Patience

type Json = dict[str, Any]

MANAGER = "consortium-portal"
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_PIECE = 1024 * 1024
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


class ClusterUnavailableError(GatewayError):
    """The cluster did not do what it was asked within the time; a later try may succeed."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"the cluster does not answer {what}: {reason}; it is tried again", permanent=False)


class ClusterRefusedError(GatewayError):
    """The cluster answered no: repeating will not help until a person changes something."""

    def __init__(self, what: str, status: int, said: str) -> None:
        remedy = {
            401: "store new credentials on the cluster's page",
            403: "give the portal's account the missing right",
        }.get(status, "mend it on the cluster or in the specification")
        super().__init__(
            f"the cluster refused {what} with status {status}: {said or 'no reason'}; {remedy}", permanent=True
        )
        self.status = status


class ClusterApi:
    """Speaks to one cluster on behalf of one act, whose patience every call shares. Use it with `with`."""

    def __init__(self, access: ClusterAccess, patience: Patience, *, timeout_seconds: float = 10.0) -> None:
        self.patience = patience
        self._timeout = timeout_seconds
        token = access.token.get_secret_value()
        self._http = httpx.Client(
            base_url=access.server.rstrip("/"),
            headers={"User-Agent": MANAGER, **({"Authorization": f"Bearer {token}"} if token else {})},
            timeout=timeout_seconds,
            verify=access.tls() if access.server.startswith("https://") else True,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str) -> Json | None:
        """The object, or None when there is none."""
        answer = self._send("GET", path)
        return None if answer is None else dict(answer.json())

    def find(self, path: str, *, labels: str = "") -> list[Json]:
        """The objects of a kind in a namespace, with these labels."""
        answer = self._send("GET", path, query={"labelSelector": labels} if labels else {})
        items: list[Json] = [] if answer is None else answer.json().get("items", [])
        return items

    def ask(self, path: str, body: Json) -> Json:
        """The answer to a question that is put as an object and changes nothing, such as an access review."""
        answer = self._send("POST", path, body=body)
        return {} if answer is None else dict(answer.json())

    def create(self, path: str, body: Json) -> bool:
        """Makes the object; false when it is there already."""
        return self._send("POST", path, body=body, conflict_is_answer=True) is not None

    def replace(self, path: str, body: Json) -> bool:
        """Writes the object if it is still the one that was read; false when somebody was quicker."""
        return self._send("PUT", path, body=body, conflict_is_answer=True) is not None

    def apply(self, path: str, body: Json, *, manager: str = MANAGER, dry_run: bool = False) -> Json:
        """Server-side apply: the fields of `body` become ours and equal; returns the object as it then is, or would be.

        Raises ClusterRefusedError when its namespace is gone.
        """
        query = {"fieldManager": manager, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        answer = self._send("PATCH", path, body=body, query=query, content_type=_APPLY)
        if answer is None:
            raise ClusterRefusedError(f"PATCH {path}", 404, "its namespace does not exist")
        return dict(answer.json())

    def merge(self, path: str, change: Json) -> None:
        """A merge patch; an object that is gone stays gone."""
        self._send("PATCH", path, body=change, query={"fieldManager": MANAGER}, content_type=_MERGE)

    def wait_for_pod(self, path: str, *, headers: Mapping[str, str]) -> None:
        """Asks until a pod answers well behind its proxy path: it may run and not listen yet."""
        if self._send("GET", path, headers=headers) is None:
            raise ClusterUnavailableError(f"GET {path}", "its pod has gone")

    def ask_pod(self, path: str, *, headers: Mapping[str, str]) -> Json:
        """The JSON that a pod answers behind its proxy path. It is asked once."""
        with self._stream("GET", path, headers=headers) as answer:
            answer.read()
            return dict(answer.json())

    def download(self, path: str, into: IO[bytes], *, headers: Mapping[str, str]) -> None:
        """Writes what a pod answers behind its proxy path into the file, a piece at a time. It is tried once."""
        with self._stream("GET", path, headers=headers) as answer:
            for piece in answer.iter_bytes(_PIECE):
                into.write(piece)

    def upload(self, path: str, content: IO[bytes], *, headers: Mapping[str, str]) -> Json:
        """Hands the file to a pod behind its proxy path, and returns the JSON that it answers. It is tried once."""
        size = str(os.fstat(content.fileno()).st_size)
        pieces = iter(lambda: content.read(_PIECE), b"")
        with self._stream("PUT", path, headers={**headers, "Content-Length": size}, content=pieces) as answer:
            answer.read()
            return dict(answer.json())

    @contextmanager
    def _stream(self, method: str, path: str, **what: Any) -> Iterator[httpx.Response]:
        """What a pod answers; every failure is one of the moment, since pods come and go."""
        named = f"{method} {path}"
        try:
            with self._http.stream(method, path, **what) as answer:
                if not answer.is_success:
                    answer.read()
                    raise ClusterUnavailableError(named, f"status {answer.status_code}, {_said(answer)}")
                yield answer
        except (httpx.HTTPError, ValueError) as error:
            raise ClusterUnavailableError(named, str(error) or type(error).__name__) from error

    def delete(self, path: str) -> None:
        """Ends the object with what it owns; one that is gone is no error."""
        self._send("DELETE", path, query={"propagationPolicy": "Background"})

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        conflict_is_answer: bool = False,
    ) -> httpx.Response | None:
        """The answer; None for "there is none", and for a conflict where the caller knows what to do about it."""
        attempt, what = 0, f"{method} {path}"
        while True:
            least, reason = 0.0, ""
            try:
                answer = self._http.request(
                    method, path, json=body, params=query,
                    headers={"Content-Type": content_type, **(headers or {})},
                    timeout=max(min(self._timeout, self.patience.left), 0.05),
                )  # fmt: skip
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
            else:
                if answer.status_code == 404 or (answer.status_code == 409 and conflict_is_answer):
                    return None
                if answer.is_success:
                    return answer
                reason, least = f"status {answer.status_code}, {_said(answer)}", _retry_after(answer)
                if answer.status_code not in _PASSING:
                    raise ClusterRefusedError(what, answer.status_code, _said(answer))
            if not self.patience.pause(attempt, at_least=least):
                raise ClusterUnavailableError(what, reason)
            attempt += 1


def _said(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(content.get("message", ""))[:300] if isinstance(content, dict) else ""


def _retry_after(answer: httpx.Response) -> float:
    with suppress(ValueError):
        return min(float(answer.headers.get("Retry-After", "0")), 30.0)
    return 0.0
