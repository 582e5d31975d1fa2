"""Cloud bills as they came, where their rows go, and how the shared ones were split."""

from decimal import Decimal

from django.db import models

from billing.models.accounts import FxRate
from billing.states import PERIOD
from consortium.kernel.dated import Dated, one_at_a_time
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, Issuer, User


class CloudAccount(Row):
    """An account at a cloud provider: provider and FOCUS BillingAccountId."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="cloud_accounts")
    slug = models.SlugField(max_length=60, unique=True)
    provider = models.TextField()
    billing_account_id = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "billing_account_id"], name="cloudaccount_once")]

    def __str__(self) -> str:
        return f"{self.provider} {self.billing_account_id}"


class BillingPeriod(Row):
    """A month of one issuer. Once closed it never changes: later facts become adjustments."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="periods")
    month = models.CharField("YYYY-MM", max_length=7)
    status = models.CharField(max_length=20, choices=choices(PERIOD.states), default=PERIOD.initial)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_early = models.BooleanField(default=False)
    run = models.PositiveIntegerField("how often its closing began", default=0)

    class Meta:
        ordering = ["-month"]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "month"], name="billingperiod_once"),
            models.CheckConstraint(
                condition=models.Q(month__regex=r"^20[0-9]{2}-(0[1-9]|1[0-2])$"), name="billingperiod_month"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month} ({self.status})"


class PeriodBasis(Row):
    """A member's measured use of a month, frozen when its closing began: what shares are made of. Append-only."""

    period = models.ForeignKey(BillingPeriod, models.PROTECT, related_name="bases")
    run = models.PositiveIntegerField()
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="period_bases")
    server_seconds = models.PositiveBigIntegerField()
    memory_gib_seconds = AmountField()
    active_users = models.PositiveIntegerField()
    gap_seconds = models.PositiveBigIntegerField(default=0)
    storage_gib_seconds = AmountField(default=Decimal(0))
    gpu_seconds = models.PositiveBigIntegerField(default=0)
    fte = models.PositiveIntegerField(default=0)
    tier = models.CharField("tier of its agreement", max_length=20, blank=True, default="")

    class Meta:
        verbose_name_plural = "period bases"
        constraints = [models.UniqueConstraint(fields=["period", "run", "institution"], name="periodbasis_once")]

    def __str__(self) -> str:
        return f"use of {self.institution_id}"


BILL_KINDS = (
    ("bill", "bill of a provider"),
    ("manual", "cost that no provider bills, entered with its evidence"),
    ("reversal", "takes back a version that was charged in a closed month"),
)


class BillImport(Row):
    """One version of one account's bill for one month, known by the hash of its content. Append-only.

    A version that a closed month charged is never replaced there: a reversal takes it back in the month in which the
    next version is charged, row by row, so that the books and the invoices show both.
    """

    kind = models.CharField(max_length=10, choices=BILL_KINDS, default="bill")
    reverses = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="reversal")
    note = models.TextField("what a manual cost is for", blank=True, default="")

    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="bills")
    month = models.CharField("the bill's own period, YYYY-MM", max_length=7)
    charged_month = models.CharField("the month it is charged in, YYYY-MM", max_length=7)
    version = models.PositiveIntegerField()
    file_name = models.CharField(max_length=300)
    content_sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    billed_total = AmountField()
    currency = CurrencyField()
    imported_at = models.DateTimeField()
    # Not columns: set on the answer to an import.
    already_imported = False
    siblings: tuple["BillImport", ...] = ()
    unknown_columns: tuple[str, ...] = ()

    class Meta:
        ordering = ["-imported_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["cloud_account", "month", "version", "kind"], name="billimport_version_of_kind"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="reversal", reverses__isnull=False)
                | models.Q(kind__in=["bill", "manual"], reverses__isnull=True),
                name="billimport_reversal",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cloud_account_id} {self.month} v{self.version}"


class MatchingRule(Row):
    """Where a cost row goes: the first rule, in order, whose pattern it fits."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="matching_rules")
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    rule = models.JSONField("rule (billing.matching.MatchRule)")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "position"], condition=models.Q(retired_at=None), name="matchingrule_position"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CostRow(Row):
    """One row of a bill, exactly as billed, and where it goes. Append-only."""

    bill = models.ForeignKey(BillImport, models.PROTECT, related_name="cost_rows", db_index=False)  # costrow_once
    line = models.PositiveIntegerField()
    billed_cost = AmountField()
    effective_cost = AmountField()
    prepaid = AmountField("part of it that goes to (or comes from) a prepaid commitment", default=Decimal(0))
    commitment_id = models.TextField(blank=True, default="")
    currency = CurrencyField()
    charge_category = models.CharField(max_length=20)
    charge_period_start = models.DateTimeField()
    charge_period_end = models.DateTimeField()
    service_name = models.TextField(blank=True)
    sub_account_id = models.TextField(blank=True)
    resource_id = models.TextField(blank=True)
    tags = models.JSONField(default=dict)
    destination = models.CharField(max_length=20, choices=[(d, d) for d in ("direct", "pool", "unattributed")])
    institution = models.ForeignKey(Institution, models.PROTECT, null=True, related_name="cost_rows")
    hub_slug = models.CharField(max_length=60, blank=True)
    pool_key = models.CharField(max_length=60, blank=True)
    because = models.TextField("why it goes there")

    class Meta:
        ordering = ["line"]
        constraints = [
            models.UniqueConstraint(fields=["bill", "line"], name="costrow_once"),
            models.CheckConstraint(
                condition=models.Q(destination="direct", institution__isnull=False)
                | models.Q(destination__in=["pool", "unattributed"], institution__isnull=True),
                name="costrow_destination",
            ),
        ]
        indexes = [models.Index(fields=["bill"], condition=~models.Q(prepaid=0), name="costrow_prepaid")]

    def __str__(self) -> str:
        return f"line {self.line}"


class AllocationPolicy(Row, Dated):
    """Which key a pool is split by, from when to when; approved by the members."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="allocation_policies")
    pool_key = models.CharField(max_length=60)
    version = models.PositiveIntegerField(default=1)
    method = models.CharField(max_length=20)
    basis = models.CharField(max_length=30, blank=True)
    parameters = models.JSONField("percentages, tier weights, floor, cap", default=dict, blank=True)
    decision = models.TextField("where the members approved it", blank=True, default="")
    adopted_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    adopted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "allocation policies"
        constraints = [
            one_at_a_time("allocationpolicy_one", "issuer", "pool_key"),
            models.UniqueConstraint(fields=["issuer", "pool_key", "version"], name="allocationpolicy_version"),
        ]

    def __str__(self) -> str:
        return f"{self.pool_key}: {self.method}"


class Pool(Row):
    """A cost that members share: exact, converted once, rounded once, split. Append-only.

    Unless it is parked, its shares and `own_amount` sum to `rounded_total`; PostgreSQL refuses anything else.
    """

    period = models.ForeignKey(BillingPeriod, models.PROTECT, related_name="pools")
    bill = models.ForeignKey(BillImport, models.PROTECT, related_name="pools")
    policy = models.ForeignKey(AllocationPolicy, models.PROTECT, null=True)
    key = models.CharField(max_length=60)
    bill_currency = CurrencyField()
    exact_total = AmountField()
    fx_rate = models.ForeignKey(FxRate, models.PROTECT, null=True)
    currency = CurrencyField()
    rounded_total = AmountField()
    own_amount = AmountField("what the consortium bears itself, nobody having used it", default=Decimal(0))
    own_weight = AmountField("what nobody used, in units of the basis", default=Decimal(0))
    method = models.CharField(max_length=20)
    basis = models.CharField(max_length=30, blank=True)
    basis_month = models.CharField(max_length=7)
    parked_reason = models.CharField(max_length=60, blank=True)
    parked_message = models.TextField(blank=True, default="")
    run = models.PositiveIntegerField("the closing it belongs to")

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["period", "bill", "key", "run"], name="pool_once")]

    def __str__(self) -> str:
        return f"{self.key} {self.basis_month}"


class Share(Row):
    """One institution's part of a pool, with the weight that made it. Append-only."""

    pool = models.ForeignKey(Pool, models.PROTECT, related_name="shares")
    institution = models.ForeignKey(Institution, models.PROTECT, related_name="shares")
    weight = AmountField()
    exact = models.TextField("exact quotient as a fraction")
    amount = AmountField()
    currency = CurrencyField()

    class Meta:
        ordering = ["-amount"]
        constraints = [models.UniqueConstraint(fields=["pool", "institution"], name="share_once")]

    def __str__(self) -> str:
        return f"{self.institution_id}: {self.amount}"
