"""The service level of a hub: days, monthly statements with evidence, maintenance, incidents, questions."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.periods import Month, Period, month_period
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import OutgoingMail
from provisioning.models import Hub, Incident, Maintenance, ServiceStatement, WorkCheck
from provisioning.service_level.days import count_day, count_recent
from provisioning.service_level.incidents import (
    announce_maintenance,
    cancel_maintenance,
    open_incident,
    update_incident,
)
from provisioning.service_level.questions import accept, ask, decline
from provisioning.service_level.statements import MonthRuns, make_due_statements, make_statement, newest_statements
from tests.cast import Cast
from tests.unit.members.story import deliver
from tests.unit.provisioning.service_stories import promised_hub, visited

pytestmark = pytest.mark.django_db

OCTOBER = Month(2026, 10)
MONTH = month_period(OCTOBER, "America/Vancouver")
STARTED = datetime(2026, 10, 1, 7, 0, tzinfo=UTC)
AFTER = datetime(2026, 11, 2, 18, 0, tzinfo=UTC)
NOON = datetime(2026, 10, 12, 19, 0, tzinfo=UTC)


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return promised_hub(cast, at=STARTED)


@pytest.fixture(autouse=True)
def staff_look(db: None) -> Iterator[None]:
    with consortium_scope(Scope.STAFF):
        yield


def spell(start: datetime, **length: int) -> Period:
    return Period(start, start + timedelta(**length))


def statement(hub: Hub, *, at: datetime = AFTER) -> ServiceStatement:
    made = make_statement(hub, month=OCTOBER, at=at)
    assert made is not None
    return made


def test_a_month_that_was_kept_has_no_credit(hub: Hub) -> None:
    visited(hub, MONTH)
    made = statement(hub)
    assert (made.result, made.availability, made.credit) == ("met", Decimal("1.00000"), Decimal("0.00"))


def test_a_month_with_eight_hours_down_is_credited_a_tenth_of_the_fee(hub: Hub) -> None:
    visited(hub, MONTH, down=spell(NOON, hours=8))
    made = statement(hub)
    assert made.result == "missed"
    assert made.down_seconds == 8 * 3600
    assert (made.credit, made.currency) == (Decimal("50.00"), "CAD")
    assert made.evidence["outages"][0]["from"] == NOON.isoformat()
    assert made.evidence["outages"][0]["detail"] == "the server did not come up"


def test_a_hub_that_nobody_visited_has_no_result_and_is_never_called_good(hub: Hub) -> None:
    assert statement(hub).result == "insufficient"


def test_maintenance_announced_three_days_ahead_does_not_count(cast: Cast, hub: Hub) -> None:
    down = spell(NOON, hours=8)
    visited(hub, MONTH, down=down)
    announce(cast, down, at=NOON - timedelta(hours=72))
    made = statement(hub)
    assert (made.result, made.excluded_seconds) == ("met", 8 * 3600)
    assert made.evidence["excluded"][0]["reason"] == "maintenance"


@pytest.mark.parametrize("cancelled", [False, True])
def test_maintenance_announced_late_or_called_off_counts_like_any_outage(cast: Cast, hub: Hub, cancelled: bool) -> None:
    down = spell(NOON, hours=8)
    visited(hub, MONTH, down=down)
    ahead = timedelta(hours=80) if cancelled else timedelta(hours=71)
    row = announce(cast, down, at=NOON - ahead)
    if cancelled:
        cancel_maintenance(row, by=cast.staff, at=NOON - timedelta(hours=1))
    assert statement(hub).result == "missed"


def announce(cast: Cast, period: Period, *, at: datetime) -> Maintenance:
    return announce_maintenance(
        cluster=None, title_en="Nodes", title_fr="Nœuds", text_en="", text_fr="",
        starts_at=period.start, ends_at=period.end, by=cast.staff, at=at,
    )  # fmt: skip


def incident(cast: Cast, *, hubs: list[str], excluded_as: str = "") -> Incident:
    return open_incident(
        title_en="Sign-on is down", title_fr="Connexion en panne", text_en="We look.", text_fr="Nous cherchons.",
        hub_slugs=hubs, started_at=NOON, excluded_as=excluded_as, by=cast.staff, at=NOON + timedelta(minutes=10),
    )  # fmt: skip


def test_an_outage_of_the_universitys_own_sign_on_does_not_count(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH, down=spell(NOON, hours=8))
    row = incident(cast, hubs=[hub.slug], excluded_as="sign_on")
    update_incident(
        row, status="resolved", text_en="Over.", text_fr="Fini.", by=cast.staff, at=NOON + timedelta(hours=8)
    )
    made = statement(hub)
    assert (made.result, made.evidence["excluded"][0]["reason"]) == ("met", "sign_on")


def test_an_incident_of_another_hub_changes_nothing_here(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH, down=spell(NOON, hours=8))
    with pytest.raises(Invalid, match="no hub maple-hub"):
        incident(cast, hubs=["maple-hub"], excluded_as="force_majeure")
    assert statement(hub).result == "missed"


def test_a_month_that_runs_has_no_statement(hub: Hub) -> None:
    with pytest.raises(MonthRuns, match="2026-10 is not over"):
        make_statement(hub, month=OCTOBER, at=MONTH.end - timedelta(seconds=1))


def test_due_statements_are_made_once(hub: Hub) -> None:
    visited(hub, MONTH)
    assert [row.month for row in make_due_statements(at=AFTER)] == ["2026-10"]
    assert make_due_statements(at=AFTER + timedelta(hours=1)) == []


def test_a_hub_without_a_promise_has_no_statement(cast: Cast) -> None:
    from tests.unit.provisioning.stories import running_hub  # noqa: PLC0415 - this hub alone has no agreement

    hub = running_hub(cast, at=STARTED)
    visited(hub, MONTH)
    assert make_due_statements(at=AFTER) == []


def test_a_question_that_is_right_makes_a_newer_version_and_leaves_the_old_one(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH)
    first = statement(hub)
    question = ask(first, interval=spell(NOON, hours=8), text="Nobody could work.", by=cast.owner, at=AFTER)
    deliver(AFTER)
    WorkCheck.objects.bulk_create(
        WorkCheck(
            institution_id=hub.institution_id, hub=hub, at=NOON + timedelta(minutes=minute, seconds=1), ok=False,
            step="start", error="found in the log", interval_seconds=300,
        )
        for minute in range(0, 480, 1)
    )  # fmt: skip
    newer = accept(question, answer="The log shows it.", by=cast.staff, at=AFTER)
    deliver(AFTER)
    mails = set(OutgoingMail.objects.values_list("recipient", "template"))
    rows = list(ServiceStatement.objects.filter(hub=hub))
    assert (first.version, newer.version, newer.reason) == (1, 2, "The log shows it.")
    assert newest_statements(rows) == [newer]
    assert ("owner@people.example", "provisioning_answer") in mails
    assert ("staff@people.example", "provisioning_question") in mails


def test_a_question_that_is_not_right_leaves_the_statement(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH)
    first = statement(hub)
    question = ask(first, interval=spell(NOON, hours=1), text="Was it slow?", by=cast.technical, at=AFTER)
    decline(question, answer="Slow is not down.", by=cast.staff, at=AFTER)
    assert ServiceStatement.objects.filter(hub=hub).count() == 1
    with pytest.raises(TransitionRefused):
        decline(question, answer="Again.", by=cast.staff, at=AFTER)


@pytest.mark.parametrize("who", ["viewer", "outsider", "stranger"])
def test_only_people_of_the_university_with_the_role_question_a_result(cast: Cast, hub: Hub, who: str) -> None:
    visited(hub, MONTH)
    with pytest.raises(Forbidden):
        ask(statement(hub), interval=spell(NOON, hours=1), text="?", by=cast.person(who), at=AFTER)


def test_a_question_is_about_the_statements_own_month(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH)
    with pytest.raises(Invalid, match="within the statement's month"):
        ask(statement(hub), interval=spell(MONTH.end, hours=1), text="Down", by=cast.owner, at=AFTER)


@pytest.mark.parametrize("change", ["credit = 1", "availability = 1", "evidence = '{}'"])
def test_postgresql_refuses_to_change_a_statement(hub: Hub, change: str) -> None:
    from django.db import connection  # noqa: PLC0415

    visited(hub, MONTH)
    statement(hub)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(f"UPDATE provisioning_servicestatement SET {change}")


def test_postgresql_refuses_a_credit_for_a_month_that_was_kept(hub: Hub) -> None:
    visited(hub, MONTH)
    made = statement(hub)
    made.pk, made.version, made.credit = None, 2, Decimal("1.00")
    with pytest.raises(DatabaseError, match="servicestatement_credit"), transaction.atomic():
        made.save(force_insert=True)


def told(cast: Cast, row: Incident, status: str, *, minutes: int) -> None:
    at = NOON + timedelta(minutes=minutes)
    update_incident(row, status=status, text_en="So.", text_fr="Voilà.", by=cast.staff, at=at)


def test_a_resolved_incident_stays_resolved(cast: Cast, hub: Hub) -> None:
    row = incident(cast, hubs=[hub.slug])
    told(cast, row, "identified", minutes=20)
    told(cast, row, "resolved", minutes=30)
    with pytest.raises(TransitionRefused):
        told(cast, row, "monitoring", minutes=40)
    assert [update.status for update in row.updates.all()] == ["resolved", "identified", "investigating"]


def test_a_day_is_counted_again_to_the_same_figures(hub: Hub) -> None:
    visited(hub, MONTH, down=spell(NOON, hours=2))
    day = date(2026, 10, 12)
    first = count_day(hub, day=day, at=AFTER)
    again = count_day(hub, day=day, at=AFTER)
    assert first is not None
    assert again is not None
    assert first.pk == again.pk
    assert (again.served_seconds, again.down_seconds, again.outages) == (22 * 3600, 2 * 3600, 1)


def test_the_meter_counts_the_days_since_it_was_away(hub: Hub) -> None:
    visited(hub, MONTH)
    at = datetime(2026, 10, 5, 19, 0, tzinfo=UTC)
    count_recent(at=at)
    assert count_recent(at=at + timedelta(days=3)) == 4
