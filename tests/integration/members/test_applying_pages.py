"""Applying in the browser: choose, leave a field out, come back, check, submit, answer."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from members.answers import SECTIONS, Progress, Section, progress_of, section_of
from members.models import Agreement, Application, Institution
from members.onboarding import approve_application, ask_applicant
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.members.story import ANSWERS, FIRST_DAY, submitted

PERSON = {"person_1_name": "Ben Registrar", "person_1_email": "registrar@birch.example", "person_1_role": "owner"}
FORM = (
    {name: value for name, value in ANSWERS.items() if name != "administrators"}
    | {"po_required": "on", "email_domains": "birch.example"}
    | PERSON
)


def begun(cast: Cast, birch: Institution) -> tuple[Client, str]:
    browser = signed_in(cast.stranger, second_factor=False)
    answer = browser.post("/en/apply/", {"institution": birch.slug})
    assert answer.status_code == 302
    return browser, answer["Location"].removesuffix("answers/")


def section(key: str) -> Section:
    """The section of that key, which there is."""
    found = section_of(key)
    assert found is not None
    return found


def send(browser: Client, url: str, key: str, **changes: object) -> Any:
    """Fill one task as in FORM, with changes, and go on."""
    fields = PERSON if key == "administrators" else section(key).fields
    form = {name: FORM[name] for name in fields if name in FORM}
    return browser.post(f"{url}answers/{key}/", form | changes | {"continue": "1"})


def fill(browser: Client, url: str) -> None:
    """Fill every task."""
    for each in SECTIONS:
        assert send(browser, url, each.key).status_code == 302


def the_application() -> Application:
    with consortium_scope(Scope.COMMAND):
        return Application.objects.get()


def test_a_visitor_signs_in_first(db: None) -> None:
    answer = Client().get("/fr/apply/")
    assert answer.status_code == 302
    assert "/accounts/login/" in answer["Location"]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_list_is_searched_and_says_who_is_a_member(cast: Cast, birch: Institution, language: str) -> None:
    browser = signed_in(cast.stranger, second_factor=False)
    everyone = text_of(browser.get(f"/{language}/apply/"))
    assert 'value="birch"' in everyone
    assert 'value="cedar"' not in everyone  # a member: there is nothing to choose
    assert "birch" not in text_of(browser.get(f"/{language}/apply/?q=cedar")).lower()


def test_the_whole_way_from_a_gap_to_submitted(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    gap = send(browser, url, "identity", legal_name="", city="Birchville-on-Sea")
    assert gap.status_code == 422
    html = text_of(gap)
    assert 'href="#id_legal_name"' in html
    assert "Birchville-on-Sea" in html  # what was typed is still there
    assert "<title>Error:" in html
    for each in SECTIONS[:-1]:
        assert send(browser, url, each.key)["Location"] == f"{url}answers/"
    assert send(browser, url, SECTIONS[-1].key)["Location"] == f"{url}check/"
    assert "The Governors of Birch University" in text_of(browser.get(f"{url}check/"))
    assert browser.post(f"{url}check/")["Location"] == url
    assert the_application().status == "submitted"
    assert "In review" in text_of(browser.get(url))
    assert browser.get(f"{url}answers/").status_code == 302  # nothing to change any more


def test_a_draft_is_saved_with_gaps_but_not_with_nonsense(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    saved = browser.post(f"{url}answers/identity/", {"legal_name": "Birch", "country": "CA", "save": "1"})
    assert saved.status_code == 302
    assert the_application().legal_name == "Birch"
    wrong = browser.post(
        f"{url}answers/invoices/", {"finance_email": "nowhere", "currency": "CAD", "language": "fr", "save": "1"}
    )
    assert wrong.status_code == 422
    assert "nowhere" in text_of(wrong)
    assert browser.post(f"{url}check/").status_code == 422
    assert the_application().status == "draft"


@pytest.mark.parametrize(
    ("key", "values", "kept"),
    [
        ("identity", {"legal_name": "x" * 2_000_000}, "x" * 2_000_000),
        ("identity", {"legal_name": "x" * 301}, "x" * 301),
        ("identity", {"address": "a\x00b"}, ""),
        ("identity", {"postal_code": "12345"}, 'value="12345"'),
        ("identity", {"province": "ZZ"}, ""),
        ("identity", {"country": "Canada"}, ""),
        ("identity", {"tax_number": "123456789 RT0001"}, "123456789 RT0001"),
        ("size", {"fte": "-1"}, 'value="-1"'),
        ("size", {"fte": "1e99"}, "1e99"),
        ("size", {"fte": "9" * 400}, "9" * 400),
        ("size", {"fte": "0"}, 'value="0"'),
        ("size", {"fte": "٣"}, "٣"),
        ("size", {"fte": "<b>many</b>"}, "&lt;b&gt;many&lt;/b&gt;"),
        ("signatory", {"signatory_email": "vp at birch"}, "vp at birch"),
        ("administrators", {"person_2_name": "Cora"}, "Cora"),
        ("administrators", {"person_2_email": "cora"}, "cora"),
        ("administrators", {"person_2_name": "B", "person_2_email": "REGISTRAR@birch.example"}, "REGISTRAR@birch"),
        ("administrators", {"person_1_role": "king"}, ""),
        ("invoices", {"currency": "EUR"}, ""),
        ("invoices", {"language": "de"}, ""),
        ("sign_on", {"email_domains": "https://birch.example"}, "https://birch.example"),
        ("sign_on", {"email_domains": "gmail.com"}, "gmail.com"),
        ("sign_on", {"email_domains": "\n".join(f"a{n}.example" for n in range(21))}, "a20.example"),
        ("sign_on", {"sign_on": "saml"}, ""),
        ("sign_on", {"sign_on": ""}, ""),
        ("use", {"purpose": "  "}, ""),
    ],
)
def test_bad_input_gets_a_clear_error_and_changes_nothing(
    cast: Cast, birch: Institution, key: str, values: dict[str, str], kept: str
) -> None:
    browser, url = begun(cast, birch)
    answer = send(browser, url, key, **values)
    assert answer.status_code == 422
    html = text_of(answer)
    assert "error-summary" in html
    assert kept in html
    assert the_application().legal_name == ""
    assert progress_of(the_application(), section(key)) is Progress.NOT_STARTED


def test_markup_in_an_answer_is_shown_as_text(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    send(browser, url, "identity", legal_name="<script>alert(1)</script>")
    assert "&lt;script&gt;alert(1)" in text_of(browser.get(f"{url}check/"))


def test_a_status_that_is_posted_along_changes_nothing(cast: Cast, birch: Institution) -> None:
    browser, url = begun(cast, birch)
    send(browser, url, "identity", status="approved", applicant=str(cast.viewer.pk))
    assert (the_application().status, the_application().applicant_id) == ("draft", cast.stranger.pk)


def test_a_question_is_read_and_answered(cast: Cast, birch: Institution, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        application = submitted(birch, by=cast.stranger, at=at)
        ask_applicant(application, text="How many courses?", by=cast.staff, at=at)
    browser, url = signed_in(cast.stranger, second_factor=False), f"/en/applications/{application.pk}/"
    assert "How many courses?" in text_of(browser.get(url))
    assert browser.post(url, {"text": " "}).status_code == 422
    assert browser.post(url, {"text": "Four."}).status_code == 302
    assert the_application().status == "submitted"


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("page", ["", "answers/", "answers/size/", "answers/size/autosave/", "check/", "withdraw/"])
@pytest.mark.parametrize("name", ["owner", "outsider", "staff"])
def test_nobody_else_finds_the_application(
    cast: Cast, birch: Institution, at: datetime, method: str, page: str, name: str
) -> None:
    with consortium_scope(Scope.COMMAND):
        application = submitted(birch, by=cast.stranger, at=at)
    answer = getattr(signed_in(cast.person(name)), method)(f"/en/applications/{application.pk}/{page}")
    assert answer.status_code in {404, 405}


def test_it_can_be_withdrawn(cast: Cast, birch: Institution, at: datetime) -> None:
    browser, url = begun(cast, birch)
    assert browser.get(f"{url}withdraw/").status_code == 405
    assert browser.post(f"{url}withdraw/").status_code == 302
    assert the_application().status == "withdrawn"


@pytest.mark.usefixtures("terms")
def test_an_approved_applicant_is_led_to_the_agreement(cast: Cast, birch: Institution, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        application = submitted(birch, by=cast.stranger, at=at)
        approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
        agreement = Agreement.objects.get()
    page = signed_in(cast.stranger).get(f"/en/applications/{application.pk}/")
    assert f"/en/i/birch/agreements/{agreement.pk}/" in text_of(page)
