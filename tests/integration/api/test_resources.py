"""The REST API: a token reads its own institution's resources, and nothing of another one exists for it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.api_tokens import issue_token, revoke_token
from members.models import ApiToken, Institution, Seat, User
from members.permissions import Permission
from provisioning.models import Cluster, Hub, HubDay
from tests.cast import Cast

pytestmark = pytest.mark.django_db

ALL = (Permission.VIEW_INSTITUTION, Permission.VIEW_HUBS, Permission.VIEW_USAGE, Permission.VIEW_INVOICES)
RESOURCES = ["institutions", "hubs", "usage", "invoices"]
Get = Callable[..., Any]


def token_for(institution: Institution, owner: User, *permissions: Permission, days: int = 30) -> tuple[ApiToken, str]:
    with consortium_scope(Scope.SIGN_IN):
        return issue_token(
            institution=institution,
            name="reports",
            permissions=permissions,
            expires_at=now() + timedelta(days=days),
            by=owner,
            at=now(),
        )


def make_hub(institution: Institution, slug: str, at: datetime) -> Hub:
    cluster, _ = Cluster.objects.get_or_create(slug="local", defaults={"name": "Local", "driver": "local"})
    with consortium_scope(Scope.COMMAND):
        hub = Hub.objects.create(
            institution=institution, cluster=cluster, slug=slug, name=slug, agreement_id=institution.pk, zone="UTC",
            requested_at=at,
        )  # fmt: skip
        HubDay.objects.create(
            institution=institution, hub=hub, day=at.date(), zone="UTC", server_seconds=3600,
            memory_gib_seconds="7200.5", rolled_at=at,
        )  # fmt: skip
    return hub


@pytest.fixture
def get(client: Client) -> Get:
    def ask(path: str, secret: str = "", **query: str) -> Any:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return client.get(f"/api/v1/{path}", query, headers=headers)

    return ask


@pytest.fixture
def two_hubs(cast: Cast, at: datetime) -> tuple[Hub, Hub]:
    return make_hub(cast.university, "cedar-hub", at), make_hub(cast.other_university, "maple-hub", at)


@pytest.mark.parametrize("resource", RESOURCES)
def test_without_a_token_nothing_is_told(get: Get, resource: str) -> None:
    answer = get(f"{resource}/")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_token_reads_its_own_hubs_only(get: Get, cast: Cast, two_hubs: tuple[Hub, Hub]) -> None:
    _token, secret = token_for(cast.university, cast.owner, *ALL)
    assert [hub["slug"] for hub in get("hubs/", secret).json()["results"]] == ["cedar-hub"]
    assert get("hubs/cedar-hub/", secret).status_code == 200
    foreign = get("hubs/maple-hub/", secret)
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")


def test_amounts_are_text_with_their_scale(get: Get, cast: Cast, two_hubs: tuple[Hub, Hub], at: datetime) -> None:
    _token, secret = token_for(cast.university, cast.owner, *ALL)
    (row,) = get("usage/", secret, month=f"{at:%Y-%m}").json()["results"]
    assert row["memory_gib_seconds"] == "7200.500000"
    assert row["server_seconds"] == 3600
    assert get("usage/", secret, month="2020-01").json()["results"] == []


def test_a_wrong_month_is_told_with_its_field(get: Get, cast: Cast) -> None:
    _token, secret = token_for(cast.university, cast.owner, *ALL)
    answer = get("usage/", secret, month="2026-13")
    assert answer.status_code == 422
    assert "month" in answer.json()["errors"]


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_token_without_the_permission_is_refused(get: Get, cast: Cast, resource: str) -> None:
    _token, secret = token_for(cast.university, cast.owner, Permission.VIEW_PEOPLE)
    answer = get(f"{resource}/", secret)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_a_revoked_token_is_refused(get: Get, cast: Cast) -> None:
    token, secret = token_for(cast.university, cast.owner, *ALL)
    assert get("hubs/", secret).status_code == 200
    with consortium_scope(Scope.SIGN_IN):
        revoke_token(token, by=cast.owner, at=now())
    assert get("hubs/", secret).status_code == 401


def test_a_token_ends_with_the_seat_of_its_maker(get: Get, cast: Cast, at: datetime) -> None:
    _token, secret = token_for(cast.university, cast.technical, Permission.VIEW_HUBS)
    assert get("hubs/", secret).status_code == 200
    with consortium_scope(Scope.COMMAND):
        Seat.objects.filter(user=cast.technical).update(ended_at=at)
    assert get("hubs/", secret).status_code == 401


def test_an_expired_token_is_refused(get: Get, cast: Cast) -> None:
    token, secret = token_for(cast.university, cast.owner, *ALL)
    with consortium_scope(Scope.COMMAND):
        past = now() - timedelta(days=40)
        ApiToken.objects.filter(pk=token.pk).update(created_at=past, expires_at=past + timedelta(days=1))
    assert get("hubs/", secret).status_code == 401


def test_a_token_is_stored_as_a_hash_only(cast: Cast) -> None:
    token, secret = token_for(cast.university, cast.owner, *ALL)
    with consortium_scope(Scope.COMMAND):
        stored = ApiToken.objects.filter(pk=token.pk).values().get()
    assert secret not in str(stored)


def test_pages_are_cursors(get: Get, cast: Cast, at: datetime) -> None:
    hub = make_hub(cast.university, "busy-hub", at)
    with consortium_scope(Scope.COMMAND):
        for back in range(1, 6):
            HubDay.objects.create(
                institution=cast.university, hub=hub, day=at.date() - timedelta(days=back), zone="UTC", rolled_at=at
            )
    _token, secret = token_for(cast.university, cast.owner, *ALL)
    seen, path = [], "usage/?limit=2"
    while path:
        page = get(path, secret).json()
        seen += [row["id"] for row in page["results"]]
        path = page["next"].split("/api/v1/")[1] if page["next"] else ""
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("resource", RESOURCES)
def test_nothing_can_be_written(client: Client, cast: Cast, resource: str, method: str) -> None:
    _token, secret = token_for(cast.university, cast.owner, *ALL)
    answer = getattr(client, method)(f"/api/v1/{resource}/", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 405


def test_the_openapi_document_names_every_resource(get: Get) -> None:
    document = get("openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert {f"/api/v1/{resource}/" for resource in RESOURCES} <= set(document["paths"])
