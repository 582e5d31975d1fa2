"""Where one is signed in: listed with little data, ended by oneself, and gone at once when access ends."""

from datetime import datetime, timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Seat, User
from members.people import add_seat, close_account, end_seat
from members.roles import Role
from members.sessions import device_words, forget_sessions, network_of
from tests.cast import PASSWORD, Cast
from tests.integration.members.browser import signed_in, text_of
from tests.integration.members.identity_providers import SamlIdp
from tests.integration.members.sign_on_story import live_saml
from tests.integration.members.test_account_pages import with_password

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0"


def browser_of(person: User, agent: str = FIREFOX, address: str = "203.0.113.77") -> Client:
    browser = Client(headers={"user-agent": agent}, REMOTE_ADDR=address)
    answer = browser.post("/en/accounts/login/", {"login": person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return browser


@pytest.mark.parametrize(
    ("agent", "words"),
    [(FIREFOX, "Firefox, Linux"), (SAFARI, "Safari, iPhone"), (EDGE, "Edge, Windows"), ("curl/8", ""), ("", "")],
)
def test_a_browser_is_named_by_its_kind(agent: str, words: str) -> None:
    assert device_words(agent) == words


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0"), ("2001:db8:1:2::3", "2001:db8:1::"), ("nonsense", "nonsense")],
)
def test_of_an_address_the_network_is_kept(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_page_lists_ones_sessions_and_no_one_elses(cast: Cast) -> None:
    person = with_password(cast.viewer)
    browser_of(with_password(cast.technical), EDGE)
    browser_of(person, SAFARI)
    html = text_of(browser_of(person).get("/en/accounts/sessions/"))
    assert html.index("Firefox, Linux") < html.index("Safari, iPhone")  # the present one first
    assert "Edge" not in html
    stored = str(list(UserSession.objects.values_list("ip", "user_agent")))
    assert "203.0.113.77" not in stored
    assert "Mozilla" not in stored


def test_one_session_or_all_others_are_ended_with_the_next_request(cast: Cast) -> None:
    person = with_password(cast.viewer)
    here, phone, office = browser_of(person), browser_of(person, SAFARI), browser_of(person, EDGE)
    key = UserSession.objects.get(user_agent="Safari, iPhone").pk
    here.post("/en/accounts/sessions/", {"session": key})
    assert phone.get("/en/i/cedar/").status_code == 302
    assert office.get("/en/i/cedar/").status_code == 200
    here.post("/en/accounts/sessions/", {"session": "others"})
    assert office.get("/en/i/cedar/").status_code == 302
    assert here.get("/en/i/cedar/").status_code == 200


@pytest.mark.parametrize("wanted", ["", "all", "-1", "9" * 400, "<script>"])
def test_what_is_no_session_ends_none(cast: Cast, wanted: str) -> None:
    here = browser_of(with_password(cast.viewer))
    page = here.post("/en/accounts/sessions/", {"session": wanted}, follow=True)
    assert "has ended already" in text_of(page)
    assert UserSession.objects.count() == 1


def test_another_persons_session_cannot_be_ended(cast: Cast) -> None:
    theirs = browser_of(with_password(cast.technical))
    here = browser_of(with_password(cast.viewer))
    here.post("/en/accounts/sessions/", {"session": UserSession.objects.get(user=cast.technical).pk})
    assert theirs.get("/en/i/cedar/").status_code == 200


def test_closing_an_account_ends_its_sessions_within_a_request(cast: Cast, at: datetime) -> None:
    browser = browser_of(with_password(cast.viewer))
    assert browser.get("/en/i/cedar/").status_code == 200
    with consortium_scope(Scope.COMMAND):
        close_account(cast.viewer, by=User.objects.create_superuser("root@people.example"), at=at)
    assert "/login/" in browser.get("/en/i/cedar/")["Location"]
    assert not UserSession.objects.filter(user=cast.viewer).exists()
    User.objects.filter(pk=cast.viewer.pk).update(is_active=True)
    assert browser.get("/en/i/cedar/").status_code == 302  # opening it again brings no old session back


def test_a_superuser_closes_an_account_in_the_admin_site(cast: Cast) -> None:
    browser = browser_of(with_password(cast.viewer))
    root = User.objects.create_superuser("root@people.example")
    form = {"name": "Viewer", "language": "en"}  # without the tick of is_active
    assert signed_in(root).post(f"/en/staff/members/user/{cast.viewer.pk}/change/", form).status_code == 302
    assert browser.get("/en/i/cedar/").status_code == 302
    assert signed_in(cast.staff).post(f"/en/staff/members/user/{cast.owner.pk}/change/", form).status_code == 403


def test_losing_the_last_seat_by_another_hand_ends_the_sessions(cast: Cast, at: datetime) -> None:
    browser = browser_of(with_password(cast.viewer))
    with consortium_scope(Scope.COMMAND):
        end_seat(Seat.objects.get(user=cast.viewer), by=cast.owner, at=at)
    assert browser.get("/en/i/cedar/").status_code == 302


def test_losing_one_of_two_seats_closes_that_university_alone(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        add_seat(institution=cast.other_university, user=cast.viewer, role=Role.VIEWER, by=cast.outsider, at=at)
        browser = browser_of(with_password(cast.viewer))
        end_seat(Seat.objects.get(user=cast.viewer, institution=cast.university), by=cast.owner, at=at)
    assert browser.get("/en/i/cedar/").status_code == 404
    assert browser.get("/en/i/maple/").status_code == 200


def test_what_is_kept_of_sessions_that_are_over_is_forgotten(cast: Cast) -> None:
    browser_of(with_password(cast.viewer))
    assert forget_sessions(at=now() + timedelta(hours=1)) == 0
    Session.objects.update(expire_date=now() - timedelta(minutes=1))
    UserSession.objects.update(created_at=now() - timedelta(hours=13))
    assert forget_sessions(at=now()) == 1
    assert not Session.objects.exists()


def test_a_session_ends_with_its_browser_and_is_not_offered_to_stay(cast: Cast) -> None:
    with_password(cast.viewer)
    browser = Client()
    assert "remember" not in text_of(browser.get("/en/accounts/login/"))
    browser.post("/en/accounts/login/", {"login": cast.viewer.email, "password": PASSWORD, "remember": "on"})
    cookie = browser.cookies["sessionid"]
    assert cookie["max-age"] == cookie["expires"] == ""
    assert Session.objects.get().expire_date <= now() + timedelta(hours=12)


def test_whom_required_sign_on_binds_is_signed_out_and_an_owner_is_not(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    browsers = {}
    for name in ("viewer", "finance", "owner"):
        person = cast.person(name)
        person.email = f"{name}@{'elsewhere' if name == 'finance' else 'cedar'}.example"
        browsers[name] = browser_of(with_password(person))
    live_saml(cast, saml_idp, at, enforced=True)
    signed_in_still = {name for name, browser in browsers.items() if "_auth_user_id" in browser.session}
    assert signed_in_still == {"finance", "owner"}  # the viewer's address is the university's; finance has another
