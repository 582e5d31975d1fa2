"""Who pays, in which currency, under which numbers, and at which rates."""

from django.db import models

from consortium.kernel.fields import AmountField, CurrencyField, Row
from members.models import Institution, Issuer
from members.models.people import LANGUAGE_CHOICES


class BillingAccount(Row):
    """A payer of an institution: where invoices go, in which currency and language, under which purchase order."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="billing_accounts")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="billing_accounts")
    name = models.CharField("payer", max_length=200)
    address = models.TextField()
    province = models.CharField("province of the contracting address", max_length=2, blank=True)
    country = models.CharField(max_length=2, default="CA")
    email = models.EmailField("accounts payable inbox")
    currency = CurrencyField()
    language = models.CharField(max_length=4, choices=[*LANGUAGE_CHOICES, ("both", "English and French")], default="en")
    cost_centre = models.CharField(max_length=60, blank=True)
    po_required = models.BooleanField(default=False)
    po_number = models.CharField(max_length=60, blank=True)
    payment_days = models.PositiveIntegerField("days to pay", default=30)
    channel = models.CharField(
        "how invoices are delivered",
        max_length=10,
        choices=[("inbox", "accounts payable inbox"), ("portal", "supplier portal"), ("peppol", "Peppol")],
        default="inbox",
    )
    portal_url = models.URLField("page of the supplier portal", max_length=500, blank=True)
    ask_before_credit = models.BooleanField(
        "ask before credit is used",
        default=False,
        help_text="Without this, what the member has as credit goes on its invoices as they are issued, oldest first.",
    )
    tax_evidence = models.CharField("proof of the address, or of non-residence", max_length=300, blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "issuer", "name"], condition=models.Q(ended_at=None), name="billingaccount_once"
            ),
            models.CheckConstraint(
                condition=~models.Q(channel="portal") | ~models.Q(portal_url=""), name="billingaccount_portal_has_page"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.currency})"


class NumberSeries(Row):
    """The next number of a series of one issuer: a counter row, so that numbers have no gaps."""

    issuer = models.ForeignKey(Issuer, models.PROTECT)
    prefix = models.CharField(max_length=20)
    next = models.PositiveBigIntegerField(default=1)

    class Meta:
        verbose_name_plural = "number series"
        constraints = [models.UniqueConstraint(fields=["issuer", "prefix"], name="numberseries_once")]

    def __str__(self) -> str:
        return f"{self.prefix}{self.next}"


class FxRate(Row):
    """How many units of `quote` one unit of `base` was worth on a day, and who says so. Append-only."""

    base = CurrencyField()
    quote = CurrencyField()
    on = models.DateField()
    rate = AmountField()
    source = models.CharField(max_length=200)

    class Meta:
        verbose_name = "exchange rate"
        ordering = ["-on"]
        constraints = [
            models.UniqueConstraint(fields=["base", "quote", "on"], name="fxrate_once"),
            models.CheckConstraint(condition=models.Q(rate__gt=0), name="fxrate_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.base}/{self.quote} {self.on}"
