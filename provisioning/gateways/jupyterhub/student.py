"""A person on a hub, with nothing but their own name and password: signs in, starts a server, works, stops it.

Used by the demo, by tests and by the synthetic user that proves a hub can be worked on.
"""

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from provisioning.gateways.base import GatewayError, StepReport, no_progress
from provisioning.gateways.jupyterhub.client import HubUnreachableError, checked

TOKEN_SECONDS = 3600
CHECK_FILE = "portal-check.txt"


class SignInRefusedError(GatewayError):
    """The hub does not know the name, or not with this password, or does not admit the person."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(f"{name} could not sign in at {url}: the name or the password is wrong", permanent=True)


class NotSignedInError(GatewayError):
    """A person must sign in before anything else."""

    def __init__(self) -> None:
        super().__init__("nobody has signed in yet; call sign_in first", permanent=True)


class ServerFailedError(GatewayError):
    """The server did not come up, or did not go down, in time."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the server of {name} failed: {reason}", permanent=False)


class StudentSession:
    """One person's visit to one hub. Close it, or use it with `with`; closing does not stop the server."""

    def __init__(self, base_url: str, *, timeout_seconds: float = 10.0) -> None:
        self._http = httpx.Client(base_url=base_url.rstrip("/"), timeout=timeout_seconds, trust_env=False)
        self._name = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of its connections."""
        self._http.close()

    def sign_in(self, name: str, password: str) -> None:
        """Fills in the hub's own login form and takes a token of the person's own, good for an hour.

        Raises:
            SignInRefusedError: the hub shows the form again.
        """
        self._send("GET", "/hub/login")
        form = {"username": name, "password": password, "_xsrf": self._xsrf()}
        answer = self._try_to_send("POST", "/hub/login", data=form)
        if not answer.is_redirect:
            raise SignInRefusedError(name, str(self._http.base_url))
        self._name = name
        token = self._send(
            "POST",
            f"/hub/api/users/{quote(name)}/tokens",
            json={"note": "session", "expires_in": TOKEN_SECONDS},
            headers={"X-XSRFToken": self._xsrf()},
        ).json()["token"]
        self._http.cookies.clear()
        self._http.headers["Authorization"] = f"token {token}"

    def use_token(self, name: str, token: str) -> None:
        """Acts as the person by a token that may do so, in place of signing in."""
        self._name = name
        self._http.headers["Authorization"] = f"token {token}"

    def is_led_elsewhere(self) -> bool:
        """Whether the hub sends whoever signs in to another address, as it does where it keeps no names itself."""
        answer = self._try_to_send("GET", "/hub/oauth_login")
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            checked(answer)
        target = httpx.URL(answer.headers.get("Location", ""))
        return answer.is_redirect and target.netloc not in {b"", self._http.base_url.netloc}

    def start_server(self, *, wait_seconds: float = 90.0, progress: StepReport = no_progress) -> str:
        """Starts the person's server, waits until it is ready and returns its address.

        Raises:
            ServerFailedError: the hub gave up, or it took longer.
        """
        deadline = time.monotonic() + wait_seconds
        # The hub answers when the server is ready or after ten seconds, whichever is sooner.
        self._send("POST", f"{self._user()}/server", timeout=30.0)
        for event in self._progress_of_start(wait_seconds):
            progress("server", str(event.get("message", "")))
            if event.get("failed"):
                raise ServerFailedError(self._name, str(event.get("message", "no reason given")))
            if event.get("ready"):
                break
            if time.monotonic() > deadline:
                raise ServerFailedError(self._name, f"not ready after {wait_seconds:.0f} s")
        return f"{str(self._http.base_url).rstrip('/')}/user/{quote(self._name)}/"

    def server_answers(self) -> str:
        """Asks the server itself, through the proxy, for its version: it really runs."""
        return str(self._send("GET", f"/user/{quote(self._name)}/api").json()["version"])

    def write_and_read_back(self) -> None:
        """Writes a small file into the person's home through their server, and reads it again.

        Raises:
            ServerFailedError: what comes back is not what was written: the home is not to be relied on.
        """
        path = f"/user/{quote(self._name)}/api/contents/{CHECK_FILE}"
        text = f"written by the portal's check, {time.time():.0f}\n"
        self._send("PUT", path, json={"type": "file", "format": "text", "content": text})
        if self._send("GET", path, params={"content": "1"}).json().get("content") != text:
            raise ServerFailedError(self._name, "a file that was written to the home reads otherwise")

    def stop_server(self, *, wait_seconds: float = 60.0) -> None:
        """Stops the person's server and waits until the hub has forgotten it.

        Raises:
            ServerFailedError: it is still there after the time.
        """
        deadline = time.monotonic() + wait_seconds
        self._send("DELETE", f"{self._user()}/server", timeout=30.0)
        while self._send("GET", self._user()).json().get("servers"):
            if time.monotonic() > deadline:
                raise ServerFailedError(self._name, f"not stopped after {wait_seconds:.0f} s")
            time.sleep(0.2)

    def _progress_of_start(self, wait_seconds: float) -> Iterator[dict[str, Any]]:
        """What the hub tells of a start as it happens: server-sent events, each a JSON object."""
        timeout = httpx.Timeout(10.0, read=wait_seconds)
        try:
            with self._http.stream("GET", f"{self._user()}/server/progress", timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                checked(answer)
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))
        except httpx.HTTPError as error:
            raise ServerFailedError(self._name, f"the hub stopped telling: {error}") from error

    def _user(self) -> str:
        if not self._name:
            raise NotSignedInError
        return f"/hub/api/users/{quote(self._name)}"

    def _xsrf(self) -> str:
        """The hub's anti-forgery cookie, which it sets anew when the person signs in."""
        return next((cookie.value or "" for cookie in self._http.cookies.jar if cookie.name == "_xsrf"), "")

    def _send(self, method: str, path: str, **what: Any) -> httpx.Response:
        return checked(self._try_to_send(method, path, **what))

    def _try_to_send(self, method: str, path: str, **what: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **what)
        except httpx.HTTPError as error:
            raise HubUnreachableError(f"{self._http.base_url}{path}", str(error) or type(error).__name__) from error
