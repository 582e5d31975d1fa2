"""Every page of the demonstration in a browser: it opens, axe finds nothing, the content security policy holds."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.functional.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PUBLIC = ["", "status/", "privacy/", "mailbox/", "accounts/login/", "accounts/signup/", "accounts/password/reset/"]
PAGES = {
    "technical": ["i/uvic/", "i/uvic/hubs/request/", "{hub}", "i/uvic/usage/", "i/uvic/people/", "{agreement}"],
    "viewer": ["i/uvic/", "{hub}"],
    "owner": ["i/uvic/", "i/uvic/invoices/", "{invoice}", "i/uvic/people/", "i/uvic/tokens/", "apply/"],
    "staff": [
        "staff/", "staff/members/application/", "staff/members/agreement/", "staff/provisioning/hub/",
        "staff/billing/invoice/", "staff/billing/pool/", "staff/consortium/job/", "staff/consortium/auditevent/",
    ],
}  # fmt: skip
CASES = [(role, page) for role, pages in PAGES.items() for page in pages]


def address(visitor: Visitor, page: str) -> str:
    """Fill in the parts of an address that only the demonstration knows, from the links of a page."""
    if not page.startswith("{"):
        return page
    where, pattern = {
        "{hub}": ("i/uvic/", "/i/uvic/hubs/"),
        "{agreement}": ("i/uvic/", "/i/uvic/agreements/"),
        "{invoice}": ("i/uvic/invoices/", "/i/uvic/invoices/"),
    }[page]
    visitor.open(f"/en/{where}")
    links = visitor.page.eval_on_selector_all("main a", "links => links.map(link => link.getAttribute('href'))")
    found = [link for link in links if link and pattern in link and "request" not in link and link.endswith("/")]
    assert found, f"no link with {pattern} on {where}"
    return str(found[0]).removeprefix("/en/")


def check(visitor: Visitor, name: str) -> None:
    """Axe finds nothing; nothing was reported to the console; a picture is kept where one is wanted."""
    found = Axe().run(visitor.page)
    assert found.violations_count == 0, f"{name}\n{found.generate_report()}"
    assert visitor.problems == [], name
    if folder := os.environ.get("PORTAL_SCREENSHOTS"):
        file = Path(folder) / f"{name.strip('/').replace('/', '_') or 'home'}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        visitor.page.screenshot(path=file, full_page=True)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("page", PUBLIC)
def test_a_public_page_is_sound(visitor: Visitor, page: str, language: str) -> None:
    visitor.open(f"/{language}/{page}")
    assert visitor.page.locator("h1").count() == 1
    assert visitor.page.get_attribute("html", "lang") == language
    check(visitor, f"{language}/{page}")


@pytest.mark.parametrize(("role", "page"), CASES)
def test_a_page_behind_the_door_is_sound(signed_in: dict[str, Visitor], role: str, page: str) -> None:
    visitor = signed_in[role]
    path = address(visitor, page)
    # Staff's pages are Django's own admin, whose French is Django's.
    for language in ("en",) if role == "staff" else ("en", "fr"):
        visitor.open(f"/{language}/{path}")
        check(visitor, f"{role}-{language}/{path}")


@pytest.mark.parametrize("page", ["", "i/uvic/"])
def test_a_page_fits_a_phone(signed_in: dict[str, Visitor], page: str) -> None:
    visitor = signed_in["technical"]
    visitor.page.set_viewport_size({"width": 320, "height": 700})
    try:
        visitor.open(f"/en/{page}")
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, f"{page or 'home'} is {width} px wide on a phone of 320 px"
        check(visitor, f"phone/{page}")
    finally:
        visitor.page.set_viewport_size({"width": 1280, "height": 900})


def test_a_viewer_is_kept_from_invoices(signed_in: dict[str, Visitor]) -> None:
    visitor = signed_in["viewer"]
    response = visitor.page.goto(visitor.demo.url + "/en/i/uvic/invoices/")
    assert response is not None
    assert response.status == 403
    visitor.problems.clear()


def test_another_university_does_not_exist(signed_in: dict[str, Visitor]) -> None:
    visitor = signed_in["owner"]
    response = visitor.page.goto(visitor.demo.url + "/en/i/ubc/")
    assert response is not None
    assert response.status == 404
    visitor.problems.clear()


def test_the_hub_answers_in_the_browser(visitor: Visitor) -> None:
    response = visitor.page.goto(visitor.demo.result["hub"]["url"] + "hub/login")
    assert response is not None
    assert response.status == 200
    assert visitor.page.get_by_role("button", name="Sign in").count() == 1
    visitor.problems.clear()
