"""The job that moves a hub: level-triggered like the others, so that after one that was killed another goes on.

What has been decided for ever stands in the row of the move, and nowhere else: `carrying` goes forward and may be taken
back; `cancelling` puts everything back; `switched` only goes on to the end. The switch and the taking back are one
compare-and-set each, so that a person who cancels and the job that switches cannot both win. Before the switch a move
that cannot be finished is taken back by itself: people should not be kept from a hub that still stands.
"""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.jobs import RetryLater, Run, job_kind
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from provisioning.drivers import target_of
from provisioning.gateways.base import GatewayError, HubDriver, HubState, Observed, ProofImpossibleError, WorkProver
from provisioning.gateways.carrying import HomeCarrier
from provisioning.leaving.snapshots import keep_snapshots
from provisioning.lifecycle import MOVE, STEPS
from provisioning.models import Hub, HubMove
from provisioning.moving.carrying import Places, carry_homes
from provisioning.moving.wanting import CannotMove, take_back
from provisioning.patience import (
    MAX_ATTEMPTS,
    RETRY_SECONDS,
    OutsideErrors,
    keep_asking_at,
    ready_driver_of,
    tries_left,
    wait_for_hold,
)
from provisioning.requests import check_room_on, spec_of
from provisioning.specs import HubSpec, spec_hash
from provisioning.states import HUB
from provisioning.states import MOVE as MOVE_STATES

_BY = audit.System("provisioning")


class TakenBack(Exception):
    """Somebody wants the hub back as it was."""


@job_kind(MOVE, max_attempts=MAX_ATTEMPTS)
def move_hub_job(run: Run) -> dict[str, Any]:
    """Carry the hub to its new cluster, or put it back where it was."""
    move = _fresh(run)
    if move.status == "carrying" and not move.began_there:
        wait_for_hold(move.hub_id)  # once it is closed, leaving it alone would be the greater harm
    if move.status == "carrying":
        try:
            _forward(run, move)
        except TakenBack:
            pass
        except (RetryLater, GatewayError, PortalError) as error:
            _stumble(run, move, error)
        move = _fresh(run)
    with OutsideErrors(run):
        if move.status == "cancelling":
            _back(run, move)
        elif move.status == "switched":
            _finish(run, move)
    move = _fresh(run)
    return {"moved": move.status == "moved", "homes": len(move.homes), "why": move.why}


def _forward(run: Run, move: HubMove) -> None:
    """All up to the switch. Raises TakenBack as soon as somebody has cancelled."""
    _step(run, move, "check")
    places, spec = _places(move), _spec(move)
    keep_asking_at(run, move.to_cluster, lambda: places.new.observe(places.target))
    _step(run, move, "make")
    _make(run, move, places, spec)
    _step(run, move, "close", _("Nobody can work on the hub until it has moved"))
    keep_asking_at(run, move.from_cluster, lambda: places.old.suspend(places.target))
    crash_point("move.closed")
    _step(run, move, "carry")
    carry_homes(run, move, places, lambda: _refuse_taken_back(move))
    crash_point("move.carried")
    _step(run, move, "prove")
    seen = keep_asking_at(run, move.to_cluster, lambda: places.new.resume(places.target))
    _verify(run, move, places, spec, seen)
    crash_point("move.proven")
    _step(run, move, "switch")
    _switch(move, seen)
    crash_point("move.switched")


def _make(run: Run, move: HubMove, places: Places, spec: HubSpec) -> None:
    """The new release with what its sign-on must keep, put to sleep: nobody works there before the homes are there."""
    with consortium_scope(Scope.JOB):
        check_room_on(move.to_cluster, move.hub)
        HubMove.objects.filter(pk=move.pk).update(began_there=True)
    crash_point("move.begun_there")

    def keep_secrets() -> None:
        places.new_homes.keep_sign_on_secrets(places.target, spec, places.old_homes.sign_on_secrets(places.target))

    keep_asking_at(run, move.to_cluster, keep_secrets)
    crash_point("move.secrets_kept")
    keep_asking_at(run, move.to_cluster, lambda: places.new.ensure(places.target, spec))
    crash_point("move.made")
    keep_asking_at(run, move.to_cluster, lambda: places.new.suspend(places.target))


def _verify(run: Run, move: HubMove, places: Places, spec: HubSpec, seen: Observed) -> None:
    """What runs is what is wanted, and a synthetic user works on it. Raises RetryLater, GatewayError."""
    found = keep_asking_at(run, move.to_cluster, lambda: places.new.drift(places.target, spec))
    if found or seen.spec_hash != spec_hash(spec) or not seen.healthy:
        where = found[0].path if found else seen.detail or seen.state
        raise RetryLater(_("What runs is not yet what is wanted: %(where)s.") % {"where": where}, seconds=RETRY_SECONDS)
    if isinstance(places.new, WorkProver):
        try:
            places.new.prove(places.target, lambda _name, message: run.report("prove", message=message))
        except ProofImpossibleError:
            raise
        except GatewayError as error:
            # A refusal may be the hub's first breath: only the tries decide that it is for good.
            raise RetryLater(error.message, seconds=RETRY_SECONDS) from error


def _switch(move: HubMove, seen: Observed) -> None:
    """From now on the hub is at its new place. Raises TakenBack when somebody was quicker."""
    with consortium_scope(Scope.JOB):
        row = Hub.objects.select_for_update(of=("self",)).get(pk=move.hub_id)
        locked = HubMove.objects.select_for_update(of=("self",)).get(pk=move.pk)
        if locked.status != "carrying":
            raise TakenBack
        MOVE_STATES.move(locked, "switched", switched_at=now(), new_url=seen.url)
        _settle(row, seen, cluster_id=move.to_cluster_id)
        audit.record(
            "provisioning.hub_switched",
            row,
            by=_BY,
            at=now(),
            institution_id=row.institution_id,
            before={"cluster": move.from_cluster.slug},
            after={"cluster": move.to_cluster.slug, "generation": row.generation, "homes": len(locked.homes)},
        )
        crash_point("move.before_commit")


def _finish(run: Run, move: HubMove) -> None:
    """The old one is ended, once the new one has been seen to answer."""
    _step(run, move, "remove")
    places = _places(move)
    seen = keep_asking_at(run, move.to_cluster, lambda: places.new.observe(places.target))
    if not seen.healthy:
        text = _("The new hub does not answer, so the old one is kept: %(why)s")
        raise RetryLater(text % {"why": seen.detail or seen.state}, seconds=RETRY_SECONDS)
    keep_snapshots(run, move.hub, move.from_cluster, places.old)
    keep_asking_at(run, move.from_cluster, lambda: _ended(places.old, move.hub))
    crash_point("move.removed")
    _close(move, "moved", action="provisioning.hub_moved", mail="provisioning.mail_move_done")


def _back(run: Run, move: HubMove) -> None:
    """Everything as it was: people first, then what was begun elsewhere is ended."""
    run.report("back", message=_("The move is taken back: %(why)s") % {"why": move.why})
    with consortium_scope(Scope.JOB):
        is_closed = Hub.objects.get(pk=move.hub_id).status == "moving"
    if is_closed:
        old = ready_driver_of(move.from_cluster)
        seen = keep_asking_at(run, move.from_cluster, lambda: old.resume(target_of(move.hub)))
        crash_point("move.woken")
        with consortium_scope(Scope.JOB):
            _settle(Hub.objects.select_for_update(of=("self",)).get(pk=move.hub_id), seen)
        crash_point("move.open_again")
    if move.began_there:
        new = ready_driver_of(move.to_cluster)
        keep_asking_at(run, move.to_cluster, lambda: _ended(new, move.hub))
        crash_point("move.taken_back")
    _close(move, "cancelled", action="provisioning.hub_stays", mail="provisioning.mail_move_cancelled")


def _settle(row: Hub, seen: Observed, **values: Any) -> None:
    HUB.move(
        row,
        "running",
        url=seen.url,
        version=seen.version,
        observed_generation=row.generation,
        observed_spec_hash=seen.spec_hash,
        healthy_at=now(),
        unreachable_since=None,
        drift=[],
        **values,
    )


def _close(move: HubMove, to: str, *, action: str, mail: str) -> None:
    with consortium_scope(Scope.JOB):
        was = move.status
        MOVE_STATES.move(move, to, ended_at=now())
        audit.record(
            action,
            move,
            by=_BY,
            at=now(),
            institution_id=move.institution_id,
            before={"status": was},
            after={"status": to},
            deliver_to=(mail,),
        )
        crash_point("move.before_end")


def _ended(driver: HubDriver, hub: Hub) -> None:
    """End it and look; an end that cannot be seen is none."""
    driver.destroy(target_of(hub), keep_data=False)
    seen = driver.observe(target_of(hub))
    if seen.state is not HubState.ABSENT:
        raise GatewayError(f"{hub.slug} is still {seen.state} after it was ended", permanent=False)


def _stumble(run: Run, move: HubMove, error: Exception) -> None:
    """Again later, or, when that is of no use, back."""
    message = str(getattr(error, "message", error))
    if isinstance(error, RetryLater) and not error.counts:
        raise error
    if tries_left(run, error):
        raise RetryLater(message, seconds=RETRY_SECONDS) from error
    with consortium_scope(Scope.JOB):
        if HubMove.objects.get(pk=move.pk).status == "carrying":
            take_back(move, why=message, by=_BY, at=now())
        # Putting it back is other work, with tries of its own.
        Job.objects.filter(pk=run.job.pk).update(attempts=0)
    run.job.attempts = 0
    crash_point("move.given_up")


def _places(move: HubMove) -> Places:
    old, new = ready_driver_of(move.from_cluster), ready_driver_of(move.to_cluster)
    if not (isinstance(old, HomeCarrier) and isinstance(new, HomeCarrier)):
        raise CannotMove(_("The hub cannot move: a driver carries no homes."))
    return Places(target=target_of(move.hub), old=old, new=new, old_homes=old, new_homes=new)


def _spec(move: HubMove) -> HubSpec:
    with consortium_scope(Scope.JOB):
        return spec_of(move.hub.revisions.get(generation=move.generation))


def _fresh(run: Run) -> HubMove:
    with consortium_scope(Scope.JOB):
        rows = HubMove.objects.select_related("hub__cluster", "hub__institution", "from_cluster", "to_cluster")
        return rows.get(pk=UUID(run.arguments["move"]))


def _refuse_taken_back(move: HubMove) -> None:
    with consortium_scope(Scope.JOB):
        if HubMove.objects.get(pk=move.pk).status != "carrying":
            raise TakenBack


def _step(run: Run, move: HubMove, step: str, message: str = "") -> None:
    if move.status == "carrying":
        _refuse_taken_back(move)
    steps = STEPS[MOVE]
    run.report(step, done=steps.index(step), total=len(steps), message=message)
    crash_point(f"move.{step}")
