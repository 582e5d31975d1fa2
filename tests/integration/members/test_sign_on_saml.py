"""SAML: a real signed answer opens the door once, and every forged, moved, old or borrowed one is refused."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import UsedAssertion, User
from members.sign_on import saml
from members.sign_on.errors import SignOnRefused
from tests.cast import Cast
from tests.integration.members.identity_providers import ANA, SUBJECT_ID, Asked, SamlIdp, encoded
from tests.integration.members.sign_on_story import ask, live_saml, post, saml_sign_on, seats_at

Keys = tuple[str, str]
Attack = Callable[[SamlIdp, Asked, Keys], str]
EVIL = ANA | {SUBJECT_ID: "owner@cedar.example"}


def test_a_signed_answer_signs_in_and_an_affiliation_makes_a_viewer(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    live_saml(cast, saml_idp, at)
    browser = Client()
    answer = saml_sign_on(browser, saml_idp, ANA)
    assert answer.status_code == 302
    assert answer["Location"] == "/en/dashboard/"
    user = User.objects.get(email="ana@cedar.example")
    assert browser.session["_auth_user_id"] == str(user.pk)
    assert user.name == "Ana Lima"
    assert not user.has_usable_password()
    account = SocialAccount.objects.get()
    assert account.uid == "ana-17@cedar.example"
    assert account.provider.startswith(f"{cast.university.pk}|https://idp.cedar.example/")
    assert account.extra_data == {}
    assert seats_at(cast, user.email) == [("viewer", "sign_on")]
    with consortium_scope(Scope.COMMAND):
        assert UsedAssertion.objects.get().sealed == ""


def _plain(**changes: object) -> Attack:
    return lambda idp, asked, _keys: idp.response(asked, idp.assertion(asked, ANA, **changes))  # type: ignore[arg-type]


def _wrapped_in_extensions(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    """The signed assertion is hidden among the extensions, a forged one stands in its place."""
    good = idp.assertion(asked, ANA)
    forged = idp.assertion(asked, EVIL, signed=False)
    return idp.response(asked, forged, extensions=f"<samlp:Extensions>{good}</samlp:Extensions>")


def _wrapped_in_signature(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    """The forged assertion bears the good one's signature, which carries the good one inside as an object."""
    good = idp.assertion(asked, ANA)
    signature = re.search(r"<ds:Signature.*?</ds:Signature>", good, re.DOTALL)
    assert signature
    bare = good.replace(signature[0], "")
    carrying = signature[0].replace("</ds:Signature>", f"<ds:Object>{bare}</ds:Object></ds:Signature>")
    forged = idp.assertion(asked, EVIL, signed=False)
    return idp.response(asked, forged.replace("</saml:Issuer>", f"</saml:Issuer>{carrying}", 1))


def _twin(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    """A forged assertion with the same id stands before the signed one."""
    good = idp.assertion(asked, ANA)
    known = re.search(r'ID="(_[0-9a-f]+)"', good)
    assert known
    forged = re.sub(r'ID="_[0-9a-f]+"', f'ID="{known[1]}"', idp.assertion(asked, EVIL, signed=False), count=1)
    return idp.response(asked, forged + good)


def _changed_after_signing(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    return idp.response(asked, idp.assertion(asked, ANA).replace("ana-17@", "owner@"))


def _other_key(idp: SamlIdp, asked: Asked, keys: Keys) -> str:
    return idp.response(asked, idp.assertion(asked, ANA, key=keys))


def _comment(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    """Canonical XML drops comments, so the signature holds; a careless reader would stop at the comment."""
    name = {SUBJECT_ID: "ana-17@cedar.example.evil.example"}
    signed = idp.assertion(asked, ANA | name)
    return idp.response(asked, signed.replace("cedar.example.evil", "cedar.example<!-- -->.evil"))


def _dtd(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    return f'<!DOCTYPE x [<!ENTITY who "owner">]>{idp.response(asked, idp.assertion(asked, ANA))}'


def _signed_response_only(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    from onelogin.saml2.utils import OneLogin_Saml2_Utils  # noqa: PLC0415 - this attack alone

    whole = idp.response(asked, idp.assertion(asked, ANA, signed=False))
    signed = OneLogin_Saml2_Utils.add_sign(whole, idp.key, idp.certificate)
    return signed.decode() if isinstance(signed, bytes) else str(signed)


def _elsewhere(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    return idp.response(asked, idp.assertion(asked, ANA), destination=f"{asked.acs}evil/")


def _unasked(idp: SamlIdp, asked: Asked, _keys: Keys) -> str:
    other = replace(asked, id="_of_another_request")
    return idp.response(other, idp.assertion(other, ANA))


ATTACKS: dict[str, Attack] = {
    "wrapping-extensions": _wrapped_in_extensions,
    "wrapping-object": _wrapped_in_signature,
    "twin-id": _twin,
    "changed": _changed_after_signing,
    "audience": _plain(audience="https://other.example/"),
    "destination": _elsewhere,
    "recipient": lambda idp, asked, keys: _plain(recipient=f"{asked.acs}evil/")(idp, asked, keys),
    "expired": _plain(ends=timedelta(minutes=-10), begins=timedelta(minutes=-20)),
    "not-yet": _plain(begins=timedelta(minutes=10), ends=timedelta(minutes=20)),
    "unsigned": _plain(signed=False),
    "response-signed-only": _signed_response_only,
    "other-key": _other_key,
    "issuer": _plain(issuer="https://idp.maple.example/"),
    "confirmed-for-another-request": _plain(in_response_to="_of_another_request"),
    "comment": _comment,
    "dtd": _dtd,
}


WHY = {
    "wrapping-extensions": "one assertion",
    "wrapping-object": "one assertion",
    "twin-id": "one assertion",
    "changed": "Signature validation failed",
    "audience": "not a valid audience",
    "destination": "destination is not ours",
    "recipient": "confirmed to somebody else",
    "expired": "expired",
    "not-yet": "not yet valid",
    "unsigned": "bear one signature",
    "response-signed-only": "bear one signature",
    "other-key": "Signature validation failed",
    "issuer": "Invalid issuer",
    "confirmed-for-another-request": "SubjectConfirmation",
    "comment": "comments",
    "dtd": "document type",
}


@pytest.mark.parametrize("case", ATTACKS)
def test_an_answer_that_does_not_hold_is_refused_at_the_door(
    cast: Cast, saml_idp: SamlIdp, other_keys: Keys, at: datetime, case: str
) -> None:
    row = live_saml(cast, saml_idp, at)
    asked = ask(Client())
    xml = ATTACKS[case](saml_idp, asked, other_keys)
    with pytest.raises(SignOnRefused) as refused:
        saml.arrival(row, encoded(xml))
    assert WHY[case] in refused.value.reason  # for its own reason, not because the attack was clumsy
    answer = post(asked, xml)
    assert answer.status_code == 403
    assert "support" in answer.content.decode()
    assert not SocialAccount.objects.exists()
    with consortium_scope(Scope.COMMAND):
        assert not UsedAssertion.objects.exists()


def test_an_answer_to_a_request_that_this_browser_did_not_make_is_refused(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    live_saml(cast, saml_idp, at)
    browser = Client()
    asked = ask(browser)
    for xml in (_unasked(saml_idp, asked, ("", "")), saml_idp.response(asked, saml_idp.assertion(asked, ANA))):
        posted = post(asked, xml)
        stranger = Client()  # an attacker's link, opened in the victim's browser
        assert stranger.get(posted["Location"]).status_code == 403
        assert "_auth_user_id" not in stranger.session
    assert not SocialAccount.objects.exists()


def test_an_assertion_is_good_once(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    browser = Client()
    asked = ask(browser)
    xml = saml_idp.response(asked, saml_idp.assertion(asked, ANA))
    first = post(asked, xml)
    assert first.status_code == 302
    assert post(asked, xml).status_code == 403
    again = saml_idp.response(asked, saml_idp.assertion(asked, EVIL))  # a second answer to the same request
    assert post(asked, again).status_code == 403
    assert browser.get(first["Location"]).status_code == 302
    assert browser.get(first["Location"]).status_code == 403  # its ticket is good once too
    assert SocialAccount.objects.count() == 1


def test_an_answer_for_one_university_opens_no_other(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    browser = Client()
    asked = ask(browser)
    xml = saml_idp.response(asked, saml_idp.assertion(asked, ANA))
    assert post(replace(asked, acs=asked.acs.replace("cedar", "maple")), xml).status_code == 403


def test_the_metadata_is_read_by_a_provider_without_a_session(cast: Cast) -> None:
    answer = Client().get("/sign-on/cedar/saml/metadata/")
    assert answer["Content-Type"] == "application/samlmetadata+xml"
    assert b"/sign-on/cedar/saml/acs/" in answer.content


def test_a_huge_or_broken_answer_is_refused(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    asked = ask(Client())
    for xml in ("<a>" + "x" * 300_000 + "</a>", "not xml", "", "<a/>"):
        assert post(asked, xml).status_code == 403
    assert Client().post("/sign-on/cedar/saml/acs/", {"SAMLResponse": "!!"}).status_code == 403
    assert Client().get("/sign-on/cedar/saml/acs/").status_code == 405
