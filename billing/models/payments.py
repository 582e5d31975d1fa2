"""Money that comes in, the links that need no account, and what the provider told us."""

from django.db import models

from billing.models.invoices import Invoice
from billing.states import PAYMENT
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, User


class Payment(Row):
    """One attempt to pay an invoice through one provider."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="payments")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="payments")
    provider = models.CharField(
        max_length=20, choices=[("stripe", "Stripe"), ("bank", "bank transfer"), ("manual", "by hand")]
    )
    status = models.CharField(max_length=20, choices=choices(PAYMENT.states), default=PAYMENT.initial)
    amount = AmountField()
    fee = AmountField("kept by a bank on the way, borne by the consortium", default=0)
    currency = CurrencyField()
    method = models.CharField(max_length=30, blank=True)
    idempotency_key = models.CharField(max_length=80, unique=True)
    session_id = models.CharField("Checkout session", max_length=200, blank=True)
    session_url = models.URLField(max_length=2000, blank=True)
    intent_id = models.CharField("PaymentIntent", max_length=200, blank=True)
    created_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="payment_positive"),
            models.CheckConstraint(
                condition=models.Q(fee__gte=0, fee__lt=models.F("amount")), name="payment_fee_is_a_part"
            ),
            models.UniqueConstraint(
                fields=["session_id"], condition=~models.Q(session_id=""), name="payment_session_once"
            ),
            models.UniqueConstraint(
                fields=["intent_id"], condition=~models.Q(intent_id=""), name="payment_intent_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} ({self.status})"


class PayLink(Row):
    """A secret link to one invoice: stored hashed, with an end."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="pay_links")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"pay link of {self.invoice_id}"


class ProviderEvent(Row):
    """The inbox of webhooks: stored once by the provider's id, processed once."""

    provider = models.CharField(max_length=20)
    event_id = models.CharField(max_length=200)
    type = models.CharField(max_length=100)
    payload = models.JSONField()
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, default="")
    looked_at = models.DateTimeField("a person has looked at it", null=True, blank=True)
    looked_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    note = models.CharField("what was found", max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "event_id"], name="providerevent_once")]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
