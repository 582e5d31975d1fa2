"""Getting paid, hour by hour: whoever's clock ran out. Days begin at another hour in each invoice's zone."""

from celery import shared_task

from billing.disputes import release_unanswered
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope

__all__ = ["collect"]


@shared_task(name="consortium.collect")
def collect() -> int:
    """Release disputes whose payer did not answer; returns how many."""
    with consortium_scope(Scope.JOB):
        return release_unanswered(at=now())
