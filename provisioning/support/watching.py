"""What nobody asks for: operators are warned before a promise is broken, and what was resolved long ago is closed."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import ExpressionWrapper, F, QuerySet
from django.db.models.fields import DateTimeField

from consortium.kernel import audit
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.models import SupportClock, SupportRequest
from provisioning.support.clocks import NEAR
from provisioning.support.talking import close

BY: Final = audit.System("support")
OBJECT_WITHIN: Final = timedelta(days=14)


def near_clocks(*, at: datetime) -> "QuerySet[SupportClock]":
    """Will return the running clocks of which a quarter or less is left, the most urgent first; overdue ones too."""
    warn = ExpressionWrapper(F("due_at") - (F("due_at") - F("started_at")) / NEAR, output_field=DateTimeField())
    running = SupportClock.objects.filter(stopped_at=None).annotate(warn_at=warn)
    return running.filter(warn_at__lte=at).order_by("due_at")


def watch_support(*, at: datetime) -> int:
    """Will warn the operators once of each clock that is near its end, and close what stayed resolved for 14 days.

    Returns how many were warned of or closed. Opens its own scopes.
    """
    with consortium_scope(Scope.JOB):
        clocks = list(near_clocks(at=at).filter(warned_at=None))
        silent = list(SupportRequest.objects.filter(status="resolved", resolved_at__lte=at - OBJECT_WITHIN))
    for clock in clocks:
        _warn(clock, at=at)
    for request in silent:
        with consortium_scope(Scope.JOB):
            row = SupportRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
            if row.status == "resolved" and row.resolved_at == request.resolved_at:
                close(row, by=BY, at=at)
    return len(clocks) + len(silent)


@transaction.atomic
def _warn(clock: SupportClock, *, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        if not SupportClock.objects.filter(pk=clock.pk, stopped_at=None, warned_at=None).update(warned_at=at):
            return
        audit.record(
            "provisioning.support_due",
            clock,
            by=BY,
            at=at,
            institution_id=clock.institution_id,
            after={"due": clock.due_at},
            deliver_to=("provisioning.mail_support_due",),
        )
