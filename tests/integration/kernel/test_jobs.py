"""Jobs: the row is the truth, the queue only hints; a dead worker's job is taken up again, once."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from consortium.kernel import crash, jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def kind() -> Iterator[tuple[str, list[int]]]:
    """A kind of job that notes each time its work is done."""
    name, seen = f"test_{uuid4().hex[:8]}", []

    @jobs.job_kind(name, max_attempts=2)
    def work(run: jobs.Run) -> dict[str, int]:
        run.report("counting", done=1, total=1)
        seen.append(run.arguments.get("n", 0))
        if run.arguments.get("fail"):
            raise RuntimeError("the outside world is broken")
        return {"n": len(seen)}

    yield name, seen
    crash.disarm()


def enqueue(kind: str, **arguments: int) -> Job:
    with consortium_scope(Scope.JOB):
        return jobs.enqueue(kind, key="1", at=now(), institution_id=None, arguments=arguments)


def reload(job: Job) -> Job:
    with consortium_scope(Scope.JOB):
        return Job.objects.get(pk=job.pk)


def test_a_job_is_wanted_once(kind: tuple[str, list[int]]) -> None:
    assert enqueue(kind[0]).pk == enqueue(kind[0]).pk


def test_a_job_is_done_once_and_says_so(kind: tuple[str, list[int]]) -> None:
    job = enqueue(kind[0], n=7)
    assert jobs.run(job.pk) is True
    assert jobs.run(job.pk) is False
    done = reload(job)
    assert (kind[1], done.state, done.result, done.step, done.done) == ([7], "succeeded", {"n": 1}, "counting", 1)


def test_many_workers_one_does_it(kind: tuple[str, list[int]]) -> None:
    job = enqueue(kind[0])
    results: list[bool] = []

    def worker() -> None:
        results.append(jobs.run(job.pk))
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert len(kind[1]) == 1


def test_a_killed_workers_job_is_hinted_at_and_taken_up(
    kind: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = enqueue(kind[0])
    crash.arm(f"job.{kind[0]}.worked")
    with pytest.raises(crash.SimulatedCrash):
        jobs.run(job.pk)
    crash.disarm()
    hinted: list[object] = []
    monkeypatch.setattr(jobs, "_hint", [hinted.append])
    assert jobs.sweep(at=now()) == 0, "its lease still runs"
    assert jobs.run(job.pk) is False
    later = now() + jobs.LEASE + timedelta(seconds=1)
    assert jobs.sweep(at=later) == 1
    assert hinted == [job.pk]
    with consortium_scope(Scope.JOB):
        Job.objects.filter(pk=job.pk).update(lease_until=now() - timedelta(seconds=1))
    assert jobs.run(job.pk) is True
    assert reload(job).attempts == 2


def test_an_error_is_tried_again_and_then_shown_to_an_operator(kind: tuple[str, list[int]]) -> None:
    job = enqueue(kind[0], fail=1)
    jobs.run(job.pk)
    assert reload(job).state == "queued"
    with consortium_scope(Scope.JOB):
        Job.objects.filter(pk=job.pk).update(run_after=now())
    jobs.run(job.pk)
    shown = reload(job)
    assert shown.state == "needs_operator"
    assert "the outside world is broken" in shown.error


def test_a_worker_that_lost_its_lease_leaves_no_trace(kind: tuple[str, list[int]]) -> None:
    job = enqueue(kind[0])
    first = jobs._claim(job.pk, now())
    assert first is not None
    with consortium_scope(Scope.JOB):
        Job.objects.filter(pk=job.pk).update(lease_until=now() - timedelta(seconds=1))
    assert jobs._claim(job.pk, now()) is not None
    with pytest.raises(jobs.LeaseLost):
        first.report("late")
    assert reload(job).step == ""


def test_a_job_whose_worker_dies_again_and_again_is_shown_to_an_operator(kind: tuple[str, list[int]]) -> None:
    job = enqueue(kind[0])
    with consortium_scope(Scope.JOB):
        jobs._claim(job.pk, now())
        over = now() - timedelta(seconds=1)
        Job.objects.filter(pk=job.pk).update(lease_until=over, attempts=2 + jobs.MAX_CRASHES)
    assert jobs.run(job.pk) is False
    assert reload(job).state == "needs_operator"


def test_a_step_that_takes_long_keeps_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LEASE", timedelta(seconds=0.6))
    name, others = f"test_{uuid4().hex[:8]}", list[bool]()

    @jobs.job_kind(name)
    def work(run: jobs.Run) -> None:
        threading.Event().wait(1.2)
        others.append(jobs.run(run.job.pk))

    job = enqueue(name)
    assert jobs.run(job.pk) is True
    assert others == [False], "nobody else may take it up meanwhile"
    assert reload(job).state == "succeeded"
