"""What people and operators see of a move: its steps as they happen, why, how it ended, and what one would mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from consortium.kernel.clock import now
from consortium.models import Job
from provisioning.models import Cluster, Hub, HubMove
from provisioning.models.moves import OPEN_MOVES
from provisioning.moving.wanting import job_of
from provisioning.progress import ProgressPanel, panel_of
from provisioning.requests import PLACELESS

SHOWN_FOR = timedelta(days=7)

# The steps of a move in their order, in words for people.
MOVE_STEPS: Mapping[str, Any] = {
    "check": gettext_lazy("Look at the new cluster"),
    "make": gettext_lazy("Set the hub up there, asleep"),
    "close": gettext_lazy("Close the hub"),
    "carry": gettext_lazy("Carry people's files, each compared by its checksum"),
    "prove": gettext_lazy("Prove that people can work there"),
    "switch": gettext_lazy("Switch the address"),
    "remove": gettext_lazy("End the old hub"),
}
BACK_STEPS: Mapping[str, Any] = {"back": gettext_lazy("Put the hub back where it was")}


@dataclass(frozen=True, kw_only=True)
class MoveView:
    """A move as the hub's page shows it; `panel` stands while it is under way."""

    move: HubMove
    panel: ProgressPanel | None
    is_closed: bool


def move_view(hub: Hub, *, at: datetime) -> MoveView | None:
    """Will return the newest move of the hub while it is open, and a week longer; in two queries, one without work."""
    moves = HubMove.objects.filter(hub=hub).select_related("from_cluster", "to_cluster")
    move = moves.order_by("-wanted_at").first()
    if move is None or (move.ended_at is not None and at - move.ended_at > SHOWN_FOR):
        return None
    job = job_of(move) if move.status in OPEN_MOVES else None
    panel = None if job is None else move_panel(hub, move, job, at=at)
    return MoveView(move=move, panel=panel, is_closed=hub.status == "moving")


def move_panel(hub: Hub, move: HubMove, job: Job, *, at: datetime) -> ProgressPanel:
    """Will return the panel of the move's work as it stands at that instant, in the reader's language."""
    is_back = move.status == "cancelling"
    title = _("Putting %(name)s back on %(cluster)s") if is_back else _("Moving %(name)s to %(cluster)s")
    cluster = move.from_cluster if is_back else move.to_cluster
    return panel_of(
        job,
        title=title % {"name": hub.name, "cluster": cluster.name},
        steps=BACK_STEPS if is_back else MOVE_STEPS,
        done_words=_("The hub has moved."),
        zone=hub.zone,
        at=at,
    )


def open_panel(hub: Hub, *, at: datetime) -> ProgressPanel | None:
    """Will return the panel of the move that is under way, if there is one."""
    view = move_view(hub, at=at)
    return view.panel if view is not None else None


def move_preview(hub: Hub) -> list[tuple[str, object]]:
    """What a move of this hub would mean, for the operator who is about to want it."""
    last = hub.sampling_runs.filter(ok=True).order_by("-at").first()
    working = "not known" if last is None else f"{last.servers} (seen {last.at:%Y-%m-%d %H:%M} UTC)"
    rows: list[tuple[str, object]] = [
        ("University", hub.institution),
        ("Now on", hub.cluster),
        ("Address now", hub.url or "none"),
        ("Servers that would be stopped", working),
        ("For the university", "Nobody can work from the step “close” until the hub has moved; owners are told."),
        ("Counted as", "an outage, unless maintenance of the cluster was announced 72 hours before"),
    ]
    for cluster in targets_of(hub):
        taken = cluster.hubs.exclude(status__in=PLACELESS).count()
        problems = ", ".join(cluster.check_problems) or "no problem known"
        looked = f"checked {cluster.checked_at:%Y-%m-%d}" if cluster.checked_at else "never checked"
        rows.append((f"{cluster.name}", f"{taken} of {cluster.capacity} places taken; {looked}; {problems}"))
    return rows


def targets_of(hub: Hub) -> list[Cluster]:
    """The clusters that a hub could move to."""
    return list(Cluster.objects.filter(retired_at=None).exclude(pk=hub.cluster_id).order_by("name"))


def under_way(hub: Hub) -> list[tuple[str, object]]:
    """How far the move is, for the operator who is about to take it back."""
    move = HubMove.objects.filter(hub=hub, status__in=OPEN_MOVES).select_related("from_cluster", "to_cluster").first()
    if move is None:
        return [("Move", "none is under way")]
    job = job_of(move)
    spent = int((now() - move.wanted_at).total_seconds() // 60)
    return [
        ("From", move.from_cluster),
        ("To", move.to_cluster),
        ("Why", move.reason),
        ("State", move.status),
        ("Step", f"{job.step} ({job.state}) {job.error}" if job else "none"),
        ("Homes carried", f"{len(move.homes)} of {move.homes_total if move.homes_total is not None else '?'}"),
        ("Minutes since it was wanted", spent),
    ]
