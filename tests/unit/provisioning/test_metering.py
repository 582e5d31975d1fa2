"""Rolling up: seconds by day and zone, gaps, people counted once, and the same again when done again."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import DatabaseError, transaction

from consortium.kernel.periods import Month, day_period
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning import metering, rollups
from provisioning.gateways.base import GatewayError, ServerSample
from provisioning.metering import sample_all, sample_hub
from provisioning.models import Hub, HubDay, HubDayUser, Sample, SamplingRun
from provisioning.queries import HubUse, MonthUse, day_series, health_of, is_partial, month_use
from provisioning.rollups import roll_day, roll_recent
from tests.cast import Cast
from tests.unit.provisioning.stories import looked, looked_each_minute, running_hub

DAY = date(2026, 10, 15)
NOON = datetime(2026, 10, 15, 19, 0, tzinfo=UTC)  # noon in Vancouver
MINUTE = timedelta(minutes=1)


@pytest.fixture
def hub(cast: Cast, at: datetime) -> Hub:
    return running_hub(cast, at=at)


class Hubs:
    """A place whose hubs show these servers, or do not answer; real hubs are metered in tests/integration."""

    def __init__(self, *servers: ServerSample, error: GatewayError | None = None) -> None:
        self.servers, self.error = list(servers), error

    def sample(self, _: object) -> list[ServerSample]:
        if self.error:
            raise self.error
        return self.servers


def server(name: str, started: datetime, *, server_name: str = "") -> ServerSample:
    return ServerSample(
        user_name=name,
        server_name=server_name,
        started=started,
        ready=True,
        last_activity=None,
        memory_bytes=1024**3,
        cpu=Decimal("0.05"),
    )


def at_place(monkeypatch: pytest.MonkeyPatch, place: Hubs) -> None:
    monkeypatch.setattr(metering, "driver_for", lambda _: place)


def test_a_look_writes_pseudonyms_of_people_and_of_their_servers_names(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_place(monkeypatch, Hubs(server("ada.lovelace", NOON), server("ada.lovelace", NOON, server_name="adas-thesis")))
    run = sample_hub(hub, at=NOON)
    with consortium_scope(Scope.JOB):
        rows = list(Sample.objects.values_list("pseudonym", "server"))
    assert (run.ok, run.servers, run.interval_seconds) == (True, 2, settings.SAMPLE_INTERVAL_SECONDS)
    assert len({pseudonym for pseudonym, _ in rows}) == 1
    assert all(re.fullmatch(r"[0-9a-f]{32}|", text) for row in rows for text in row)


def test_looking_twice_for_one_instant_writes_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    at_place(monkeypatch, Hubs(server("ada", NOON)))
    first, second = sample_hub(hub, at=NOON), sample_hub(hub, at=NOON)
    [third] = sample_all(at=NOON)
    with consortium_scope(Scope.JOB):
        assert first.pk == second.pk == third.pk
        assert Sample.objects.count() == 1


def test_a_failed_look_is_a_gap_and_says_since_when(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    at_place(monkeypatch, Hubs(error=GatewayError("does not answer", permanent=False)))
    runs = [sample_hub(hub, at=NOON + minutes * MINUTE) for minutes in range(2)]
    assert [(run.ok, run.servers, run.error) for run in runs] == [(False, 0, "does not answer")] * 2
    with consortium_scope(Scope.JOB):
        seen = Hub.objects.get(pk=hub.pk)
        health = health_of(seen, at=NOON + 5 * MINUTE)
        assert (health.state, health.since) == ("unreachable", NOON)
    at_place(monkeypatch, Hubs())
    sample_hub(hub, at=NOON + 3 * MINUTE)
    with consortium_scope(Scope.JOB):
        seen = Hub.objects.get(pk=hub.pk)
    assert health_of(seen, at=NOON + 4 * MINUTE).state == "healthy"
    assert health_of(seen, at=NOON + 60 * MINUTE).state == "unknown", "an old look proves nothing"


def test_without_a_member_key_nothing_is_stored_but_the_gap(
    hub: Hub, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_place(monkeypatch, Hubs(server("ada", NOON)))
    with consortium_scope(Scope.JOB):
        cast.university.member_key.delete()
    run = sample_hub(hub, at=NOON)
    assert not run.ok
    assert "no key" in run.error


def test_one_hubs_surprise_does_not_blind_the_meter(
    hub: Hub, cast: Cast, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = running_hub(cast, at=at, slug="cedar-maths")

    class Uneven(Hubs):
        def sample(self, target: object) -> list[ServerSample]:
            if getattr(target, "slug", "") == other.slug:
                raise ZeroDivisionError
            return []

    at_place(monkeypatch, Uneven())
    runs = {run.hub_id: (run.ok, run.error) for run in sample_all(at=NOON)}
    assert runs == {hub.pk: (True, ""), other.pk: (False, "ZeroDivisionError")}


def test_hubs_that_are_suspended_or_never_ran_are_not_looked_at(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    at_place(monkeypatch, Hubs())
    with consortium_scope(Scope.JOB):
        Hub.objects.filter(pk=hub.pk).update(status="suspended")
    assert sample_all(at=NOON) == []
    assert roll_recent(at=NOON) == []


def test_an_hour_of_two_people_is_two_hours_of_servers(hub: Hub) -> None:
    looked_each_minute(hub, NOON, 60, ("ada", NOON), ("bob", NOON))
    looked(hub, NOON + 60 * MINUTE)
    row = roll_day(hub, day=DAY, at=NOON + 61 * MINUTE)
    assert (row.server_seconds, row.active_users, row.sessions) == (7200, 2, 2)
    assert row.memory_gib_seconds == Decimal(7200)
    assert is_partial(row)


def test_rolling_twice_equals_rolling_once(hub: Hub) -> None:
    looked_each_minute(hub, NOON, 10, ("ada", NOON))
    first = roll_day(hub, day=DAY, at=NOON + 10 * MINUTE)
    second = roll_day(hub, day=DAY, at=NOON + 10 * MINUTE)
    with consortium_scope(Scope.JOB):
        assert (HubDay.objects.count(), HubDayUser.objects.count()) == (1, 1)
    facts = ("pk", "server_seconds", "memory_gib_seconds", "active_users", "sessions", "gap_seconds", "rolled_at")
    assert [getattr(first, fact) for fact in facts] == [getattr(second, fact) for fact in facts]


def test_a_session_over_midnight_is_cut_at_the_zones_midnight_and_its_person_counts_on_the_first_day(hub: Hub) -> None:
    midnight = day_period(DAY, hub.zone).end
    looked_each_minute(hub, midnight - 10 * MINUTE, 25, ("ada", midnight - 10 * MINUTE))
    looked(hub, midnight + 15 * MINUTE)
    at = midnight + 30 * MINUTE
    first, second = (roll_day(hub, day=day, at=at) for day in (DAY, DAY + timedelta(days=1)))
    assert (first.server_seconds, second.server_seconds) == (600, 900)
    assert (first.active_users, second.active_users) == (1, 0)


def test_what_nobody_saw_is_a_gap_and_not_counted(hub: Hub) -> None:
    looked_each_minute(hub, NOON, 10, ("ada", NOON))
    back = NOON + 70 * MINUTE
    looked_each_minute(hub, back, 10, ("ada", NOON))
    row = roll_day(hub, day=DAY, at=back + 10 * MINUTE)
    # The looks end at 12:09 and begin again at 13:10; before noon the hub ran unseen for three hours but a minute.
    assert row.server_seconds == (10 + 10) * 60
    assert row.gap_seconds == 60 * 60 + (3 * 60 - 1) * 60


def test_a_day_without_any_look_is_one_gap_when_the_meter_is_back(hub: Hub, at: datetime) -> None:
    looked(hub, at)
    roll_recent(at=at)
    back = at + timedelta(days=4)
    looked(hub, back)
    rows = roll_recent(at=back)
    assert [row.day.day for row in rows] == [15, 16, 17, 18, 19]
    assert {row.server_seconds for row in rows} == {0}
    assert rows[2].gap_seconds == 24 * 3600


def test_before_it_first_ran_a_hub_has_no_days(hub: Hub, at: datetime) -> None:
    looked(hub, at)
    assert [row.day for row in roll_recent(at=at + MINUTE)] == [DAY]


def test_a_day_of_generated_data_is_left_alone(hub: Hub) -> None:
    with consortium_scope(Scope.JOB):
        HubDay.objects.create(
            institution_id=hub.institution_id, hub=hub, day=DAY, zone=hub.zone, server_seconds=9, generated=True,
            rolled_at=NOON,
        )  # fmt: skip
    assert roll_day(hub, day=DAY, at=NOON).server_seconds == 9


def test_a_month_adds_hubs_and_counts_a_person_once(hub: Hub, cast: Cast, at: datetime) -> None:
    other = running_hub(cast, at=at, slug="cedar-maths")
    looked_each_minute(hub, NOON, 5, ("ada", NOON), ("bob", NOON))
    looked_each_minute(other, NOON, 5, ("ada", NOON))
    for one in (hub, other):
        looked(one, NOON + 5 * MINUTE)
        roll_day(one, day=DAY, at=NOON + 5 * MINUTE)
    with consortium_scope(Scope.JOB):
        use = month_use(month=Month(2026, 10))
        assert month_use(month=Month(2026, 9)) == {}
        assert [row.hub_slug for row in day_series(first=DAY, end=DAY + timedelta(days=1))] == [
            "cedar-maths",
            "cedar-stats",
        ]
    gap = (3 * 60 - 1) * 60
    maths = HubUse(server_seconds=300, memory_gib_seconds=Decimal(300), active_users=1, sessions=1, gap_seconds=gap)
    stats = HubUse(server_seconds=600, memory_gib_seconds=Decimal(600), active_users=2, sessions=2, gap_seconds=gap)
    assert use == {
        cast.university.pk: MonthUse(
            server_seconds=900,
            memory_gib_seconds=Decimal(900),
            active_users=2,
            sessions=3,
            gap_seconds=2 * gap,
            hubs={"cedar-maths": maths, "cedar-stats": stats},
        )
    }


def test_the_tables_of_the_meter_refuse_to_be_changed(hub: Hub) -> None:
    looked(hub, NOON, ("ada", NOON))
    for model in (SamplingRun, Sample):
        with consortium_scope(Scope.JOB), pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            model.objects.update(at=NOON + MINUTE)


def test_gpus_and_storage_are_rolled_up_and_a_generated_day_stays(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus = replace(server("ada", NOON), gpus=2)
    place = Hubs(with_gpus)
    place.stored_bytes = lambda _: 3 * 1024**3  # type: ignore[attr-defined] # a place that can tell
    at_place(monkeypatch, place)
    for minute in range(5):
        sample_hub(hub, at=NOON + minute * MINUTE)
    at_place(monkeypatch, Hubs())
    sample_hub(hub, at=NOON + 5 * MINUTE)
    row = roll_day(hub, day=DAY, at=NOON + 30 * MINUTE)
    assert (row.server_seconds, row.gpu_seconds) == (5 * 60, 2 * 5 * 60)
    assert row.storage_gib_seconds == 3 * 30 * 60, "measured once at noon, good for two hours"
    with consortium_scope(Scope.JOB):
        assert SamplingRun.objects.filter(storage_bytes__isnull=False).count() == 1, "homes are walked through seldom"
        use = month_use(month=Month(2026, 10))[hub.institution_id]
        assert (use.gpu_seconds, use.storage_gib_seconds) == (600, Decimal(5400))
        HubDay.objects.update(generated=True, server_seconds=7)
        rollups.roll_days(hub, days=[DAY], at=NOON + 40 * MINUTE)
        assert (HubDay.objects.get().server_seconds, HubDayUser.objects.count()) == (7, 1)
