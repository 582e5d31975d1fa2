"""Promises to pay: who said what will be paid by which day, on some invoices, without any new due day."""

from django.db import models
from django.db.models import Q

from billing.models.invoices import Invoice
from billing.states_promising import PROMISE
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, User


class PaymentPromise(Row):
    """What somebody at the payer's said will come by a day. Only its state moves; once it has ended nothing does."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="payment_promises")
    said_by = models.CharField("who said it", max_length=200)
    amount = AmountField("promised, on all its invoices together")
    currency = CurrencyField()
    by_day = models.DateField("by the end of")
    note = models.CharField(max_length=500, blank=True)
    status = models.CharField(max_length=20, choices=choices(PROMISE.states), default=PROMISE.initial)
    recorded_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()
    ended_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-recorded_at"]
        verbose_name = "promise to pay"
        verbose_name_plural = "promises to pay"
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0) & ~Q(said_by=""), name="paymentpromise_of_something"),
            models.CheckConstraint(
                condition=Q(status="open", ended_by=None, ended_at=None)
                | Q(status__in=["kept", "broken"], ended_by=None, ended_at__isnull=False)
                | Q(status="withdrawn", ended_by__isnull=False, ended_at__isnull=False),
                name="paymentpromise_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} by {self.by_day}"


class PromiseInvoice(Row):
    """An invoice that a promise names; `live` while the promise is open, and an invoice has one live promise."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    promise = models.ForeignKey(PaymentPromise, models.PROTECT, related_name="invoices")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="promises")
    live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["promise", "invoice"], name="promiseinvoice_once"),
            models.UniqueConstraint(fields=["invoice"], condition=Q(live=True), name="promiseinvoice_one_live"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice}"
