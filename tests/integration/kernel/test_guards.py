"""What PostgreSQL itself refuses, seen through SQL past the ORM."""

from datetime import datetime

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, models, transaction

from consortium.kernel import audit, jobs
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, Job
from consortium.states import JOB
from members.models import Membership, Seat
from members.states import MEMBERSHIP
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_tests_run_as_the_applications_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == ("portal_app", False, False)


def test_a_forgotten_tenant_filter_returns_nothing(cast: Cast) -> None:
    assert Seat.objects.count() == 0
    with institution_scope(cast.university.pk):
        assert set(Seat.objects.values_list("institution_id", flat=True)) == {cast.university.pk}
    with consortium_scope(Scope.STAFF):
        assert Seat.objects.values("institution_id").distinct().count() == 2
    assert Seat.objects.count() == 0


def seen() -> set[object]:
    return set(Seat.objects.values_list("institution_id", flat=True))


def test_a_view_ends_where_it_began_whatever_lies_between(cast: Cast) -> None:
    mine, other = {cast.university.pk}, {cast.other_university.pk}
    with institution_scope(cast.university.pk):
        with consortium_scope(Scope.STAFF):
            assert seen() == mine | other
            with institution_scope(cast.other_university.pk):
                assert seen() == other
            assert seen() == mine | other
        assert seen() == mine
        with pytest.raises(DatabaseError), consortium_scope(Scope.JOB):
            execute("SELECT 1 / 0")
        assert seen() == mine
    assert seen() == set()


def test_a_row_cannot_be_written_into_another_institution(cast: Cast, at: datetime) -> None:
    with (
        pytest.raises(DatabaseError, match="row-level security"),
        institution_scope(cast.university.pk),
    ):
        Seat.objects.create(institution=cast.other_university, user=cast.viewer, role="owner", created_at=at)


def tenant_models() -> list[type[models.Model]]:
    ours = {"consortium", "members", "provisioning", "billing"}
    return [m for m in apps.get_models() if m._meta.app_label in ours and m._meta.label != "members.Institution"]


def test_every_table_with_an_institution_has_a_policy() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relrowsecurity")
        secured = {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT tablename FROM pg_policies WHERE policyname = 'tenant'")
        secured &= {row[0] for row in cursor.fetchall()}
    tables = {m._meta.db_table for m in tenant_models() if any(f.column == "institution_id" for f in m._meta.fields)}
    assert tables
    assert tables <= secured, f"no policy on {sorted(tables - secured)}"


def test_no_model_joins_billing_and_provisioning() -> None:
    apart = {"billing", "provisioning"}
    for model in apps.get_models():
        for field in model._meta.get_fields():
            target = field.related_model
            if isinstance(target, type) and model._meta.app_label in apart:
                assert target._meta.app_label not in apart - {model._meta.app_label}, f"{model.__name__}.{field.name}"


@pytest.mark.parametrize("statement", ["UPDATE {} SET action = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_an_audit_event_cannot_be_changed(cast: Cast, at: datetime, statement: str) -> None:
    with consortium_scope(Scope.STAFF):
        audit.record("tests.happened", cast.university, by=cast.staff, at=at, institution_id=cast.university.pk)
        with pytest.raises(DatabaseError, match=r"append-only|permission denied"):
            execute(statement.format("consortium_auditevent"))


def test_events_form_one_chain_per_institution(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.STAFF):
        for number in range(3):
            for institution in (cast.university, cast.other_university):
                audit.record(
                    "tests.happened",
                    institution,
                    by=cast.staff,
                    at=at,
                    institution_id=institution.pk,
                    after={"n": number},
                )
        chain = AuditEvent.objects.filter(institution_id=cast.university.pk).order_by("seq")
        assert [event.seq for event in chain] == [1, 2, 3]
        assert [event.prev_hash for event in chain][1:] == [event.hash for event in chain][:-1]
        assert audit.verify() == []


def test_a_row_begins_in_its_first_state(at: datetime) -> None:
    with pytest.raises(DatabaseError, match="begins as queued"), consortium_scope(Scope.JOB):
        Job.objects.create(kind="k", unique_key="1", state="running", created_at=at, run_after=at)


def test_a_move_outside_the_table_is_refused_by_code_and_by_postgresql(at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        job = jobs.enqueue("k", key="1", at=at, institution_id=None)
        with pytest.raises(TransitionRefused):
            JOB.move(job, "succeeded")
        with pytest.raises(DatabaseError, match="queued may not become succeeded"):
            execute(f"UPDATE consortium_job SET state = 'succeeded' WHERE id = '{job.pk}'")


def test_two_people_moving_one_row_one_is_told(cast: Cast) -> None:
    with institution_scope(cast.university.pk):
        mine, theirs = (Membership.objects.get(institution=cast.university) for _ in range(2))
        MEMBERSHIP.move(theirs, "suspended")
        with pytest.raises(TransitionRefused, match="somebody moved it"):
            MEMBERSHIP.move(mine, "leaving")
