"""Another university's rows do not exist for a token: every resource, every method, by every key."""

from datetime import datetime, timedelta

import pytest
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.api_tokens import issue_token
from members.permissions import Permission, permissions_at
from tests.addresses import Address, addresses, everything_of, make_foreign_rows
from tests.cast import Cast

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def resources() -> list[Address]:
    return [each for each in addresses() if each.name.startswith("api-")]


def secret_of(cast: Cast, name: str) -> str:
    """A token with all that its owner may do."""
    person = cast.person(name)
    place = cast.university if name == "owner" else cast.other_university
    with consortium_scope(Scope.SIGN_IN):
        held = permissions_at(person, place.pk)
        _token, secret = issue_token(
            institution=place, name="all", permissions=held, expires_at=now() + timedelta(days=1), by=person, at=now()
        )
    return secret


@pytest.mark.parametrize("address", resources(), ids=lambda address: address.name)
def test_a_token_of_another_university_finds_nothing(cast: Cast, at: datetime, address: Address) -> None:
    assert len(address.parameters) == 1, "say here how this resource is filled"
    rows = make_foreign_rows(cast, at)
    keys = {"slug": ["cedar", *rows.hubs], "pk": rows.keys}[address.parameters[0]]
    foreign, own = (
        Client(headers={"authorization": f"Bearer {secret_of(cast, who)}"}) for who in ("outsider", "owner")
    )
    with consortium_scope(Scope.COMMAND):
        before = everything_of(cast)
    for key in keys:
        url = address.at(**{address.parameters[0]: key})
        answers = {method: getattr(foreign, method)(url).status_code for method in METHODS}
        assert (answers["get"], answers["head"]) == (404, 404), url
        assert set(answers.values()) <= {404, 405, 200}, url
        assert {answers[method] for method in ("post", "put", "patch", "delete")} <= {404, 405}, url
    with consortium_scope(Scope.COMMAND):
        assert everything_of(cast) == before
    found = {own.get(address.at(**{address.parameters[0]: key})).status_code for key in keys}
    if address.name != "api-usage-detail":  # no hub-day was made: tests/integration/api/test_resources.py has them
        assert 200 in found  # the same keys open for the university itself


def test_a_token_never_lists_what_its_maker_may_not_do(cast: Cast) -> None:
    with consortium_scope(Scope.SIGN_IN):
        assert Permission.REVIEW_APPLICATIONS not in permissions_at(cast.owner, cast.university.pk)
