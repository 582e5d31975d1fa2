"""The staff pages of hubs: the queue of requests, approval by operators alone, figures nobody edits."""

from datetime import datetime
from http import HTTPStatus

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import StaffSeat, User
from provisioning.models import Hub
from tests.cast import Cast
from tests.unit.provisioning.stories import requested_hub

HUBS = "/en/staff/provisioning/hub/"


@pytest.fixture
def operator(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    return browser(cast.staff)


def browser(user: User) -> Client:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def status_of(hub: Hub) -> str:
    with consortium_scope(Scope.JOB):
        return Hub.objects.get(pk=hub.pk).status


def test_the_list_shows_health_and_whether_a_hub_equals_its_spec(cast: Cast, at: datetime, operator: Client) -> None:
    requested_hub(cast, at=at)
    page = operator.get(HUBS)
    assert page.status_code == HTTPStatus.OK
    for text in ("cedar-stats", "unknown", "icon-no"):
        assert text in page.text


def test_an_operator_approves_from_the_list(cast: Cast, at: datetime, operator: Client) -> None:
    hub = requested_hub(cast, at=at)
    form = {"action": "approve", "_selected_action": str(hub.pk)}
    assert "is approved and will be set up" in operator.post(HUBS, form, follow=True).text
    assert status_of(hub) == "approved"
    assert "it cannot become “approved”" in operator.post(HUBS, form, follow=True).text


def test_an_operator_reads_the_wish_before_approving_it(cast: Cast, at: datetime, operator: Client) -> None:
    hub = requested_hub(cast, at=at)
    act = f"{HUBS}{hub.pk}/act/approve/"
    assert "Second-year statistics" in operator.get(act).text
    assert operator.post(act).status_code == HTTPStatus.FOUND
    assert status_of(hub) == "approved"


def test_a_declined_request_needs_a_reason(cast: Cast, at: datetime, operator: Client) -> None:
    hub = requested_hub(cast, at=at)
    act = f"{HUBS}{hub.pk}/act/decline/"
    assert operator.post(act).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert operator.post(act, {"reason": "Twice the same."}).status_code == HTTPStatus.FOUND
    assert status_of(hub) == "declined"


def test_other_staff_see_but_do_not_approve(cast: Cast, at: datetime, operator: Client) -> None:
    hub = requested_hub(cast, at=at)
    StaffSeat.objects.filter(role="operator").delete()
    assert operator.get(HUBS).status_code == HTTPStatus.OK
    operator.post(HUBS, {"action": "approve", "_selected_action": str(hub.pk)})
    assert operator.post(f"{HUBS}{hub.pk}/act/approve/").status_code == HTTPStatus.FORBIDDEN
    assert status_of(hub) == "requested"


@pytest.mark.parametrize("page", ["cluster", "environment", "hubday"])
def test_every_page_opens(cast: Cast, at: datetime, operator: Client, page: str) -> None:
    requested_hub(cast, at=at)
    assert operator.get(f"/en/staff/provisioning/{page}/").status_code == HTTPStatus.OK


def test_use_is_not_edited_by_hand(cast: Cast, operator: Client) -> None:
    assert operator.get("/en/staff/provisioning/hubday/add/").status_code == HTTPStatus.FORBIDDEN
