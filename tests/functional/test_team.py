"""Journey "Team" in a real browser, by keyboard, in English then French: invited, signed up, a passkey, people.

The passkey is Chromium's virtual authenticator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import translation
from django.utils.translation import gettext
from playwright.sync_api import Browser

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Invitation, Seat
from tests.cast import PASSWORD, make_cast
from tests.functional.windows import Window, window
from tests.unit.members.invited import invited, link_to

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("one_thread_is_enough")]

NEW = "newcomer@cedar.example"


@dataclass
class Newcomer:
    """Who was invited in which language, by which link, and sits at which window; somebody else's seat."""

    language: str
    link: str
    seat: str
    window: Window

    def words(self, message: str) -> str:
        """A sentence of the portal in the language of the invitation."""
        with translation.override(self.language):
            return gettext(message)


@pytest.fixture(params=["en", "fr"])
def newcomer(request: pytest.FixtureRequest, portal_url: str, browser: Browser) -> Iterator[Newcomer]:
    """An owner to be, invited to cedar, and an expired invitation for the list; a computer with a passkey reader."""
    at, language = now(), request.param
    cast = make_cast(at - timedelta(days=400))
    invited(cast, at, email=NEW, role="owner", language=language)
    link = link_to(NEW, at)
    late = invited(cast, at, email="late@cedar.example")
    with consortium_scope(Scope.COMMAND):
        Invitation.objects.filter(pk=late.pk).update(sent_at=at - timedelta(days=8), expires_at=at - timedelta(days=1))
        offered = Seat.objects.filter(user=cast.viewer).values_list("pk", flat=True).get()
    with window(browser, url=portal_url, journey=f"team-{language}") as opened:
        devtools = opened.page.context.new_cdp_session(opened.page)
        devtools.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
        devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {"options": options | {"isUserVerified": True, "automaticPresenceSimulation": True}},
        )
        yield Newcomer(language, link, str(offered), opened)


def test_somebody_is_invited_signs_up_sets_up_a_passkey_and_manages_people(newcomer: Newcomer) -> None:
    window, words = newcomer.window, newcomer.words
    accept(newcomer)
    window.looked_at("mfa")  # an owner needs a second factor first
    window.follow(words("Add a passkey"))
    window.looked_at("reauthenticate")
    window.write("password", PASSWORD)
    window.enter()
    window.looked_at("passkey-add")
    window.send(words("Add a passkey"))
    window.page.wait_for_url("**/recovery-codes/")
    window.open(f"/{newcomer.language}/accounts/mfa/webauthn/")
    window.looked_at("passkeys")
    people(newcomer)
    window.tab_to(window.page.locator("details.account-menu summary"))
    window.page.keyboard.press("Enter")
    window.enter(window.page.locator("details.account-menu").get_by_role("button", name=words("Sign out")))
    window.open(f"/{newcomer.language}/accounts/login/")
    window.looked_at("login")
    window.send(words("Sign in with a passkey"))
    window.page.wait_for_url(lambda url: "/accounts/" not in url)
    window.open(f"/{newcomer.language}/i/cedar/people/")


def accept(newcomer: Newcomer) -> None:
    """Open the link of the mail, make an account with its address, take the seat."""
    window, words = newcomer.window, newcomer.words
    window.open(newcomer.link)
    assert window.page.get_attribute("html", "lang") == newcomer.language
    window.looked_at("invitation")
    window.send(words("Create an account"))
    window.looked_at("signup")
    assert window.page.locator("input[name=email]").input_value() == NEW
    window.write("password1", PASSWORD)
    window.write("password2", PASSWORD)
    window.enter()
    window.page.wait_for_url(f"**/{newcomer.language}/invitations/")
    window.send(words("Accept the invitation"))
    window.page.wait_for_url(f"**/{newcomer.language}/accounts/mfa/")


def people(newcomer: Newcomer) -> None:
    """Every page of the people of the university, looked at, and an invitation that is refused."""
    window = newcomer.window
    for name, path in {
        "seat": f"i/cedar/people/{newcomer.seat}/",
        "ownership": "i/cedar/people/ownership/",
        "sessions": "accounts/sessions/",
        "profile": "accounts/profile/",
        "people": "i/cedar/people/",
    }.items():
        window.open(f"/{newcomer.language}/{path}")
        window.looked_at(name)
    window.write("email", "no address")
    window.send(newcomer.words("Send the invitation"))
    window.refused()
    window.looked_at("people-error")
    assert window.page.locator("[name=email]").input_value() == "no address"
