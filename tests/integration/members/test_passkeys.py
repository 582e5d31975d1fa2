"""Passkeys: set up, counted as the second factor, used beside the password and instead of it, removed."""

import json
import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.test import Client

from members.models import User
from tests.cast import PASSWORD, Cast
from tests.integration.members.browser import text_of
from tests.integration.members.software_key import SoftwareKey
from tests.integration.members.test_account_pages import with_password

ADD, LOGIN = "/en/accounts/mfa/webauthn/add/", "/en/accounts/login/"


def options_in(html: str) -> Any:
    found = re.search(r'<script id="passkey-options" type="application/json">(.+?)</script>', html)
    assert found
    return json.loads(found[1])


def signed_in_by_password(person: User) -> Client:
    browser = Client()
    answer = browser.post(LOGIN, {"login": person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return browser


def with_passkey(person: User) -> tuple[Client, SoftwareKey]:
    key, browser = SoftwareKey(), signed_in_by_password(with_password(person))
    door = browser.get(ADD)["Location"]
    browser.post(door, {"password": PASSWORD})
    options = options_in(text_of(browser.get(ADD)))
    credential = json.dumps(key.create(options["creation_options"]))
    answer = browser.post(ADD, {"name": "Laptop", "passwordless": "on", "credential": credential})
    assert answer.status_code == 302, answer.content.decode()
    return browser, key


def test_a_passkey_alone_is_the_second_factor_of_an_owner(cast: Cast) -> None:
    person = with_password(cast.owner)
    before = signed_in_by_password(person).get("/en/i/cedar/people/")
    assert before["Location"] == "/en/accounts/mfa/"
    EmailAddress.objects.all().delete()  # with_passkey confirms it anew
    browser, _key = with_passkey(person)
    page = browser.get("/en/i/cedar/people/")
    assert page.status_code == 200
    assert "Needed, not set up" in text_of(page)  # finance has none yet, the owner has
    assert text_of(page).count("Needed, not set up") == 1


def test_it_opens_the_account_without_a_password(cast: Cast) -> None:
    _browser, key = with_passkey(cast.owner)
    fresh = Client()
    html = text_of(fresh.get(LOGIN))
    assert 'data-passkey="get"' in html
    options = fresh.get("/en/accounts/mfa/webauthn/login/", headers={"accept": "application/json"}).json()
    answer = fresh.post(
        "/en/accounts/mfa/webauthn/login/", {"credential": json.dumps(key.get(options["request_options"]))}
    )
    assert answer.status_code == 302
    assert fresh.get("/en/i/cedar/people/").status_code == 200


def test_it_stands_beside_the_password(cast: Cast) -> None:
    _browser, key = with_passkey(cast.owner)
    again = signed_in_by_password(cast.owner)
    assert again.get("/en/i/cedar/people/").status_code == 302  # not in yet
    page = text_of(again.get("/en/accounts/mfa/authenticate/"))
    credential = key.get(options_in(page)["request_options"])
    assert again.post("/en/accounts/mfa/authenticate/", {"credential": json.dumps(credential)}).status_code == 302
    assert again.get("/en/i/cedar/people/").status_code == 200


@pytest.mark.parametrize("forged", ["{}", "not json", "[]", '{"id": "x"}'])
def test_a_forged_answer_is_refused_with_a_page(cast: Cast, forged: str) -> None:
    with_passkey(cast.owner)
    again = signed_in_by_password(cast.owner)
    answer = again.post("/en/accounts/mfa/authenticate/", {"credential": forged})
    assert 'class="error-summary"' in text_of(answer)
    assert again.get("/en/i/cedar/people/").status_code == 302


def test_another_key_or_an_old_answer_does_not_open(cast: Cast) -> None:
    _browser, key = with_passkey(cast.owner)
    stranger = SoftwareKey()
    stranger.user_handle, stranger.id = key.user_handle, key.id
    fresh = Client()
    url = "/en/accounts/mfa/webauthn/login/"
    options = fresh.get(url, headers={"accept": "application/json"}).json()["request_options"]
    fresh.post(url, {"credential": json.dumps(stranger.get(options))})
    old = json.dumps(key.get(options))
    other = Client()
    other.get(url, headers={"accept": "application/json"})  # asks for another challenge
    other.post(url, {"credential": old})
    for browser in (fresh, other):
        assert "/login/" in browser.get("/en/i/cedar/people/")["Location"]


def test_it_is_renamed_and_removed_and_then_the_role_is_closed(cast: Cast) -> None:
    browser, _key = with_passkey(cast.owner)
    row = Authenticator.objects.get(user=cast.owner, type=Authenticator.Type.WEBAUTHN)
    assert "Laptop" in text_of(browser.get("/fr/accounts/mfa/webauthn/"))
    edit = f"/en/accounts/mfa/webauthn/keys/{row.pk}/edit/"
    assert 'value="Laptop"' in text_of(browser.get(edit))
    browser.post(edit, {"name": "<b>Phone</b>" + "x" * 200_000})
    row.refresh_from_db()
    assert row.data["name"].startswith("<b>Phone</b>x")
    assert len(row.data["name"]) == 100
    assert "<b>Phone" not in text_of(browser.get("/en/accounts/mfa/webauthn/"))
    remove = f"/en/accounts/mfa/webauthn/keys/{row.pk}/remove/"
    assert "opens your account no more" in text_of(browser.get(remove))
    browser.post(remove)
    assert browser.get("/en/i/cedar/people/")["Location"] == "/en/accounts/mfa/"


def test_another_persons_passkey_does_not_exist(cast: Cast) -> None:
    with_passkey(cast.owner)
    row = Authenticator.objects.get(user=cast.owner, type=Authenticator.Type.WEBAUTHN)
    browser, _key = with_passkey(cast.outsider)
    for act in ("edit", "remove"):
        url = f"/en/accounts/mfa/webauthn/keys/{row.pk}/{act}/"
        assert browser.get(url).status_code == 404
        assert browser.post(url, {"name": "mine"}).status_code == 404


def test_recovery_codes_alone_are_no_second_factor(cast: Cast) -> None:
    person = with_password(cast.owner)
    Authenticator.objects.create(user=person, type=Authenticator.Type.RECOVERY_CODES, data={"seed": "x"})
    assert signed_in_by_password(person).get("/en/i/cedar/people/")["Location"] == "/en/accounts/mfa/"
