"""A member's purchase orders: what it has ordered, until when, and what invoices have used of it."""

from django.db import models
from django.db.models import Q

from billing.models.accounts import BillingAccount
from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice
from consortium.kernel.dated import Dated
from consortium.kernel.fields import AmountField, CurrencyField, Row
from members.models import Institution, User


class PurchaseOrder(Row, Dated):
    """An order of a payer: at most `amount`, taxes included, on invoices issued on a day of `valid`. Never changed."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="purchase_orders")
    billing_account = models.ForeignKey(BillingAccount, models.PROTECT, related_name="purchase_orders")
    number = models.CharField(max_length=60)
    amount = AmountField("at most, taxes included")
    currency = CurrencyField()
    recorded_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    recorded_at = models.DateTimeField()
    closed_at = models.DateTimeField("taken back by the member", null=True, blank=True)
    asked_at = models.DateTimeField("when a new one was asked for", null=True, blank=True)

    class Meta:
        ordering = ["valid", "number"]
        constraints = [
            models.UniqueConstraint(fields=["billing_account", "number"], name="purchaseorder_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="purchaseorder_positive"),
            models.CheckConstraint(condition=~Q(number=""), name="purchaseorder_numbered"),
            models.CheckConstraint(
                condition=Q(valid__isempty=False, valid__lower_inf=False, valid__upper_inf=False),
                name="purchaseorder_dated",
            ),
        ]

    def __str__(self) -> str:
        return self.number


class PurchaseOrderLine(Row):
    """One line of an order, as the member's purchasing department wrote it. Append-only; the lines sum to the order."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    purchase_order = models.ForeignKey(PurchaseOrder, models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    description = models.CharField(max_length=200)
    amount = AmountField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["purchase_order", "position"], name="purchaseorderline_position"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="purchaseorderline_positive"),
        ]

    def __str__(self) -> str:
        return self.description


class PurchaseOrderUse(Row):
    """What an invoice took from an order, or, below zero, what a credit note gave back. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    purchase_order = models.ForeignKey(PurchaseOrder, models.PROTECT, related_name="uses")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="order_uses")
    credit_note = models.OneToOneField(CreditNote, models.PROTECT, null=True, related_name="order_use")
    amount = AmountField()
    on = models.DateField("day of issue in the issuer's zone")

    class Meta:
        ordering = ["on"]
        constraints = [
            models.UniqueConstraint(fields=["invoice"], condition=Q(credit_note=None), name="purchaseorderuse_once"),
            models.CheckConstraint(
                condition=Q(credit_note=None, amount__gt=0) | Q(credit_note__isnull=False, amount__lt=0),
                name="purchaseorderuse_sign",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} on {self.on}"
