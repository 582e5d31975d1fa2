"""What people say about costs: a provider's total, a commitment, an acceptance of what nobody pays, a budget."""

from django.db import models

from billing.models.costs import BillImport, BillingPeriod, CloudAccount
from consortium.kernel.dated import Dated, one_at_a_time
from consortium.kernel.fields import AmountField, CurrencyField, Row
from members.models import Institution, User


class ProviderTotal(Row):
    """What the provider's own invoice says a month comes to; the newest statement holds. Append-only."""

    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="provider_totals")
    month = models.CharField("the bill's own period, YYYY-MM", max_length=7)
    total = AmountField()
    currency = CurrencyField()
    reference = models.CharField("the invoice's number at the provider", max_length=200, blank=True)
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["-recorded_at"]

    def __str__(self) -> str:
        return f"{self.cloud_account_id} {self.month}: {self.total} {self.currency}"


class Commitment(Row):
    """Something paid up front (a savings plan, a reservation): a prepaid asset, used up by EffectiveCost. Append-only.

    What is left of it is the sum of `CostRow.prepaid` over the rows that carry its key.
    """

    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="commitments")
    key = models.TextField("CommitmentDiscountId")
    currency = CurrencyField()
    first_bill = models.ForeignKey(BillImport, models.PROTECT, related_name="commitments")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cloud_account", "key"], name="commitment_once")]

    def __str__(self) -> str:
        return self.key


class CostAcceptance(Row):
    """A person takes responsibility for cost that no rule claims: so much of one bill, and why. Append-only."""

    period = models.ForeignKey(BillingPeriod, models.PROTECT, related_name="cost_acceptances")
    bill = models.ForeignKey(BillImport, models.PROTECT, related_name="acceptances")
    total = AmountField()
    currency = CurrencyField()
    reason = models.TextField()
    accepted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    accepted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bill", "total"], name="costacceptance_once"),
            models.CheckConstraint(condition=~models.Q(reason=""), name="costacceptance_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.total} {self.currency} of {self.bill_id}"


class Budget(Row, Dated):
    """What an institution means to spend in a month, before tax, while `valid` holds."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="budgets")
    amount = AmountField()
    currency = CurrencyField()
    set_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        constraints = [
            one_at_a_time("budget_one", "institution"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="budget_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class BudgetAlert(Row):
    """A threshold that a month's cost reached, told once. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="budget_alerts")
    budget = models.ForeignKey(Budget, models.PROTECT, related_name="alerts")
    month = models.CharField("YYYY-MM", max_length=7)
    percent = models.PositiveSmallIntegerField()
    spent = AmountField()
    raised_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["institution", "month", "percent", "budget"], name="budgetalert_once"),
            models.CheckConstraint(condition=models.Q(percent__in=[50, 80, 100]), name="budgetalert_percent"),
        ]

    def __str__(self) -> str:
        return f"{self.month}: {self.percent} %"
