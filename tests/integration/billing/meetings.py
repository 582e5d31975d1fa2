"""Meetings that are arranged: what both want first is held until both wait for it, or the first one stands still in the
middle until the second is there.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from consortium.kernel.crash import arm, disarm
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope

PATIENCE = 20.0


def outcome(work: Callable[[], object]) -> object:
    """Do it in this thread; returns what it gave, or what it was refused with."""
    try:
        return work()
    except PortalError as refused:
        return refused
    finally:
        connection.close()


def waiting() -> int:
    """How many others wait for a lock in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees one picture until its end
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def until_waiting(number: int, patience: float = PATIENCE) -> bool:
    """Wait until so many wait for a lock; tell whether they did."""
    end = time.monotonic() + patience
    while waiting() < number:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def meet(held: QuerySet[Any], *works: Callable[[], object]) -> list[object]:
    """Hold rows until each work waits for them, one behind the other; then let go. Returns what came of them."""
    with ThreadPoolExecutor(len(works)) as pool:
        futures: list[Future[object]] = []
        with consortium_scope(Scope.STAFF):
            assert list(held.select_for_update(of=("self",)))
            for number, work in enumerate(works, 1):
                futures.append(pool.submit(outcome, work))
                assert until_waiting(number), f"work {number} does not wait: {futures}"
        return [future.result(PATIENCE * 2) for future in futures]


@contextmanager
def standing_still(where: str) -> Iterator[None]:
    """Whoever comes by first stands still there until another one waits for a lock that it holds, or nobody does."""
    first = threading.Lock()

    def stand_still() -> None:
        if first.acquire(blocking=False):
            until_waiting(1, patience=1.0)

    arm(where, stand_still)
    yield
    disarm()


def both(*works: Callable[[], object]) -> list[object]:
    """Do all at once."""
    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(outcome, works))


def kinds(found: list[object]) -> list[str]:
    """What came of them, whoever was first."""
    return sorted(type(each).__name__ for each in found)
