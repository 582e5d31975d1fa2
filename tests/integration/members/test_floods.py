"""Guessing: a flood of sign-ins is answered 429 by a page of ours, and without the limiter nobody gets in."""

from datetime import datetime
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from redis.exceptions import RedisError

from tests.cast import PASSWORD, Cast
from tests.integration.members.browser import signed_in, text_of
from tests.integration.members.test_account_pages import with_password

LOGIN = "/en/accounts/login/"
DEAD = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}}


def test_a_flood_of_sign_ins_is_answered_429_with_a_page_of_ours(cast: Cast) -> None:
    with_password(cast.viewer)
    browser = Client()
    codes = [browser.post(LOGIN, {"login": f"{n}@x.example", "password": "guess"}).status_code for n in range(31)]
    assert codes[-1] == 429
    html = text_of(browser.post("/fr/accounts/login/", {"login": "x@x.example", "password": "guess"}))
    assert 'class="site-header"' in html
    right = browser.post(LOGIN, {"login": cast.viewer.email, "password": PASSWORD})
    assert right.status_code == 429  # the right password does not pass either
    assert browser.get("/en/i/cedar/").status_code == 302


def test_guesses_against_one_account_from_many_places_are_stopped(cast: Cast) -> None:
    with_password(cast.viewer)
    for n in range(6):
        Client(REMOTE_ADDR=f"198.51.100.{n}").post(LOGIN, {"login": cast.viewer.email, "password": f"guess {n}"})
    late = Client(REMOTE_ADDR="198.51.100.200")
    answer = late.post(LOGIN, {"login": cast.viewer.email, "password": PASSWORD})
    assert answer.status_code in {200, 429}
    assert "Too many" in text_of(answer)
    assert late.get("/en/i/cedar/").status_code == 302


@pytest.fixture
def limiter_down(settings: Any) -> None:
    settings.CACHES = DEAD
    with pytest.raises(RedisError):
        caches["default"].get("anything")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_without_the_limiter_nobody_signs_in(cast: Cast, limiter_down: None, language: str) -> None:
    with_password(cast.viewer)
    browser = Client(raise_request_exception=False)
    answer = browser.post(f"/{language}/accounts/login/", {"login": cast.viewer.email, "password": PASSWORD})
    assert answer.status_code == 503
    assert answer["Retry-After"] == "60"
    assert 'class="site-header"' in text_of(answer)
    assert browser.get("/en/i/cedar/").status_code == 302


def test_without_the_limiter_who_is_in_goes_on(cast: Cast, limiter_down: None) -> None:
    assert signed_in(cast.viewer).get("/en/i/cedar/").status_code == 200


@pytest.mark.parametrize(
    "address",
    ["/en/verify/", "/en/sign/no-such-link/", "/sign-on/cedar/", "/en/pay/no-such-link/", "/en/invitations/x/"],
)
def test_addresses_without_an_account_are_limited_for_each_visitor(
    cast: Cast, address: str, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("members.floods.A_MINUTE", 3)
    monkeypatch.setattr("members.floods.now", lambda: at)  # one minute, however slow the machine
    busy, other = Client(REMOTE_ADDR="198.51.100.7"), Client(REMOTE_ADDR="198.51.100.8")
    codes = [busy.get(address).status_code for _ in range(5)]
    assert 429 not in codes[:3]
    assert codes[-1] == 429
    assert busy.get(address)["Retry-After"] == "60"
    assert other.get(address).status_code == codes[0]


def test_without_the_limiter_a_document_can_still_be_verified(cast: Cast, limiter_down: None) -> None:
    assert Client().get("/en/verify/").status_code == 200
