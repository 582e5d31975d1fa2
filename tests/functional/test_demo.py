"""The demonstration, as a stranger sees it: what it says is true, every page is sound, its end leaves nothing.

While it ran, its worker was killed twice (conftest.py). All in one file: they share one demonstration, and the last
test takes it away.
"""

import hashlib
import json
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.functional.conftest import Demo, Visitor
from tests.functional.looking import address, bears, check, portal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PUBLIC = [
    "",
    "status/",
    "status/subscribe/",
    "privacy/",
    "mailbox/",
    "accounts/login/",
    "accounts/signup/",
    "accounts/password/reset/",
]
PAGES = {
    "technical": [
        "i/uvic/", "i/uvic/hubs/request/", "{hub}", "i/uvic/usage/", "i/uvic/people/", "{agreement}", "i/uvic/support/",
        "i/uvic/support/new/", "i/uvic/hubs/uvic-uvic-jupyter/events/", "i/uvic/hubs/uvic-uvic-jupyter/events/new/",
    ],
    "viewer": ["i/uvic/", "{hub}"],
    "owner": ["i/uvic/", "i/uvic/invoices/", "{invoice}", "i/uvic/people/", "i/uvic/tokens/", "apply/"],
    "staff": [
        "staff/", "staff/members/application/", "staff/members/agreement/", "staff/provisioning/hub/",
        "staff/billing/invoice/", "staff/billing/pool/", "staff/consortium/job/", "staff/consortium/auditevent/",
    ],
}  # fmt: skip
CASES = [(role, page) for role, pages in PAGES.items() for page in pages]


def test_it_ends_well_although_its_worker_was_killed_twice(demo: Demo) -> None:
    assert len(demo.killed) == 2
    assert demo.result["ok"] is True, demo.result
    assert all(step["ok"] for step in demo.result["steps"])


def test_there_is_one_paid_invoice_with_its_pdf(demo: Demo) -> None:
    invoice = demo.result["invoice"]
    assert invoice["status"] == "paid"
    pdf = Path(invoice["pdf_path"]).read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert hashlib.sha256(pdf).hexdigest() == invoice["pdf_sha256"]


def test_the_shares_sum_to_the_pool_and_the_ledger_balances(demo: Demo) -> None:
    allocation = demo.result["allocation"]
    assert sum(map(Decimal, allocation["shares"].values())) == Decimal(allocation["pool"])
    assert "uvic" in allocation["shares"]
    assert demo.result["ledger"]["balanced"] is True


def test_use_was_metered_for_one_person(demo: Demo) -> None:
    assert demo.result["usage"]["active_users"] == 1
    assert demo.result["usage"]["server_seconds"] >= 10


def test_a_second_demo_in_the_same_home_is_told_who_holds_it(demo: Demo) -> None:
    second = portal("demo", "--once", home=demo.home)
    assert second.returncode == 1
    assert str(demo.process.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_every_audit_chain_holds(demo: Demo) -> None:
    done = portal("manage", "verify_audit", home=demo.home)
    assert done.returncode == 0, done.stderr
    assert "every chain holds" in done.stdout


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


def test_killed_hard_it_leaves_no_process_and_a_second_run_doubles_nothing(demo: Demo) -> None:
    mark = f"PORTAL_HOME={demo.home}".encode()
    demo.process.send_signal(signal.SIGKILL)
    demo.process.wait(5)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(bears(p, mark) for p in Path("/proc").iterdir() if p.name.isdigit()):
        time.sleep(0.2)
    left = [p for p in Path("/proc").iterdir() if p.name.isdigit() and bears(p, mark)]
    assert left == []
    started = time.monotonic()
    again = portal("demo", "--once", "--json", home=demo.home)
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout.splitlines()[-1])
    assert told["invoice"] == demo.result["invoice"]
    assert told["ledger"] == demo.result["ledger"]
    assert told["allocation"] == demo.result["allocation"]
    assert time.monotonic() - started < 120
