"""How an invoice reached its payer, and mail that came back."""

from django.db import models
from django.db.models import Q

from billing.models.invoices import Invoice
from billing.states_collecting import BOUNCE, DELIVERY, LIVE_DELIVERY
from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from consortium.models import OutgoingMail
from members.models import Institution, User

CHANNELS = (
    ("inbox", "accounts payable inbox"),
    ("portal", "the payer's supplier portal"),
    ("peppol", "Peppol"),
)


class InvoiceDelivery(Row):
    """One way of an invoice to its payer; a second one replaces the first, or follows one that failed."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="deliveries")
    attempt = models.PositiveIntegerField()
    channel = models.CharField(max_length=10, choices=CHANNELS)
    recipient = models.CharField("address, or the portal's page", max_length=500)
    status = models.CharField(max_length=20, choices=choices(DELIVERY.states), default=DELIVERY.initial)
    mail = models.OneToOneField(OutgoingMail, models.PROTECT, null=True, blank=True, related_name="invoice_delivery")
    reference = models.CharField("the payer's reference", max_length=100, blank=True)
    note = models.CharField("why it was refused, rejected or came back", max_length=500, blank=True)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "invoice deliveries"
        ordering = ["-made_at"]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "attempt"], name="invoicedelivery_attempt"),
            models.UniqueConstraint(
                fields=["invoice"], condition=Q(status__in=LIVE_DELIVERY), name="invoicedelivery_one_live"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["sent", "accepted"]) | Q(sent_at__isnull=False), name="invoicedelivery_sent_at"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["rejected", "bounced", "refused"]) | ~Q(note=""),
                name="invoicedelivery_says_why",
            ),
            models.CheckConstraint(condition=~Q(recipient=""), name="invoicedelivery_goes_somewhere"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice} → {self.recipient}"


class MailBounce(Row):
    """A mail that its recipient's server refused for good, as the server's report says."""

    institution = models.ForeignKey(Institution, models.PROTECT, null=True)
    mail = models.OneToOneField(OutgoingMail, models.PROTECT, related_name="bounce")
    status = models.CharField(max_length=20, choices=choices(BOUNCE.states), default=BOUNCE.initial)
    recipient = models.EmailField()
    code = models.CharField("status code, such as 5.1.1", max_length=12)
    diagnostic = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()
    handled_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    handled_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField("what was done", max_length=300, blank=True)

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="open", handled_at=None) | Q(status="handled", handled_at__isnull=False),
                name="mailbounce_handled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.recipient} ({self.code})"
