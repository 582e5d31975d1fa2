"""The demonstration itself, run once as a stranger would run it, and a browser that looks at it.

While it runs, its Celery worker is killed with -9 in the middle of provisioning and again in the middle of the close:
the same demonstration must end well.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium")
KILL_DURING = ("Its JupyterHub is provisioned", "The month is closed")
PATIENCE = 600  # on a machine that has much else to do


@dataclass
class Demo:
    """A running demonstration: its result, its people, and what was done to it."""

    home: Path
    process: subprocess.Popen[str]
    result: dict[str, Any] = field(default_factory=dict)
    talk: list[str] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the portal answers."""
        match = re.search(
            r"http://127\.0\.0\.1:\d+", " ".join(line for line in self.talk if "The portal is at" in line)
        )
        assert match, "".join(self.talk)
        return match.group()

    def person(self, role: str) -> dict[str, str]:
        """A person's e-mail address, password and TOTP secret."""
        people = json.loads((self.home / "demo.json").read_text())["people"]
        return dict(people[role])


def workers(parent: int) -> list[int]:
    """The Celery worker of a demonstration, and not its pool."""
    found = subprocess.run(
        ["pgrep", "-P", str(parent), "-f", "celery.*worker"], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def _listen(demo: Demo, started: threading.Event) -> None:
    waiting = list(KILL_DURING)
    assert demo.process.stderr is not None
    for line in demo.process.stderr:
        demo.talk.append(line)
        if waiting and line.startswith("…") and waiting[0] in line:
            waiting.pop(0)
            time.sleep(1.0)
            for pid in workers(demo.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                    demo.killed.append(pid)
        if "The portal is at" in line:
            started.set()
    started.set()


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """Run `./portal demo` in a fresh home, and keep it serving for the tests."""
    home = Path(tempfile.mkdtemp(prefix="portal-demo-"))
    keep = ("PATH", "HOME", "LANG", "CI")
    environment = {name: os.environ[name] for name in keep if name in os.environ} | {
        "COLUMNS": "200",
        "PORTAL_HOME": str(home),
    }
    process = subprocess.Popen(
        [str(ROOT / "portal"), "demo", "--json", "--port", "0"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    demo, started = Demo(home, process), threading.Event()
    listener = threading.Thread(target=_listen, args=(demo, started), daemon=True)
    listener.start()
    try:
        assert started.wait(PATIENCE), "".join(demo.talk)
        assert process.stdout is not None
        if process.poll() is None or process.returncode == 0:
            demo.result = json.loads(process.stdout.readline() or "{}")
        assert process.poll() is None, "".join(demo.talk)
        yield demo
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()
            listener.join(5)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; where it is missing the tests are skipped, and in CI they fail."""
    if CHROMIUM is None:
        if os.environ.get("PORTAL_REQUIRE_BROWSER"):
            pytest.fail("Chromium is missing, and this run may not skip browser tests: apt-get install chromium")
        pytest.skip("Chromium is missing: apt-get install chromium")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*quiet, "--disable-component-update", "--disable-sync"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def one_thread_is_enough() -> Iterator[None]:
    """Playwright keeps an event loop in the thread of the test, which Django would refuse; nothing runs in it here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


class Quiet(WSGIRequestHandler):
    """Answers without a line on stderr for each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def portal_url(committed_db: str) -> Iterator[str]:
    """The portal in this process, over the test's own database, by the name that passkeys need."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet, ipv6=False)
    server.set_app(get_wsgi_application())
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def totp(secret: str) -> str:
    """The six digits of now (RFC 6238), as an authenticator app shows them.

    A code is good once, within its half minute: one that was given already, or that would run out while it is
    typed, is let pass, as a person does who looks at the app's dial.
    """
    while (counter := int(time.time()) // 30) == _GIVEN.get(secret) or time.time() % 30 > 25:
        time.sleep(0.5)
    _GIVEN[secret] = counter
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", counter), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF) % 1_000_000:06d}"


_GIVEN: dict[str, int] = {}


@dataclass
class Visitor:
    """A browser window that notes every violation of the content security policy and every error of a script."""

    page: Page
    demo: Demo
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a path of the portal; the answer must be a success."""
        response = self.page.goto(self.demo.url + path, wait_until="load")
        assert response is not None
        assert response.status == 200, f"{path}: {response.status}"
        return self.page

    def sign_in(self, role: str) -> None:
        """Sign in on the page, with the second factor where one is asked for."""
        person = self.demo.person(role)
        page = self.open("/en/accounts/login/")
        page.locator("input[name=login]").fill(person["email"])
        page.locator("input[name=password]").fill(person["password"])
        page.locator("input[name=password]").press("Enter")
        if person["totp_secret"]:
            page.locator("input[name=code]").fill(totp(person["totp_secret"]))
            page.locator("input[name=code]").press("Enter")
        page.wait_for_url(lambda url: "/accounts/" not in url)


def _visitor(context: BrowserContext, demo: Demo) -> Visitor:
    visitor = Visitor(context.new_page(), demo)
    visitor.page.on("console", lambda m: visitor.problems.append(m.text) if m.type == "error" else None)
    visitor.page.on("pageerror", lambda error: visitor.problems.append(str(error)))
    return visitor


@pytest.fixture
def visitor(demo: Demo, browser: Browser) -> Iterator[Visitor]:
    """Nobody in particular."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visitor = _visitor(context, demo)
    yield visitor
    context.close()
    assert visitor.problems == []


@pytest.fixture(scope="module")
def signed_in(demo: Demo, browser: Browser) -> Iterator[dict[str, Visitor]]:
    """A window for each role, signed in once for all tests of the module (a TOTP code works only once)."""
    windows: dict[str, Visitor] = {}
    for role in ("owner", "technical", "viewer", "staff"):
        windows[role] = _visitor(browser.new_context(viewport={"width": 1280, "height": 900}), demo)
        windows[role].sign_in(role)
    yield windows
    for window in windows.values():
        window.page.context.close()
