"""Events: booked, moved, cancelled; hands off the hub while they are on; culling off and on again; emergencies."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from billing.models import MemberCharge
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.jobs import RetryLater
from consortium.kernel.periods import Period
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, Job, OutgoingMail
from consortium.usecases.charge_events import charge_events
from members.entitlements import EntitlementExceeded
from provisioning import patience
from provisioning.drift import repair_hub
from provisioning.events.booking import EventOverlaps, EventWish, book_event, cancel_event, move_event
from provisioning.events.overriding import override_event
from provisioning.events.tending import tend_events
from provisioning.hands_off import HubInEvent, refuse_hands_off, why_hands_off
from provisioning.lifecycle import retire_hub, suspend_hub
from provisioning.models import EventOverride, EventWindow, Hub
from provisioning.requests import revise_hub, spec_of
from provisioning.service_level.incidents import announce_maintenance
from provisioning.specs import render_values
from tests.cast import Cast
from tests.unit.members.story import deliver
from tests.unit.provisioning.service_stories import promised_hub
from tests.unit.provisioning.support_stories import agreed_hub

MONDAY = datetime(2026, 12, 7, 17, 0, tzinfo=UTC)
EXAM = datetime(2026, 12, 10, 17, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return agreed_hub(cast, at=datetime(2026, 10, 1, 7, 0, tzinfo=UTC))


def booked(
    cast: Cast, hub: Hub, start: datetime = EXAM, *, hours: int = 3, at: datetime = MONDAY, accepts: bool = True
) -> EventWindow:
    wish = EventWish(
        kind="exam",
        title="Final exam",
        expected_users=120,
        period=Period(start, start + hours * HOUR),
        accepts_price=accepts,
    )
    with institution_scope(cast.university.pk):
        return book_event(hub, wish=wish, by=cast.technical, at=at)


def fresh(hub: Hub) -> Hub:
    return Hub.objects.select_related("cluster").get(pk=hub.pk)


def test_in_its_hours_and_the_quiet_one_before_nobody_touches_the_hub(cast: Cast, hub: Hub) -> None:
    booked(cast, hub)
    with consortium_scope(Scope.STAFF):
        spec = spec_of(hub.revisions.get()).model_copy(update={"max_servers": 11})
        Hub.objects.filter(pk=hub.pk).update(drift=[{"path": "x", "wanted": "1", "found": "2"}])
        hub = fresh(hub)
        for at in (EXAM - HOUR, EXAM, EXAM + 3 * HOUR - timedelta(seconds=1)):
            with pytest.raises(HubInEvent, match="Final exam"):
                suspend_hub(hub, reason="Unpaid", by=System("standing"), at=at)
            with pytest.raises(HubInEvent):
                retire_hub(hub, reason="Gone", by=cast.staff, at=at)
            with pytest.raises(HubInEvent):
                revise_hub(hub, spec=spec, note="", by=cast.technical, at=at)
            with pytest.raises(HubInEvent):
                repair_hub(hub, by=cast.staff, at=at)
        for at in (EXAM - HOUR - timedelta(seconds=1), EXAM + 3 * HOUR):
            refuse_hands_off(hub, at=at)


def test_work_that_was_wanted_before_waits_until_the_event_is_over(
    cast: Cast, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked(cast, hub)
    monkeypatch.setattr(patience, "now", lambda: EXAM)
    with pytest.raises(RetryLater, match="Until it is over") as later:
        patience.wait_for_hold(hub.pk)
    assert later.value.counts is False
    monkeypatch.setattr(patience, "now", lambda: EXAM - timedelta(minutes=1))
    patience.wait_for_hold(hub.pk)  # what was begun in time, such as turning culling off, may end


def test_idle_servers_are_not_stopped_during_events_that_follow_each_other(cast: Cast, hub: Hub) -> None:
    first, second = booked(cast, hub), booked(cast, hub, EXAM + 4 * HOUR)
    assert tend_events(at=EXAM - HOUR - timedelta(minutes=1)) == 0
    assert [tend_events(at=EXAM - HOUR) for _ in range(2)] == [1, 0]
    with consortium_scope(Scope.STAFF):
        hub = fresh(hub)
        revision = hub.revisions.get(generation=2)
        assert render_values(spec_of(revision))["cull"]["enabled"] is False
        assert (revision.author, revision.note) == (None, "Idle servers are not stopped during “Final exam”")
        assert Job.objects.filter(unique_key=f"{hub.pk}:2", kind="reconcile_hub").exists()
    tend_events(at=EXAM + 3 * HOUR)
    with consortium_scope(Scope.STAFF):
        hub = fresh(hub)
        assert hub.generation == 2, "the second begins within the hour: culling stays off"
        first.refresh_from_db()
        assert (first.status, first.restored_at) == ("over", EXAM + 3 * HOUR)
    tend_events(at=EXAM + 7 * HOUR)
    with consortium_scope(Scope.STAFF):
        hub = fresh(hub)
        newest, original = hub.revisions.get(generation=3), hub.revisions.get(generation=1)
        assert newest.spec_hash == original.spec_hash
        second.refresh_from_db()
        assert second.restored_at is not None
    assert tend_events(at=EXAM + 8 * HOUR) == 0


def test_an_event_that_is_called_off_late_gives_culling_back(cast: Cast, hub: Hub) -> None:
    event = booked(cast, hub)
    tend_events(at=EXAM - HOUR / 2)
    with institution_scope(cast.university.pk):
        cancel_event(event, by=cast.technical, at=EXAM - HOUR / 4)
    tend_events(at=EXAM - HOUR / 5)
    with consortium_scope(Scope.STAFF):
        assert fresh(hub).generation == 3
        refuse_hands_off(hub, at=EXAM)


def test_a_hub_that_does_not_run_needs_no_getting_ready(cast: Cast, hub: Hub) -> None:
    booked(cast, hub)
    with consortium_scope(Scope.STAFF):
        Hub.objects.filter(pk=hub.pk).update(status="suspended")
    for at in (EXAM - HOUR, EXAM + 3 * HOUR, EXAM + 4 * HOUR):
        tend_events(at=at)
    with consortium_scope(Scope.STAFF):
        assert fresh(hub).generation == 1
        assert EventWindow.objects.get().restored_at is not None


@pytest.mark.parametrize(
    ("start", "hours", "error", "words"),
    [
        (MONDAY + HOUR, 1, Invalid, "two hours ahead"),
        (EXAM, 73, Invalid, "at most 3 days"),
        (EXAM + 2 * HOUR, 3, EventOverlaps, "Another event"),
    ],
)
def test_dates_that_cannot_be_are_refused(
    cast: Cast, hub: Hub, start: datetime, hours: int, error: type[Invalid], words: str
) -> None:
    booked(cast, hub)
    with pytest.raises(error, match=words):
        booked(cast, hub, start, hours=hours)
    booked(cast, hub, EXAM + 3 * HOUR)  # one after the other


def test_maintenance_and_events_keep_clear_of_each_other(cast: Cast, hub: Hub) -> None:
    words = {"title_en": "Nodes", "title_fr": "Nœuds", "text_en": "", "text_fr": ""}
    booked(cast, hub)
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Invalid, match="cedar-stats has an event"):
            announce_maintenance(
                cluster=hub.cluster, **words, starts_at=EXAM, ends_at=EXAM + HOUR, by=cast.staff, at=MONDAY
            )
        later = EXAM + timedelta(days=1)
        announce_maintenance(cluster=None, **words, starts_at=later, ends_at=later + HOUR, by=cast.staff, at=MONDAY)
    with pytest.raises(Invalid, match="Maintenance is announced"):
        booked(cast, hub, later)


def test_the_second_event_of_a_year_is_priced_accepted_and_charged_once_when_over(cast: Cast, hub: Hub) -> None:
    included = booked(cast, hub)
    with pytest.raises(Invalid, match="this one costs") as refused:
        booked(cast, hub, EXAM + timedelta(days=1), accepts=False)
    assert refused.value.field == "accepts_price"
    priced = booked(cast, hub, EXAM + timedelta(days=1))
    other_year = booked(cast, hub, EXAM + timedelta(days=60), accepts=False)
    dropped = booked(cast, hub, EXAM + timedelta(days=2))
    with institution_scope(cast.university.pk):
        cancel_event(dropped, by=cast.owner, at=MONDAY)
    assert [row.price for row in (included, priced, other_year)] == [0, Decimal("250.00"), 0]
    over = EXAM + timedelta(days=3)
    tend_events(at=over)
    assert [charge_events(at=over) for _ in range(2)] == [1, 0]
    with consortium_scope(Scope.STAFF):
        charge = MemberCharge.objects.get()
    assert (charge.kind, charge.net, charge.month, charge.source_id) == (
        "event", Decimal("250.00"), "2026-12", priced.pk,
    )  # fmt: skip


def test_an_agreement_without_events_has_none(cast: Cast) -> None:
    hub = promised_hub(cast, at=datetime(2026, 10, 1, 7, 0, tzinfo=UTC))
    with pytest.raises(EntitlementExceeded, match="does not cover events"):
        booked(cast, hub)


def test_an_event_is_moved_until_an_hour_before_and_then_only_its_end(cast: Cast, hub: Hub) -> None:
    event = booked(cast, hub)
    day = timedelta(days=1)
    with institution_scope(cast.university.pk):
        move_event(event, period=Period(EXAM + day, EXAM + day + HOUR), by=cast.owner, at=MONDAY)
        near = EXAM + day - HOUR / 2
        with pytest.raises(Invalid, match="only its end"):
            move_event(event, period=Period(EXAM, EXAM + day + HOUR), by=cast.owner, at=near)
        move_event(event, period=Period(EXAM + day, EXAM + day + 2 * HOUR), by=cast.owner, at=near)
        with pytest.raises(Invalid, match="in the past"):
            move_event(event, period=Period(EXAM + day, EXAM + day + HOUR), by=cast.owner, at=EXAM + day + HOUR)
        with pytest.raises(TransitionRefused):
            move_event(event, period=Period(EXAM + day, EXAM + 3 * day), by=cast.owner, at=EXAM + 2 * day)
        assert (event.starts_at, event.ends_at) == (EXAM + day, EXAM + day + 2 * HOUR)
    with consortium_scope(Scope.STAFF):
        assert AuditEvent.objects.filter(action="provisioning.event_moved").count() == 2


@pytest.mark.parametrize("who", ["finance", "viewer", "outsider", "stranger", "staff"])
def test_others_book_move_and_cancel_nothing(cast: Cast, hub: Hub, who: str) -> None:
    event = booked(cast, hub)
    person = cast.person(who)
    wish = EventWish(kind="exam", title="x", expected_users=1, period=Period(EXAM + 9 * HOUR, EXAM + 10 * HOUR))
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Forbidden):
            book_event(hub, wish=wish, by=person, at=MONDAY)
        with pytest.raises(Forbidden):
            move_event(event, period=wish.period, by=person, at=MONDAY)
        if who != "staff":
            with pytest.raises(Forbidden):
                cancel_event(event, by=person, at=MONDAY)
            with pytest.raises(Forbidden):
                override_event(event, reason="x", until=EXAM + HOUR, by=person, at=EXAM)


def test_an_emergency_opens_the_hub_for_a_while_and_is_told(cast: Cast, hub: Hub) -> None:
    event = booked(cast, hub)
    with consortium_scope(Scope.STAFF):
        for reason, until in ((" ", EXAM + HOUR), ("Fire", EXAM), ("Fire", EXAM + 13 * HOUR)):
            with pytest.raises(Invalid):
                override_event(event, reason=reason, until=until, by=cast.staff, at=EXAM)
        override_event(event, reason="The disk is failing.", until=EXAM + HOUR, by=cast.staff, at=EXAM)
        assert why_hands_off(hub, at=EXAM + HOUR / 2) is None
        suspend_hub(hub, reason="The disk is failing.", by=cast.staff, at=EXAM + HOUR / 2)
        assert why_hands_off(hub, at=EXAM + HOUR) is not None
        deliver(EXAM + HOUR)
        mails = dict(OutgoingMail.objects.filter(template__contains="event").values_list("template", "recipient"))
        assert mails == {
            "provisioning_event_staff": cast.staff.email, "provisioning_event_override": cast.technical.email,
        }  # fmt: skip
        assert AuditEvent.objects.get(action="provisioning.event_overridden").reason_digest


def test_postgresql_lets_no_two_events_of_a_hub_overlap_and_keeps_what_is_over(cast: Cast, hub: Hub) -> None:
    event = booked(cast, hub)
    names = ("institution_id", "hub_id", "kind", "title", "expected_users", "currency", "booked_by_id", "booked_at")
    with consortium_scope(Scope.STAFF):
        values = EventWindow.objects.values(*names).get()
        with pytest.raises(IntegrityError, match="eventwindow_one_at_a_time"), transaction.atomic():
            EventWindow.objects.create(**values, starts_at=EXAM + HOUR, ends_at=EXAM + 9 * HOUR)
        with pytest.raises(IntegrityError, match="eventwindow_lasts"), transaction.atomic():
            EventWindow.objects.create(**values, starts_at=EXAM + 9 * HOUR, ends_at=EXAM + 9 * HOUR)
        override_event(event, reason="Fire", until=EXAM + HOUR, by=cast.staff, at=EXAM)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            EventOverride.objects.update(reason="None")
        cancel_event(event, by=cast.staff, at=MONDAY)
        EventWindow.objects.create(**values, starts_at=EXAM + HOUR, ends_at=EXAM + 9 * HOUR)
        for change in ({"ends_at": EXAM + 9 * HOUR}, {"status": "booked", "cancelled_at": None}):
            with pytest.raises(DatabaseError, match=r"is frozen|may not become"), transaction.atomic():
                EventWindow.objects.filter(pk=event.pk).update(**change)
