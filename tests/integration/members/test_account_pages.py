"""Signing up, in and out, and the second factor, in our look and in both languages."""

import re
import time

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core import mail
from django.core.cache import cache
from django.test import Client

from members.models import User
from tests.cast import PASSWORD, Cast
from tests.integration.members.browser import signed_in, text_of

OPEN = ["login/", "signup/", "password/reset/", "password/reset/done/", "confirm-email/", "inactive/"]
OWN = ["email/", "password/change/", "logout/", "reauthenticate/", "mfa/"]
STEP_SECONDS = 30


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    """Sign-in is rate-limited in the cache, which outlives a test."""
    cache.clear()


def code_for(secret: str) -> str:
    """The six digits that an authenticator app would show now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // STEP_SECONDS)))


def with_password(person: User) -> User:
    person.set_password(PASSWORD)
    person.save()
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    return person


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("page", OPEN)
def test_an_open_page_stands_in_our_frame(db: None, language: str, page: str) -> None:
    html = text_of(Client().get(f"/{language}/accounts/{page}"))
    assert f'<html lang="{language}">' in html
    assert 'class="site-header"' in html


def test_pages_of_ones_own_account_stand_in_our_frame(cast: Cast) -> None:
    browser = Client()
    person = with_password(cast.viewer)
    browser.post("/en/accounts/login/", {"login": person.email, "password": PASSWORD})
    for language in ("en", "fr"):
        for page in OWN:
            assert 'class="site-header"' in text_of(browser.get(f"/{language}/accounts/{page}")), page


def test_a_wrong_password_is_named_in_a_summary_and_keeps_the_address(cast: Cast) -> None:
    with_password(cast.viewer)
    html = text_of(Client().post("/en/accounts/login/", {"login": cast.viewer.email, "password": "wrong"}))
    assert 'class="error-summary"' in html
    assert cast.viewer.email in html


def test_signing_up_asks_to_confirm_the_address(db: None) -> None:
    browser = Client()
    form = {"email": "new@birch.example", "password1": PASSWORD, "password2": PASSWORD}
    answer = browser.post("/fr/accounts/signup/", form)
    assert answer["Location"] == "/fr/accounts/confirm-email/"
    assert User.objects.get(email="new@birch.example").language == "fr"
    link = re.search(r"http://[^/]+(/fr/accounts/confirm-email/[^/\s]+/)", str(mail.outbox[0].body))
    assert link
    assert "new@birch.example" in text_of(browser.get(link[1]))
    assert not EmailAddress.objects.get().verified  # a mail scanner that follows the link confirms nothing
    browser.post(link[1])
    assert EmailAddress.objects.get().verified


def test_a_second_factor_is_set_up_and_then_asked_for(cast: Cast) -> None:
    person = with_password(cast.owner)
    browser = Client()
    browser.post("/en/accounts/login/", {"login": person.email, "password": PASSWORD})
    door = browser.get("/en/accounts/mfa/totp/activate/")["Location"]
    assert "Type your password again" in text_of(browser.get(door))
    assert browser.post(door, {"password": PASSWORD})["Location"] == "/en/accounts/mfa/totp/activate/"
    page = text_of(browser.get("/en/accounts/mfa/totp/activate/"))
    assert 'src="data:image/svg+xml' in page
    found = re.search(r"<code>([A-Z2-7]+)</code>", page)
    assert found
    secret = found[1]
    wrong = browser.post("/en/accounts/mfa/totp/activate/", {"code": "000000"})
    assert 'class="error-summary"' in text_of(wrong)
    assert browser.post("/en/accounts/mfa/totp/activate/", {"code": code_for(secret)}).status_code == 302
    assert Authenticator.objects.filter(user=person, type="totp").exists()
    codes = text_of(browser.get("/en/accounts/mfa/recovery-codes/"))
    recovery = re.search(r"<li><code>([^<]+)</code></li>", codes)
    assert recovery
    for path in ("mfa/", "mfa/recovery-codes/generate/", "mfa/totp/deactivate/"):
        assert 'class="site-header"' in text_of(browser.get(f"/fr/accounts/{path}"))
    again = Client()
    answer = again.post("/en/accounts/login/", {"login": person.email, "password": PASSWORD})
    assert answer["Location"] == "/en/accounts/mfa/authenticate/"
    assert "six digits" in text_of(again.get(answer["Location"]))
    assert again.get("/en/i/cedar/people/").status_code == 302  # not in yet
    assert again.post(answer["Location"], {"code": recovery[1]}).status_code == 302
    assert again.get("/en/i/cedar/people/").status_code == 200


def test_a_used_reset_link_offers_a_fresh_one(db: None) -> None:
    html = text_of(Client().get("/en/accounts/password/reset/key/1-abc-def/"))
    assert "This link does not work any more" in html


def test_signing_out_takes_a_post(cast: Cast) -> None:
    browser = signed_in(cast.viewer)
    assert "Do you want to sign out?" in text_of(browser.get("/en/accounts/logout/"))
    browser.post("/en/accounts/logout/")
    assert browser.get("/en/i/cedar/people/").status_code == 302
