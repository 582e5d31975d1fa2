"""Hearing what the provider has told us and we have not heard: its own list of events is read, and the inbox filled.

Messages get lost: a proxy answers for us, a certificate runs out, a machine is away for longer than the provider tries.
What is found this way is acted on like any other message.
"""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from billing.gateways import GatewayError, PaymentGateway, current_gateway
from billing.models import ProviderEvent
from billing.settlement import keep_event
from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job

KIND: Final = "catch_up_events"
EVERY: Final = timedelta(minutes=10)
OVERLAP: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=29)  # the provider keeps its events for 30


def want_catch_up(*, at: datetime) -> None:
    """Want the provider's list of events read, once in EVERY. Opens its own scope."""
    turn = int(at.timestamp() // EVERY.total_seconds())
    with consortium_scope(Scope.JOB):
        jobs.enqueue(KIND, key=str(turn), at=at, institution_id=None)


def catch_up(*, since: datetime, at: datetime, gateway: PaymentGateway | None = None) -> int:
    """Will keep every event since then that has not arrived, with the job that acts on it; returns how many.

    Opens its own transactions and scope: call it outside of any. Raises GatewayError.
    """
    gateway = gateway or current_gateway()
    told = {event.id: event for event in gateway.events_since(since)}
    heard = ProviderEvent.objects.filter(provider=gateway.name, event_id__in=told).values_list("event_id", flat=True)
    missed = [told[key] for key in told.keys() - set(heard)]
    for event in missed:
        with transaction.atomic(), consortium_scope(Scope.WEBHOOK):
            keep_event(event, provider=gateway.name, at=at)
    return len(missed)


@jobs.job_kind(KIND)
def _catch_up_job(run: jobs.Run) -> dict[str, int]:
    with consortium_scope(Scope.JOB):
        last = Job.objects.filter(kind=KIND, state="succeeded").order_by("-created_at").first()
    at = now()
    since = max(last.created_at - OVERLAP, at - LONGEST) if last else at - LONGEST
    try:
        return {"missed": catch_up(since=since, at=at)}
    except GatewayError as error:
        raise jobs.RetryLater(error.message, seconds=min(2**run.job.attempts, 300)) from error
