"""Our bank: its accounts, the statements it sends, their lines, and what each line was matched with."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from billing.models.payments import Payment
from billing.models.processor import PayoutArrival
from billing.models.receiving import MemberCredit
from billing.states_bank import BANK_LINE
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Issuer, User

MATCHES = (
    ("payment", "a payment of an invoice"),
    ("recorded", "a payment that was entered by hand"),
    ("credit", "credit of a member"),
    ("payout", "a payout of the payment provider"),
)


class BankAccount(Row):
    """One account at our bank, as its statements name it."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="bank_accounts")
    name = models.CharField(max_length=100)
    number = models.CharField("number or IBAN, as statements write it", max_length=60)
    currency = CurrencyField()
    accept_from = models.PositiveSmallIntegerField(
        "accept a match by itself from this confidence on (empty: never)",
        null=True,
        blank=True,
        validators=[MinValueValidator(60), MaxValueValidator(100)],
    )
    csv_mapping = models.JSONField("how its CSV files are read", default=dict, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "number", "currency"], name="bankaccount_once"),
            models.CheckConstraint(
                condition=Q(accept_from=None) | Q(accept_from__gte=60, accept_from__lte=100),
                name="bankaccount_accepts_what_is_likely",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.currency})"


class BankStatement(Row):
    """One statement of a file that was imported, by its content: the same one is imported once. Append-only."""

    account = models.ForeignKey(BankAccount, models.PROTECT, related_name="statements")
    sha256 = models.CharField("of the file", max_length=64)
    position = models.PositiveIntegerField("in the file")
    format = models.CharField(max_length=10)
    file_name = models.CharField(max_length=200)
    name = models.CharField("the bank's own name of it", max_length=500, blank=True)
    opening = AmountField(null=True, blank=True)  # type: ignore[misc]  # the kernel types its field as never null
    closing = AmountField(null=True, blank=True)  # type: ignore[misc]
    line_count = models.PositiveIntegerField()
    new_lines = models.PositiveIntegerField("lines that no earlier statement held")
    imported_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    imported_at = models.DateTimeField()

    class Meta:
        ordering = ["-imported_at"]
        constraints = [
            models.UniqueConstraint(fields=["account", "sha256", "position"], name="bankstatement_once"),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} of {self.account}"


class BankLine(Row):
    """One booked line of our bank. What the bank says is frozen; only what became of it moves."""

    statement = models.ForeignKey(BankStatement, models.PROTECT, related_name="lines")
    account = models.ForeignKey(BankAccount, models.PROTECT, related_name="lines")
    status = models.CharField(max_length=10, choices=choices(BANK_LINE.states), default=BANK_LINE.initial)
    booked_on = models.DateField()
    amount = AmountField("amount")
    currency = CurrencyField()
    payer = models.CharField(max_length=500, blank=True)
    payer_account = models.CharField(max_length=500, blank=True)
    text = models.CharField(max_length=500, blank=True)
    bank_reference = models.CharField(max_length=500, blank=True)
    fingerprint = models.CharField("what makes it the same line in two statements", max_length=64)
    occurrence = models.PositiveIntegerField("among lines that look the same")
    parked_reason = models.CharField(max_length=300, blank=True)
    moved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    moved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-booked_on", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["account", "fingerprint", "occurrence"], name="bankline_once"),
            models.CheckConstraint(condition=~Q(amount=0), name="bankline_not_zero"),
            models.CheckConstraint(
                condition=~Q(status="parked") | ~Q(parked_reason=""), name="bankline_parked_for_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booked_on} {self.amount} {self.currency} {self.payer or self.text}"[:120]


class BankMatch(Row):
    """What (a part of) a line is: undone by a later word, never deleted. Its sum is at most the line."""

    line = models.ForeignKey(BankLine, models.PROTECT, related_name="matches")
    kind = models.CharField(max_length=10, choices=MATCHES)
    amount = AmountField("of the line, in its currency")
    currency = CurrencyField()
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, blank=True, related_name="bank_matches")
    credit = models.ForeignKey(MemberCredit, models.PROTECT, null=True, blank=True, related_name="bank_matches")
    arrival = models.ForeignKey(PayoutArrival, models.PROTECT, null=True, blank=True, related_name="bank_matches")
    confidence = models.PositiveSmallIntegerField(null=True, blank=True)
    because = models.CharField("the reasons, as they were shown", max_length=500, blank=True)
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    undone_because = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name_plural = "bank matches"
        ordering = ["-at"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="bankmatch_positive"),
            models.CheckConstraint(
                condition=Q(kind__in=["payment", "recorded"], payment__isnull=False, credit=None, arrival=None)
                | Q(kind="credit", payment=None, credit__isnull=False, arrival=None)
                | Q(kind="payout", payment=None, credit=None, arrival__isnull=False),
                name="bankmatch_is_one_thing",
            ),
            models.UniqueConstraint(
                fields=["payment"], condition=Q(payment__isnull=False, undone_at=None), name="bankmatch_payment_once"
            ),
            models.CheckConstraint(
                condition=Q(undone_at=None) | ~Q(undone_because=""), name="bankmatch_undone_for_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}: {self.get_kind_display()}"
