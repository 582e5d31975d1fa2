"""Where received money went: on invoices, and into the member's credit. All append-only."""

from django.db import models
from django.db.models import Q

from billing.models.invoices import Invoice
from billing.models.payments import Payment
from billing.models.processor import TakenBack
from consortium.kernel.fields import AmountField, CurrencyField, Row
from members.models import Institution, Issuer, User

USES = ("applied", "refunded", "taken_back")


class MemberCredit(Row):
    """Money of a member that is on no invoice: what was paid too much, or credited after it was paid. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="credits")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="credits")
    amount = AmountField()
    currency = CurrencyField()
    source_type = models.CharField("what it comes from, such as billing.Payment", max_length=40)
    source_id = models.UUIDField()
    about = models.CharField(max_length=200)
    received_on = models.DateField()
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "credit of a member"
        verbose_name_plural = "credits of members"
        ordering = ["received_on", "created_at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["source_type", "source_id"], name="membercredit_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="membercredit_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} ({self.about})"


class MemberCreditUse(Row):
    """What was used of a credit: put on an invoice, paid out, or taken back. Below zero it undoes one. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    credit = models.ForeignKey(MemberCredit, models.PROTECT, related_name="uses")
    kind = models.CharField(max_length=12, choices=[(kind, kind.replace("_", " ")) for kind in USES])
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True, related_name="credit_uses")
    amount = AmountField()
    currency = CurrencyField()
    reverses = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="reversed_by")
    reference = models.CharField("the bank's reference, or the reason", max_length=300, blank=True)
    used_on = models.DateField()
    used_at = models.DateTimeField()
    used_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = "use of a credit"
        verbose_name_plural = "uses of credits"
        ordering = ["-used_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(reverses=None, amount__gt=0) | Q(reverses__isnull=False, amount__lt=0),
                name="membercredituse_sign",
            ),
            models.CheckConstraint(
                condition=Q(kind="applied", invoice__isnull=False)
                | Q(kind__in=["refunded", "taken_back"], invoice=None),
                name="membercredituse_invoice",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency}"


class Application(Row):
    """What was put on an invoice by a payment or from credit, or below zero taken off it again. Append-only.

    PostgreSQL holds the sum of an invoice's applications equal to what its balance says is paid.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="applications")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, blank=True, related_name="applications")
    taken_back = models.ForeignKey(TakenBack, models.PROTECT, null=True, blank=True, related_name="applications")
    credit_use = models.OneToOneField(
        MemberCreditUse, models.PROTECT, null=True, blank=True, related_name="application"
    )
    amount = AmountField()
    currency = CurrencyField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["at"]
        constraints = [
            models.CheckConstraint(condition=~Q(amount=0), name="application_not_zero"),
            models.CheckConstraint(
                condition=Q(payment__isnull=False, credit_use=None)
                | Q(payment=None, credit_use__isnull=False, taken_back=None),
                name="application_comes_from_one",
            ),
            models.CheckConstraint(
                condition=Q(amount__gt=0) | Q(taken_back__isnull=False) | Q(credit_use__isnull=False),
                name="application_taken_off_for_a_cause",
            ),
            models.UniqueConstraint(
                fields=["payment"], condition=Q(payment__isnull=False, taken_back=None), name="application_payment_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
