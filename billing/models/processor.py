"""What a payment provider does after a payment: refunds, disputes, payouts, and every line of our balance there.

A payment that succeeded stays so: what is lost of it again stands in rows of its own, none of which ever changes.
"""

from decimal import Decimal

from django.db import models
from django.db.models import F, Func, Q

from billing.models.invoices import Invoice
from billing.models.payments import Payment
from billing.states_processor import CARD_DISPUTE, PAYOUT, REFUND
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, Issuer, User

REFUND_FOUR_EYES_FROM = Decimal(5_000)
REOPENED_BY = [
    ("refund", "refunded"),
    ("dispute", "disputed by card"),
    ("return", "debit returned by the bank"),
    ("undone", "its matching was undone"),
]
MOVEMENT_KINDS = ("charge", "refund", "refund_failure", "dispute", "fee", "payout", "payout_failure", "other")


class Refund(Row):
    """Money that is given back on a payment, to the card or account that it came from."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="refunds")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds")
    status = models.CharField(max_length=20, choices=choices(REFUND.states), default=REFUND.initial)
    amount = AmountField()
    currency = CurrencyField()
    reason = models.CharField("why, as the payer reads it", max_length=300)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    provider_id = models.CharField("the provider's own name", max_length=200, blank=True)
    proposed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-proposed_at"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_positive"),
            models.CheckConstraint(condition=~Q(reason=""), name="refund_reasoned"),
            models.CheckConstraint(
                condition=Q(amount__lt=REFUND_FOUR_EYES_FROM)
                | Q(approved_by=None)
                | Q(proposed_by=None)
                | ~Q(approved_by=F("proposed_by")),
                name="refund_four_eyes",
            ),
            models.UniqueConstraint(
                fields=["provider_id"], condition=~Q(provider_id=""), name="refund_provider_id_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} back ({self.status})"


class CardDispute(Row):
    """Money that the payer's bank wants back, or a debit that it has returned for good (`is_return`)."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="card_disputes")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes")
    status = models.CharField(max_length=20, choices=choices(CARD_DISPUTE.states), default=CARD_DISPUTE.initial)
    provider_id = models.CharField("the provider's own name", max_length=200, unique=True)
    amount = AmountField()
    currency = CurrencyField()
    reason = models.CharField("what the payer's bank says", max_length=60)
    is_return = models.BooleanField("returned bank debit", default=False)
    opened_at = models.DateTimeField()
    evidence_due_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened_at"]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="dispute_positive")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {'returned' if self.is_return else 'disputed'} ({self.status})"


class CardDisputeAnswer(Row):
    """What we answer to a dispute, once: our evidence, or that we accept it. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    dispute = models.OneToOneField(CardDispute, models.PROTECT, related_name="answer")
    kind = models.CharField(max_length=10, choices=[("evidence", "evidence"), ("accept", "accepted")])
    evidence = models.TextField(blank=True)
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="accept", evidence="") | (Q(kind="evidence") & ~Q(evidence="")),
                name="disputeanswer_says_something",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.dispute_id}"


class ClearingMovement(Row):
    """One line of our balance at the provider. The clearing account of the books is their sum. Append-only.

    `amount` came in (or went, below zero), `fee` was kept of it; both in the currency of the balance.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, null=True, related_name="+")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="clearing_movements")
    provider_id = models.CharField("the provider's own name", max_length=200, unique=True)
    kind = models.CharField(max_length=20, choices=[(kind, kind.replace("_", " ")) for kind in MOVEMENT_KINDS])
    amount = AmountField()
    fee = AmountField()
    net = AmountField()
    currency = CurrencyField()
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="movements")
    refund = models.ForeignKey(Refund, models.PROTECT, null=True, related_name="movements")
    dispute = models.ForeignKey(CardDispute, models.PROTECT, null=True, related_name="movements")
    happened_at = models.DateTimeField("when, by the provider's clock")
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["-recorded_at"]
        constraints = [
            models.CheckConstraint(condition=Q(net=F("amount") - F("fee")), name="clearingmovement_adds_up"),
            models.CheckConstraint(
                condition=Q(refund=None) | Q(kind__in=("refund", "refund_failure"), payment__isnull=False),
                name="clearingmovement_of_refund",
            ),
            models.CheckConstraint(
                condition=Q(dispute=None) | Q(kind="dispute", payment__isnull=False),
                name="clearingmovement_of_dispute",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.net} {self.currency}"


class TakenBack(Row):
    """What was taken back of a payment (above zero), or given again (below), and what that did. Append-only.

    A movement at the provider did it, or, without one, a person who undid how a bank's line was matched (`note`).
    `reopened` is due again on the invoice, `from_credit` came out of the member's credit, `uncovered` is neither: a
    person must recover it.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="taken_back")
    movement = models.OneToOneField(ClearingMovement, models.PROTECT, null=True, related_name="taken_back")
    amount = AmountField()
    reopened = AmountField()
    from_credit = AmountField()
    uncovered = AmountField()
    currency = CurrencyField()
    note = models.CharField("why, where no movement says it", max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "taken back"
        ordering = ["-at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount=F("reopened") + F("from_credit") + F("uncovered")), name="takenback_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(amount__gt=0, reopened__gte=0, from_credit__gte=0, uncovered__gte=0)
                | Q(amount__lt=0, reopened__lte=0, from_credit__lte=0, uncovered__lte=0),
                name="takenback_one_way",
            ),
            models.CheckConstraint(condition=Q(movement__isnull=False) | ~Q(note=""), name="takenback_for_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} taken back"


class Reopening(Row):
    """Why a part of an invoice that was paid is due again. PostgreSQL lets no invoice go back without. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="reopenings")
    amount = AmountField()
    currency = CurrencyField()
    because = models.CharField(max_length=20, choices=REOPENED_BY)
    note = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()
    transaction = models.BigIntegerField(
        "PostgreSQL's own number of the transaction",
        db_default=Func(function="txid_current", output_field=models.BigIntegerField()),
        editable=False,
    )

    class Meta:
        ordering = ["-at"]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="reopening_positive")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} due again: {self.get_because_display()}"


class Payout(Row):
    """Money on its way from our balance at the provider to our bank: its lines sum to it, to the cent."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="payouts")
    status = models.CharField(max_length=20, choices=choices(PAYOUT.states), default=PAYOUT.initial)
    provider_id = models.CharField("the provider's own name", max_length=200, unique=True)
    amount = AmountField()
    currency = CurrencyField()
    arrives_on = models.DateField("expected at the bank on")
    reference = models.CharField("what the bank's statement says", max_length=200, blank=True)
    failure = models.CharField(max_length=300, blank=True)
    first_seen_at = models.DateTimeField()
    problem = models.CharField("why it is not in the books", max_length=500, blank=True)
    strangers_accepted = models.BooleanField("lines that are not the portal's are accepted", default=False)

    class Meta:
        ordering = ["-first_seen_at"]
        constraints = [models.CheckConstraint(condition=~Q(amount=0), name="payout_not_zero")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} by {self.arrives_on} ({self.status})"


class PayoutLine(Row):
    """One movement that a payout takes along; none goes twice. Append-only."""

    payout = models.ForeignKey(Payout, models.PROTECT, related_name="lines")
    movement = models.OneToOneField(ClearingMovement, models.PROTECT, related_name="payout_line")

    def __str__(self) -> str:
        return f"{self.movement_id} in {self.payout_id}"


class PayoutArrival(Row):
    """The bank has a payout: said by who matched it with the statement, undone by a later word, never deleted."""

    payout = models.ForeignKey(Payout, models.PROTECT, related_name="arrivals")
    on = models.DateField("the bank's day")
    reference = models.CharField("the line of the bank's statement", max_length=200)
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(fields=["payout"], condition=Q(undone_at=None), name="payoutarrival_once"),
        ]

    def __str__(self) -> str:
        return f"{self.payout_id} arrived on {self.on}"
