"""Long or external work: a row says what is wanted, a lease says who does it, the queue only hints.

`enqueue` writes the row in the caller's transaction and hints to Celery after commit. `run` claims the row by
compare-and-set, so that two workers never do one job; a worker that dies leaves a lease that runs out, and the
sweeper hints again. Every job function must therefore be able to start over from what the database and the outside
world say now.
"""

import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from consortium.states import JOB

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=15)
HINT_AFTER = timedelta(seconds=2)
LOG_LINES = 200
MAX_CRASHES = 10  # starts beyond the kind's own attempts: those that ended with their worker


class LeaseLost(Exception):
    """Another worker holds the job now; this one must stop without a trace."""


class RetryLater(Exception):
    """The outside world is not ready; the job goes back to the queue and runs again after `seconds`.

    `counts` is false where waiting is what a person asked for, and so no failed attempt.
    """

    def __init__(self, message: str, *, seconds: float, counts: bool = True) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.counts = counts


class NeedsOperator(PortalError):
    """Trying again will not help until a person mends something."""

    code = "needs_operator"


class JobUnknown(Exception):
    """No function is registered for the kind."""


@dataclass(frozen=True)
class Kind:
    """A registered kind of job."""

    name: str
    work: Callable[["Run"], Mapping[str, Any] | None]
    max_attempts: int


_kinds: dict[str, Kind] = {}
_hint: list[Callable[[UUID], None]] = []


def job_kind(name: str, *, max_attempts: int = 5) -> Callable[[Callable[["Run"], Any]], Callable[["Run"], Any]]:
    """Register a function as the work of a kind of job."""

    def register(work: Callable[["Run"], Any]) -> Callable[["Run"], Any]:
        _kinds[name] = Kind(name, work, max_attempts)
        return work

    return register


def set_hint(send: Callable[[UUID], None]) -> None:
    """Say how a worker is told about a job (Celery's app does this)."""
    _hint[:] = [send]


def hint(job_id: UUID) -> None:
    """Tell the workers; a broker that is away is no error, since the sweeper tells them again."""
    for send in _hint:
        try:
            send(job_id)
        except Exception as error:  # noqa: BLE001 - any broker failure means the same: the sweeper will hint
            log.warning("job.hint_failed", job=str(job_id), error=str(error))


def enqueue(
    kind: str,
    *,
    key: str,
    at: datetime,
    institution_id: UUID | None,
    arguments: Mapping[str, Any] | None = None,
    total: int = 0,
) -> Job:
    """Want a piece of work once: the row of (kind, key), made now or earlier. The hint goes out after commit."""
    job, made = Job.objects.get_or_create(
        kind=kind,
        unique_key=key,
        defaults={
            "institution_id": institution_id,
            "arguments": dict(arguments or {}),
            "created_at": at,
            "run_after": at,
            "total": total,
        },
    )
    if made:
        transaction.on_commit(lambda: hint(job.pk))
    return job


def retry(job: Job, *, at: datetime) -> None:
    """Put a failed job back into the queue; it goes on from what is already there."""
    JOB.move(job, "queued", run_after=at, error="", attempts=0, finished_at=None)
    transaction.on_commit(lambda: hint(job.pk))


def silence_allowed() -> timedelta:
    """Return after how long a silence work is said to be stalled: STALLED_AFTER_SECONDS, a minute as a rule."""
    return timedelta(seconds=settings.STALLED_AFTER_SECONDS)


def stalled(job: Job, *, at: datetime) -> bool:
    """Tell whether a running job has been silent for longer than is allowed."""
    beat = job.heartbeat_at or job.started_at
    return job.state == "running" and beat is not None and at - beat > silence_allowed()


@dataclass
class Run:
    """One worker's hold on a job: arguments, and the way to report progress and keep the lease."""

    job: Job
    token: UUID

    @property
    def arguments(self) -> dict[str, Any]:
        """What the job was asked to do."""
        return dict(self.job.arguments)

    def report(self, step: str, *, done: int | None = None, total: int | None = None, message: str = "") -> None:
        """Show a step (and a log line) at once, and renew the lease. Raises LeaseLost when another worker took over."""
        at = now()
        if step != self.job.step or message:
            line = {"at": at.isoformat(), "step": step, "message": message}
            self.job.log = [*self.job.log, line][-LOG_LINES:]
        self.job.step = step
        self.job.done = self.job.done if done is None else done
        self.job.total = self.job.total if total is None else total
        self._save(step=step, done=self.job.done, total=self.job.total, log=self.job.log)

    def heartbeat(self) -> None:
        """Renew the lease while waiting for the outside world."""
        self._save()

    def _save(self, **values: Any) -> None:
        at = now()
        if connection.in_atomic_block:
            raise RuntimeError("Report progress outside a transaction: nobody would see it before the commit.")
        with consortium_scope(Scope.JOB):
            kept = Job.objects.filter(pk=self.job.pk, state="running", lease_token=self.token).update(
                heartbeat_at=at, lease_until=at + LEASE, **values
            )
        if kept != 1:
            raise LeaseLost(f"Job {self.job.pk} was taken over.")


def _claim(job_id: UUID, at: datetime) -> Run | None:
    token = uuid4()
    with consortium_scope(Scope.JOB):
        is_orphan = Job.objects.filter(pk=job_id, state="running", lease_until__lt=at).exists()
        free = Q(state="queued", run_after__lte=at) | Q(state="running", lease_until__lt=at)
        claimed = Job.objects.filter(free, pk=job_id).update(
            state="running",
            lease_token=token,
            lease_until=at + LEASE,
            heartbeat_at=at,
            started_at=at,
            finished_at=None,
        )
        if not claimed:
            return None
        job = Job.objects.get(pk=job_id)
        Job.objects.filter(pk=job_id).update(attempts=job.attempts + 1)
        job.attempts += 1
    kind = _kinds.get(job.kind)
    # A polite retry ends in the queue; only a worker that died leaves its job running.
    if is_orphan and kind is not None and job.attempts > kind.max_attempts + MAX_CRASHES:
        # Whatever kills its worker each time is not mended by killing another one.
        _end(Run(job, token), "needs_operator", error="It was started again and again and never ended.", finished_at=at)
        return None
    return Run(job, token)


@contextmanager
def _leased(run: Run) -> Iterator[None]:
    """Keep the lease while a step takes long; whether the job is alive is told by its own reports, not by this."""
    over = threading.Event()

    def renew() -> None:
        try:
            while not over.wait(LEASE.total_seconds() / 3):
                with consortium_scope(Scope.JOB):
                    held = Job.objects.filter(pk=run.job.pk, state="running", lease_token=run.token)
                    held.update(lease_until=now() + LEASE)
        except DatabaseError as error:
            log.warning("job.lease_not_renewed", job=str(run.job.pk), error=str(error))
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name=f"lease {run.job.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _end(run: Run, to: str, **values: Any) -> None:
    with consortium_scope(Scope.JOB):
        held = Job.objects.filter(pk=run.job.pk, state="running", lease_token=run.token)
        held.update(state=to, lease_until=None, lease_token=None, **values)


@contextmanager
def _outcome(run: Run, kind: Kind) -> Any:
    """Turn how the work ended into the state of its row."""
    try:
        yield
    except LeaseLost:
        log.warning("job.lease_lost", job=str(run.job.pk))
    except RetryLater as later:
        attempts = run.job.attempts if later.counts else run.job.attempts - 1
        after = now() + timedelta(seconds=later.seconds)
        _end(run, "queued", run_after=after, error=str(later), attempts=attempts)
    except PortalError as refused:
        state = "needs_operator" if isinstance(refused, NeedsOperator) else "failed"
        _end(run, state, error=refused.message, finished_at=now())
    except Exception as error:
        log.exception("job.error", job=str(run.job.pk), kind=kind.name)
        if run.job.attempts < kind.max_attempts:
            wait = min(2.0**run.job.attempts, 60.0)
            _end(run, "queued", run_after=now() + timedelta(seconds=wait), error=repr(error)[:500])
        else:
            tail = "".join(traceback.format_exception_only(error))[:500]
            _end(run, "needs_operator", error=tail, finished_at=now())


def run(job_id: UUID) -> bool:
    """Do one job if it is free; tell whether this worker did it."""
    claimed = _claim(job_id, now())
    if claimed is None:
        return False
    kind = _kinds.get(claimed.job.kind)
    if kind is None:
        _end(claimed, "needs_operator", error=f"No program knows the job kind {claimed.job.kind}.", finished_at=now())
        raise JobUnknown(claimed.job.kind)
    structlog.contextvars.bind_contextvars(job=str(job_id), kind=kind.name)
    crash_point(f"job.{kind.name}.claimed")
    with _outcome(claimed, kind), _leased(claimed):
        result = kind.work(claimed)
        crash_point(f"job.{kind.name}.worked")
        _end(claimed, "succeeded", result=dict(result or {}), error="", finished_at=now())
    structlog.contextvars.unbind_contextvars("job", "kind")
    return True


def sweep(*, at: datetime) -> int:
    """Hint at every job that should be running and is not; returns how many. The sweeper calls this every 2 s."""
    with consortium_scope(Scope.JOB):
        waiting = Q(state="queued", run_after__lte=at - HINT_AFTER) | Q(state="running", lease_until__lt=at)
        ids = list(Job.objects.filter(waiting).values_list("pk", flat=True)[:500])
    for job_id in ids:
        hint(job_id)
    return len(ids)
