"""What must be looked after each day though nobody asks: seats to review, links and sessions that are over."""

from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from consortium.kernel import audit, jobs
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members.invitations import forget_addresses
from members.models import Institution, Seat
from members.roles import REVIEW_AFTER
from members.sessions import forget_sessions

UPKEEP = System("upkeep")
KIND = "people_upkeep"
_wanted: list[date] = []


def want_upkeep(*, at: datetime) -> int:
    """Want today's upkeep (days of UTC), once; returns how many jobs were wanted now. The sweeper asks each second."""
    today = at.date()
    if today in _wanted:
        return 0
    with consortium_scope(Scope.JOB):
        jobs.enqueue(KIND, key=today.isoformat(), at=at, institution_id=None)
    _wanted[:] = [today]
    return 1


@jobs.job_kind(KIND)
def people_upkeep(run: jobs.Run) -> dict[str, int]:
    """Remind owners of seats that are due for review; forget what is kept of no use any more."""
    at = now()
    run.report("reviews")
    with consortium_scope(Scope.JOB):
        reminded = remind_of_reviews(at=at)
    run.report("addresses and sessions")
    with consortium_scope(Scope.JOB):
        return {
            "reminded": reminded,
            "addresses_forgotten": forget_addresses(at=at),
            "sessions_forgotten": forget_sessions(at=at),
        }


def seats_due(*, at: datetime) -> "QuerySet[Seat]":
    """Live seats whose yearly review is due, at institutions that have not left. Needs a consortium scope."""
    live = Seat.objects.filter(ended_at=None).exclude(institution__membership__status="ended")
    return live.annotate(base=Coalesce("reviewed_at", "created_at")).filter(base__lte=at - REVIEW_AFTER)


@transaction.atomic
def remind_of_reviews(*, at: datetime) -> int:
    """Write once to the owners of each institution where seats became due; returns to how many institutions."""
    # One mail for each time that a seat becomes due: a reminder from before its last review is an old one.
    due = seats_due(at=at).filter(Q(reminded_at=None) | Q(reminded_at__lt=F("base") + REVIEW_AFTER))
    keys: dict[Institution, list[UUID]] = {}
    for seat in due.select_for_update(of=("self",)).select_related("institution"):
        keys.setdefault(seat.institution, []).append(seat.pk)
    for institution, seats in keys.items():
        Seat.objects.filter(pk__in=seats).update(reminded_at=at)
        audit.record(
            "members.review_due",
            institution,
            by=UPKEEP,
            at=at,
            institution_id=institution.pk,
            after={"seats": len(seats)},
            deliver_to=("members.mail_review_due",),
        )
    return len(keys)
