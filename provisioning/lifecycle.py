"""What happens to a hub that exists: suspended, woken, retired. Each is wanted here and done by a job.

Suspension stops everybody's work, so it is an operator's act, or a program's on behalf of the agreement's ladder. A hub
is retired by an operator or by one of the university's owners; its people's files are exported first.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from consortium.kernel import audit, jobs
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.states import TransitionRefused
from consortium.models import Job
from members.models import User
from members.permissions import Permission, check_at, check_staff
from provisioning.hands_off import refuse_hands_off
from provisioning.models import Hub
from provisioning.requests import RECONCILE, job_key
from provisioning.states import HUB

SUSPEND, RESUME, RETIRE, MOVE = "suspend_hub", "resume_hub", "retire_hub", "move_hub"
ACTS = (SUSPEND, RESUME, RETIRE, MOVE)
OPEN = ("queued", "running", "failed", "needs_operator")
# The steps of each job, in order, in the words of its log.
STEPS = {
    SUSPEND: ("stop", "settle"),
    RESUME: ("start", "settle"),
    RETIRE: ("export", "destroy", "certify", "settle"),
    MOVE: ("check", "make", "close", "carry", "prove", "switch", "remove"),
}


class ActUnderWay(PortalError):
    """Something else is being done to the hub."""

    code = "act_under_way"


@transaction.atomic
def suspend_hub(hub: Hub, *, reason: str, by: User | audit.System, at: datetime) -> Job:
    """Will want the hub stopped, with every server on it; homes and settings stay.

    Raises Forbidden, Invalid without a reason, TransitionRefused, HubHeld, HubInEvent, ActUnderWay.
    """
    _check_operator(by)
    return _want(hub, SUSPEND, to="suspended", reason=reason_of(reason), by=by, at=at)


@transaction.atomic
def resume_hub(hub: Hub, *, by: User | audit.System, at: datetime) -> Job:
    """Will want a suspended hub awake again. Raises Forbidden, TransitionRefused, HubHeld, HubInEvent, ActUnderWay."""
    _check_operator(by)
    return _want(hub, RESUME, to="running", reason="", by=by, at=at)


@transaction.atomic
def retire_hub(hub: Hub, *, reason: str, by: User | audit.System, at: datetime) -> Job:
    """Will want the hub gone for ever: exported, ended, certified. It is `retiring` from now on.

    Raises Forbidden, Invalid without a reason, TransitionRefused, HubHeld, HubInEvent, ActUnderWay.
    """
    if isinstance(by, User) and not by.is_staff:
        check_at(by, Permission.RETIRE_HUB, hub.institution_id)
    else:
        _check_operator(by)
    job = _want(hub, RETIRE, to="retiring", reason=reason_of(reason), by=by, at=at)
    if hub.status != "retiring":  # a retirement that failed goes on from where it stopped
        HUB.move(hub, "retiring")
    return job


def act_under_way(hub: Hub) -> Job | None:
    """Will return the job that suspends, wakes, moves or retires the hub and has not ended well yet."""
    return Job.objects.filter(kind__in=ACTS, unique_key__startswith=f"{hub.pk}:", state__in=OPEN).first()


def work_on(hub: Hub) -> tuple[Job | None, Job | None]:
    """Will return, with one query, the work on the hub's current generation and the act that is under way."""
    act = Q(kind__in=ACTS, unique_key__startswith=f"{hub.pk}:", state__in=OPEN)
    rows = list(Job.objects.filter(Q(kind=RECONCILE, unique_key=job_key(hub)) | act))
    reconcile = next((row for row in rows if row.kind == RECONCILE), None)
    return reconcile, next((row for row in rows if row.kind != RECONCILE), None)


def _want(hub: Hub, kind: str, *, to: str, reason: str, by: User | audit.System, at: datetime) -> Job:
    locked = Hub.objects.select_for_update(no_key=True).get(pk=hub.pk)
    hub.status = locked.status
    if not HUB.allows(locked.status, to):
        raise TransitionRefused(
            _("%(hub)s is %(status)s; that cannot be done now.") % {"hub": hub.name, "status": locked.status}
        )
    refuse_hands_off(hub, at=at)
    if act_under_way(hub) is not None:
        raise ActUnderWay(_("Something is being done to this hub already. Wait until it has ended, or retry it."))
    earlier = Job.objects.filter(kind=kind, unique_key__startswith=f"{hub.pk}:").count()
    audit.record(
        f"provisioning.{kind}_wanted",
        hub,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        before={"status": locked.status},
        reason=reason,
    )
    return jobs.enqueue(
        kind,
        key=f"{hub.pk}:{earlier + 1}",
        at=at,
        institution_id=hub.institution_id,
        arguments={"hub": str(hub.pk), "reason": reason},
        total=len(STEPS[kind]),
    )


def _check_operator(by: User | audit.System) -> None:
    check_staff(by, Permission.OPERATE_HUBS)


def reason_of(text: str) -> str:
    """Will return the reason as it is kept. Raises Invalid where there is none."""
    if not text.strip():
        raise Invalid(_("Write the reason: the university reads it."), field="reason")
    return text.strip()[:300]
