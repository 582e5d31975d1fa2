"""Being invited, in a fresh browser: sign up or in with the address, accept by a button; every other state is clear."""

from datetime import datetime, timedelta

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.invitations import revoke_invitation
from members.models import Invitation, Seat, User
from tests.cast import PASSWORD, Cast
from tests.integration.members.browser import signed_in, text_of
from tests.integration.members.test_account_pages import with_password
from tests.unit.members.invited import confirmed, invited, link_to

NEW = "newcomer@cedar.example"


def roles_of(email: str) -> list[str]:
    with consortium_scope(Scope.COMMAND):
        return sorted(Seat.objects.filter(user__email=email, ended_at=None).values_list("role", flat=True))


def test_a_newcomer_signs_up_and_is_in_without_a_second_mail(cast: Cast) -> None:
    invited(cast, now(), email=NEW, role="technical", language="fr")
    link = link_to(NEW, now())
    browser = Client()
    html = text_of(browser.get(link))
    assert "Université Cedar" in html
    assert "Technique" in html
    assert browser.post(link)["Location"] == "/fr/accounts/signup/"
    assert f'value="{NEW}"' in text_of(browser.get("/fr/accounts/signup/"))
    form = {"email": NEW, "password1": PASSWORD, "password2": PASSWORD}
    answer = browser.post("/fr/accounts/signup/", form)
    assert answer["Location"] == "/fr/invitations/"
    assert roles_of(NEW) == []  # signing up is not accepting
    text_of(browser.get("/fr/invitations/"))
    assert browser.post("/fr/invitations/")["Location"] == "/fr/i/cedar/"
    assert roles_of(NEW) == ["technical"]
    person = User.objects.get(email=NEW)
    assert (person.language, EmailAddress.objects.get(user=person).verified) == ("fr", True)
    assert text_of(browser.get("/fr/i/cedar/"))


def test_who_has_an_account_signs_in_and_accepts(cast: Cast) -> None:
    with_password(cast.stranger)
    invited(cast, now(), role="viewer")
    link, browser = link_to(cast.stranger.email, now()), Client()
    assert "Sign in and accept" in text_of(browser.get(link))
    assert browser.post(link)["Location"] == "/en/accounts/login/"
    answer = browser.post("/en/accounts/login/", {"login": cast.stranger.email, "password": PASSWORD})
    assert answer["Location"] == "/en/invitations/"
    browser.post("/en/invitations/")
    assert roles_of(cast.stranger.email) == ["viewer"]
    assert browser.get("/en/invitations/")["Location"] == "/en/dashboard/"  # nothing waits any more


def test_the_link_confirms_the_address_of_an_account_that_never_did(cast: Cast) -> None:
    person = with_password(cast.stranger)
    EmailAddress.objects.update(verified=False)
    invited(cast, now(), role="viewer")
    link, browser = link_to(person.email, now()), Client()
    browser.post(link)
    answer = browser.post("/en/accounts/login/", {"login": person.email, "password": PASSWORD})
    assert answer["Location"] == "/en/invitations/"
    browser.post("/en/invitations/")
    assert roles_of(person.email) == ["viewer"]


def test_looking_never_accepts(cast: Cast) -> None:
    confirmed(cast.stranger)
    invited(cast, now())
    link, browser = link_to(cast.stranger.email, now()), signed_in(cast.stranger)
    for method in ("get", "head", "options"):
        getattr(browser, method)(link)
        getattr(Client(), method)(link)
    assert "Accept the invitation" in text_of(browser.get(link))
    with consortium_scope(Scope.COMMAND):
        assert Invitation.objects.get().status == "open"
    assert browser.post(link).status_code == 302
    assert roles_of(cast.stranger.email) == ["finance"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_somebody_else_is_refused_with_the_reason(cast: Cast, method: str) -> None:
    confirmed(cast.technical)
    invited(cast, now(), email=NEW)
    answer = getattr(signed_in(cast.technical), method)(link_to(NEW, now()))
    assert answer.status_code == 403
    html = text_of(answer)
    assert f"It is for {NEW}; you are signed in as technical@people.example" in html
    assert "Sign out" in html
    assert roles_of(cast.technical.email) == ["technical"]


def test_the_link_is_kept_secret(cast: Cast) -> None:
    invited(cast, now(), email=NEW)
    link, browser = link_to(NEW, now()), Client()
    answer = browser.get(link)
    assert answer["Referrer-Policy"] == "strict-origin"
    assert "noindex" in answer["X-Robots-Tag"]
    assert "no-store" in answer["Cache-Control"]
    browser.post(link)
    secret = link.split("/")[-2]
    assert secret not in str(dict(browser.session))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_forged_link_an_expired_one_and_a_used_one_say_what_to_do(cast: Cast, language: str) -> None:
    forged = Client().get(f"/{language}/invitations/{'x' * 2_000}/")
    assert forged.status_code == 404
    text_of(forged)
    invited(cast, now(), email=NEW, language=language)
    link = link_to(NEW, now())
    with time_machine.travel(now() + timedelta(days=8)):
        expired = Client().get(link)
    assert (expired.status_code, "h1" in text_of(expired)) == (410, True)
    with consortium_scope(Scope.COMMAND):
        revoke_invitation(Invitation.objects.get(), by=cast.owner, at=now())
    assert Client().post(link).status_code == 410


def test_a_withdrawal_while_the_person_signs_up_is_told(cast: Cast) -> None:
    invited(cast, now(), email=NEW)
    link, browser = link_to(NEW, now()), Client()
    browser.post(link)
    with consortium_scope(Scope.COMMAND):
        revoke_invitation(Invitation.objects.get(), by=cast.owner, at=now())
    answer = browser.post("/en/accounts/signup/", {"email": NEW, "password1": PASSWORD, "password2": PASSWORD})
    assert "was withdrawn" in text_of(browser.get(answer["Location"]))
    assert roles_of(NEW) == []


def test_a_new_owner_is_asked_for_a_second_factor_before_anything_else(cast: Cast) -> None:
    confirmed(cast.stranger)
    invited(cast, now(), role="owner")
    browser = signed_in(cast.stranger, second_factor=False)
    browser.post(link_to(cast.stranger.email, now()))
    assert roles_of(cast.stranger.email) == ["owner"]
    assert browser.get("/en/i/cedar/people/")["Location"] == "/en/accounts/mfa/"


def test_an_account_made_by_somebody_else_for_the_address_does_not_get_the_seat(cast: Cast, at: datetime) -> None:
    """Who signed up early with a colleague's address has neither the link nor a confirmed address."""
    squatter = with_password(cast.stranger)
    EmailAddress.objects.update(verified=False)
    invited(cast, now(), role="owner")
    link_to(squatter.email, now())
    browser = Client()
    answer = browser.post("/en/accounts/login/", {"login": squatter.email, "password": PASSWORD})
    assert "confirm-email" in answer["Location"]
    assert roles_of(squatter.email) == []
