"""Asking for a hub: who may, what is written, what is refused."""

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import pytest

from consortium.kernel.errors import Forbidden
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, Delivery, Job
from provisioning.catalogue import load_catalogue
from provisioning.models import Cluster, Environment, Hub, HubRevision
from provisioning.requests import (
    ClusterFull,
    ClusterRetired,
    NothingToRetry,
    SlugTaken,
    approve_hub,
    decline_hub,
    request_hub,
    retry_hub,
    revise_hub,
    spec_of,
)
from provisioning.wishes import EnvironmentUnknown, SpecInvalid, hub_slug
from tests.cast import Cast
from tests.unit.provisioning.stories import WISH, requested_hub


@pytest.mark.parametrize("who", ["finance", "viewer", "outsider", "stranger", "staff"])
def test_only_owners_and_technical_people_request_hubs(cast: Cast, at: datetime, who: str) -> None:
    cluster = load_catalogue(at)
    with institution_scope(cast.university.pk), pytest.raises(Forbidden):
        request_hub(
            institution=cast.university,
            cluster=cluster,
            spec=WISH.spec(slug="cedar-stats"),
            agreement_id=uuid4(),
            zone="America/Vancouver",
            by=cast.person(who),
            at=at,
        )


def test_a_request_is_a_hub_with_its_first_revision_and_a_mail_to_operators(cast: Cast, at: datetime) -> None:
    hub = requested_hub(cast, at=at)

    with institution_scope(cast.university.pk):
        revision = HubRevision.objects.get(hub=hub)
        assert (hub.status, hub.generation, hub.zone) == ("requested", 1, "America/Vancouver")
        assert spec_of(revision) == WISH.spec(slug="cedar-stats")
        assert revision.spec["sign_on"]["allowed_users"] == ["ada", "bob"], "names stand in their order"
        assert Delivery.objects.get(event__object_id=str(hub.pk)).receiver == "provisioning.mail_hub_requested"


def test_the_audit_trail_names_nobody(cast: Cast, at: datetime) -> None:
    hub = requested_hub(cast, at=at)
    with consortium_scope(Scope.JOB):
        after = AuditEvent.objects.get(object_id=str(hub.pk)).after
    assert sorted(after) == ["cluster", "generation", "slug", "spec_hash"]


def test_a_short_name_is_taken_once_even_by_another_university(cast: Cast, at: datetime) -> None:
    requested_hub(cast, at=at)
    cluster = Cluster.objects.get()
    with institution_scope(cast.other_university.pk), pytest.raises(SlugTaken) as refused:
        request_hub(
            institution=cast.other_university,
            cluster=cluster,
            spec=WISH.spec(slug="cedar-stats"),
            agreement_id=uuid4(),
            zone="America/Toronto",
            by=cast.outsider,
            at=at,
        )
    assert refused.value.field == "name"


def test_an_environment_that_the_catalogue_lacks_or_retired_is_refused(cast: Cast, at: datetime) -> None:
    load_catalogue(at)
    Environment.objects.filter(key="r").update(retired_at=at)
    for key in ("r", "cobol"):
        with pytest.raises(EnvironmentUnknown):
            replace(WISH, environment=key).spec(slug="cedar-stats")


def test_a_wish_that_makes_no_hub_is_refused_with_the_place(cast: Cast, at: datetime) -> None:
    load_catalogue(at)
    with pytest.raises(SpecInvalid, match="max_servers"):
        replace(WISH, max_servers=0).spec(slug="cedar-stats")


def test_a_retired_cluster_takes_no_request(cast: Cast, at: datetime) -> None:
    load_catalogue(at)
    Cluster.objects.update(retired_at=at)
    with pytest.raises(ClusterRetired):
        requested_hub(cast, at=at)


@pytest.mark.parametrize("who", ["owner", "technical"])
def test_only_operators_approve(cast: Cast, at: datetime, who: str) -> None:
    hub = requested_hub(cast, at=at)
    with consortium_scope(Scope.STAFF), pytest.raises(Forbidden):
        approve_hub(hub, by=cast.person(who), at=at)


def test_approval_wants_the_work_once(cast: Cast, at: datetime) -> None:
    hub = requested_hub(cast, at=at)
    with consortium_scope(Scope.STAFF):
        job = approve_hub(hub, by=cast.staff, at=at)
        again = Hub.objects.get(pk=hub.pk)
        with pytest.raises(TransitionRefused):
            approve_hub(again, by=cast.staff, at=at)
        assert (job.kind, job.unique_key, job.total) == ("reconcile_hub", f"{hub.pk}:1", 6)
        assert (Job.objects.count(), again.status) == (1, "approved")


def test_a_full_cluster_is_said_before_anything_moves(cast: Cast, at: datetime) -> None:
    first, second = requested_hub(cast, at=at), requested_hub(cast, at=at, slug="cedar-maths")
    Cluster.objects.update(capacity=1)
    with consortium_scope(Scope.STAFF):
        approve_hub(first, by=cast.staff, at=at)
        with pytest.raises(ClusterFull, match="holds 1 hubs"):
            approve_hub(second, by=cast.staff, at=at)
        assert Hub.objects.get(pk=second.pk).status == "requested"


def test_a_declined_hub_is_never_approved(cast: Cast, at: datetime) -> None:
    hub = requested_hub(cast, at=at)
    with consortium_scope(Scope.STAFF):
        decline_hub(hub, reason="A larger one is coming.", by=cast.staff, at=at)
        with pytest.raises(TransitionRefused):
            approve_hub(hub, by=cast.staff, at=at)


def test_a_requested_hub_cannot_be_revised_nor_retried(cast: Cast, at: datetime) -> None:
    hub = requested_hub(cast, at=at)
    with institution_scope(cast.university.pk):
        with pytest.raises(SpecInvalid):
            revise_hub(hub, spec=WISH.spec(slug=hub.slug), note="", by=cast.technical, at=at)
        with pytest.raises(NothingToRetry):
            retry_hub(hub, by=cast.technical, at=at)


def test_a_revision_has_a_number_of_its_own_and_work_of_its_own(cast: Cast, at: datetime) -> None:
    hub = requested_hub(cast, at=at)
    with consortium_scope(Scope.STAFF):
        approve_hub(hub, by=cast.staff, at=at)
        Hub.objects.filter(pk=hub.pk).update(status="provisioning")
    with institution_scope(cast.university.pk):
        larger = replace(WISH, max_servers=20).spec(slug=hub.slug)
        job = revise_hub(hub, spec=larger, note="More students", by=cast.technical, at=at)
        assert (job.unique_key, hub.generation) == (f"{hub.pk}:2", 2)
        assert [revision.generation for revision in hub.revisions.all()] == [2, 1]
        with pytest.raises(SpecInvalid, match="keeps its short name"):
            revise_hub(hub, spec=WISH.spec(slug="another"), note="", by=cast.technical, at=at)


@pytest.mark.parametrize(
    ("university", "name", "slug"),
    [
        ("ubc", "Statistics 2026", "ubc-statistics-2026"),
        ("laval", "Méthodes, été", "laval-methodes-ete"),
        ("ubc", "統計", "ubc"),
        ("1st", "Maths", "hub-1st-maths"),
        ("a-very-long-name-of-a-university", "and of a hub", "a-very-long-name-of-a-university-and-of-a"),
    ],
)
def test_a_short_name_is_made_of_university_and_hub(university: str, name: str, slug: str) -> None:
    assert hub_slug(university, name) == slug[:40].rstrip("-")


def test_the_catalogue_is_loaded_once_and_keeps_what_staff_changed(db: None, at: datetime) -> None:
    load_catalogue(at)
    Environment.objects.filter(key="r").update(name_en="R and friends")
    load_catalogue(at)
    assert list(Environment.objects.values_list("key", "name_en")) == [
        ("data-science", "Data science"),
        ("r", "R and friends"),
        ("standard", "Standard (JupyterLab)"),
    ]
    with consortium_scope(Scope.JOB):
        assert AuditEvent.objects.filter(action="provisioning.environment_added").count() == 3
