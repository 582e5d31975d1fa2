"""Beat's part of the service: promises of support that are nearly due."""

from celery import shared_task

from consortium.kernel.clock import now
from provisioning.support import watching


@shared_task(name="consortium.watch_support")
def watch_support() -> int:
    """Warn of promised answers that are nearly due; close what stayed resolved."""
    return watching.watch_support(at=now())
