"""How a job waits for a driver: again and again with signs of life, then later, then not without a person."""

from collections.abc import Callable
from uuid import UUID

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.jobs import NeedsOperator, RetryLater, Run
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.drivers import driver_for, why_not_ready
from provisioning.gateways.base import GatewayError, HubDriver, StaleGenerationError
from provisioning.hands_off import why_hands_off
from provisioning.models import Cluster, Hub

# After so many starts the work stops trying by itself and asks a person. One start waits for at most a minute.
MAX_ATTEMPTS = 12
WAIT_SECONDS = 60.0
RETRY_SECONDS = 3.0
HOLD_SECONDS = 10.0


def ready_driver(hub: Hub) -> HubDriver:
    """Will return the driver of the hub's cluster. Raises DriverMissing, and RetryLater while the place is away."""
    return ready_driver_of(hub.cluster)


def ready_driver_of(cluster: Cluster) -> HubDriver:
    """Will return the cluster's driver. Raises DriverMissing, and RetryLater while the place is away."""
    driver = driver_for(cluster)
    if reason := why_not_ready(cluster):
        raise RetryLater(reason, seconds=RETRY_SECONDS)
    return driver


def keep_asking[T](run: Run, hub: Hub, ask: Callable[[], T]) -> T:
    """Will ask the place of the hub; see `keep_asking_at`."""
    return keep_asking_at(run, hub.cluster, ask)


def keep_asking_at[T](run: Run, cluster: Cluster, ask: Callable[[], T]) -> T:
    """Will call `ask` until it succeeds, with a sign of life at each return, for a minute at most.

    Raises the last GatewayError: a permanent one, one after a minute, or one of a place that went away.
    """
    begun = now()
    while True:
        try:
            return ask()
        except StaleGenerationError:
            raise
        except GatewayError as error:
            run.heartbeat()
            if error.permanent or (now() - begun).total_seconds() > WAIT_SECONDS or why_not_ready(cluster):
                raise


def wait_for_hold(hub_id: UUID) -> None:
    """Will leave the hub alone during a hold or an event: raises RetryLater, which counts as no attempt."""
    with consortium_scope(Scope.JOB):
        reason = why_hands_off(Hub(pk=hub_id), at=now())
    if reason is not None:
        raise RetryLater(reason.words, seconds=HOLD_SECONDS, counts=False)


class ActFailed(PortalError):
    """The hub cannot be brought into that state; repeating alone will not help."""

    code = "act_failed"


class OutsideErrors:
    """What an error of the outside means for the job: again later, or never without a person."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, (RetryLater, GatewayError, PortalError)):
            return
        message = str(getattr(error, "message", error))
        if isinstance(error, RetryLater) and not error.counts:
            raise error
        if tries_left(self._run, error):
            raise RetryLater(message, seconds=RETRY_SECONDS) from error
        is_final = getattr(error, "permanent", True) and not isinstance(error, RetryLater)
        raise (ActFailed(message) if is_final else NeedsOperator(message)) from error


def tries_left(run: Run, error: Exception) -> bool:
    """Whether the same work may be started again by itself after this error."""
    is_final = not isinstance(error, RetryLater) and getattr(error, "permanent", True)
    return not is_final and run.job.attempts < MAX_ATTEMPTS
