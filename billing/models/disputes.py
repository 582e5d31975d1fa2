"""What a payer says about an invoice: a line disputed, a question, a link passed on to a colleague."""

from django.db import models
from django.db.models import Q

from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice, InvoiceLine
from billing.states_collecting import DISPUTE, HOLDING, INVOICE_QUESTION
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.states import choices
from members.models import Institution, User
from members.models.people import LANGUAGE_CHOICES

SIDES = (("payer", "payer"), ("consortium", "consortium"))


class LineDispute(Row):
    """A line that its payer does not accept: `amount`, its taxes included, is held until somebody decides.

    `answer_by` is the clock of whose turn it is: ours while it is open, the payer's while we asked something back.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="line_disputes")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="disputes")
    line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="disputes")
    net = AmountField("disputed before tax")
    amount = AmountField("held, with its taxes")
    currency = CurrencyField()
    status = models.CharField(max_length=20, choices=choices(DISPUTE.states), default=DISPUTE.initial)
    name = models.CharField("who disputes it", max_length=200)
    email = models.EmailField("where the answer goes")
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    opened_at = models.DateTimeField()
    answer_by = models.DateField()
    ended_at = models.DateTimeField(null=True, blank=True)
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, null=True, blank=True, related_name="disputes")

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["line"], condition=Q(status__in=HOLDING), name="linedispute_one_open_per_line"
            ),
            models.CheckConstraint(condition=Q(net__gt=0, amount__gte=models.F("net")), name="linedispute_positive"),
            models.CheckConstraint(
                condition=Q(status="credited", credit_note__isnull=False) | ~Q(status="credited") & Q(credit_note=None),
                name="linedispute_credited_by_note",
            ),
            models.CheckConstraint(
                condition=Q(status__in=HOLDING, ended_at=None) | ~Q(status__in=HOLDING) & Q(ended_at__isnull=False),
                name="linedispute_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invoice} line {self.line.position}: {self.amount} {self.currency}"


class DisputeEntry(Row):
    """What one side wrote in a dispute: the reason first, the decision last. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    dispute = models.ForeignKey(LineDispute, models.PROTECT, related_name="entries")
    side = models.CharField(max_length=12, choices=SIDES)
    author = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    text = models.TextField()
    at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "dispute entries"
        ordering = ["at", "id"]
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="disputeentry_says_something")]

    def __str__(self) -> str:
        return f"{self.side} {self.at:%Y-%m-%d %H:%M}"


class InvoiceQuestion(Row):
    """A question about an invoice, asked on its pay page; the answer goes out by mail and stays here."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="questions")
    status = models.CharField(max_length=20, choices=choices(INVOICE_QUESTION.states), default=INVOICE_QUESTION.initial)
    name = models.CharField("who asks", max_length=200)
    email = models.EmailField("where the answer goes")
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    text = models.TextField()
    asked_at = models.DateTimeField()
    answer = models.TextField(blank=True)
    answered_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="open", answer="", answered_at=None)
                | Q(status="answered", answered_at__isnull=False) & ~Q(answer=""),
                name="invoicequestion_answered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invoice}: {self.text[:60]}"


class LinkShare(Row):
    """A pay link that went to a colleague of the payer: to which address, when. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="shares")
    email = models.EmailField()
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    shared_at = models.DateTimeField()

    class Meta:
        ordering = ["-shared_at"]

    def __str__(self) -> str:
        return f"{self.invoice} → {self.email}"
