"""A request that would take a month beyond the member's own budget: what was reckoned, and who decided on it."""

from django.db import models

from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, User
from provisioning.models.hubs import Hub
from provisioning.states_spending import SPENDING


class SpendingApproval(Row):
    """The question to those who set the budget, frozen once it is answered; amounts are for a month, before tax.

    A hub does not become approved while its question is open or was answered with no.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    hub = models.OneToOneField(Hub, models.PROTECT, related_name="spending")
    status = models.CharField(max_length=20, choices=choices(SPENDING.states), default=SPENDING.initial)
    expected = AmountField("what a month comes to without the hub")
    estimate = AmountField("what the hub adds to it")
    budget = AmountField()
    currency = CurrencyField()
    asked_at = models.DateTimeField()
    note = models.CharField(max_length=300, blank=True)
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status="asked", decided_at=None, decided_by=None)
                | models.Q(status__in=["approved", "declined"], decided_at__isnull=False, decided_by__isnull=False),
                name="spendingapproval_decided_by",
            ),
            models.CheckConstraint(
                condition=models.Q(budget__lt=models.F("expected") + models.F("estimate")),
                name="spendingapproval_over_budget",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hub_id}: {self.estimate} {self.currency}"
