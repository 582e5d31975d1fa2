"""The pages of a pair: asking for the twin, what would be promoted, promoting it, acceptance on the hub's page."""

from collections.abc import Iterator
from http import HTTPStatus

import pytest
import time_machine
from django.conf import settings

from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.models import Hub, HubRevision, Rollout
from tests.cast import Cast
from tests.unit.provisioning.support_stories import agreed_hub
from tests.unit.provisioning.test_pairs import AT, START, revised, run
from tests.unit.provisioning.test_support_pages import browser

HUB = "/en/i/cedar/hubs/cedar-stats/"
STAGING = "/en/i/cedar/hubs/cedar-stats-staging/"


@pytest.fixture(autouse=True)
def place(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    with time_machine.travel(AT, tick=False):
        yield


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return agreed_hub(cast, at=START)


def test_a_twin_is_requested_tried_and_promoted_in_the_browser(cast: Cast, hub: Hub) -> None:
    client = browser(cast.technical)
    assert "Request a staging hub" in client.get(HUB).text
    assert client.post(f"{HUB}staging/").url == STAGING  # type: ignore[attr-defined]
    assert "Try changes first on" in client.get(HUB).text
    assert "does not run on staging" in client.get(f"{STAGING}promote/").text
    with consortium_scope(Scope.STAFF):
        staging = run(Hub.objects.get(slug="cedar-stats-staging"))
    assert "The two are equal" in client.get(f"{STAGING}promote/").text
    revised(cast, staging, max_servers=20)
    page = client.get(f"{STAGING}promote/").text
    assert "max_servers" in page
    assert page.count("<code>") == 1, "nothing else would change"
    assert "Passer en production" in client.get(f"{STAGING.replace('/en/', '/fr/')}promote/").text
    assert client.post(f"{STAGING}promote/").url == HUB  # type: ignore[attr-defined]
    with consortium_scope(Scope.STAFF):
        assert HubRevision.objects.filter(hub=hub).count() == 2
    assert "no staging hub" in client.get(f"{HUB}promote/", follow=True).text
    assert client.post(f"{HUB}staging/", follow=True).text.count("staging hub already") == 1
    assert browser(cast.viewer).post(f"{STAGING}promote/").status_code == HTTPStatus.FORBIDDEN


def test_a_hubs_page_says_how_far_its_rollout_is_without_counting_for_viewers(cast: Cast, hub: Hub) -> None:
    with consortium_scope(Scope.JOB):
        Rollout.objects.create(institution=cast.university, hub=hub, generation=1, began_at=AT, needed=5, people=3)
    assert "3 of 5 people have worked with it" in browser(cast.technical).get(HUB).text
    page = browser(cast.viewer).get(HUB).text
    assert "Not yet accepted" in page
    assert "3 of 5" not in page


def test_the_request_form_offers_the_twin_while_two_hubs_are_left(cast: Cast, hub: Hub) -> None:
    client = browser(cast.technical)
    assert 'name="staging"' not in client.get("/en/i/cedar/hubs/request/").text
    assert 'name="staging"' not in client.get(f"{HUB}change/").text
    with consortium_scope(Scope.STAFF):
        for status in ("retiring", "retired"):
            Hub.objects.filter(pk=hub.pk).update(status=status)
    form = {
        "name": "Physics", "purpose": "Lab", "environment": "standard", "memory": str(1024**3), "max_servers": "5",
        "expected_users": "20", "accounts": "ada", "staging": "on",
    }  # fmt: skip
    assert 'name="staging"' in client.get("/en/i/cedar/hubs/request/").text
    review = client.post("/en/i/cedar/hubs/request/", form | {"step": "review"}).text
    assert "staging" in review
    client.post("/en/i/cedar/hubs/request/", form | {"step": "send"})
    with consortium_scope(Scope.STAFF):
        assert set(Hub.objects.exclude(pk=hub.pk).values_list("slug", flat=True)) == {
            "cedar-physics", "cedar-physics-staging",
        }  # fmt: skip
