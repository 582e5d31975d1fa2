"""Deferred dues become income month by month: each part once, on the last day of its month.

The plan was written when the invoice was posted (`billing.deferral_plan`); here it is followed and shown.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from billing.chart_of_accounts import Account
from billing.deferral_cuts import KIND, rest_of
from billing.ledger import Leg, post
from billing.models import DeferralPart, LedgerEntry
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.periods import Month, month_period
from members.models import Issuer, User
from members.permissions import Permission, check_staff


class MonthRuns(PortalError):
    """The month is not over, so nothing of it is earned yet."""

    code = "month_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """What is deferred to one month in one currency, and how much of it was recognised."""

    month: str
    currency: str
    planned: Decimal
    recognised: Decimal

    @property
    def rest(self) -> Decimal:
        """What is still to be recognised."""
        return EXACT.subtract(self.planned, self.recognised)


@transaction.atomic
def recognise(issuer: Issuer, month: Month, *, by: User | System, at: datetime) -> list[LedgerEntry]:
    """Make income of every part of the month, and of earlier ones that were left; done before, nothing moves.

    Needs a consortium scope. A part is recognised on the last day of its month, never before its invoice. Raises
    Forbidden, MonthRuns, YearLocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    if at < month_period(month, issuer.zone).end:
        raise MonthRuns(_("%(month)s is not over: dues are income once the month is.") % {"month": month})
    Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
    done = LedgerEntry.objects.filter(kind=KIND, source_type="billing.DeferralPart").values("source_id")
    parts = DeferralPart.objects.filter(deferral__issuer=issuer, month__lte=str(month)).exclude(pk__in=done)
    parts = parts.select_related("deferral__invoice").prefetch_related("cuts")
    entries = [
        _recognise(issuer, part, rest, at)
        for part in parts.order_by("month", "deferral__created_at", "pk")
        if (rest := rest_of(part))
    ]
    if entries:
        after: dict[str, Fact] = {"month": str(month), "parts": len(entries)}
        audit.record("billing.dues_recognised", issuer, by=by, at=at, institution_id=None, after=after)
    crash_point("deferral.recognised")
    return entries


def schedule(issuer: Issuer) -> list[ScheduleRow]:
    """Return what is deferred to each month and what was recognised of it, the earliest first. Needs a scope."""
    done = set(LedgerEntry.objects.filter(kind=KIND, issuer=issuer).values_list("source_id", flat=True))
    sums: dict[tuple[str, str], list[tuple[Decimal, bool]]] = {}
    for part in DeferralPart.objects.filter(deferral__issuer=issuer).prefetch_related("cuts"):
        sums.setdefault((part.month, part.currency), []).append((rest_of(part), part.pk in done))
    return [
        ScheduleRow(
            month=month,
            currency=currency,
            planned=exact_sum(amount for amount, _is_done in parts),
            recognised=exact_sum(amount for amount, is_done in parts if is_done),
        )
        for (month, currency), parts in sorted(sums.items())
    ]


def _recognise(issuer: Issuer, part: DeferralPart, rest: Decimal, at: datetime) -> LedgerEntry:
    return post(
        issuer=issuer,
        kind=KIND,
        source=part,
        on=max(_last_day(part.month), part.deferral.posted_on),
        narration=f"Dues of {part.month}, invoice {part.deferral.invoice.number}",
        legs=[
            Leg(Account.DEFERRED_DUES, rest, part.currency),
            Leg(Account(part.deferral.income_code), EXACT.minus(rest), part.currency),
        ],
        at=at,
        institution_id=part.institution_id,
    )


def _last_day(month: str) -> date:
    return Month.parse(month).next().first_day - timedelta(days=1)
