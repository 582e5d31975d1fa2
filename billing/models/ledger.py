"""The books: double entry, append-only, balanced per currency. Only billing/ledger.py writes here."""

from django.db import models

from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.language import Bilingual
from members.models import Institution, Issuer


class LedgerAccount(Row):
    """An account of one issuer's chart of accounts."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="ledger_accounts")
    code = models.CharField(max_length=10)
    kind = models.CharField(
        max_length=10, choices=[(k, k) for k in ("asset", "liability", "income", "expense", "equity")]
    )
    name_en = models.CharField(max_length=100)
    name_fr = models.CharField(max_length=100)

    name = Bilingual("name")

    class Meta:
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["issuer", "code"], name="ledgeraccount_once")]

    def __str__(self) -> str:
        return f"{self.code} {self.name_en}"


class LedgerEntry(Row):
    """One posting: what happened, when, because of which object. Append-only."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="ledger_entries")
    institution = models.ForeignKey(Institution, models.PROTECT, null=True, related_name="ledger_entries")
    kind = models.CharField(max_length=30)
    source_type = models.CharField(max_length=40)
    source_id = models.UUIDField()
    on = models.DateField("accounting date in the issuer's zone")
    posted_at = models.DateTimeField()
    narration = models.CharField(max_length=300)
    leg_count = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "ledger entries"
        ordering = ["posted_at"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "source_type", "source_id"], name="ledgerentry_once"),
            models.CheckConstraint(condition=models.Q(leg_count__gte=2), name="ledgerentry_two_legs"),
        ]

    def __str__(self) -> str:
        return self.narration


class LedgerLeg(Row):
    """One side of an entry: debit above zero, credit below. Append-only."""

    entry = models.ForeignKey(LedgerEntry, models.PROTECT, related_name="legs")
    institution = models.ForeignKey(Institution, models.PROTECT, null=True)
    account = models.ForeignKey(LedgerAccount, models.PROTECT, related_name="legs")
    amount = AmountField()
    currency = CurrencyField()

    class Meta:
        constraints = [models.CheckConstraint(condition=~models.Q(amount=0), name="ledgerleg_not_zero")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
