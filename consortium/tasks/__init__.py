"""Celery's entry points. A task only names work; what to do is in the database and in the apps."""

from uuid import UUID

import structlog
from celery import shared_task

from billing import purchase_orders
from billing.ledger import is_balanced, receivables_agree
from consortium.kernel import audit, jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Issuer

log = structlog.get_logger(__name__)


@shared_task(name="consortium.run_job")
def run_job(job_id: str) -> bool:
    """Do the job if nobody else holds it; tell whether this worker did."""
    return jobs.run(UUID(job_id))


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
        if not is_balanced():
            faults.append("the ledger does not balance")
        faults += [
            f"receivables of {issuer} differ from its open invoices"
            for issuer in Issuer.objects.all()
            if not receivables_agree(issuer)
        ]
    for fault in faults:
        log.error("nightly_check.failed", fault=fault)
    if not faults:
        log.info("nightly_check.passed")
