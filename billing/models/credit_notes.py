"""Credit notes: they take back from one invoice, line by line and tax by tax, and never more than it charged."""

from django.db import models
from django.db.models import F, Q

from billing.models.invoices import FOUR_EYES_FROM, Invoice, InvoiceLine, InvoiceLineTax
from consortium.kernel.fields import AmountField, CurrencyField, Row
from members.models import Institution, Issuer, User


class CreditNote(Row):
    """What is taken back from an invoice, frozen from its first moment. Amounts are what is taken back. Append-only.

    `applied` lowers what is due on the invoice; `held`, where it was paid already, is the member's credit. A large one
    was approved by another person than who prepared it.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="credit_notes")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="credit_notes")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="credit_notes")
    number = models.CharField(max_length=40)
    reason = models.CharField(max_length=300)
    currency = CurrencyField()
    net_total = AmountField()
    tax_total = AmountField()
    total = AmountField()
    applied = AmountField()
    held = AmountField()
    issued_at = models.DateTimeField()
    issued_on = models.DateField("day of issue in the issuer's zone")
    prepared_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    snapshot = models.JSONField("the document as it was issued")

    class Meta:
        ordering = ["-issued_at"]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "number"], name="creditnote_number_once"),
            models.CheckConstraint(condition=Q(total=F("net_total") + F("tax_total")), name="creditnote_adds_up"),
            models.CheckConstraint(condition=Q(total=F("applied") + F("held")), name="creditnote_goes_somewhere"),
            models.CheckConstraint(condition=Q(total__gt=0, applied__gte=0, held__gte=0), name="creditnote_positive"),
            models.CheckConstraint(condition=~Q(reason=""), name="creditnote_reasoned"),
            models.CheckConstraint(
                condition=Q(total__lt=FOUR_EYES_FROM)
                | (Q(approved_by__isnull=False) & (Q(prepared_by=None) | ~Q(approved_by=F("prepared_by")))),
                name="creditnote_four_eyes",
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CreditNoteLine(Row):
    """What is taken back of one line of the invoice, before tax. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="lines")
    invoice_line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="credits")
    net = AmountField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["credit_note", "invoice_line"], name="creditnoteline_once"),
            models.CheckConstraint(condition=~Q(net=0), name="creditnoteline_not_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.net}"


class CreditNoteTax(Row):
    """What is taken back of one tax of one line. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="taxes")
    line_tax = models.ForeignKey(InvoiceLineTax, models.PROTECT, related_name="credits")
    amount = AmountField()

    class Meta:
        verbose_name_plural = "credit note taxes"
        constraints = [models.UniqueConstraint(fields=["credit_note", "line_tax"], name="creditnotetax_once")]

    def __str__(self) -> str:
        return f"{self.amount}"
