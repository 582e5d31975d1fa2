"""Asking for a hub and deciding on it: every wish is a revision, and approval hands it to the reconcile job.

Entitlements are checked by the caller (a use case), which knows the agreement; the cluster's room is checked here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from pydantic import ValidationError

from consortium.kernel import audit, jobs
from consortium.kernel.errors import Invalid, PortalError
from consortium.models import Job
from members.models import Institution, User
from members.permissions import Permission, check_at, check_staff
from provisioning.hands_off import refuse_hands_off
from provisioning.models import Cluster, Environment, Hub, HubRevision, SpendingApproval
from provisioning.models.moves import OPEN_MOVES
from provisioning.progress import RECONCILE_STEPS
from provisioning.specs import HubSpec, spec_hash
from provisioning.states import HUB
from provisioning.wishes import EnvironmentUnknown, SpecInvalid, first_complaint

RECONCILE = "reconcile_hub"
# States in which a hub holds no place on its cluster.
PLACELESS = ("requested", "declined", "retired")
TELL_OPERATORS = "provisioning.mail_hub_requested"


class SlugTaken(Invalid):
    """Another hub, perhaps another university's, has this short name."""

    code = "hub_slug_taken"


class ClusterFull(PortalError):
    """The cluster holds as many hubs as it can."""

    code = "cluster_full"


class ClusterRetired(PortalError):
    """No new hub goes to this cluster."""

    code = "cluster_retired"


class SpendingUndecided(PortalError):
    """The request would take the month beyond the member's budget, and its own people have not agreed to that."""

    code = "spending_undecided"


class NothingToRetry(PortalError):
    """The hub's work has not failed."""

    code = "nothing_to_retry"


@transaction.atomic
def request_hub(
    *,
    institution: Institution,
    cluster: Cluster,
    spec: HubSpec,
    agreement_id: UUID,
    zone: str,
    by: User,
    at: datetime,
    purpose: str = "",
    estimate: Mapping[str, Any] | None = None,
    tell: Sequence[str] = (TELL_OPERATORS,),
) -> Hub:
    """Will write the hub with its first revision, as `requested`; `zone` is the billing zone its days are cut in.

    The caller has checked the entitlements, and knows what it may cost (`estimate`, plain JSON) and whom to `tell`: the
    receivers of the outbox. Raises Forbidden, SlugTaken, ClusterRetired, EnvironmentUnknown.
    """
    check_at(by, Permission.REQUEST_HUB, institution.pk)
    if cluster.retired_at is not None:
        raise ClusterRetired(_("The cluster %(name)s takes no new hubs. Choose another.") % {"name": cluster.called})
    if not Environment.objects.filter(key=spec.environment, retired_at=None).exists():
        raise EnvironmentUnknown(_("Choose an environment from the catalogue."), field="environment")
    try:
        with transaction.atomic():
            hub = Hub.objects.create(
                institution=institution,
                cluster=cluster,
                slug=spec.slug,
                name=spec.display_name,
                purpose=purpose,
                agreement_id=agreement_id,
                zone=zone,
                generation=1,
                requested_by=by,
                requested_at=at,
            )
    except IntegrityError as error:
        text = _("Another hub is already called %(slug)s. Choose another name.")
        raise SlugTaken(text % {"slug": spec.slug}, field="name") from error
    revision = _write_revision(hub, spec, by=by, at=at, note="", estimate=estimate)
    audit.record(
        "provisioning.hub_requested",
        hub,
        by=by,
        at=at,
        institution_id=institution.pk,
        after={"slug": hub.slug, "cluster": cluster.slug, "generation": 1, "spec_hash": revision.spec_hash},
        deliver_to=tuple(tell),
    )
    return hub


@transaction.atomic
def approve_hub(hub: Hub, *, by: User | audit.System, at: datetime) -> Job:
    """Will approve a requested hub and want its provisioning; the job is told to the workers after commit.

    A program may approve where the agreement needs no person's. Raises Forbidden, SpendingUndecided, ClusterFull,
    ClusterRetired, TransitionRefused.
    """
    if isinstance(by, User):
        check_staff(by, Permission.OPERATE_HUBS)
    if SpendingApproval.objects.filter(hub=hub).exclude(status="approved").exists():
        text = _("The hub would take the month beyond the university's own budget. Its owner or finance people decide.")
        raise SpendingUndecided(text)
    check_room(hub)
    HUB.move(hub, "approved")
    audit.record(
        "provisioning.hub_approved",
        hub,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        before={"status": "requested"},
        after={"status": "approved", "generation": hub.generation},
    )
    job = _want_reconciled(hub, at=at)
    for twin in Hub.objects.filter(staging_of=hub, status="requested"):
        approve_hub(twin, by=by, at=at)
    return job


@transaction.atomic
def decline_hub(hub: Hub, *, reason: str, by: User, at: datetime) -> None:
    """Will decline a hub that is not provisioned yet. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.OPERATE_HUBS)
    was = hub.status
    HUB.move(hub, "declined", declined_reason=reason)
    audit.record(
        "provisioning.hub_declined",
        hub,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        before={"status": was},
        after={"status": "declined"},
        reason=reason,
        deliver_to=("provisioning.mail_hub_declined",),
    )
    for twin in Hub.objects.filter(staging_of=hub, status="requested"):
        decline_hub(twin, reason=reason, by=by, at=at)


@transaction.atomic
def revise_hub(
    hub: Hub, *, spec: HubSpec, note: str, by: User, at: datetime, estimate: Mapping[str, Any] | None = None
) -> Job:
    """Will write a new revision of a hub and want it made so; the newest revision wins, whatever was under way.

    The caller has checked the entitlements. Raises Forbidden, HubHeld, HubInEvent, and SpecInvalid for another slug,
    for a spec equal to the newest one, or for a hub that is not set up.
    """
    check_at(by, Permission.REQUEST_HUB, hub.institution_id)
    refuse_hands_off(hub, at=at)
    if spec_hash(spec) == hub.revisions.get(generation=hub.generation).spec_hash:
        raise SpecInvalid(_("Nothing would change: the hub is wanted so already."))
    return write_next_revision(hub, spec=spec, note=note, by=by, at=at, estimate=estimate)


@transaction.atomic
def write_next_revision(
    hub: Hub,
    *,
    spec: HubSpec,
    note: str,
    by: User | audit.System,
    at: datetime,
    estimate: Mapping[str, Any] | None = None,
) -> Job:
    """Will write the next revision, whose author's right the caller has checked, and want it made so.

    Raises SpecInvalid for another slug or a hub that is not set up.
    """
    next_revision(hub, spec=spec, note=note, by=by, at=at, estimate=estimate)
    return _want_reconciled(hub, at=at)


@transaction.atomic
def next_revision(
    hub: Hub,
    *,
    spec: HubSpec,
    note: str,
    by: User | audit.System,
    at: datetime,
    estimate: Mapping[str, Any] | None = None,
) -> HubRevision:
    """Will write the next revision without wanting it made; `write_next_revision` and a move do that each in its way.

    Raises SpecInvalid for another slug or a hub that is not set up.
    """
    locked = Hub.objects.select_for_update().get(pk=hub.pk)
    if spec.slug != locked.slug:
        raise SpecInvalid(_("A hub keeps its short name: it is the address of its people's files."), field="slug")
    if locked.status not in {"provisioning", "running", "updating", "degraded", "failed"}:
        raise SpecInvalid(_("Only a hub that is set up can be changed."))
    generation = locked.generation + 1
    Hub.objects.filter(pk=locked.pk).update(generation=generation, name=spec.display_name)
    before, hub.generation, hub.name = locked.generation, generation, spec.display_name
    revision = _write_revision(hub, spec, by=by, at=at, note=note, estimate=estimate)
    audit.record(
        "provisioning.hub_revised",
        hub,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        before={"generation": before},
        after={"generation": generation, "spec_hash": revision.spec_hash},
    )
    return revision


@transaction.atomic
def retry_hub(hub: Hub, *, by: User, at: datetime) -> Job:
    """Will put the hub's failed work back into the queue, for the institution's own people or for staff.

    Staff also retry what they wanted themselves: suspension, waking, a move, retirement. Raises Forbidden,
    NothingToRetry.
    """
    if by.is_staff:
        check_staff(by, Permission.OPERATE_HUBS)
    else:
        check_at(by, Permission.REQUEST_HUB, hub.institution_id)
    job = _failed_work(hub, of_staff=by.is_staff)
    if job is None:
        raise NothingToRetry(_("Nothing has failed here: the work is going on or done. Reload the page."))
    jobs.retry(job, at=at)
    audit.record("provisioning.hub_retried", hub, by=by, at=at, institution_id=hub.institution_id)
    return job


def _failed_work(hub: Hub, *, of_staff: bool) -> Job | None:
    mine = Q(kind=RECONCILE, unique_key=job_key(hub))
    if of_staff:
        mine |= Q(unique_key__startswith=f"{hub.pk}:") & ~Q(kind=RECONCILE)
    return Job.objects.filter(mine, state__in=("failed", "needs_operator")).order_by("-created_at").first()


def reconcile_job(hub: Hub) -> Job | None:
    """Will return the work on the hub's current generation, if it was ever wanted."""
    return Job.objects.filter(kind=RECONCILE, unique_key=job_key(hub)).first()


def check_room(hub: Hub) -> None:
    """Will hold the hub's cluster until the transaction ends and see that it has a place for the hub.

    Needs a scope in which every institution's hubs are visible. Raises ClusterFull, ClusterRetired.
    """
    cluster = check_room_on(hub.cluster, hub)
    if cluster.retired_at is not None and not hub.observed_generation:
        raise ClusterRetired(_("The cluster %(name)s takes no new hubs. Choose another.") % {"name": cluster.called})


def check_room_on(cluster: Cluster, hub: Hub) -> Cluster:
    """Will hold a cluster, which may be another than the hub's, and see that it has a place for the hub; returns it.

    Hubs that move there count already. Needs a scope in which every institution's hubs are visible. Raises ClusterFull.
    """
    cluster = Cluster.objects.select_for_update().get(pk=cluster.pk)
    here = Q(cluster=cluster) | Q(moves__to_cluster=cluster, moves__status__in=OPEN_MOVES)
    hubs = Hub.objects.filter(here).exclude(status__in=PLACELESS).exclude(pk=hub.pk)
    others = hubs.values("pk").distinct().count()
    if others >= cluster.capacity:
        text = _("The cluster %(name)s holds %(count)d hubs, which is all it can. Retire one or raise its capacity.")
        raise ClusterFull(text % {"name": cluster.called, "count": others})
    return cluster


def spec_of(revision: HubRevision) -> HubSpec:
    """Will read a revision's spec. Raises SpecInvalid when this version of the portal does not understand it."""
    try:
        return HubSpec.model_validate(revision.spec)
    except ValidationError as error:
        raise SpecInvalid(first_complaint(error)) from error


def _write_revision(
    hub: Hub, spec: HubSpec, *, by: User | audit.System, at: datetime, note: str, estimate: Mapping[str, Any] | None
) -> HubRevision:
    return HubRevision.objects.create(
        institution_id=hub.institution_id,
        hub=hub,
        generation=hub.generation,
        spec=_in_order(spec.model_dump(mode="json")),
        spec_hash=spec_hash(spec),
        author=by if isinstance(by, User) else None,
        at=at,
        note=note,
        estimate=dict(estimate or {}),
    )


def _want_reconciled(hub: Hub, *, at: datetime) -> Job:
    return jobs.enqueue(
        RECONCILE,
        key=job_key(hub),
        at=at,
        institution_id=hub.institution_id,
        arguments={"hub": str(hub.pk), "generation": hub.generation},
        total=len(RECONCILE_STEPS),
    )


def job_key(hub: Hub) -> str:
    """The key of the work on the hub's current generation."""
    return f"{hub.pk}:{hub.generation}"


def _in_order(value: Any) -> Any:
    """Sets come out of the spec in any order; two revisions are compared by eye, so lists of names are sorted."""
    if isinstance(value, dict):
        return {key: _in_order(inner) for key, inner in value.items()}
    return sorted(value) if isinstance(value, list) else value
