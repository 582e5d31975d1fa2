"""Samples by month: places made ahead, rows that waited move in, old months go whole, and nobody passes the policy."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent
from provisioning.models import Sample
from provisioning.rollups import roll_day
from provisioning.sample_months import drop_sample_months, make_sample_months
from tests.cast import Cast
from tests.unit.provisioning.stories import looked, running_hub

pytestmark = pytest.mark.django_db

JULY = datetime(2031, 7, 31, 23, 59, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def partitions() -> dict[str, int]:
    """Each month's partition with the rows in it, as its owner would count them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'provisioning_sample'::regclass"
        )
        names = [row[0].removeprefix("provisioning_sample_") for row in cursor.fetchall()]
        with consortium_scope(Scope.JOB):
            cursor.execute("SELECT tableoid::regclass::text, count(*) FROM provisioning_sample GROUP BY 1")
            counts = dict(cursor.fetchall())
    return {name: counts.get(f"provisioning_sample_{name}", 0) for name in names}


def refused(statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_months_are_made_ahead_once_and_what_waited_moves_into_its_own(cast: Cast, at: datetime) -> None:
    hub = running_hub(cast, at=at)
    for minute in range(3):
        looked(hub, JULY + minute * MINUTE, ("ada", JULY))
    assert partitions()["default"] == 3, "nothing is lost although its month has no place yet"
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what the commit of each look does
    made = make_sample_months(at=JULY)
    assert made == [Month(2031, 7), Month(2031, 8), Month(2031, 9), Month(2031, 10)]
    assert make_sample_months(at=JULY) == []
    counts = partitions()
    assert (counts["default"], counts["2031_07"], counts["2031_08"]) == (0, 1, 2)
    looked(hub, JULY + 3 * MINUTE, ("ada", JULY))
    assert partitions()["2031_08"] == 3
    # The roll-up of a day that lies in two UTC months sees all of it.
    day = roll_day(hub, day=JULY.date(), at=JULY + 10 * MINUTE)
    assert (day.server_seconds, day.sessions) == (4 * 60, 1)


def test_old_months_are_dropped_whole_and_named_in_the_audit_trail(cast: Cast) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT provisioning_make_sample_month('2020-01-01'), provisioning_make_sample_month('2020-02-01')"
        )
    at = datetime(2021, 3, 1, tzinfo=UTC)
    assert drop_sample_months(at=at) == ["2020-01"], "thirteen whole months are kept"
    assert "2020_02" in partitions()
    assert drop_sample_months(at=at) == []
    with consortium_scope(Scope.JOB):
        assert AuditEvent.objects.get(action="provisioning.samples_dropped").after == {"month": "2020-01"}


def test_postgresql_keeps_the_last_ninety_days_and_refuses_what_is_no_month() -> None:
    refused("SELECT provisioning_drop_sample_months((now() - interval '80 days')::date)")
    refused("SELECT provisioning_make_sample_month('2031-07-02')")


def test_a_partition_is_no_way_around_the_policy_or_the_guard(cast: Cast, at: datetime) -> None:
    hub = running_hub(cast, at=at)
    make_sample_months(at=JULY)
    looked(hub, JULY, ("ada", JULY))
    table = "provisioning_sample_2031_07"
    with consortium_scope(Scope.JOB), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (0,), "asked by its own name it shows nothing"
        refused(f"INSERT INTO {table} SELECT * FROM provisioning_sample")
        refused(f"TRUNCATE {table}")
        refused("DELETE FROM provisioning_sample")
        refused(f"DROP TABLE {table}")
    with institution_scope(cast.other_university.pk):
        assert not Sample.objects.exists()
    with institution_scope(cast.university.pk):
        assert Sample.objects.count() == 1
