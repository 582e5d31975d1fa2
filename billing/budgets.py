"""A member's budget for a month: set by the member, watched as costs come in, told at 50, 80 and 100 per cent."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from psycopg.types.range import DateRange

from billing.models import Budget, BudgetAlert
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid
from consortium.kernel.money import EXACT, exponent, round_money
from consortium.kernel.periods import Month
from members.models import Institution, User
from members.permissions import Permission, check_at

THRESHOLDS: Final = (50, 80, 100)
MAIL: Final = "billing.mail_budget_alert"


class BudgetInvalid(Invalid):
    """The amount is no budget."""

    code = "budget_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStand:
    """A budget against what a month costs: the part of it, in per cent cut to a whole, and the highest threshold."""

    budget: Budget
    spent: Decimal
    percent: int
    reached: int  # 0 below the first threshold
    left: Decimal


@transaction.atomic
def set_budget(
    institution: Institution, *, amount: Decimal, currency: str, month: Month, by: User | System, at: datetime
) -> Budget:
    """Let a monthly budget (before tax) hold from the month on; the one before ends there, a later one is withdrawn.

    Needs the institution's scope. Raises Forbidden, BudgetInvalid, CurrencyUnknown.
    """
    check_at(by, Permission.SET_BUDGET, institution.pk)
    exponent(currency)
    if amount <= 0 or round_money(amount, currency) != amount:
        raise BudgetInvalid(
            _("A budget is above zero and no finer than the smallest unit of %(currency)s.") % {"currency": currency},
            field="amount",
        )
    first = month.first_day
    held = Budget.objects.select_for_update().filter(institution=institution, valid__overlap=DateRange(first, None))
    for row in held:
        _end(row, first)
    budget = Budget.objects.create(
        institution=institution,
        amount=amount,
        currency=currency,
        valid=DateRange(first, None),
        set_by=by if isinstance(by, User) else None,
        set_at=at,
    )
    after: dict[str, Fact] = {"amount": amount, "currency": currency, "from": first}
    audit.record("billing.budget_set", budget, by=by, at=at, institution_id=institution.pk, after=after)
    return budget


def budget_for(institution_id: UUID, month: Month) -> Budget | None:
    """Return the budget that holds in the month."""
    return Budget.objects.filter(institution=institution_id, valid__contains=month.first_day).first()


def stand_of(budget: Budget, spent: Decimal) -> BudgetStand:
    """Will hold what was spent, in the budget's currency, against it."""
    part = Fraction(spent) * 100 / Fraction(budget.amount)
    percent = max(int(part), 0)
    reached = max((step for step in THRESHOLDS if part >= step), default=0)
    return BudgetStand(
        budget=budget, spent=spent, percent=percent, reached=reached, left=EXACT.subtract(budget.amount, spent)
    )


@transaction.atomic
def watch_budget(
    institution_id: UUID, *, month: Month, spent: Decimal, currency: str, by: User | System, at: datetime
) -> list[BudgetAlert]:
    """Raise the alerts that a month's cost calls for, each once; mail goes to owners and finance people.

    A jump over several thresholds raises all and mails about the highest. Needs a scope over the institution.
    """
    budget = budget_for(institution_id, month)
    if budget is None or budget.currency != currency:
        return []
    reached = stand_of(budget, spent).reached
    raised = []
    for percent in (step for step in THRESHOLDS if step <= reached):
        alert, made = BudgetAlert.objects.get_or_create(
            institution_id=institution_id,
            budget=budget,
            month=str(month),
            percent=percent,
            defaults={"spent": spent, "raised_at": at},
        )
        if made:
            raised.append(alert)
    for alert in raised:
        audit.record(
            "billing.budget_reached",
            alert,
            by=by,
            at=at,
            institution_id=institution_id,
            after={"month": alert.month, "percent": alert.percent, "spent": spent},
            deliver_to=[MAIL] if alert is raised[-1] else [],
        )
    return raised


def _end(row: Budget, day: date) -> None:
    """End a budget before the day; one that would begin on it or later holds no day at all any more."""
    row.valid = DateRange(row.valid.lower, day) if row.valid.lower < day else DateRange(empty=True)
    row.save(update_fields=["valid"])
