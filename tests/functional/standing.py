"""A portal that stands on a database of the test's own: the real processes, and windows of people who look at it.

The journeys use it whose figures or clocks the demonstration would not give.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from django.test import override_settings
from playwright.sync_api import Browser, Page

from consortium.embedded.guardian import new_run_id
from consortium.embedded.ports import free_port
from consortium.embedded.supervisor import Supervisor
from consortium.management.demo.processes import all_processes
from members.models import User
from tests.cast import PASSWORD
from tests.functional.conftest import totp
from tests.functional.windows import WIDE, Window


@dataclass
class Standing:
    """A portal that runs, as processes of its own."""

    url: str
    home: Path
    processes: Supervisor

    def pause(self, name: str, number: signal.Signals) -> None:
        """Stop a process and its children where they are, or let them go on."""
        pid = self.processes.pid(name)
        assert pid is not None
        os.killpg(os.getpgid(pid), number)


@contextmanager
def stand(database: str, home: Path, needed: set[str], **clocks: str) -> Iterator[Standing]:
    """Start the named processes on a database; none is left when the test ends."""
    port, stripe = free_port(), f"http://127.0.0.1:{free_port()}"
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "STRIPE_API_BASE": stripe,
        "DATABASE_URL": urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}")),
        "PORTAL_HOME": str(home),
        "PUBLIC_URL": url,
        **clocks,
    }
    if "hubs" in needed:
        environment["HUB_PYTHON"] = str(settings.HUB_PYTHON)
    with override_settings(STRIPE_API_BASE=stripe, PUBLIC_URL=url):
        children = [replace(each, env=environment) for each in all_processes(home, port) if each.name in needed]
    # What the kernel does to a worker that takes too much memory: no farewell.
    children = [replace(each, stop_signal=signal.SIGKILL) if each.name == "worker" else each for each in children]
    with Supervisor(children, run_id=new_run_id(), log_dir=home / "logs") as processes:
        processes.wait_ready("web")
        yield Standing(url, home, processes)


def may_sign_in(user: User, *, second_factor: bool) -> str:
    """Give a person a password and, if wanted, an authenticator app; returns the app's secret."""
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    if not second_factor:
        return ""
    secret: str = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


@dataclass
class PersonWindow(Window):
    """A window of somebody who may sign in."""

    def visit(self, path: str, language: str = "en") -> Page:
        """Go to a page of the portal in a language; it must answer well."""
        self.open(f"/{language}/{path}")
        return self.page

    def look(self, name: str, *paths: str) -> None:
        """Axe, the console, one h1 and a phone's width: of this page, then of `paths` in French."""
        self.looked_at(name)
        for each in paths:
            self.visit(each, "fr")
            self.looked_at(f"{name}-fr")

    def sign_in(self, user: User, secret: str = "") -> None:
        """Sign in on the page, with the second factor where one is asked for."""
        page = self.visit("accounts/login/")
        page.locator("input[name=login]").fill(user.email)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("input[name=password]").press("Enter")
        if secret:
            page.locator("input[name=code]").fill(totp(secret))
            page.locator("input[name=code]").press("Enter")
        page.wait_for_url(lambda url: "/accounts/" not in url)


def person_window(browser: Browser, url: str, journey: str) -> PersonWindow:
    """A fresh browser."""
    opened = PersonWindow(browser.new_context(viewport=WIDE).new_page(), url, journey)
    opened.note_problems()
    return opened


def press(page: Page, role: str, name: str) -> None:
    """Use a button or a link by keyboard."""
    page.get_by_role(role, name=name, exact=True).first.press("Enter")  # type: ignore[arg-type] # one of two words
