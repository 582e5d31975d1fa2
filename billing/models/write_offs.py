"""What is given up of invoices, by two people, and what comes of it after all."""

from django.db import models
from django.db.models import F, Q

from billing.models.invoices import Invoice
from billing.states_writing_off import WRITE_OFF
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, User

TAX_EFFECTS = [
    ("kept", "The tax that was charged stays as it was returned; no relief is claimed"),
    ("relief", "Bad-debt relief of the tax is claimed in the next return"),
]


class WriteOff(Row):
    """The rest of an invoice that nobody expects any more, why, and what the issuer decided about its tax.

    Only its state moves; once it is approved or withdrawn nothing does.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="write_offs")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="write_offs")
    amount = AmountField("the whole rest that was due")
    currency = CurrencyField()
    reason = models.CharField(max_length=500)
    tax_effect = models.CharField("the issuer's decision about the tax", max_length=10, choices=TAX_EFFECTS)
    status = models.CharField(max_length=20, choices=choices(WRITE_OFF.states), default=WRITE_OFF.initial)
    proposed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "write-off"
        ordering = ["-proposed_at"]
        constraints = [
            models.UniqueConstraint(fields=["invoice"], condition=Q(status="waiting"), name="writeoff_one_waits"),
            models.CheckConstraint(condition=Q(amount__gt=0) & ~Q(reason=""), name="writeoff_reasoned"),
            models.CheckConstraint(
                condition=Q(status="waiting", decided_by=None, decided_at=None)
                | Q(status="withdrawn", decided_by__isnull=False, decided_at__isnull=False)
                | (
                    Q(status="approved", decided_by__isnull=False, decided_at__isnull=False)
                    & ~Q(decided_by=F("proposed_by"))
                ),
                name="writeoff_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} of {self.invoice}"


class Recovery(Row):
    """What came of a write-off after all: as much is due again, and paid from the member's credit. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="recoveries")
    write_off = models.ForeignKey(WriteOff, models.PROTECT, related_name="recoveries")
    amount = AmountField()
    currency = CurrencyField()
    recorded_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["-recorded_at"]
        verbose_name_plural = "recoveries"
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="recovery_of_something")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} of {self.write_off}"
