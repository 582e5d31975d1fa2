"""Celery's entry points. A task only names work; what to do is in the database and in the apps."""

from uuid import UUID

import structlog
from celery import shared_task

from billing import purchase_orders
from billing.books_check import check_books
from billing.catching_up import want_catch_up
from consortium.kernel import audit, jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.tasks.collecting import collect
from consortium.tasks.identity import forget_assertions, recheck_domains
from consortium.tasks.service import forget_subscriptions, tend_events, watch_rollouts, watch_support
from consortium.usecases.adopt_terms import adopt_terms
from consortium.usecases.watch_budgets import watch_this_month
from members.agreements import lifecycle
from provisioning.sample_months import drop_sample_months, make_sample_months

__all__ = [
    "collect",
    "forget_assertions",
    "forget_subscriptions",
    "nightly_checks",
    "recheck_domains",
    "run_job",
    "tend_events",
    "watch_rollouts",
    "watch_support",
]

log = structlog.get_logger(__name__)


@shared_task(name="consortium.run_job")
def run_job(job_id: str) -> bool:
    """Do the job if nobody else holds it; tell whether this worker did."""
    return jobs.run(UUID(job_id))


@shared_task(name="consortium.agreements")
def agreements() -> int:
    """Offer renewals, remind, begin new prices, end what is over, let accounts follow; returns the steps taken."""
    at = now()
    done = lifecycle.run_due(at=at)
    with consortium_scope(Scope.JOB):
        return done + adopt_terms(at=at)


@shared_task(name="consortium.ask_for_renewals")
def ask_for_renewals() -> int:
    """Ask members for the successors of purchase orders that run low or end soon; each once."""
    with consortium_scope(Scope.JOB):
        return purchase_orders.ask_for_renewals(at=now())


@shared_task(name="consortium.nightly_checks")
def nightly_checks() -> None:
    """Recompute what must always hold, and say loudly what does not: audit chains, ledger, receivables."""
    with consortium_scope(Scope.JOB):
        faults = [f"audit {fault.chain} #{fault.seq}: {fault.message}" for fault in audit.verify()]
        faults += check_books(at=now()).faults
    for fault in faults:
        log.error("nightly_check.failed", fault=fault)
    if not faults:
        log.info("nightly_check.passed")


@shared_task(name="consortium.catch_up_events")
def catch_up_events() -> None:
    """Want the payment provider's own list of events read, so that no lost message is lost for good."""
    want_catch_up(at=now())


@shared_task(name="consortium.sample_months")
def sample_months() -> list[str]:
    """Make the coming months' places for samples, and drop the months that are too old; returns those dropped."""
    make_sample_months(at=now())
    return drop_sample_months(at=now())


@shared_task(name="consortium.watch_budgets")
def watch_budgets() -> int:
    """Hold this month's costs against the members' budgets; returns how many alerts were raised."""
    return len(watch_this_month(at=now()))
