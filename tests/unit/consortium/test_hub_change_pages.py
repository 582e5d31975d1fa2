"""Changing, rolling back and retiring a hub: who may, what is kept of what was typed, what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members.models import User
from provisioning.models import Hub
from tests.cast import Cast
from tests.unit.provisioning.service_stories import promised_hub

HUB = "/en/i/cedar/hubs/cedar-stats/"
NOW = datetime(2026, 11, 5, 20, 0, tzinfo=UTC)
FORM = {
    "name": "Statistics", "purpose": "Third-year statistics", "environment": "standard", "memory": str(1024**3),
    "max_servers": "15", "expected_users": "40", "accounts": "ada\nbob",
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return promised_hub(cast, at=datetime(2026, 10, 2, 7, 0, tzinfo=UTC))


def browser(user: User) -> Client:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def revisions(hub: Hub) -> list[tuple[int, int, str]]:
    with consortium_scope(Scope.JOB):
        return [(row.generation, row.spec["max_servers"], row.note) for row in hub.revisions.all()]


def test_the_form_begins_with_what_is_wanted_now(cast: Cast, hub: Hub) -> None:
    page = browser(cast.technical).get(f"{HUB}change/").text
    for text in ('value="Statistics"', 'value="10"', "ada\nbob"):
        assert text in page


def test_a_change_is_a_revision_and_can_be_rolled_back(cast: Cast, hub: Hub) -> None:
    client = browser(cast.technical)
    assert client.post(f"{HUB}change/", FORM).status_code == 302
    assert "Go back to revision 1" in client.get(HUB).text
    assert client.post(f"{HUB}revisions/1/").status_code == 302
    assert revisions(hub) == [(3, 10, "Back to revision 1"), (2, 15, ""), (1, 10, "")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_servers": "101"}, "Your agreement allows 100 servers"),
        ({"accounts": "Ada Lovelace"}, "cannot be a sign-in name"),
        ({"name": ""}, "This field is required"),
        ({"max_servers": "10", "purpose": "Second-year statistics"}, "Nothing would change"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_kept(cast: Cast, hub: Hub, change: dict[str, str], words: str) -> None:
    answer = browser(cast.technical).post(f"{HUB}change/", FORM | change)
    assert answer.status_code == 422
    assert words in answer.text
    assert (FORM | change)["accounts"].split("\n")[0] in answer.text
    assert revisions(hub) == [(1, 10, "")]


@pytest.mark.parametrize("number", [1, 2, 99])
def test_there_is_no_way_back_to_what_never_was(cast: Cast, hub: Hub, number: int) -> None:
    answer = browser(cast.technical).post(f"{HUB}revisions/{number}/", follow=True)
    assert f"There is no earlier revision {number}" in answer.text
    assert revisions(hub) == [(1, 10, "")]


def test_an_owner_retires_only_with_the_name_typed_out(cast: Cast, hub: Hub) -> None:
    client = browser(cast.owner)
    wrong = client.post(f"{HUB}retire/", {"reason": "We run it ourselves", "typed": "cedar"})
    assert wrong.status_code == 422
    assert "We run it ourselves" in wrong.text
    assert client.post(f"{HUB}retire/", {"reason": "We run it ourselves", "typed": "cedar-stats"}).status_code == 302
    with consortium_scope(Scope.JOB):
        assert Job.objects.get(kind="retire_hub").arguments["reason"] == "We run it ourselves"
        assert Hub.objects.get(pk=hub.pk).status == "retiring"


@pytest.mark.parametrize(
    ("who", "change", "retire"),
    [("finance", 403, 403), ("technical", 200, 403), ("viewer", 403, 403), ("outsider", 404, 404)],
)
def test_who_sees_which_form(cast: Cast, hub: Hub, who: str, change: int, retire: int) -> None:
    client = browser(cast.person(who))
    assert client.get(f"{HUB}change/").status_code == change
    assert client.get(f"{HUB}retire/").status_code == retire


def test_operators_act_from_the_hubs_page_in_the_admin_site(cast: Cast, hub: Hub) -> None:
    operator = browser(cast.staff)
    act = f"/en/staff/provisioning/hub/{hub.pk}/act/"
    assert "Last seen well" in operator.get(f"{act}suspend/").text
    assert operator.post(f"{act}suspend/", {"reason": " "}).status_code == 422
    held = operator.post(f"{act}hold/", {"reason": "Exam", "until": "2026-11-05 23:00:00"})
    assert held.status_code == 302
    refused = operator.post(f"{act}suspend/", {"reason": "Unpaid"})
    assert "An operator holds this hub" in refused.text
    assert "An operator holds this hub" in browser(cast.viewer).get(HUB).text
    assert operator.post(f"{act}release/").status_code == 302
    assert operator.post(f"{act}suspend/", {"reason": "Unpaid"}).status_code == 302
    assert "The hub is being suspended" in browser(cast.owner).get(HUB).text
