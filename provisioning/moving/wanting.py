"""A move is wanted, cancelled, tried again; the work itself is the job in provisioning/moving/saga.py.

A move is a revision, equal to the one before: so it has an author and a place in the hub's history, and the old place
and the new one can be told apart by its generation for ever.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit, jobs
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.states import TransitionRefused
from consortium.models import Job
from members.models import User
from members.permissions import Permission, check_staff
from provisioning.drivers import driver_for
from provisioning.gateways.carrying import HomeCarrier
from provisioning.hands_off import refuse_hands_off
from provisioning.lifecycle import MOVE, STEPS, ActUnderWay, act_under_way, reason_of
from provisioning.models import Cluster, Hub, HubMove
from provisioning.models.moves import OPEN_MOVES
from provisioning.requests import ClusterRetired, check_room_on, next_revision, spec_of
from provisioning.states import HUB
from provisioning.states import MOVE as MOVE_STATES


class CannotMove(PortalError):
    """Hubs of this cluster, or to that one, cannot move."""

    code = "cannot_move"


class MoveOver(PortalError):
    """The address is switched already, or nothing is moving."""

    code = "move_over"


@transaction.atomic
def move_hub(hub: Hub, *, cluster: Cluster, reason: str, by: User, at: datetime) -> HubMove:
    """Will want the hub on another cluster: closed meanwhile, its homes carried with checksums, the old one ended last.

    Raises Forbidden, Invalid without a reason or for the cluster it is on, TransitionRefused, HubHeld, HubInEvent,
    ActUnderWay, ClusterRetired, ClusterFull, CannotMove. Needs a scope that sees every institution's hubs.
    """
    check_staff(by, Permission.OPERATE_HUBS)
    why = reason_of(reason)
    locked = Hub.objects.select_for_update(of=("self",), no_key=True).select_related("cluster").get(pk=hub.pk)
    _check_free(locked, at=at)
    _check_target(locked, cluster)
    spec = spec_of(locked.revisions.get(generation=locked.generation))
    note = _("Move from %(old)s to %(new)s") % {"old": locked.cluster.name, "new": cluster.name}
    next_revision(locked, spec=spec, note=note, by=by, at=at)
    was = locked.status
    HUB.move(locked, "moving")
    move = HubMove.objects.create(
        institution_id=locked.institution_id,
        hub=locked,
        from_cluster=locked.cluster,
        to_cluster=cluster,
        generation=locked.generation,
        reason=why,
        wanted_by=by,
        wanted_at=at,
        old_url=locked.url,
    )
    audit.record(
        "provisioning.move_wanted",
        move,
        by=by,
        at=at,
        institution_id=locked.institution_id,
        before={"status": was, "cluster": locked.cluster.slug},
        after={"status": "moving", "cluster": cluster.slug, "generation": locked.generation},
        reason=why,
        deliver_to=("provisioning.mail_move_begun",),
    )
    _enqueue(move, at=at)
    hub.status, hub.generation = locked.status, locked.generation
    return move


@transaction.atomic
def cancel_move(hub: Hub, *, reason: str, by: User, at: datetime) -> HubMove:
    """Will want the hub back as it was, on its old cluster; possible until the address is switched.

    Raises Forbidden, Invalid without a reason, MoveOver.
    """
    check_staff(by, Permission.OPERATE_HUBS)
    move = open_move(hub)
    if move is None or move.status != "carrying":
        raise MoveOver(_("This hub is not moving any more. What runs at the new place can be moved back."))
    take_back(move, why=reason_of(reason), by=by, at=at)
    job = job_of(move)
    if job is not None and job.state in {"failed", "needs_operator"}:
        jobs.retry(job, at=at)
    return move


def take_back(move: HubMove, *, why: str, by: User | audit.System, at: datetime) -> None:
    """Will decide that the move is taken back. Raises MoveOver when the address was switched first."""
    try:
        MOVE_STATES.move(move, "cancelling", why=why[:500])
    except TransitionRefused as refused:
        raise MoveOver(_("The address was switched in the same moment. Move the hub back instead.")) from refused
    audit.record(
        "provisioning.move_cancelled",
        move,
        by=by,
        at=at,
        institution_id=move.institution_id,
        before={"status": "carrying"},
        after={"status": "cancelling"},
        reason=why,
    )


def open_move(hub: Hub) -> HubMove | None:
    """Will return the move that is not over, with its clusters."""
    moves = HubMove.objects.filter(hub=hub, status__in=OPEN_MOVES)
    return moves.select_related("from_cluster", "to_cluster", "hub").first()


def job_of(move: HubMove) -> Job | None:
    """Will return the work on the move."""
    return Job.objects.filter(kind=MOVE, unique_key=_key(move)).first()


def _check_free(hub: Hub, *, at: datetime) -> None:
    if not HUB.allows(hub.status, "moving"):
        raise TransitionRefused(
            _("%(hub)s is %(status)s; that cannot be done now.") % {"hub": hub.name, "status": hub.status}
        )
    refuse_hands_off(hub, at=at)
    if act_under_way(hub) is not None or hub.observed_generation != hub.generation:
        raise ActUnderWay(_("Something is being done to this hub already. Wait until it has ended, or retry it."))


def _check_target(hub: Hub, cluster: Cluster) -> None:
    if cluster.pk == hub.cluster_id:
        raise Invalid(_("The hub is on this cluster already. Choose another."), field="cluster")
    if cluster.retired_at is not None:
        raise ClusterRetired(_("The cluster %(name)s takes no new hubs. Choose another.") % {"name": cluster.called})
    check_room_on(cluster, hub)
    for each in (hub.cluster, cluster):
        if not isinstance(driver_for(each), HomeCarrier):
            text = _("Hubs of the cluster %(name)s cannot move: its driver carries no homes.")
            raise CannotMove(text % {"name": each.name})


def _enqueue(move: HubMove, *, at: datetime) -> Job:
    return jobs.enqueue(
        MOVE,
        key=_key(move),
        at=at,
        institution_id=move.institution_id,
        arguments={"hub": str(move.hub_id), "move": str(move.pk)},
        total=len(STEPS[MOVE]),
    )


def _key(move: HubMove) -> str:
    return f"{move.hub_id}:{move.pk}"
