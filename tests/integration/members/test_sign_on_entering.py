"""Who gets in how: linking by the account's own sign-in, seats that follow affiliations, passwords that are refused."""

import re
from datetime import datetime
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import OutgoingMail
from members.models import Seat, SignOn, User
from members.people import end_seat
from members.sign_on.claims import REFEDS_MFA
from members.sign_on.configuring import choose_affiliations, stop_sign_on
from tests.cast import PASSWORD, Cast
from tests.integration.members.browser import signed_in, text_of
from tests.integration.members.identity_providers import AFFILIATION, ANA, MAIL, SUBJECT_ID, OidcIdp, SamlIdp
from tests.integration.members.sign_on_story import live, live_oidc, live_saml, oidc_sign_on, saml_sign_on, seats_at
from tests.unit.members.story import deliver

LOGIN = "/en/accounts/login/"


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """These stories are about who gets in, not about how long a guess takes."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def with_password(person: User, email: str = "") -> User:
    """The person, with the tests' password and a confirmed address at the university."""
    person.set_password(PASSWORD)
    person.email = email or person.email
    person.save()
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    return person


def type_password(browser: Client, person: User, path: str = LOGIN) -> Any:
    return browser.post(path, {"login": person.email, "password": PASSWORD})


def is_in(browser: Client, person: User) -> bool:
    return browser.session.get("_auth_user_id") == str(person.pk)


# --- Keys are issuer and subject ----------------------------------------


def test_an_equal_address_links_nothing_until_the_account_itself_signs_in(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    live_saml(cast, saml_idp, at)
    ana = with_password(cast.stranger, "ana@cedar.example")
    browser = Client()
    answer = saml_sign_on(browser, saml_idp, ANA)
    assert answer["Location"] == "/en/accounts/login/?next=/en/accounts/sign-on/link/"
    assert "_auth_user_id" not in browser.session
    assert not SocialAccount.objects.exists()
    assert "There is an account with your address" in text_of(browser.get(answer["Location"]))
    signed = type_password(browser, ana, answer["Location"])
    assert signed["Location"] == "/en/accounts/sign-on/link/"
    page = text_of(browser.get(signed["Location"]))
    assert "Ana Lima" in page
    assert not SocialAccount.objects.exists()  # looking links nothing
    assert browser.post(signed["Location"]).status_code == 302
    assert SocialAccount.objects.get().user == ana
    assert seats_at(cast, ana.email) == [("viewer", "sign_on")]
    again = Client()
    saml_sign_on(again, saml_idp, ANA)
    assert is_in(again, ana)
    deliver(at.now(at.tzinfo))
    with consortium_scope(Scope.COMMAND):
        assert OutgoingMail.objects.filter(template="members_identity_linked", recipient=ana.email).count() == 1


def test_another_person_with_the_same_address_at_the_provider_does_not_get_in(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    live_saml(cast, saml_idp, at)
    saml_sign_on(Client(), saml_idp, ANA)
    browser = Client()
    saml_sign_on(browser, saml_idp, ANA | {SUBJECT_ID: "newcomer@cedar.example"})
    assert "_auth_user_id" not in browser.session
    assert SocialAccount.objects.count() == 1


def test_a_changed_address_at_the_provider_changes_nothing_here(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    saml_sign_on(Client(), saml_idp, ANA)
    ana = User.objects.get(email="ana@cedar.example")
    browser = Client()
    saml_sign_on(browser, saml_idp, ANA | {MAIL: cast.owner.email})
    assert is_in(browser, ana)
    ana.refresh_from_db()
    assert ana.email == "ana@cedar.example"


def test_an_address_outside_the_verified_domains_must_be_confirmed(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    browser = Client()
    answer = saml_sign_on(browser, saml_idp, ANA | {MAIL: "ana@elsewhere.example"})
    assert answer["Location"] == "/en/accounts/confirm-email/"
    assert "_auth_user_id" not in browser.session
    assert not EmailAddress.objects.get(email="ana@elsewhere.example").verified


def test_without_an_address_the_page_names_the_fix_and_an_id(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    answer = saml_sign_on(Client(), saml_idp, {name: value for name, value in ANA.items() if name != MAIL})
    assert answer.status_code == 403
    page = text_of(answer)
    assert "urn:oid:0.9.2342.19200300.100.1.3" in page
    assert "/sign-on/cedar/saml/metadata/" in page
    assert re.search(r"<code>[A-Z0-9_-]{10}</code>", page)
    assert not User.objects.filter(name="Ana Lima").exists()


def test_a_transient_id_names_nobody(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    answer = saml_sign_on(Client(), saml_idp, {name: value for name, value in ANA.items() if name != SUBJECT_ID})
    assert answer.status_code == 403
    assert not SocialAccount.objects.exists()


def test_staff_and_disabled_people_do_not_come_in_this_way(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    row = live_saml(cast, saml_idp, at)
    key = f"{cast.university.pk}|{row.issuer}"
    SocialAccount.objects.create(provider=key, uid=ANA[SUBJECT_ID], user=cast.staff)
    browser = Client()
    assert saml_sign_on(browser, saml_idp, ANA).status_code == 403
    SocialAccount.objects.update(user=cast.stranger)
    User.objects.filter(pk=cast.stranger.pk).update(is_active=False)
    assert saml_sign_on(browser, saml_idp, ANA)["Location"] == "/en/accounts/inactive/"
    assert "_auth_user_id" not in browser.session


def test_a_configuration_that_was_turned_off_meanwhile_lets_nobody_in(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    row = live_oidc(cast, oidc, at)
    browser = Client()
    answer = oidc.authorize(browser.get("/sign-on/cedar/")["Location"])
    with consortium_scope(Scope.COMMAND):
        stop_sign_on(row, by=cast.owner, at=at)
    assert browser.get("/sign-on/cedar/callback/", answer).status_code == 403
    assert Client().get("/sign-on/cedar/").status_code == 404


def test_a_person_links_and_unlinks_from_their_own_page(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at)
    person = with_password(cast.viewer)
    browser = Client()
    type_password(browser, person)
    assert "None yet" in text_of(browser.get("/en/accounts/sign-on/"))
    answer = oidc_sign_on(browser, oidc)
    assert answer["Location"] == "/en/accounts/sign-on/link/"
    browser.post(answer["Location"])
    account = SocialAccount.objects.get(user=person)
    assert oidc.url in text_of(browser.get("/en/accounts/sign-on/"))
    someone = signed_in(cast.finance)
    someone.post(f"/en/accounts/sign-on/{account.pk}/unlink/")
    assert SocialAccount.objects.exists()
    browser.post(f"/en/accounts/sign-on/{account.pk}/unlink/")
    assert not SocialAccount.objects.exists()


def test_linking_asks_again_for_the_accounts_own_sign_in(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at)
    person = with_password(cast.viewer)
    browser = Client()
    browser.force_login(person, backend="django.contrib.auth.backends.ModelBackend")  # a session from long ago
    link = oidc_sign_on(browser, oidc)["Location"]
    assert browser.post(link)["Location"].startswith("/en/accounts/reauthenticate/")
    assert not SocialAccount.objects.exists()
    browser.post(f"/en/accounts/reauthenticate/?next={link}", {"password": PASSWORD})
    assert SocialAccount.objects.get().user == person


def test_who_has_no_password_is_asked_to_sign_in_afresh(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at)
    cast.viewer.set_unusable_password()
    cast.viewer.save()
    browser = signed_in(cast.viewer, second_factor=False)
    assert browser.post(oidc_sign_on(browser, oidc)["Location"])["Location"] == "/en/accounts/sign-on/"
    assert not SocialAccount.objects.exists()


# --- Seats that follow affiliations ----------------------------------------


@pytest.mark.parametrize(
    "affiliation",
    ["student@cedar.example", "member@cedar.example", "staff@elsewhere.example", "staff", "alum@cedar.example", ""],
)
def test_no_other_affiliation_brings_a_seat(cast: Cast, saml_idp: SamlIdp, at: datetime, affiliation: str) -> None:
    live_saml(cast, saml_idp, at)
    browser = Client()
    saml_sign_on(browser, saml_idp, ANA | {AFFILIATION: affiliation})
    assert is_in(browser, User.objects.get(email="ana@cedar.example"))
    assert seats_at(cast, "ana@cedar.example") == []


def test_the_seat_ends_with_the_affiliation_and_comes_back_with_it(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    for affiliation, expected in (
        ("Staff@CEDAR.example", [("viewer", "sign_on")]),
        ("student@cedar.example", []),
        ("faculty@cedar.example", [("viewer", "sign_on")]),
    ):
        saml_sign_on(Client(), saml_idp, ANA | {AFFILIATION: affiliation})
        assert seats_at(cast, "ana@cedar.example") == expected


def test_a_seat_that_an_owner_gave_stays_and_one_that_an_owner_ended_stays_ended(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    live_saml(cast, saml_idp, at)
    saml_sign_on(Client(), saml_idp, ANA)
    with consortium_scope(Scope.COMMAND):
        seat = Seat.objects.get(user__email="ana@cedar.example", ended_at=None)
        end_seat(seat, by=cast.owner, at=at)
    saml_sign_on(Client(), saml_idp, ANA)
    assert seats_at(cast, "ana@cedar.example") == []
    with consortium_scope(Scope.COMMAND):
        Seat.objects.create(
            institution=cast.university, user=seat.user, role="technical", source="owner", created_at=at
        )
    saml_sign_on(Client(), saml_idp, ANA | {AFFILIATION: "student@cedar.example"})
    assert seats_at(cast, "ana@cedar.example") == [("technical", "owner")]


def test_the_owner_decides_which_affiliations_join(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    row = live_saml(cast, saml_idp, at)
    with consortium_scope(Scope.COMMAND):
        choose_affiliations(row, affiliations=["staff"], by=cast.owner, at=at)
    saml_sign_on(Client(), saml_idp, ANA)
    assert seats_at(cast, "ana@cedar.example") == []


def test_through_cilogon_only_the_universitys_own_provider_brings_a_seat(
    cast: Cast, oidc: OidcIdp, at: datetime
) -> None:
    own = "https://idp.cedar.example/shibboleth"
    live(cast, at, kind="cilogon", issuer=oidc.url, client_id="portal", secret="s3cret", idp=own)
    oidc.claims |= {
        "affiliation": "staff@cedar.example;member@cedar.example",
        "idp": "http://google.com/accounts/o8/id",
    }
    browser = Client()
    answer = oidc_sign_on(browser, oidc)
    assert oidc.asked["idphint"] == own
    assert answer["Location"] == "/en/accounts/confirm-email/"  # its word for an address counts for nothing
    assert seats_at(cast, "ana@cedar.example") == []
    EmailAddress.objects.update(verified=True)
    oidc_sign_on(Client(), oidc)
    assert seats_at(cast, "ana@cedar.example") == []
    oidc.claims["idp"] = own
    oidc_sign_on(Client(), oidc)
    assert seats_at(cast, "ana@cedar.example") == [("viewer", "sign_on")]


# --- A second factor from the provider ----------------------------------------


@pytest.mark.parametrize(("context", "opens"), [(REFEDS_MFA, True), ("urn:example:password", False)])
def test_refeds_mfa_is_a_second_factor_for_this_session(
    cast: Cast, saml_idp: SamlIdp, at: datetime, context: str, opens: bool
) -> None:
    row = live_saml(cast, saml_idp, at)
    key = f"{cast.university.pk}|{row.issuer}"
    SocialAccount.objects.create(provider=key, uid=ANA[SUBJECT_ID], user=cast.owner)
    EmailAddress.objects.create(user=cast.owner, email=cast.owner.email, verified=True, primary=True)
    browser = Client()
    saml_sign_on(browser, saml_idp, ANA, context=context)
    assert (browser.get("/en/i/cedar/people/").status_code == 200) is opens
    Authenticator.objects.create(user=cast.owner, type="totp", data={"secret": "x"})
    other = Client()
    answer = saml_sign_on(other, saml_idp, ANA, context=context)
    assert (answer["Location"] == "/en/accounts/mfa/authenticate/") is not opens
    assert is_in(other, cast.owner) is opens


# --- Required sign-on ----------------------------------------


def test_where_sign_on_is_required_a_password_is_refused_except_to_owners(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    live_saml(cast, saml_idp, at, enforced=True)
    viewer = with_password(cast.viewer, "vera@cedar.example")
    owner = with_password(cast.owner, "olivia@cedar.example")
    elsewhere = with_password(cast.technical)
    for person, allowed in ((viewer, False), (owner, True), (elsewhere, True)):
        browser = Client()
        answer = type_password(browser, person)
        assert is_in(browser, person) is allowed
        if not allowed:
            assert answer["Location"] == "/en/accounts/login/?university=cedar"
            page = text_of(browser.get(answer["Location"]))
            assert "requires its own sign-in" in page
            assert "/sign-on/cedar/" in page


def test_who_has_an_account_already_links_it_even_where_sign_on_is_required(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    live_saml(cast, saml_idp, at, enforced=True)
    ana = with_password(cast.viewer, "ana@cedar.example")
    browser = Client()
    answer = saml_sign_on(browser, saml_idp, ANA)
    link = type_password(browser, ana, answer["Location"])["Location"]
    browser.post(link)
    assert SocialAccount.objects.get().user == ana
    assert not is_in(Client(), ana)
    plain = Client()
    type_password(plain, ana)
    assert not is_in(plain, ana)


# --- Finding one's university ----------------------------------------


def test_the_sign_in_page_finds_a_university_and_continues_there(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    for text in ("cedar univ", "ana@cedar.example", "Somewhere"):
        page = text_of(Client().get("/fr/accounts/login/", {"university": text, "next": "/fr/i/cedar/"}))
        assert 'href="/sign-on/cedar/?language=fr&amp;next=/fr/i/cedar/"' in page
    page = text_of(Client().get(LOGIN, {"university": "maple"}))
    assert "Maple University" in page
    assert "/sign-on/maple/" not in page
    assert "No university of that name" in text_of(Client().get(LOGIN, {"university": "zzz"}))
    evil = text_of(Client().get(LOGIN, {"university": "cedar", "next": "https://evil.example/"}))
    assert 'href="/sign-on/cedar/?language=en"' in evil


def test_the_language_of_the_page_comes_back_with_the_person(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    live_oidc(cast, oidc, at)
    browser = Client()
    assert oidc_sign_on(browser, oidc, "/sign-on/cedar/?language=fr")["Location"] == "/fr/dashboard/"
    assert User.objects.get(email="ana@cedar.example").language == "fr"
    assert SignOn.objects.count() == 0  # outside a scope: row-level security
