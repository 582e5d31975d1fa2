"""Billing runs: what one person prepared, another approved, and a job carried out."""

from django.db import models
from django.db.models import F, Q

from billing.models.costs import BillingPeriod
from billing.states import RUN
from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from members.models import User


class BillingRun(Row):
    """One closing of a month: its drafts, who prepared them and who lets them go out."""

    period = models.ForeignKey(BillingPeriod, models.PROTECT, related_name="billing_runs")
    number = models.PositiveIntegerField("how often the month's closing began")
    status = models.CharField(max_length=20, choices=choices(RUN.states), default=RUN.initial)
    prepared_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    prepared_at = models.DateTimeField()
    accepted = models.CharField("findings that the preparer answers for", max_length=300, blank=True)
    invoices = models.PositiveIntegerField("drafted invoices", default=0)
    totals = models.JSONField("their totals by currency, as text", default=dict)
    needs_second = models.BooleanField("another person must approve", default=False)
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-prepared_at"]
        constraints = [
            models.UniqueConstraint(fields=["period", "number"], name="billingrun_once"),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "finished"]) | Q(approved_at__isnull=False),
                name="billingrun_approved",
            ),
            models.CheckConstraint(
                condition=Q(needs_second=False)
                | ~Q(status__in=["approved", "finished"])
                | Q(approved_by__isnull=False) & (Q(prepared_by=None) | ~Q(approved_by=F("prepared_by"))),
                name="billingrun_four_eyes",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period.month}, run {self.number}"
