"""Invoices: drafts that become frozen documents, and the balance that moves beside them."""

from decimal import Decimal

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from billing.models.accounts import BillingAccount
from billing.models.costs import BillingPeriod
from billing.states import INVOICE
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.language import Bilingual
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.states import choices
from members.models import Institution, Issuer, User

# From this total on (in the invoice's currency) whoever drafted an invoice may not approve it; PostgreSQL refuses it.
FOUR_EYES_FROM = Decimal(25_000)
LINE_KINDS = (
    "dues", "active_users", "direct_cost", "shared_cost", "support", "event", "commitment", "sla_credit", "adjustment",
    "credit", "prepaid",
)  # fmt: skip


class Invoice(Row):
    """What one billing account owes for one period. From issue on only its status moves."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="invoices")
    billing_account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="invoices")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="invoices")
    period = models.ForeignKey(BillingPeriod, models.PROTECT, related_name="invoices")
    kind = models.CharField(max_length=10, choices=[("regular", "regular"), ("extra", "extra")], default="regular")
    status = models.CharField(max_length=20, choices=choices(INVOICE.states), default=INVOICE.initial)
    number = models.CharField(max_length=40, null=True, blank=True)  # noqa: DJ001 - unique, and absent until issue
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    zone = models.CharField("zone of the period", max_length=60, default="UTC")
    currency = CurrencyField()
    language = models.CharField(max_length=4, default="en")
    po_number = models.CharField(max_length=60, blank=True)
    net_total = AmountField(default=0)
    tax_total = AmountField(default=0)
    total = AmountField(default=0)
    created_at = models.DateTimeField()
    drafted_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)
    issued_at = models.DateTimeField(null=True, blank=True)
    due_on = models.DateField(null=True, blank=True)
    snapshot = models.JSONField("both parties, bank details and rates as they were at issue", default=dict)

    class Meta:
        ordering = ["-period_start", "number"]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "number"], name="invoice_number_once"),
            models.CheckConstraint(condition=Q(total=F("net_total") + F("tax_total")), name="invoice_total_adds_up"),
            models.CheckConstraint(condition=Q(period_end__gt=F("period_start")), name="invoice_period"),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "approved", "discarded"], number=None)
                | Q(number__isnull=False, issued_at__isnull=False, due_on__isnull=False)
                & ~Q(status__in=["draft", "approved", "discarded"]),
                name="invoice_numbered_when_issued",
            ),
            models.CheckConstraint(
                condition=Q(total__lt=FOUR_EYES_FROM)
                | Q(status__in=["draft", "discarded"])
                | Q(approved_by__isnull=False) & (Q(drafted_by=None) | ~Q(approved_by=F("drafted_by"))),
                name="invoice_four_eyes",
            ),
            ExclusionConstraint(
                name="invoice_one_regular_per_period",
                expressions=[
                    ("billing_account", RangeOperators.EQUAL),
                    (Func(F("period_start"), F("period_end"), function="tstzrange"), RangeOperators.OVERLAPS),
                ],
                condition=Q(kind="regular") & ~Q(status__in=["void", "discarded"]),
            ),
        ]

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"


class InvoiceLine(Row):
    """One line: quantity times price, its net amount, where it comes from. Written only while that is a draft."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    kind = models.CharField(
        max_length=20,
        choices=[(k, k) for k in LINE_KINDS],
    )
    description_en = models.CharField(max_length=300)
    description_fr = models.CharField(max_length=300)
    quantity = AmountField()
    unit = models.CharField(max_length=20, blank=True)
    unit_price = AmountField()
    net = AmountField()
    currency = CurrencyField()
    fx_rate = AmountField(null=True, blank=True)  # type: ignore[misc]  # the kernel types its field as never null
    fx_currency = models.CharField(max_length=3, blank=True)
    fx_source = models.CharField(max_length=200, blank=True)
    po_number = models.CharField(max_length=60, blank=True)
    source_type = models.CharField(max_length=40, blank=True)
    source_id = models.UUIDField(null=True, blank=True)
    evidence = models.JSONField(default=dict)

    description = Bilingual("description")

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["invoice", "position"], name="invoiceline_position")]

    def __str__(self) -> str:
        return self.description_en


class InvoiceLineTax(Row):
    """One tax decision on one line, snapshotted with its reason."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="taxes")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="line_taxes")
    jurisdiction = models.CharField(max_length=6)
    tax = models.CharField(max_length=4)
    rate = AmountField("rate in percent")
    basis = AmountField()
    amount = AmountField()
    currency = CurrencyField()
    reason = models.CharField(max_length=40)
    reason_en = models.CharField(max_length=300)
    reason_fr = models.CharField(max_length=300)
    ground = models.CharField("what the decision stands on", max_length=300, blank=True)
    registration = models.CharField("the issuer's registration number", max_length=40, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["line", "tax"], name="invoicelinetax_once")]

    def __str__(self) -> str:
        return f"{self.tax} {self.amount}"


class InvoiceBalance(models.Model):
    """What is paid and what is still due: the one row that every way of paying locks."""

    invoice = models.OneToOneField(Invoice, models.PROTECT, primary_key=True, related_name="balance")
    institution = models.ForeignKey(Institution, models.PROTECT)
    total = AmountField()
    paid = AmountField(default=0)
    credited = AmountField(default=0)
    written_off = AmountField(default=0)
    currency = CurrencyField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(paid__gte=0, credited__gte=0, written_off__gte=0)
                & Q(total__gte=F("paid") + F("credited") + F("written_off")),
                name="invoicebalance_never_over",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.due} {self.currency} due"

    @property
    def due(self) -> Decimal:
        """What is still owed, in the balance's currency."""
        return EXACT.subtract(self.total, exact_sum([self.paid, self.credited, self.written_off]))
