"""Beat's part of domains and sign-on: look at verified domains again, forget what assertions said."""

from celery import shared_task

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.domains import recheck_due
from members.sign_on.assertions import forget_words


@shared_task(name="consortium.recheck_domains")
def recheck_domains() -> int:
    """Want a job for every verified domain that was not looked at for six hours."""
    return recheck_due(at=now())


@shared_task(name="consortium.forget_assertions")
def forget_assertions() -> int:
    """Wipe what no browser came for."""
    with consortium_scope(Scope.JOB):
        return forget_words(at=now())
