"""What the consortium itself owes and holds in trust: suppliers' bills and their payment, restricted funds."""

from django.db import models
from django.db.models import F, Q

from billing.models.commands import Commanded
from billing.models.costs import BillImport
from consortium.kernel.fields import AmountField, CurrencyField, Row
from consortium.kernel.language import Bilingual
from members.models import Issuer


class SupplierBill(Row, Commanded):
    """A supplier's bill, or below zero its credit note, with the tax in it and what of that comes back. Append-only."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="supplier_bills")
    supplier = models.CharField(max_length=200)
    number = models.CharField("the supplier's number", max_length=60)
    billed_on = models.DateField()
    due_on = models.DateField()
    expense_code = models.CharField("account of the expense", max_length=10)
    description = models.CharField(max_length=300)
    net = AmountField()
    gst = AmountField("GST or HST", default=0)
    gst_recovered = AmountField("GST or HST that comes back", default=0)
    qst = AmountField("QST", default=0)
    qst_recovered = AmountField("QST that comes back", default=0)
    total = AmountField()
    currency = CurrencyField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-billed_on"]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "supplier", "number"], name="supplierbill_once"),
            models.CheckConstraint(condition=Q(total=F("net") + F("gst") + F("qst")), name="supplierbill_adds_up"),
            models.CheckConstraint(condition=~Q(total=0), name="supplierbill_not_zero"),
            models.CheckConstraint(
                condition=Q(gst_recovered__gte=0, gst__gte=F("gst_recovered"))
                | Q(gst_recovered__lte=0, gst__lte=F("gst_recovered")),
                name="supplierbill_gst_recovered",
            ),
            models.CheckConstraint(
                condition=Q(qst_recovered__gte=0, qst__gte=F("qst_recovered"))
                | Q(qst_recovered__lte=0, qst__lte=F("qst_recovered")),
                name="supplierbill_qst_recovered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.supplier} {self.number}"


class SupplierPayment(Row, Commanded):
    """Money that left for one bill: a supplier's or a cloud's. Never more than the bill. Append-only.

    `amount` is in the bill's currency and settles it; `bank_amount` is what left the account in `bank_currency`.
    """

    bill = models.ForeignKey(SupplierBill, models.PROTECT, null=True, related_name="payments")
    cloud_bill = models.ForeignKey(BillImport, models.PROTECT, null=True, related_name="payments")
    paid_on = models.DateField()
    amount = AmountField()
    currency = CurrencyField()
    bank_amount = AmountField()
    bank_currency = CurrencyField()
    reference = models.CharField("the bank's reference", max_length=100)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-paid_on"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, bank_amount__gt=0), name="supplierpayment_positive"),
            models.CheckConstraint(
                condition=~Q(bank_currency=F("currency")) | Q(bank_amount=F("amount")),
                name="supplierpayment_same_currency",
            ),
            models.CheckConstraint(
                condition=Q(bill__isnull=False, cloud_bill=None) | Q(bill=None, cloud_bill__isnull=False),
                name="supplierpayment_one_bill",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} on {self.paid_on}"


class Fund(Row):
    """Money with a purpose: a grant that its giver restricts, or a reserve that the members set aside."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="funds")
    code = models.SlugField(max_length=40)
    kind = models.CharField(max_length=10, choices=[("grant", "restricted grant"), ("reserve", "reserve")])
    name_en = models.CharField(max_length=200)
    name_fr = models.CharField(max_length=200)
    purpose = models.TextField("what it may be spent on")
    giver = models.CharField("who restricts it", max_length=200)
    currency = CurrencyField()
    created_at = models.DateTimeField()

    name = Bilingual("name")

    class Meta:
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["issuer", "code"], name="fund_once")]

    def __str__(self) -> str:
        return self.name_en


class FundMovement(Row, Commanded):
    """Money into a fund (above zero) or out of it for its purpose (below). A fund is never overdrawn. Append-only."""

    fund = models.ForeignKey(Fund, models.PROTECT, related_name="movements")
    on = models.DateField()
    amount = AmountField()
    currency = CurrencyField()
    grounds = models.CharField("the grant letter, or what it was spent on", max_length=300)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["on", "created_at"]
        constraints = [models.CheckConstraint(condition=~Q(amount=0), name="fundmovement_not_zero")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} on {self.on}"
