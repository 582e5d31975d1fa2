"""What the newcomer does with its hub beside teaching: an exam, requests for support, a staging twin."""

from consortium.kernel.clock import now
from consortium.kernel.tenancy import institution_scope
from consortium.management.demo.events import tell_events
from consortium.management.demo.support import tell_support
from consortium.usecases.pair_hubs import request_staging
from members.models import User
from provisioning.models import Hub


def tell_use_of(hub: Hub, *, by: User, staff: User) -> None:
    """Write what is missing of it; the twin waits for an operator. Safe to start over."""
    tell_events(hub=hub, by=by, at=now())
    tell_support(hub=hub, by=by, staff=staff, at=now())
    with institution_scope(hub.institution_id):
        if not Hub.objects.filter(staging_of=hub).exists():
            request_staging(hub, by=by, at=now())
