"""Beside the main way of applying: autosave, the tier, a university that is not listed, asking a member's owners."""

from datetime import datetime

import pytest

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent
from members.models import AccessRequest, Application, Institution
from members.onboarding import approve_application, ask_applicant, start_application
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.integration.members.test_applying_pages import begun, fill, send, the_application
from tests.unit.members.story import FIRST_DAY, submitted

ALDER = {
    "name_en": "Alder College",
    "city": "Alderton",
    "country": "CA",
    "province": "ON",
    "domain": "www.Alder.example",
}


def test_autosave_keeps_what_it_can_read_and_names_what_it_cannot(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    form = {"legal_name": "Birch & Co", "postal_code": "nowhere", "country": "CA"}
    answer = browser.post(f"{url}answers/identity/autosave/", form)
    assert answer.status_code == 200
    assert "Postal code" in answer.content.decode()
    assert (the_application().legal_name, the_application().postal_code) == ("Birch & Co", "")
    assert browser.get(f"{url}answers/identity/autosave/").status_code == 405
    browser.post(f"{url}answers/identity/autosave/", form)
    with consortium_scope(Scope.COMMAND):  # nothing changed, so nothing is recorded
        assert AuditEvent.objects.filter(action="members.application_saved").count() == 1


def test_autosave_says_when_a_domain_is_a_members_and_keeps_the_rest(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    form = {"email_domains": "cedar.example", "sign_on": "none"}
    answer = browser.post(f"{url}answers/sign_on/autosave/", form)
    assert "is a member already" in answer.content.decode()
    assert (the_application().email_domains, the_application().sign_on) == ([], "none")


def test_autosave_after_submitting_says_that_answers_are_fixed(cast: Cast, birch: Institution, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        application = submitted(birch, by=cast.stranger, at=at)
    browser = signed_in(cast.stranger, second_factor=False)
    answer = browser.post(f"/en/applications/{application.pk}/answers/use/autosave/", {"purpose": "Other"})
    assert "fixed now" in answer.content.decode()
    assert the_application().purpose == "First-year statistics."


@pytest.mark.usefixtures("terms")
@pytest.mark.parametrize(("typed", "dues"), [("9 000", "6,000.00"), ("22,000", "18,000.00")])
def test_the_tier_follows_the_number_of_students_as_it_is_typed(
    cast: Cast, birch: Institution, typed: str, dues: str
) -> None:
    browser, url = begun(cast, birch)
    answer = browser.post(f"{url}answers/size/autosave/", {"fte": typed})
    assert dues in answer.content.decode()
    assert dues in text_of(browser.get(f"{url}answers/size/"))


def test_every_task_shows_how_far_it_is_and_opens(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    assert text_of(browser.get(f"{url}answers/")).count("Not started") == 8
    browser.post(f"{url}answers/identity/", {"legal_name": "Birch", "country": "CA", "save": "1"})
    assert "In progress" in text_of(browser.get(f"{url}answers/"))
    fill(browser, url)
    page = text_of(browser.get(f"{url}answers/"))
    assert "8 of 8 tasks are done." in page
    for key in ("identity", "size", "signatory", "administrators", "invoices", "contacts", "sign_on", "use"):
        assert "novalidate" in text_of(browser.get(f"/fr{url[3:]}answers/{key}/"))
    assert browser.get(f"{url}answers/nothing/").status_code == 404


def test_the_check_names_the_tasks_with_gaps_and_links_to_each_answer(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    send(browser, url, "size")
    page = text_of(browser.get(f"{url}check/"))
    assert f'href="{url}answers/identity/"' in page
    assert f'href="{url}answers/size/#id_fte"' in page
    assert f'<li><a href="{url}answers/size/">' not in page


def test_a_domain_of_a_member_leads_to_its_owners(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    answer = send(browser, url, "sign_on", email_domains="birch.example\nlab.cedar.example")
    assert answer.status_code == 422
    page = text_of(answer)
    assert "/en/apply/cedar/access/" in page
    assert "lab.cedar.example" in page
    assert cast.owner.email not in page


def test_somebody_of_a_member_is_met_with_it_and_asks_once(cast: Cast) -> None:
    cast.stranger.email = "prof@math.cedar.example"
    cast.stranger.save()
    browser = signed_in(cast.stranger, second_factor=False)
    page = text_of(browser.get("/en/apply/"))
    assert "Ask its owners for access" in page
    assert browser.get("/en/apply/cedar/access/").status_code == 405
    for said in ("We have asked the owners of Cedar University", "have your request"):
        assert browser.post("/en/apply/cedar/access/")["Location"] == "/en/apply/"
        page = text_of(browser.get("/en/apply/"))
        assert said in page
        assert cast.owner.email not in page
    with consortium_scope(Scope.COMMAND):
        assert AccessRequest.objects.get().institution == cast.university
    assert browser.post("/en/apply/nowhere/access/").status_code == 404


def test_applying_for_a_member_offers_to_ask_instead(cast: Cast) -> None:
    answer = signed_in(cast.stranger, second_factor=False).post("/en/apply/", {"institution": "cedar"})
    assert answer.status_code == 409
    assert "/en/apply/cedar/access/" in text_of(answer)


def test_a_university_that_is_not_listed_gets_an_application_and_stays_unseen(cast: Cast) -> None:
    browser = signed_in(cast.stranger, second_factor=False)
    wrong = browser.post("/en/apply/unlisted/", ALDER | {"ror": "03rmrcq21", "city": ""})
    assert wrong.status_code == 422
    assert "Alder College" in text_of(wrong)
    assert browser.post("/en/apply/unlisted/", ALDER).status_code == 302
    alder = Institution.objects.get(slug="alder")
    assert (alder.domain, alder.confirmed) == ("alder.example", False)
    other = signed_in(cast.viewer, second_factor=False)
    assert "Alder College" not in text_of(other.get("/en/apply/?q=alder"))
    assert other.post("/en/apply/", {"institution": "alder"}).status_code == 404
    second = other.post("/en/apply/unlisted/", ALDER)
    assert second.status_code == 422
    assert "A colleague of Alder College has begun" in text_of(second)
    assert browser.post("/en/apply/", {"institution": "alder"}).status_code == 302  # the applicant's own


def test_an_entry_that_was_left_behind_is_taken_up_again(cast: Cast) -> None:
    first, second = signed_in(cast.stranger, second_factor=False), signed_in(cast.viewer, second_factor=False)
    url = first.post("/en/apply/unlisted/", ALDER)["Location"].removesuffix("answers/")
    first.post(f"{url}withdraw/")
    assert second.post("/en/apply/unlisted/", ALDER | {"name_en": "Alder"}).status_code == 302
    with consortium_scope(Scope.COMMAND):
        assert Application.objects.get(status="draft").applicant == cast.viewer
    assert Institution.objects.filter(domain="alder.example").count() == 1


@pytest.mark.parametrize(("domain", "link"), [("birch.example", 'value="birch"'), ("cedar.example", "cedar/access/")])
def test_who_names_a_listed_university_is_led_to_it(cast: Cast, birch: Institution, domain: str, link: str) -> None:
    answer = signed_in(cast.stranger, second_factor=False).post("/en/apply/unlisted/", ALDER | {"domain": domain})
    assert answer.status_code == 422
    assert link in text_of(answer)


def test_nobody_fills_the_directory(cast: Cast) -> None:
    browser = signed_in(cast.stranger, second_factor=False)
    for n in range(3):
        assert browser.post("/en/apply/unlisted/", ALDER | {"domain": f"alder{n}.example"}).status_code == 302
    refused = browser.post("/en/apply/unlisted/", ALDER)
    assert refused.status_code == 422
    assert "several open applications" in text_of(refused)


@pytest.mark.usefixtures("terms")
def test_the_application_shows_the_way_and_whose_turn_it_is(cast: Cast, birch: Institution, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        application = submitted(birch, by=cast.stranger, at=at)
    browser, url = signed_in(cast.stranger), f"/en/applications/{application.pk}/"
    assert "Usually within ten working days." in text_of(browser.get(url))
    with consortium_scope(Scope.COMMAND):
        ask_applicant(application, text="How many courses?", by=cast.staff, at=at)
    assert browser.get(f"{url}answers/").status_code == 200  # a question opens the answers again
    browser.post(url, {"text": "Four."})
    with consortium_scope(Scope.COMMAND):
        application = Application.objects.get()
        approve_application(application, starts_on=FIRST_DAY, negotiate=True, by=cast.staff, at=at)
    page = text_of(browser.get(url))
    assert "The consortium writes it and offers it." in page
    assert "Ben Registrar, registrar@birch.example" in page  # has no account: to be given the role later
    assert "/agreements/" not in page  # a draft is the consortium's own


@pytest.mark.parametrize("path", ["apply/", "apply/unlisted/", "due-diligence/"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_pages_open_in_both_languages(cast: Cast, birch: Institution, at: datetime, language: str, path: str) -> None:
    with consortium_scope(Scope.COMMAND):
        start_application(institution=birch, by=cast.stranger, at=at)
    text_of(signed_in(cast.stranger, second_factor=False).get(f"/{language}/{path}"))


def test_a_university_abroad_has_no_province_and_one_in_canada_has(cast: Cast) -> None:
    browser = signed_in(cast.stranger, second_factor=False)
    answer = browser.post("/en/apply/unlisted/", ALDER | {"province": ""})
    assert (answer.status_code, "Choose the province." in text_of(answer)) == (422, True)
    abroad = ALDER | {"country": "FR", "province": "ON"}
    assert browser.post("/en/apply/unlisted/", abroad).status_code == 302
    assert (the_application().institution.country, the_application().institution.province) == ("FR", "")
