"""Use (provisioning) that became known after its month was closed goes on the next invoice (billing)."""

from datetime import datetime
from typing import Final

from billing.late_use import adjust_use
from billing.models import BillingPeriod, MemberCharge
from consortium.kernel.audit import System
from consortium.kernel.periods import Month
from consortium.usecases.month_facts import member_facts
from members.models import User

LOOKS_BACK: Final = 3


def adjust_late_use(period: BillingPeriod, *, by: User | System, at: datetime) -> list[MemberCharge]:
    """Record what the last three closed months' use changed since, each once. Needs a consortium scope."""
    month = Month.parse(period.month)
    names = [str(month.plus(-back)) for back in range(LOOKS_BACK, 0, -1)]
    closed = BillingPeriod.objects.filter(issuer=period.issuer, month__in=names, status="closed").order_by("month")
    found = []
    for earlier in closed.select_related("issuer"):
        facts = member_facts(period.issuer, Month.parse(earlier.month))
        found += adjust_use(period, earlier, facts, by=by, at=at)
    return found
