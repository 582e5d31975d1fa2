"""Journey "Team" in a real browser, by keyboard: invited, signed up, a passkey, the people page; then only the passkey.

The portal runs in this process over a database of the test's own; the passkey is Chromium's virtual authenticator.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from wsgiref.simple_server import WSGIRequestHandler

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, Page

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Invitation, Seat
from tests.cast import PASSWORD, make_cast
from tests.functional.looking import check
from tests.unit.members.invited import invited, link_to

NEW = "newcomer@cedar.example"
NARROW = {"width": 320, "height": 640}
WIDE = {"width": 1280, "height": 900}


class Quiet(WSGIRequestHandler):
    """Answers without a line on stderr for each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Window:
    """What `check` of the demonstration's tests looks at: a page and what went wrong on it."""

    page: Page
    problems: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", autouse=True)
def one_thread_is_enough() -> Iterator[None]:
    """Playwright keeps an event loop in the thread of the test, which Django would refuse; nothing runs in it here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture
def portal_url(committed_db: str) -> Iterator[str]:
    """The portal on a port of its own, by the name that passkeys need."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet, ipv6=False)
    server.set_app(get_wsgi_application())
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def links(committed_db: str) -> dict[str, str]:
    """The links of two invitations, in either language, and an expired one for the list."""
    at = now()
    cast = make_cast(at - timedelta(days=400))
    invited(cast, at, email=NEW, role="owner")
    found = {"en": link_to(NEW, at)}
    invited(cast, at, email="nouvelle@cedar.example", role="viewer", language="fr")
    found["fr"] = link_to("nouvelle@cedar.example", at)
    late = invited(cast, at, email="late@cedar.example")
    with consortium_scope(Scope.COMMAND):
        Invitation.objects.filter(pk=late.pk).update(sent_at=at - timedelta(days=8), expires_at=at - timedelta(days=1))
        offered = Seat.objects.filter(user=cast.viewer).values_list("pk", flat=True).get()
    return found | {"seat": str(offered)}


@pytest.fixture
def window(browser: Browser) -> Iterator[Window]:
    """A fresh browser whose computer has a passkey reader."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type] # a dictionary of that shape
    window = Window(context.new_page())
    window.page.on("console", lambda m: window.problems.append(m.text) if m.type == "error" else None)
    window.page.on("pageerror", lambda error: window.problems.append(str(error)))
    devtools = context.new_cdp_session(window.page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": options | {"isUserVerified": True, "automaticPresenceSimulation": True}},
    )
    yield window
    context.close()


def looked_at(window: Window, name: str) -> None:
    """Axe, the console, and 320 px without sideways scrolling of the page."""
    check(window, f"team {name}")
    window.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert window.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name
    window.page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def press(page: Page, name: str) -> None:
    """Use a button by keyboard."""
    button = page.get_by_role("button", name=name, exact=True)
    button.focus()
    button.press("Enter")


def test_somebody_is_invited_signs_up_sets_up_a_passkey_and_manages_people(
    links: dict[str, str], portal_url: str, window: Window
) -> None:
    page = window.page
    page.goto(portal_url + links["fr"])
    looked_at(window, "invitation-fr")
    page.goto(portal_url + links["en"])
    looked_at(window, "invitation")
    press(page, "Create an account")
    looked_at(window, "signup")
    assert page.locator("input[name=email]").input_value() == NEW
    page.locator("input[name=password1]").fill(PASSWORD)
    page.locator("input[name=password2]").fill(PASSWORD)
    page.locator("input[name=password2]").press("Enter")
    page.wait_for_url("**/en/invitations/")
    press(page, "Accept the invitation")
    page.wait_for_url("**/en/accounts/mfa/")  # an owner needs a second factor first
    looked_at(window, "mfa")
    page.get_by_role("link", name="Add a passkey").press("Enter")
    looked_at(window, "reauthenticate")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url("**/webauthn/add/")
    looked_at(window, "passkey-add")
    press(page, "Add a passkey")
    page.wait_for_url("**/recovery-codes/")
    page.goto(f"{portal_url}/en/accounts/mfa/webauthn/")
    looked_at(window, "passkeys")
    people(window, portal_url, links)
    press_menu_sign_out(page)
    page.goto(f"{portal_url}/en/accounts/login/")
    looked_at(window, "login")
    press(page, "Sign in with a passkey")
    page.wait_for_url(lambda url: "/accounts/" not in url)
    assert page.goto(f"{portal_url}/en/i/cedar/people/").status == 200  # type: ignore[union-attr]


def people(window: Window, portal_url: str, links: dict[str, str]) -> None:
    """Every page of the people of the university, looked at, in both languages."""
    page = window.page
    for language in ("en", "fr"):
        for name, path in {
            "people": "i/cedar/people/",
            "seat": f"i/cedar/people/{links['seat']}/",
            "ownership": "i/cedar/people/ownership/",
            "sessions": "accounts/sessions/",
            "profile": "accounts/profile/",
        }.items():
            page.goto(f"{portal_url}/{language}/{path}")
            looked_at(window, f"{name}-{language}")
    page.goto(f"{portal_url}/en/i/cedar/people/")
    page.locator("input[name=email]").fill("no address")
    press(page, "Send the invitation")
    page.wait_for_selector(".error-summary")
    window.problems[:] = [each for each in window.problems if "422" not in each]
    looked_at(window, "people-error")


def press_menu_sign_out(page: Page) -> None:
    """Sign out from the account menu."""
    page.locator("details.account-menu summary").press("Enter")
    page.locator("details.account-menu").get_by_role("button", name="Sign out").press("Enter")
    page.wait_for_load_state()
