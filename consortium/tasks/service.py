"""Beat's part of the service: events, promises of support that are nearly due, addresses to forget."""

from celery import shared_task

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.charge_events import charge_events
from provisioning import rollouts
from provisioning.events import tending
from provisioning.status_mail import subscribing
from provisioning.support import watching


@shared_task(name="consortium.watch_support")
def watch_support() -> int:
    """Warn of promised answers that are nearly due; close what stayed resolved."""
    return watching.watch_support(at=now())


@shared_task(name="consortium.tend_events")
def tend_events() -> int:
    """Get hubs ready for events and put them back; charge what is beyond those included."""
    return tending.tend_events(at=now()) + charge_events(at=now())


@shared_task(name="consortium.forget_subscriptions")
def forget_subscriptions() -> int:
    """Delete addresses whose owners did not follow the link."""
    with consortium_scope(Scope.JOB):
        return subscribing.forget_unconfirmed(at=now())


@shared_task(name="consortium.watch_rollouts")
def watch_rollouts() -> int:
    """Note which revisions run, and accept those that enough people have worked with."""
    return rollouts.watch_rollouts(at=now())
