"""What a member owes or is credited beside its agreement's prices: support, events, service credits, prepaid money."""

from django.db import models
from django.db.models import F, Q

from billing.models.accounts import BillingAccount
from billing.models.invoices import Invoice
from consortium.kernel.dated import Dated, one_at_a_time
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.language import Bilingual
from members.models import Institution, Issuer, User

KINDS = ("support", "event", "commitment", "sla_credit", "adjustment")


class MemberCharge(Row):
    """One charge, or below zero one credit, that goes on the invoice of a month. Only its cancelling may come later."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="charges")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="charges")
    month = models.CharField("YYYY-MM of the invoice", max_length=7)
    kind = models.CharField(max_length=20, choices=[(kind, kind) for kind in KINDS])
    description_en = models.CharField(max_length=300)
    description_fr = models.CharField(max_length=300)
    quantity = AmountField()
    unit = models.CharField(max_length=20, blank=True)
    unit_price = AmountField()
    net = AmountField()
    currency = CurrencyField()
    source_type = models.CharField("what it is for, such as provisioning.SlaStatement", max_length=40)
    source_id = models.UUIDField()
    evidence = models.JSONField(default=dict, blank=True)
    recorded_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True, blank=True)

    description = Bilingual("description")

    class Meta:
        ordering = ["recorded_at"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "source_type", "source_id"], name="membercharge_once"),
            models.CheckConstraint(condition=Q(net=F("quantity") * F("unit_price")), name="membercharge_multiplies"),
            models.CheckConstraint(
                condition=Q(kind="adjustment") | Q(kind="sla_credit", net__lt=0)
                | Q(kind__in=["support", "event", "commitment"], net__gt=0),
                name="membercharge_sign",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.description_en


class Prepaid(Row):
    """Money that a payer paid in advance: later invoices are paid from it first. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="prepaid")
    billing_account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="prepaid")
    amount = AmountField()
    currency = CurrencyField()
    reference = models.CharField("the bank's reference", max_length=100)
    received_on = models.DateField()
    recorded_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "prepaid credit"
        ordering = ["received_on"]
        constraints = [
            models.UniqueConstraint(fields=["billing_account", "reference"], name="prepaid_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="prepaid_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} ({self.reference})"


class PrepaidUse(Row):
    """What an invoice took of a payer's prepaid credit. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    billing_account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="prepaid_uses")
    invoice = models.OneToOneField(Invoice, models.PROTECT, related_name="prepaid_use")
    amount = AmountField()
    currency = CurrencyField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="prepaiduse_positive")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class TaxCertificate(Row, Dated):
    """A dated proof that decides a payer's taxes: not resident, or a VAT number that was validated at its register."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    billing_account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="certificates")
    kind = models.CharField(
        max_length=20, choices=[("non_residence", "proof of non-residence"), ("vat_number", "validated VAT number")]
    )
    number = models.CharField("number or reference", max_length=60)
    source = models.CharField("who confirmed it, and when", max_length=200)

    class Meta:
        constraints = [one_at_a_time("taxcertificate_one", "billing_account", "kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"
