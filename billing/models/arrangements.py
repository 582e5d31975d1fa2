"""Payment arrangements: what is open on some invoices, to be paid in parts by days that both sides agreed."""

from django.db import models
from django.db.models import Q

from billing.models.invoices import Invoice
from billing.states_collecting import ARRANGEMENT
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, Issuer, User


class PaymentArrangement(Row):
    """Parts by days instead of one due day. While it is kept nobody is reminded and nothing is suspended."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="arrangements")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="arrangements")
    status = models.CharField(max_length=20, choices=choices(ARRANGEMENT.states), default=ARRANGEMENT.initial)
    total = AmountField("open on its invoices when it was agreed")
    currency = CurrencyField()
    reason = models.CharField("why, and with whom", max_length=300)
    agreed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    agreed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-agreed_at"]
        constraints = [
            models.CheckConstraint(condition=Q(total__gt=0) & ~Q(reason=""), name="paymentarrangement_of_something"),
            models.CheckConstraint(
                condition=Q(status="active", ended_at=None) | ~Q(status="active") & Q(ended_at__isnull=False),
                name="paymentarrangement_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution}: {self.total} {self.currency}"


class ArrangementInvoice(Row):
    """An invoice that an arrangement is about, with what was open on it; `live` while the arrangement is."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    arrangement = models.ForeignKey(PaymentArrangement, models.PROTECT, related_name="invoices")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="arrangements")
    amount = AmountField()
    live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice"], condition=Q(live=True), name="arrangementinvoice_one_live"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="arrangementinvoice_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice}"


class ArrangementPart(Row):
    """What is to be paid by a day. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    arrangement = models.ForeignKey(PaymentArrangement, models.PROTECT, related_name="parts")
    due_on = models.DateField()
    amount = AmountField()

    class Meta:
        ordering = ["due_on"]
        constraints = [
            models.UniqueConstraint(fields=["arrangement", "due_on"], name="arrangementpart_once_a_day"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="arrangementpart_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.due_on}: {self.amount}"
