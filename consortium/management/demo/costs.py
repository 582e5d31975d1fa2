"""Costs beyond the cloud's bill for the demonstration: support staff with evidence, a policy, a budget."""

from datetime import datetime
from decimal import Decimal

from billing.budgets import budget_for, set_budget
from billing.manual_costs import PROVIDER, Evidence, ManualCost, enter_manual_cost
from billing.matching import Destination, Kind
from billing.models import AllocationPolicy, BillImport, BillingPeriod
from billing.policies import Wanted, adopt_policy
from consortium.kernel.audit import System
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from members.models import Institution, Issuer

SETUP = System("demo")
STAFF_COST = "Support staff"


def tell_costs(*, issuer: Issuer, month: Month, at: datetime) -> None:
    """Make what is missing, while the month is open: a second run doubles nothing."""
    with consortium_scope(Scope.COMMAND):
        taken = BillingPeriod.objects.filter(issuer=issuer, month=str(month)).exclude(status="open")
        if taken.exists():
            return
        _policy(issuer, month, at)
        _staff(issuer, month, at)
        budgeted = Institution.objects.filter(slug="ubc").first()
    if budgeted is not None:
        with institution_scope(budgeted.pk):
            if budget_for(budgeted.pk, month) is None:
                amount = Decimal("6000.00")
                set_budget(budgeted, amount=amount, currency="CAD", month=month, by=SETUP, at=at)


def _policy(issuer: Issuer, month: Month, at: datetime) -> None:
    if not AllocationPolicy.objects.filter(issuer=issuer, pool_key="support").exists():
        policy = Wanted(
            pool_key="support",
            method="even",
            basis="",
            parameters={},
            month=month,
            decision="Demonstration: members' meeting, item 4",
        )
        adopt_policy(policy, issuer=issuer, by=SETUP, at=at)


def _staff(issuer: Issuer, month: Month, at: datetime) -> None:
    if BillImport.objects.filter(cloud_account__provider=PROVIDER, month=str(month)).exists():
        return
    evidence = Evidence(
        name=f"payroll-{month}.txt",
        media_type="text/plain",
        content=f"Demonstration payroll summary of {month}: one person, half of the time.\n".encode(),
    )
    cost = ManualCost(
        name=STAFF_COST,
        month=month,
        charged_month=month,
        amount=Decimal("4200.00"),
        currency="CAD",
        destination=Destination(Kind.POOL, "support"),
        note="Payroll summary: one person, half of the time",
        evidence=evidence,
    )
    enter_manual_cost(cost, issuer=issuer, by=SETUP, at=at)
