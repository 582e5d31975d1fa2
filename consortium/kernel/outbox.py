"""The outbox: what must happen because of an event, at least once, by the sweeper; receivers make it exactly once."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q

from consortium.kernel.crash import crash_point
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Delivery

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=30)
Receiver = Callable[[AuditEvent], None]
_receivers: dict[str, Receiver] = {}


def receiver(name: str) -> Callable[[Receiver], Receiver]:
    """Register the function that takes events for `name`; it runs in the transaction that marks the delivery done."""

    def register(function: Receiver) -> Receiver:
        _receivers[name] = function
        return function

    return register


def deliver_due(*, at: datetime, limit: int = 100) -> int:
    """Deliver what is due; returns how many were done."""
    with consortium_scope(Scope.JOB):
        free = Q(lease_until=None) | Q(lease_until__lt=at)
        due = list(Delivery.objects.filter(free, done_at=None, next_at__lte=at).order_by("next_at")[:limit])
    return sum(_deliver(delivery, at) for delivery in due)


def _deliver(delivery: Delivery, at: datetime) -> bool:
    with consortium_scope(Scope.JOB):
        free = Q(lease_until=None) | Q(lease_until__lt=at)
        held = Delivery.objects.filter(free, pk=delivery.pk, done_at=None)
        if not held.update(lease_until=at + LEASE, attempts=delivery.attempts + 1):
            return False
    try:
        function = _receivers[delivery.receiver]
        with consortium_scope(Scope.JOB):
            function(delivery.event)
            Delivery.objects.filter(pk=delivery.pk).update(done_at=at, lease_until=None, error="")
            crash_point("delivery.before_commit")
    except Exception as error:
        log.exception("delivery.failed", receiver=delivery.receiver, about=str(delivery.event_id))
        wait = timedelta(seconds=min(2 ** (delivery.attempts + 1), 3600))
        with transaction.atomic(), consortium_scope(Scope.JOB):
            Delivery.objects.filter(pk=delivery.pk).update(
                lease_until=None, next_at=at + wait, error=f"{type(error).__name__}: {error}"[:500]
            )
        return False
    return True
