"""Getting paid, hour by hour: clocks that ran out, reminders. Days begin at another hour in each invoice's zone."""

from celery import shared_task

from billing.arrangements import review_arrangements
from billing.disputes import release_unanswered
from billing.promises import review_promises
from billing.reminding import remind_due
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.enforce_standing import enforce_standing
from consortium.usecases.exit_member import advance_exits

__all__ = ["collect"]


@shared_task(name="consortium.collect")
def collect() -> int:
    """Clocks, arrangements, promises, reminders, standing, exits: take every step that is due; returns how many."""
    at = now()
    with consortium_scope(Scope.JOB):
        done = release_unanswered(at=at) + review_arrangements(at=at) + review_promises(at=at)
    return done + remind_due(at=at) + enforce_standing(at=at) + advance_exits(at=at)
