"""Another university's object does not exist: every address, every method, by its key and by its university's name.

The list is read from the resolver, so that an address added tomorrow is tried too; see tests/addresses.py.
"""

from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from tests.addresses import ELSEWHERE, Address, Rows, everything_of, make_foreign_rows, page_addresses
from tests.cast import Cast
from tests.integration.members.browser import signed_in

METHODS = frozenset({"get", "head", "post", "put", "patch", "delete", "options"})
NOT_ALLOWED = 405
GONE = {404, NOT_ALLOWED}


@pytest.fixture
def rows(cast: Cast, at: datetime) -> Rows:
    return make_foreign_rows(cast, at)


def tried() -> list[Address]:
    return [each for each in page_addresses() if each.name not in ELSEWHERE]


def ask(browser: Client, method: str, url: str) -> Any:
    return getattr(browser, method)(url)


def test_every_reason_is_of_an_address_that_exists() -> None:
    assert set(ELSEWHERE) <= {each.name for each in page_addresses()}


def test_the_kind_of_every_parameter_is_known(cast: Cast) -> None:
    known = {"slug", *Rows(keys=(), hubs=()).values}
    unknown = {each.name: each.parameters for each in tried() if set(each.parameters) - known}
    assert unknown == {}, "say in tests/addresses.py what fills these, or why they are safe"


def test_an_outsider_finds_nothing_by_any_key_or_method(cast: Cast, rows: Rows) -> None:
    browser, wrong = signed_in(cast.outsider), []
    with consortium_scope(Scope.COMMAND):
        before = everything_of(cast)
    for address in tried():
        places = ["cedar", "maple"] if "slug" in address.parameters else [None]
        for place in places:
            fixed = {"slug": place} if place else {}
            if place == "maple" and len(address.parameters) == 1:
                continue  # one's own page
            fills = rows.fills(address, **fixed)
            methods = METHODS
            for number, values in enumerate(fills if place != "cedar" else fills[:1]):
                url = address.at(**values)
                methods = methods if number == 0 else methods & {"get", "post"}
                for method in sorted(methods):
                    status = ask(browser, method, url).status_code
                    if status not in GONE:
                        wrong.append(f"{status} {method.upper()} {url}")
                    if status == NOT_ALLOWED:
                        methods -= {method}  # whatever the key
    assert wrong == []
    with consortium_scope(Scope.COMMAND):
        assert everything_of(cast) == before


def test_somebody_who_is_not_signed_in_is_sent_to_sign_in(cast: Cast, rows: Rows) -> None:
    browser, wrong = Client(), []
    for address in tried():
        fixed = {"slug": "cedar"} if "slug" in address.parameters else {}
        url = address.at(**rows.fills(address, **fixed)[0])
        for method in METHODS:
            answer = ask(browser, method, url)
            to_sign_in = answer.status_code == 302 and answer["Location"].startswith("/en/accounts/login/")
            if not to_sign_in and answer.status_code not in GONE:
                wrong.append(f"{answer.status_code} {method.upper()} {url}")
    assert wrong == []


def test_each_address_opens_to_its_rightful_people_so_that_the_tests_above_mean_something(
    cast: Cast, rows: Rows
) -> None:
    at_home = [signed_in(person) for person in (cast.owner, cast.technical)]
    applicant = signed_in(cast.stranger)
    for browser in (*at_home, applicant):
        browser.raise_request_exception = False
    closed = [
        address.name
        for address in tried()
        if not _opens(address, rows, at_home if "slug" in address.parameters else [applicant])
    ]
    assert closed == [], "make a row for these in tests/addresses.py, or say there why they are safe"


def _opens(address: Address, rows: Rows, people: list[Client]) -> bool:
    fixed = {"slug": "cedar"} if "slug" in address.parameters else {}
    urls = [address.at(**values) for values in rows.fills(address, **fixed)]
    for method in ("get", "post"):
        for browser in people:
            for url in urls:
                with transaction.atomic():
                    status = ask(browser, method, url).status_code
                    transaction.set_rollback(True)
                if status not in GONE:
                    return True
                if status == NOT_ALLOWED:
                    break  # whatever the key
    return False
