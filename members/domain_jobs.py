"""The worker's part of domains: look again at one that was verified."""

from uuid import UUID

from consortium.kernel.clock import now
from consortium.kernel.jobs import Run, job_kind
from consortium.kernel.tenancy import Scope, consortium_scope
from members.domains import CHECKER, check_domain
from members.gateways.dns import DnsError
from members.models import Domain


@job_kind("recheck_domain")
def recheck_domain(run: Run) -> dict[str, str]:
    """Ask the DNS once; no answer is noted and asked again at the next round, since it proves nothing."""
    with consortium_scope(Scope.JOB):
        domain = Domain.objects.get(pk=UUID(run.arguments["domain"]))
        if domain.status != "verified":
            return {"status": domain.status}
        try:
            check_domain(domain, by=CHECKER, at=now())
        except DnsError as error:
            return {"status": domain.status, "problem": error.message}
    return {"status": domain.status}
