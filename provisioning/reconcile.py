"""The job that makes what runs equal to what is wanted: level-triggered, safe to stop anywhere and start over.

It reads the hub and its newest revision, not what was wanted when it was enqueued, and asks the driver for exactly
that; drivers take the same wish twice without harm. So a killed worker costs time and nothing else.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.jobs import NeedsOperator, RetryLater, Run, job_kind
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.drivers import target_of
from provisioning.gateways.base import GatewayError, HubDriver, Observed, StaleGenerationError
from provisioning.models import Hub
from provisioning.patience import MAX_ATTEMPTS, RETRY_SECONDS, keep_asking, ready_driver, tries_left, wait_for_hold
from provisioning.pauses import note_pause
from provisioning.progress import RECONCILE_STEPS
from provisioning.requests import RECONCILE, check_room, spec_of
from provisioning.specs import HubSpec, spec_hash
from provisioning.states import HUB

_STEPS = tuple(RECONCILE_STEPS)
_BEGIN = {"approved": "provisioning", "running": "updating", "degraded": "updating"}
# What the driver calls its steps, as steps of this work.
_OF_DRIVER = {"prepare": "write", "start": "start", "stop": "start", "ready": "healthy", "done": "healthy"}
_BY = audit.System("provisioning")


class ProvisioningFailed(PortalError):
    """The hub cannot be made as it is wanted; repeating alone will not help."""

    code = "provisioning_failed"


class _Steps:
    """Shows the work's steps in order; a step that is behind already adds to the log but does not go back."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reached = -1

    def __call__(self, step: str, message: str) -> None:
        index = _STEPS.index(step)
        if index < self._reached:
            self._run.heartbeat()
            return
        self._reached = index
        self._run.report(step, done=index, total=len(_STEPS), message=message)
        crash_point(f"reconcile.{step}")

    def of_driver(self, step: str, message: str) -> None:
        """Takes the driver's own report."""
        self(_OF_DRIVER.get(step, "start"), message)


@job_kind(RECONCILE, max_attempts=MAX_ATTEMPTS)
def reconcile_hub(run: Run) -> dict[str, Any]:
    """Will make the hub equal its newest revision and return its address and version.

    Raises RetryLater while the outside is not ready, NeedsOperator when that took too long, ProvisioningFailed.
    """
    wait_for_hold(UUID(run.arguments["hub"]))
    hub = _begin(UUID(run.arguments["hub"]), int(run.arguments["generation"]), at=now())
    if hub is None:
        return {"left": True}
    crash_point("reconcile.begun")
    steps = _Steps(run)
    try:
        steps("validate", _("The specification is read and checked"))
        spec = _spec(hub)
        steps("reserve", _("The cluster has a place"))
        driver = _reserve(hub)
        observed = _ensure(run, hub, driver, spec, steps)
        steps("verify", _("What runs is compared with the specification"))
        _verify(hub, driver, spec, observed)
    except StaleGenerationError:
        return _leave_or_fail(run, hub)
    except (RetryLater, GatewayError, PortalError) as error:
        raise _ending(run, hub, error) from error
    crash_point("reconcile.ensured")
    _settle(hub, observed, at=now())
    crash_point("reconcile.settled")
    run.report("verify", done=len(_STEPS), message=_("The hub is ready"))
    return {"url": observed.url, "version": observed.version, "generation": hub.generation}


def _begin(hub_id: UUID, generation: int, *, at: datetime) -> Hub | None:
    """Take the hub into the state of work; None when there is nothing for this job to do."""
    with consortium_scope(Scope.JOB):
        hub = Hub.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=hub_id)
        if hub.generation != generation or hub.status in {"requested", "declined", "retiring", "retired"}:
            return None  # a newer wish has a job of its own
        was = hub.status
        if was in {"running", "degraded", "suspended"} and hub.observed_generation == hub.generation:
            return None  # settled before the worker could say so
        to = _BEGIN.get(was)
        if was == "failed":
            to = "provisioning" if hub.running_at is None else "updating"
        if to is not None:
            HUB.move(hub, to)
            _record("provisioning.hub_begun", hub, at=at, before={"status": was}, after={"status": to})
        return hub


def _spec(hub: Hub) -> HubSpec:
    with consortium_scope(Scope.JOB):
        revision = hub.revisions.get(generation=hub.generation)
        spec = spec_of(revision)
    if spec_hash(spec) != revision.spec_hash:
        raise ProvisioningFailed(
            _("Revision %(number)d reads differently than when it was written. Write it again as a new revision.")
            % {"number": hub.generation}
        )
    return spec


def _reserve(hub: Hub) -> HubDriver:
    with consortium_scope(Scope.JOB):
        check_room(hub)
    return ready_driver(hub)


def _ensure(run: Run, hub: Hub, driver: HubDriver, spec: HubSpec, steps: _Steps) -> Observed:
    """Ask the driver until the hub is as wanted."""
    return keep_asking(run, hub, lambda: driver.ensure(target_of(hub), spec, steps.of_driver))


def _verify(hub: Hub, driver: HubDriver, spec: HubSpec, observed: Observed) -> None:
    found = driver.drift(target_of(hub), spec)
    if found or observed.spec_hash != spec_hash(spec) or not observed.healthy:
        where = found[0].path if found else observed.detail or observed.state
        raise RetryLater(_("What runs is not yet what is wanted: %(where)s.") % {"where": where}, seconds=RETRY_SECONDS)


def _leave_or_fail(run: Run, hub: Hub) -> dict[str, Any]:
    """The place knows a newer wish. So does the database, as a rule; else the two have been torn apart."""
    with consortium_scope(Scope.JOB):
        newest = Hub.objects.get(pk=hub.pk).generation
    if newest != hub.generation:
        return {"left": True}
    text = _(
        "The cluster has a newer state of this hub than the portal (was a backup restored?). Write a new revision."
    )
    raise _ending(run, hub, ProvisioningFailed(text))


def _ending(run: Run, hub: Hub, error: Exception) -> Exception:
    """How this start ends: again later, or, written to the hub, failed at the step that the job row shows."""
    is_final = not isinstance(error, RetryLater) and getattr(error, "permanent", True)
    message = str(getattr(error, "message", error))
    if tries_left(run, error):
        return RetryLater(message, seconds=RETRY_SECONDS)
    with consortium_scope(Scope.JOB):
        failed = Hub.objects.get(pk=hub.pk)
        if failed.generation == hub.generation and HUB.allows(failed.status, "failed"):
            HUB.move(failed, "failed")
            _record(
                "provisioning.hub_failed",
                failed,
                at=now(),
                after={"status": "failed", "step": run.job.step, "generation": failed.generation},
                deliver_to=("provisioning.mail_hub_failed",),
            )
    return ProvisioningFailed(message) if is_final else NeedsOperator(message)


def _settle(hub: Hub, observed: Observed, *, at: datetime) -> None:
    """Write what was made, once: the first time the requester gets a mail."""
    with consortium_scope(Scope.JOB):
        row = Hub.objects.select_for_update().get(pk=hub.pk)
        if row.generation != hub.generation or row.status not in {"provisioning", "updating"}:
            return  # a newer wish goes on from here, or another worker was first
        was, is_first = row.status, row.running_at is None
        HUB.move(
            row,
            "running",
            url=observed.url,
            version=observed.version,
            observed_generation=row.generation,
            observed_spec_hash=observed.spec_hash,
            healthy_at=at,
            unreachable_since=None,
            drift=[],
            running_at=row.running_at or at,
        )
        note_pause(row, to="running", at=at)
        _record(
            "provisioning.hub_ready" if is_first else "provisioning.hub_updated",
            row,
            at=at,
            before={"status": was},
            after={"status": "running", "generation": row.generation, "spec_hash": observed.spec_hash},
            deliver_to=("provisioning.mail_hub_ready",) if is_first else (),
        )
        crash_point("reconcile.before_commit")


def _record(action: str, hub: Hub, *, at: datetime, **facts: Any) -> None:
    audit.record(action, hub, by=_BY, at=at, institution_id=hub.institution_id, **facts)
