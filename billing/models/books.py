"""What the books need beside entries: fiscal years, deferred income, accruals, revaluations, their nightly check."""

from decimal import Decimal

from django.db import models

from billing.models.accounts import FxRate
from billing.models.commands import Commanded
from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice, InvoiceLine
from billing.models.ledger import LedgerAccount
from billing.states_books import FISCAL_YEAR
from consortium.kernel.dated import Dated, one_at_a_time
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, Issuer


class FiscalYear(Row, Dated):
    """A fiscal year of one issuer, half-open. Once locked PostgreSQL refuses every posting into it."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="fiscal_years")
    status = models.CharField(max_length=10, choices=choices(FISCAL_YEAR.states), default=FISCAL_YEAR.initial)
    locked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-valid"]
        constraints = [
            one_at_a_time("fiscalyear_one", "issuer"),
            models.CheckConstraint(
                condition=models.Q(valid__startswith__isnull=False, valid__endswith__isnull=False),
                name="fiscalyear_has_ends",
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", locked_at=None) | models.Q(status="locked", locked_at__isnull=False),
                name="fiscalyear_locked_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.valid.lower} to {self.valid.upper} ({self.status})" if self.valid else self.status


class Deferral(Row, Dated):
    """The income of one invoice line that belongs to the months of `valid`. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    issuer = models.ForeignKey(Issuer, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="deferrals")
    line = models.OneToOneField(InvoiceLine, models.PROTECT, related_name="deferral")
    income_code = models.CharField("account it is recognised on", max_length=10)
    amount = AmountField()
    currency = CurrencyField()
    posted_on = models.DateField("day on which it was invoiced")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["posted_on"]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} over {self.valid.lower} to {self.valid.upper}"


class DeferralPart(Row):
    """What is recognised for one month of a deferral. Append-only; its ledger entry names it as its source."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    deferral = models.ForeignKey(Deferral, models.PROTECT, related_name="parts")
    month = models.CharField("YYYY-MM", max_length=7)
    amount = AmountField()
    currency = CurrencyField()

    class Meta:
        ordering = ["month"]
        constraints = [
            models.UniqueConstraint(fields=["deferral", "month"], name="deferralpart_once"),
            models.CheckConstraint(
                condition=models.Q(month__regex=r"^20[0-9]{2}-(0[1-9]|1[0-2])$"), name="deferralpart_month"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month}: {self.amount} {self.currency}"


class DeferralCut(Row):
    """What a credit note took back of a part before it was earned: so much less is recognised. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    part = models.ForeignKey(DeferralPart, models.PROTECT, related_name="cuts")
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="cuts")
    amount = AmountField()
    currency = CurrencyField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["part", "credit_note"], name="deferralcut_once"),
            models.CheckConstraint(condition=~models.Q(amount=0), name="deferralcut_not_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.part_id}: {self.amount} {self.currency}"


class Accrual(Row, Commanded):
    """A cost owed, or an income earned, that no document shows yet; it is reversed on the next day. Append-only."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="accruals")
    kind = models.CharField(max_length=10, choices=[("cost", "cost"), ("income", "income")])
    on = models.DateField("last day of the period it belongs to")
    account_code = models.CharField(max_length=10)
    amount = AmountField()
    currency = CurrencyField()
    grounds = models.TextField("how the amount was found")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-on"]
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="accrual_positive")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency} on {self.on}"


class Revaluation(Row):
    """What one currency's balances are worth at a day's rate, against what they were carried at. Append-only.

    `carried` is the sum of the movements, each at the rate of its own day; it and `value` are exact, their difference
    is rounded once. All three are in `currency`, the issuer's own. `detail` names the parts by account.
    """

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="revaluations")
    on = models.DateField()
    foreign = CurrencyField("currency revalued")
    rate = models.ForeignKey(FxRate, models.PROTECT)
    carried = AmountField()
    value = AmountField()
    difference = AmountField()
    currency = CurrencyField()
    detail = models.JSONField(default=list)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-on"]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "on", "foreign"], name="revaluation_once"),
            models.CheckConstraint(
                condition=models.Q(
                    difference__gte=models.F("value") - models.F("carried") - Decimal("0.5"),
                    difference__lte=models.F("value") - models.F("carried") + Decimal("0.5"),
                ),
                name="revaluation_adds_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.foreign} on {self.on}: {self.difference} {self.currency}"


class BooksCheck(Row):
    """One run of the checks over the books, with what did not hold. Append-only."""

    at = models.DateTimeField()
    faults = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{len(self.faults)} faults" if self.faults else "all hold"


class Report(LedgerAccount):
    """The reports over the books, as an entry in the admin site's index; it has no rows of its own."""

    class Meta:
        proxy = True
        verbose_name = "report"
        verbose_name_plural = "reports of the books"
