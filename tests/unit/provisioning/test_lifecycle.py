"""Suspending, waking, retiring, holding and repairing a hub: who may, when, and what is refused."""

import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from consortium.kernel import jobs
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Document, Job, OutgoingMail
from provisioning import drift
from provisioning.gateways.base import Difference, GatewayError, HubState, HubTarget, Observed
from provisioning.holds import HubHeld, hold_hub, hold_on, release_hub
from provisioning.lifecycle import ActUnderWay, act_under_way, resume_hub, retire_hub, suspend_hub
from provisioning.models import Hub, HubHold
from provisioning.requests import NothingToRetry, revise_hub, spec_of
from provisioning.wishes import SpecInvalid
from tests.cast import Cast, make_cast
from tests.unit.members.story import deliver
from tests.unit.provisioning.stories import running_hub

ABSENT = Observed(state=HubState.ABSENT)


class Place:
    """A place that does what it is told and remembers it; the real driver's tests are elsewhere."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: list[GatewayError] = []
        self.differs: list[Difference] = []

    def _do(self, what: str) -> Observed:
        if self.fails:
            raise self.fails.pop(0)
        self.done.append(what)
        return Observed(state=HubState.RUNNING, url="http://127.0.0.1:9/", version="5.4.2")

    def suspend(self, _target: HubTarget) -> Observed:
        return self._do("suspend")

    def resume(self, _target: HubTarget) -> Observed:
        return self._do("resume")

    def take_away(self, target: HubTarget, _spec: object, *, into: Path) -> Path:
        self._do("take_away")
        path = into / f"{target.slug}-take-away.zip"
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr(f"{target.slug}/values.yaml", "{}")
        return path

    def destroy(self, _target: HubTarget, *, keep_data: bool) -> None:
        self._do(f"destroy {keep_data}")

    def observe(self, _target: HubTarget) -> Observed:
        return ABSENT

    def drift(self, _target: HubTarget, _spec: object) -> list[Difference]:
        return self.differs


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place()
    monkeypatch.setattr("provisioning.patience.driver_for", lambda _: made)
    monkeypatch.setattr("provisioning.patience.why_not_ready", lambda _: "")
    monkeypatch.setattr("provisioning.patience.WAIT_SECONDS", 0.0)
    monkeypatch.setattr(drift, "driver_for", lambda _: made)
    return made


@pytest.fixture
def cast(committed_db: str) -> Cast:
    return make_cast(now())


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return running_hub(cast, at=now())


@pytest.fixture
def staff_look(hub: Hub) -> Iterator[None]:
    with consortium_scope(Scope.STAFF):
        yield


def fresh(hub: Hub) -> Hub:
    with consortium_scope(Scope.STAFF):
        return Hub.objects.select_related("cluster", "institution").get(pk=hub.pk)


def suspended(cast: Cast, hub: Hub) -> Hub:
    with consortium_scope(Scope.STAFF):
        job = suspend_hub(hub, reason="Unpaid since July.", by=cast.staff, at=now())
    assert jobs.run(job.pk)
    return fresh(hub)


def test_a_suspended_hub_is_stopped_and_its_owners_are_told_why(cast: Cast, hub: Hub, place: Place) -> None:
    assert suspended(cast, hub).status == "suspended"
    assert place.done == ["suspend"]
    deliver(now())
    with consortium_scope(Scope.STAFF):
        mail = OutgoingMail.objects.get(template="provisioning_hub_suspended")
    assert (mail.recipient, "Unpaid since July." in mail.body) == (cast.owner.email, True)


def test_a_suspended_hub_is_woken(cast: Cast, hub: Hub, place: Place) -> None:
    row = suspended(cast, hub)
    with consortium_scope(Scope.STAFF):
        job = resume_hub(row, by=System("standing"), at=now())
    assert jobs.run(job.pk)
    assert fresh(hub).status == "running"
    assert place.done == ["suspend", "resume"]


def test_a_place_that_is_busy_is_asked_again_and_the_hub_stays_as_it_is(cast: Cast, hub: Hub, place: Place) -> None:
    place.fails = [GatewayError("busy", permanent=False)]
    with consortium_scope(Scope.STAFF):
        job = suspend_hub(hub, reason="Why", by=cast.staff, at=now())
    assert jobs.run(job.pk)
    with consortium_scope(Scope.STAFF):
        waiting = Job.objects.get(pk=job.pk)
        assert (waiting.state, waiting.error, fresh(hub).status) == ("queued", "busy", "running")
        Job.objects.filter(pk=job.pk).update(run_after=now())
    assert jobs.run(job.pk)
    assert fresh(hub).status == "suspended"


def test_a_place_that_refuses_for_good_leaves_the_hub_and_says_so(cast: Cast, hub: Hub, place: Place) -> None:
    place.fails = [GatewayError("there is no such hub; provision it first", permanent=True)]
    with consortium_scope(Scope.STAFF):
        job = suspend_hub(hub, reason="Why", by=cast.staff, at=now())
    assert jobs.run(job.pk)
    with consortium_scope(Scope.STAFF):
        failed = act_under_way(hub)
        assert failed is not None
        assert (failed.state, failed.error) == ("failed", "there is no such hub; provision it first")
    assert fresh(hub).status == "running"


def test_a_retired_hub_leaves_its_bundle_and_a_certificate_in_both_languages(
    cast: Cast, hub: Hub, place: Place
) -> None:
    with consortium_scope(Scope.STAFF):
        job = retire_hub(hub, reason="We run it ourselves now.", by=cast.owner, at=now())
    assert fresh(hub).status == "retiring"
    assert jobs.run(job.pk)
    assert fresh(hub).status == "retired"
    assert place.done == ["take_away", "destroy False"]
    with consortium_scope(Scope.STAFF):
        kept = set(Document.objects.filter(subject_id=str(hub.pk)).values_list("kind", "language"))
    assert kept == {("take_away", ""), ("decommission_certificate", "en"), ("decommission_certificate", "fr")}


def test_nothing_is_destroyed_before_the_export_is_kept(cast: Cast, hub: Hub, place: Place) -> None:
    place.fails = [GatewayError("the homes cannot be read", permanent=True)]
    with consortium_scope(Scope.STAFF):
        job = retire_hub(hub, reason="Leaving", by=cast.owner, at=now())
    assert jobs.run(job.pk)
    assert place.done == []
    assert fresh(hub).status == "retiring"


@pytest.mark.parametrize("who", ["finance", "technical", "viewer", "outsider", "stranger"])
def test_only_an_owner_or_an_operator_retires(cast: Cast, hub: Hub, staff_look: None, who: str) -> None:
    with pytest.raises(Forbidden):
        retire_hub(hub, reason="Why", by=cast.person(who), at=now())


@pytest.mark.parametrize("who", ["owner", "technical", "stranger"])
def test_only_an_operator_suspends_or_holds(cast: Cast, hub: Hub, staff_look: None, who: str) -> None:
    with pytest.raises(Forbidden):
        suspend_hub(hub, reason="Why", by=cast.person(who), at=now())
    with pytest.raises(Forbidden):
        hold_hub(hub, reason="Why", until=now() + timedelta(hours=1), by=cast.person(who), at=now())


def test_an_act_needs_a_reason_and_a_state_that_allows_it(cast: Cast, hub: Hub, staff_look: None) -> None:
    with pytest.raises(Invalid, match="Write the reason"):
        suspend_hub(hub, reason=" ", by=cast.staff, at=now())
    with pytest.raises(TransitionRefused, match="cannot be done now"):
        resume_hub(Hub.objects.get(pk=hub.pk), by=cast.staff, at=now())


def test_two_acts_at_once_are_one_too_many(cast: Cast, hub: Hub, staff_look: None) -> None:
    suspend_hub(hub, reason="Why", by=cast.staff, at=now())
    with pytest.raises(ActUnderWay):
        retire_hub(hub, reason="Why", by=cast.staff, at=now())


def test_a_held_hub_is_left_alone_and_waiting_costs_no_attempt(cast: Cast, hub: Hub, place: Place) -> None:
    with consortium_scope(Scope.STAFF):
        job = suspend_hub(hub, reason="Why", by=cast.staff, at=now())
        hold_hub(hub, reason="The exam is on", until=now() + timedelta(hours=1), by=cast.staff, at=now())
    for _ in range(15):
        with consortium_scope(Scope.STAFF):
            Job.objects.filter(pk=job.pk).update(run_after=now())
        assert jobs.run(job.pk)
    with consortium_scope(Scope.STAFF):
        waiting = Job.objects.get(pk=job.pk)
        assert (waiting.state, waiting.attempts, place.done) == ("queued", 0, [])
        assert "The exam is on" in waiting.error
        release_hub(hub, by=cast.staff, at=now())
        Job.objects.filter(pk=job.pk).update(run_after=now())
    assert jobs.run(job.pk)
    assert fresh(hub).status == "suspended"


def test_a_held_hub_is_not_changed_either(cast: Cast, hub: Hub, staff_look: None) -> None:
    hold_hub(hub, reason="The exam is on", until=now() + timedelta(hours=1), by=cast.staff, at=now())
    spec = spec_of(hub.revisions.get()).model_copy(update={"max_servers": 11})
    with pytest.raises(HubHeld, match="The exam is on"):
        revise_hub(hub, spec=spec, note="", by=cast.technical, at=now())
    with pytest.raises(HubHeld):
        suspend_hub(hub, reason="Why", by=cast.staff, at=now())
    with pytest.raises(HubHeld):
        hold_hub(hub, reason="Me too", until=now() + timedelta(hours=1), by=cast.staff, at=now())


def test_a_hold_runs_out_by_itself_and_another_may_follow(cast: Cast, hub: Hub, staff_look: None) -> None:
    begun = now()
    hold_hub(hub, reason="Short", until=begun + timedelta(minutes=5), by=cast.staff, at=begun)
    later = begun + timedelta(minutes=6)
    assert hold_on(hub, at=later) is None
    hold_hub(hub, reason="Again", until=later + timedelta(hours=1), by=cast.staff, at=later)
    assert [hold.reason for hold in HubHold.objects.all()] == ["Again", "Short"]


@pytest.mark.parametrize(
    ("reason", "minutes", "words"), [("", 5, "Write the reason"), ("Why", 0, "in the future"), ("Why", -5, "future")]
)
def test_a_hold_has_a_reason_and_an_end(
    cast: Cast, hub: Hub, staff_look: None, reason: str, minutes: int, words: str
) -> None:
    begun = now()
    with pytest.raises(Invalid, match=words):
        hold_hub(hub, reason=reason, until=begun + timedelta(minutes=minutes), by=cast.staff, at=begun)


def test_postgresql_keeps_one_open_hold_for_a_hub(cast: Cast, hub: Hub, staff_look: None) -> None:
    hold_hub(hub, reason="One", until=now() + timedelta(hours=1), by=cast.staff, at=now())
    values = HubHold.objects.values("institution_id", "hub_id", "held_by_id", "held_at", "until").get()
    with pytest.raises(IntegrityError, match="hubhold_one_open"), transaction.atomic():
        HubHold.objects.create(reason="Two", **values)


def differing() -> list[Difference]:
    return [Difference(path="Deployment/hub", wanted="image 1", found="image 2")]


def test_drift_is_found_shown_repaired_as_a_revision_and_told_once(cast: Cast, hub: Hub, place: Place) -> None:
    place.differs = differing()
    for _ in range(2):
        assert drift.look_for_drift(at=now()) == 1
    row = fresh(hub)
    assert row.drift == [{"path": "Deployment/hub", "wanted": "image 1", "found": "image 2"}]
    with consortium_scope(Scope.STAFF):
        assert AuditEvent.objects.filter(action="provisioning.drift_found").count() == 1
        drift.repair_hub(row, by=cast.staff, at=now())
        newest, first = row.revisions.all()
    assert (newest.note, newest.spec_hash) == ("Repair of drift", first.spec_hash)


def test_a_hub_as_it_should_be_needs_no_repair(cast: Cast, hub: Hub, place: Place) -> None:
    assert drift.look_for_drift(at=now()) == 0
    with consortium_scope(Scope.STAFF), pytest.raises(NothingToRetry):
        drift.repair_hub(fresh(hub), by=cast.staff, at=now())


def test_a_hub_that_cannot_be_asked_keeps_what_was_known(
    hub: Hub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.differs = differing()
    drift.check_drift(hub, at=now())

    def away(*_: object) -> list[Difference]:
        raise GatewayError("no answer", permanent=False)

    monkeypatch.setattr(place, "drift", away)
    drift.check_drift(hub, at=now())
    assert fresh(hub).drift != []


def test_a_revision_that_changes_nothing_is_refused(cast: Cast, hub: Hub, staff_look: None) -> None:
    with pytest.raises(SpecInvalid, match="Nothing would change"):
        revise_hub(hub, spec=spec_of(hub.revisions.get()), note="", by=cast.technical, at=now())
