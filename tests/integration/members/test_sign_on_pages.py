"""The pages of domains and sign-on: for whom they open, what they show, and a test that signs nobody in."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from consortium.embedded.dns_server import DnsServer, publish
from consortium.kernel.tenancy import Scope, consortium_scope
from members.domains import record_name, record_value
from members.models import Domain, SignOn
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.integration.members.identity_providers import ANA, MAIL, OidcIdp, SamlIdp
from tests.integration.members.sign_on_story import ask, live_oidc, live_saml, oidc_sign_on, post, verified_domain

DOMAINS, SIGN_ON = "/en/i/cedar/domains/", "/en/i/cedar/sign-on/"


def only_sign_on() -> SignOn:
    with consortium_scope(Scope.COMMAND):
        return SignOn.objects.exclude(status="off").get()


@pytest.mark.parametrize("path", [DOMAINS, SIGN_ON, f"{SIGN_ON}provider/"])
def test_the_pages_open_to_owners_and_technical_people(cast: Cast, path: str) -> None:
    expected = {"owner": 200, "technical": 200, "finance": 403, "viewer": 403, "outsider": 404, "stranger": 404}
    for name, status in expected.items():
        assert signed_in(cast.person(name)).get(path).status_code == status, name
    assert Client().get(path).status_code == 302


@pytest.mark.parametrize("language", ["en", "fr"])
def test_empty_pages_say_what_will_be_there(cast: Cast, language: str) -> None:
    browser = signed_in(cast.technical)
    for page in ("domains/", "sign-on/", "sign-on/provider/"):
        text_of(browser.get(f"/{language}/i/cedar/{page}"))
    assert ("No domains yet" if language == "en" else "Aucun domaine") in text_of(
        browser.get(f"/{language}/i/cedar/domains/")
    )


def test_wrong_then_right_record(cast: Cast, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signed_in(cast.technical)
    bad = browser.post(DOMAINS, {"name": "https://cedar.example"})
    assert bad.status_code == 422
    assert "https://cedar.example" in text_of(bad)
    browser.post(DOMAINS, {"name": "cedar.example"})
    with consortium_scope(Scope.COMMAND):
        domain = Domain.objects.get()
    check = f"{DOMAINS}{domain.pk}/check/"
    with DnsServer(tmp_path / "zone") as server:
        settings.DNS_RESOLVER = server.address
        publish(tmp_path / "zone", {record_name(domain): ["portal-verification=<b>wrong</b>"]})
        assert browser.post(check).status_code == 302
        page = text_of(browser.get(DOMAINS))
        assert record_value(domain) in page
        assert "portal-verification=&lt;b&gt;wrong&lt;/b&gt;" in page
        assert "says something else" in page
        publish(tmp_path / "zone", {record_name(domain): [record_value(domain)]})
        browser.post(check)
        assert "cedar.example is verified" in text_of(browser.get(DOMAINS))
    settings.DNS_RESOLVER = "127.0.0.1:9"
    monkeypatch.setattr("members.gateways.dns.lookup.SECONDS", 0.3)
    browser.post(check)
    assert "That proves nothing" in text_of(browser.get(DOMAINS))
    assert browser.get(check).status_code == 405
    assert signed_in(cast.outsider).post(f"/en/i/maple/domains/{domain.pk}/check/").status_code == 404
    assert "Remove cedar.example?" in text_of(browser.get(f"{DOMAINS}{domain.pk}/remove/"))
    browser.post(f"{DOMAINS}{domain.pk}/remove/")
    assert "No domains yet" in text_of(browser.get(DOMAINS))


def test_saml_from_metadata_to_required(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        verified_domain(cast, at)
    browser = signed_in(cast.technical)
    form = {"kind": "saml", "metadata": saml_idp.metadata()}
    assert browser.post(f"{SIGN_ON}provider/", form)["Location"] == SIGN_ON
    row = only_sign_on()
    assert (row.issuer, row.status) == ("https://idp.cedar.example/idp/shibboleth", "draft")
    test = f"{SIGN_ON}{row.pk}/test/"
    asked = ask(browser, test)
    without = {name: value for name, value in ANA.items() if name != MAIL}
    posted = post(asked, saml_idp.response(asked, saml_idp.assertion(asked, without)))
    assert browser.get(posted["Location"])["Location"] == SIGN_ON
    page = text_of(browser.get(SIGN_ON))
    assert "The e-mail address: mail" in page
    assert "urn:oid:1.3.6.1.4.1.5923.1.1.1.9" in page
    assert "Ana Lima" not in page
    assert "Turn on" not in page
    asked = ask(browser, test)
    posted = post(asked, saml_idp.response(asked, saml_idp.assertion(asked, ANA)))
    browser.get(posted["Location"])
    assert browser.session["_auth_user_id"] == str(cast.technical.pk)  # a test signs nobody in
    assert "Turn on" in text_of(browser.get(SIGN_ON))
    for act, status in (("enable", "enabled"), ("enforce", "enforced"), ("relax", "enabled"), ("stop", "off")):
        browser.post(f"{SIGN_ON}{row.pk}/{act}/")
        with consortium_scope(Scope.COMMAND):
            assert SignOn.objects.get(pk=row.pk).status == status
        text_of(browser.get(SIGN_ON))
        text_of(browser.get(SIGN_ON.replace("/en/", "/fr/")))
    assert browser.post(f"{SIGN_ON}{row.pk}/explode/").status_code == 404


def test_a_test_needs_no_live_configuration_and_makes_no_account(cast: Cast, oidc: OidcIdp) -> None:
    browser = signed_in(cast.owner)
    form = {"kind": "oidc", "issuer": oidc.url, "client_id": "portal", "secret": "s3cret", "ask_mfa": "on"}
    browser.post(f"{SIGN_ON}provider/", form)
    row = only_sign_on()
    assert Client().get("/sign-on/cedar/").status_code == 404  # people cannot use it yet
    answer = oidc_sign_on(browser, oidc, f"{SIGN_ON}{row.pk}/test/")
    assert answer["Location"] == SIGN_ON
    assert "Passed" in text_of(browser.get(SIGN_ON))
    assert only_sign_on().status == "tested"
    page = text_of(browser.get(f"{SIGN_ON}provider/"))
    assert "s3cret" not in page
    assert oidc.url in page


def test_an_answer_to_a_test_signs_nobody_in_and_counts_for_nobody_else(cast: Cast, oidc: OidcIdp) -> None:
    browser = signed_in(cast.technical)
    form = {"kind": "oidc", "issuer": oidc.url, "client_id": "portal", "secret": "s3cret"}
    browser.post(f"{SIGN_ON}provider/", form)
    row = only_sign_on()
    answer = oidc.authorize(browser.get(f"{SIGN_ON}{row.pk}/test/")["Location"])
    browser.post("/en/accounts/logout/")
    assert browser.get("/sign-on/cedar/callback/", answer).status_code == 403
    assert only_sign_on().status == "draft"
    outsider = signed_in(cast.outsider)
    assert outsider.get(f"/en/i/maple/sign-on/{row.pk}/test/").status_code == 404


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"kind": "saml", "metadata": "<nonsense"}, "This is not the metadata"),
        ({"kind": "saml", "metadata": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}, "This is not the metadata"),
        ({"kind": "saml"}, "Enter the entity id"),
        ({"kind": "oidc", "issuer": "https://login.cedar.example", "client_id": "kept"}, "Enter the client secret"),
        ({"client_id": "kept"}, "This field is required"),
    ],
)
def test_a_form_at_fault_keeps_what_was_typed(cast: Cast, form: dict[str, str], words: str) -> None:
    answer = signed_in(cast.technical).post(f"{SIGN_ON}provider/", form)
    assert answer.status_code == 422
    page = text_of(answer)
    assert words in page
    assert "Error:" in page
    assert form.get("client_id", "") in page


def test_only_an_owner_chooses_who_joins(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    path = f"{SIGN_ON}affiliations/"
    assert signed_in(cast.technical).post(path, {"affiliations": ["staff"]}).status_code == 403
    owner = signed_in(cast.owner)
    owner.post(path, {"affiliations": ["student"]})
    assert only_sign_on().join_affiliations == ["faculty", "staff"]
    owner.post(path, {"affiliations": ["employee"]})
    assert only_sign_on().join_affiliations == ["employee"]


def test_staff_look_but_see_no_secret_and_change_nothing(cast: Cast, oidc: OidcIdp, at: datetime) -> None:
    row = live_oidc(cast, oidc, at)
    page = signed_in(cast.staff).get(f"/en/staff/members/signon/{row.pk}/change/").content.decode()
    assert oidc.url in page
    assert row.sealed_secret not in page
    assert 'name="_save"' not in page


def test_a_change_to_cilogon_leaves_the_old_issuer_behind(cast: Cast) -> None:
    browser, path = signed_in(cast.technical), f"{SIGN_ON}provider/"
    form = {"kind": "oidc", "issuer": "https://login.cedar.example", "client_id": "portal", "secret": "s3cret"}
    browser.post(path, form)
    browser.post(path, form | {"kind": "cilogon", "idp": "https://idp.cedar.example/shibboleth"})
    assert (only_sign_on().kind, only_sign_on().issuer) == ("cilogon", "https://cilogon.org")
