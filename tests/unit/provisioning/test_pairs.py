"""Staging and production: the twin, what is promoted, and rollouts accepted by five people."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from consortium.kernel.errors import Forbidden
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, Job
from consortium.usecases.pair_hubs import promote, request_staging
from consortium.usecases.request_hub import request_hub
from members.entitlements import EntitlementExceeded
from provisioning.events.tending import tend_events
from provisioning.models import Hub, HubRevision, Rollout, ServiceStatement
from provisioning.pairs import HasTwin, NotTried, twin_slug
from provisioning.requests import approve_hub, decline_hub, revise_hub, spec_of
from provisioning.rollouts import watch_rollouts
from provisioning.service_level.statements import make_due_statements
from provisioning.wishes import SpecInvalid
from tests.cast import Cast
from tests.unit.provisioning.stories import WISH, looked
from tests.unit.provisioning.support_stories import agreed_hub
from tests.unit.provisioning.test_events import booked

START = datetime(2026, 10, 1, 7, 0, tzinfo=UTC)
AT = datetime(2026, 10, 15, 16, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return agreed_hub(cast, at=START)


def run(hub: Hub) -> Hub:
    """Let its newest revision run, as the worker would."""
    with consortium_scope(Scope.JOB):
        row = Hub.objects.select_related("cluster", "staging_of").get(pk=hub.pk)
        for status in {"requested": ("approved", "provisioning", "running"), "updating": ("running",)}.get(
            row.status, ()
        ):
            Hub.objects.filter(pk=row.pk).update(status=status)
        newest = row.revisions.get(generation=row.generation)
        Hub.objects.filter(pk=row.pk).update(
            observed_generation=row.generation, observed_spec_hash=newest.spec_hash, running_at=row.running_at or AT
        )
        return Hub.objects.select_related("cluster", "staging_of").get(pk=row.pk)


def paired(cast: Cast, hub: Hub) -> Hub:
    with institution_scope(cast.university.pk):
        return request_staging(hub, by=cast.technical, at=AT)


def revised(cast: Cast, hub: Hub, **changes: object) -> Hub:
    with institution_scope(cast.university.pk):
        spec = spec_of(hub.revisions.get(generation=hub.generation)).model_copy(update=changes)
        revise_hub(hub, spec=spec, note="", by=cast.technical, at=AT)
    return run(hub)


def test_what_was_tried_on_staging_becomes_a_revision_of_production(cast: Cast, hub: Hub) -> None:
    staging = run(paired(cast, hub))
    assert (staging.slug, staging.name) == ("cedar-stats-staging", "Statistics (staging)")
    staging = revised(cast, staging, environment="r", max_servers=20)
    with institution_scope(cast.university.pk):
        job = promote(staging, by=cast.technical, at=AT)
        newest, first = HubRevision.objects.filter(hub=hub)
    before, after = spec_of(first), spec_of(newest)
    assert after == before.model_copy(update={"environment": "r", "max_servers": 20})
    assert newest.note == "Promoted from revision 2 of staging"
    assert job.unique_key == f"{hub.pk}:2"


def test_nothing_untried_is_promoted(cast: Cast, hub: Hub) -> None:
    staging = paired(cast, hub)
    with institution_scope(cast.university.pk):
        with pytest.raises(NotTried, match="does not run on staging"):
            promote(staging, by=cast.technical, at=AT)
        with pytest.raises(NotTried, match="no staging hub"):
            promote(hub, by=cast.technical, at=AT)
    staging = run(staging)
    with institution_scope(cast.university.pk):
        with pytest.raises(SpecInvalid, match="Nothing would change"):
            promote(staging, by=cast.technical, at=AT)
        with pytest.raises(Forbidden):
            promote(staging, by=cast.viewer, at=AT)
        Hub.objects.filter(pk=staging.pk).update(drift=[{"path": "x", "wanted": "1", "found": "2"}])
        with pytest.raises(NotTried):
            promote(Hub.objects.select_related("staging_of").get(pk=staging.pk), by=cast.technical, at=AT)


def test_a_pair_is_requested_approved_and_declined_together(cast: Cast, hub: Hub) -> None:
    with consortium_scope(Scope.STAFF):
        Hub.objects.filter(pk=hub.pk).update(status="retiring")
        Hub.objects.filter(pk=hub.pk).update(status="retired")
    wish = type(WISH)(
        **{**{name: getattr(WISH, name) for name in WISH.__dataclass_fields__}, "name": "Physics", "staging": True}
    )
    with institution_scope(cast.university.pk):
        production = request_hub(institution=cast.university, wish=wish, by=cast.technical, at=AT)
        staging = Hub.objects.get(staging_of=production)
        assert AuditEvent.objects.filter(action="provisioning.hub_requested", deliveries__isnull=False).count() == 2
        with pytest.raises(EntitlementExceeded):
            request_hub(institution=cast.university, wish=WISH, by=cast.technical, at=AT)
    with consortium_scope(Scope.STAFF):
        with transaction.atomic():
            approve_hub(production, by=cast.staff, at=AT)
            assert Job.objects.filter(unique_key=f"{staging.pk}:1").exists()
            transaction.set_rollback(True)
        decline_hub(Hub.objects.get(pk=production.pk), reason="Not now", by=cast.staff, at=AT)
        assert set(Hub.objects.exclude(pk=hub.pk).values_list("status", flat=True)) == {"declined"}


def test_a_hub_has_one_twin_within_the_agreement(cast: Cast, hub: Hub) -> None:
    staging = paired(cast, hub)
    for row in (hub, staging):
        with pytest.raises((HasTwin, EntitlementExceeded)):
            paired(cast, row)
    assert twin_slug("x" * 40) == "x" * 32 + "-staging"


def test_a_staging_hub_is_promised_nothing(cast: Cast, hub: Hub) -> None:
    run(paired(cast, hub))
    make_due_statements(at=datetime(2026, 11, 2, tzinfo=UTC))
    with consortium_scope(Scope.STAFF):
        assert set(ServiceStatement.objects.values_list("hub__slug", "month")) == {
            ("cedar-stats", str(Month(2026, 10)))
        }


def test_a_rollout_is_accepted_when_five_people_have_worked_with_it(cast: Cast, hub: Hub) -> None:
    looked(hub, AT - HOUR, ("early", AT - 2 * HOUR))
    watch_rollouts(at=AT)
    hub = revised(cast, hub, max_servers=20)
    assert watch_rollouts(at=AT + HOUR) == 0
    people = ["ada", "bob", "cy", "dee"]
    looked(hub, AT + 2 * HOUR, *((name, AT + HOUR) for name in people))
    looked(hub, AT + 3 * HOUR, *((name, AT + HOUR) for name in people))
    assert watch_rollouts(at=AT + 3 * HOUR) == 0
    with consortium_scope(Scope.STAFF):
        waiting = Rollout.objects.get(generation=2)
        assert (waiting.people, waiting.accepted_at, Rollout.objects.get(generation=1).people) == (4, None, 1)
    looked(hub, AT + 4 * HOUR, ("eve", AT + HOUR))
    assert [watch_rollouts(at=AT + 4 * HOUR) for _ in range(2)] == [1, 0]
    with consortium_scope(Scope.STAFF):
        assert Rollout.objects.get(generation=2).accepted_at == AT + 4 * HOUR
        assert AuditEvent.objects.filter(action="provisioning.rollout_accepted").count() == 1


def test_what_the_portal_revises_itself_is_no_rollout(cast: Cast, hub: Hub) -> None:
    event = booked(cast, hub)
    tend_events(at=event.starts_at - HOUR)
    run(hub)
    watch_rollouts(at=event.starts_at)
    with consortium_scope(Scope.STAFF):
        assert not Rollout.objects.filter(generation=2).exists()


def test_postgresql_keeps_pairs_within_a_university_and_acceptance_honest(cast: Cast, hub: Hub) -> None:
    staging = paired(cast, hub)
    with consortium_scope(Scope.STAFF):
        names = ("cluster_id", "agreement_id", "zone", "requested_at")
        values = Hub.objects.filter(pk=hub.pk).values(*names).get()
        foreign = Hub.objects.create(institution=cast.other_university, slug="maple-x", name="M", **values)
        third = Hub.objects.create(institution=cast.university, slug="cedar-third", name="T", **values)
        for row, production, words in (
            (foreign, hub, "another university"),
            (third, staging, "one staging and one production"),
            (hub, third, "one staging and one production"),
            (third, third, "one staging and one production"),
            (staging, None, "stays the twin"),
        ):
            with pytest.raises(DatabaseError, match=words), transaction.atomic():
                Hub.objects.filter(pk=row.pk).update(staging_of=production)
        with pytest.raises(IntegrityError, match="staging_of_id"), transaction.atomic():
            Hub.objects.filter(pk=third.pk).update(staging_of=hub)
        with pytest.raises(IntegrityError, match="rollout_accepted_by_enough"), transaction.atomic():
            Rollout.objects.create(
                institution=cast.university, hub=hub, generation=9, began_at=AT, needed=5, people=4, accepted_at=AT
            )
