"""Credit notes that wait for a second person. The note itself is written when that person approves."""

from django.db import models
from django.db.models import F, Q

from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice
from billing.states_credit import CREDIT_PROPOSAL
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, User


class CreditProposal(Row):
    """A large credit as one person wants it: `nets` by line of the invoice, `total` with taxes as it was shown.

    Only its state moves; once it is issued or withdrawn nothing does.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="credit_proposals")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="credit_proposals")
    nets = models.JSONField("amounts before tax, as text, by the key of the invoice's line")
    reason = models.CharField(max_length=300)
    total = AmountField()
    currency = CurrencyField()
    status = models.CharField(max_length=20, choices=choices(CREDIT_PROPOSAL.states), default=CREDIT_PROPOSAL.initial)
    proposed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    credit_note = models.OneToOneField(CreditNote, models.PROTECT, null=True, blank=True, related_name="proposal")

    class Meta:
        ordering = ["-proposed_at"]
        constraints = [
            models.UniqueConstraint(fields=["invoice"], condition=Q(status="waiting"), name="creditproposal_one_waits"),
            models.CheckConstraint(condition=Q(total__gt=0) & ~Q(reason=""), name="creditproposal_reasoned"),
            models.CheckConstraint(
                condition=Q(status="waiting", decided_by=None, decided_at=None, credit_note=None)
                | Q(status="withdrawn", decided_by__isnull=False, decided_at__isnull=False, credit_note=None)
                | (
                    Q(status="issued", decided_by__isnull=False, decided_at__isnull=False, credit_note__isnull=False)
                    & ~Q(decided_by=F("proposed_by"))
                ),
                name="creditproposal_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.total} {self.currency} on {self.invoice}"
