"""Budgets are watched whenever costs change: what the month comes to is held against each member's own budget."""

from datetime import datetime

from billing.budgets import watch_budget
from billing.models import Budget, BudgetAlert
from consortium.kernel.audit import System
from consortium.kernel.periods import Month, local_month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.costs import NoCosts, month_costs
from members.models import Institution, Issuer

WATCH = System("budget watch")


def watch_budgets(*, month: Month, at: datetime) -> list[BudgetAlert]:
    """Raise what alerts the month's costs call for, each once; members without a budget cost nothing to watch."""
    with consortium_scope(Scope.JOB):
        held = Budget.objects.filter(valid__contains=month.first_day).values("institution")
        institutions = list(Institution.objects.filter(pk__in=held).order_by("slug"))
    raised: list[BudgetAlert] = []
    for institution in institutions:
        try:
            costs = month_costs(institution, month, at=at)
        except NoCosts:
            continue
        with consortium_scope(Scope.JOB):
            raised += watch_budget(
                institution.pk, month=month, spent=costs.total, currency=costs.currency, by=WATCH, at=at
            )
    return raised


def watch_this_month(*, at: datetime) -> list[BudgetAlert]:
    """Watch the month that runs in each issuer's zone, for the fees that grow without any bill."""
    months = {local_month(at, issuer.zone) for issuer in Issuer.objects.all()}
    return [alert for month in sorted(months) for alert in watch_budgets(month=month, at=at)]
