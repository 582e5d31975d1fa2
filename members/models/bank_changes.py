"""Changes of our own bank details: proposed by one person, confirmed by another one."""

from django.db import models
from django.db.models import F, Q

from consortium.kernel.fields import CurrencyField, Row
from consortium.kernel.states import choices
from members.models.issuers import Issuer
from members.models.people import User
from members.states_banking import BANK_CHANGE


class BankDetailsChange(Row):
    """Where transfers in one currency shall go from `effective_on` on, and how the proposer knows.

    Only its state moves; once it is confirmed or withdrawn nothing does.
    """

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="bank_changes")
    currency = CurrencyField()
    bank = models.CharField(max_length=100)
    holder = models.CharField(max_length=100)
    account_number = models.CharField(max_length=40)
    routing = models.CharField("transit, institution or SWIFT", max_length=60)
    effective_on = models.DateField("first day, in the issuer's zone")
    reason = models.CharField("why, and how it was checked with the bank", max_length=500)
    status = models.CharField(max_length=20, choices=choices(BANK_CHANGE.states), default=BANK_CHANGE.initial)
    proposed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "change of bank details"
        verbose_name_plural = "changes of bank details"
        ordering = ["-proposed_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "currency"], condition=Q(status="waiting"), name="bankchange_one_waits"
            ),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(account_number=""), name="bankchange_reasoned"),
            models.CheckConstraint(
                condition=Q(status="waiting", decided_by=None, decided_at=None)
                | Q(status="withdrawn", decided_by__isnull=False, decided_at__isnull=False)
                | (
                    Q(status="confirmed", decided_by__isnull=False, decided_at__isnull=False)
                    & ~Q(decided_by=F("proposed_by"))
                ),
                name="bankchange_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bank} {self.currency} from {self.effective_on}"
