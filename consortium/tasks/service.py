"""Beat's part of the service: events that begin or end, promises of support that are nearly due."""

from celery import shared_task

from consortium.kernel.clock import now
from consortium.usecases.charge_events import charge_events
from provisioning.events import tending
from provisioning.support import watching


@shared_task(name="consortium.watch_support")
def watch_support() -> int:
    """Warn of promised answers that are nearly due; close what stayed resolved."""
    return watching.watch_support(at=now())


@shared_task(name="consortium.tend_events")
def tend_events() -> int:
    """Get hubs ready for events and put them back; charge what is beyond those included."""
    return tending.tend_events(at=now()) + charge_events(at=now())
