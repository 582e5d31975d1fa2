"""Suppliers' bills and their payment: what is owed, which tax comes back, what left the bank, in which currency.

Tax that the office gives back is an asset of its own per tax; tax that it does not is cost, on an account of its own.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from billing.chart_of_accounts import CHART, Account
from billing.commands import Value, body_digest, first_result
from billing.ledger import Leg, post
from billing.models import BillImport, LedgerLeg, SupplierBill, SupplierPayment
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, exact_sum, exponent, plain, round_money
from members.models import Issuer, User
from members.permissions import Permission, check_staff

_NONE: Final = Decimal(0)


class SupplierBillInvalid(Invalid):
    """The bill's figures or words cannot be right."""

    code = "supplier_bill_invalid"


class SupplierBillTwice(PortalError):
    """The supplier's number is recorded already."""

    code = "supplier_bill_twice"


class Overpaid(PortalError):
    """A payment would be more than what is owed on its bill."""

    code = "supplier_overpaid"


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a supplier's bill says; a credit note has all its amounts below zero. `net` is without taxes."""

    supplier: str
    number: str
    billed_on: date
    due_on: date
    expense: Account
    description: str
    net: Decimal
    currency: str
    gst: Decimal = _NONE
    gst_recovered: Decimal = _NONE
    qst: Decimal = _NONE
    qst_recovered: Decimal = _NONE

    @property
    def total(self) -> Decimal:
        """What is owed."""
        return exact_sum([self.net, self.gst, self.qst])


@dataclass(frozen=True, kw_only=True)
class Paid:
    """What left the bank for a bill: `amount` settles it in its own currency, `bank_amount` is what the bank took."""

    on: date
    amount: Decimal
    bank_amount: Decimal
    bank_currency: str
    reference: str


@transaction.atomic
def record_supplier_bill(issuer: Issuer, bill: Bill, *, key: str, by: User | System, at: datetime) -> SupplierBill:
    """Record and post a supplier's bill on its own date. The same key and figures return the first one.

    Raises Forbidden, SupplierBillInvalid, SupplierBillTwice, KeyReused, YearLocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    body: dict[str, Value] = {"issuer": issuer.pk, **asdict(bill)}
    if held := first_result(SupplierBill, key=key, body=body):
        return held
    _check(bill)
    if SupplierBill.objects.filter(issuer=issuer, supplier=bill.supplier, number=bill.number).exists():
        raise SupplierBillTwice(
            _("%(number)s of %(supplier)s is recorded already.") % {"number": bill.number, "supplier": bill.supplier},
            field="number",
        )
    words = asdict(bill)
    row = SupplierBill.objects.create(
        issuer=issuer,
        expense_code=words.pop("expense"),
        total=bill.total,
        created_at=at,
        command_key=key,
        command_digest=body_digest(body),
        **words,
    )
    post(
        issuer=issuer,
        kind="supplier_bill",
        source=row,
        on=row.billed_on,
        narration=f"Bill {row.number} of {row.supplier}",
        legs=_legs(bill),
        at=at,
    )
    after = {"total": row.total, "currency": row.currency, "expense": row.expense_code, "billed_on": row.billed_on}
    audit.record("billing.supplier_bill_recorded", row, by=by, at=at, institution_id=None, after=after)
    crash_point("supplier_bill.before_commit")
    return row


@transaction.atomic
def pay_bill(
    bill: SupplierBill | BillImport, paid: Paid, *, key: str, by: User | System, at: datetime
) -> SupplierPayment:
    """Record what left the bank for a supplier's or a cloud's bill, in full or in part; never more than it.

    The same key and figures return the first payment. Paid from an account in another currency, the two amounts meet
    on the account "Currency exchanged". Raises Forbidden, SupplierBillInvalid, Overpaid, KeyReused, YearLocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    body: dict[str, Value] = {"bill": bill.pk, **asdict(paid)}
    if held := first_result(SupplierPayment, key=key, body=body):
        return held
    own = isinstance(bill, SupplierBill)
    type(bill)._default_manager.select_for_update(of=("self",)).get(pk=bill.pk)  # noqa: SLF001 - its manager is public
    _check_payment(bill, paid)
    row = SupplierPayment.objects.create(
        bill=bill if isinstance(bill, SupplierBill) else None,
        cloud_bill=None if isinstance(bill, SupplierBill) else bill,
        paid_on=paid.on,
        amount=paid.amount,
        currency=bill.currency,
        bank_amount=paid.bank_amount,
        bank_currency=paid.bank_currency,
        reference=paid.reference,
        created_at=at,
        command_key=key,
        command_digest=body_digest(body),
    )
    legs = [
        Leg(Account.PAYABLES, paid.amount, bill.currency),
        Leg(Account.EXCHANGE, -paid.amount, bill.currency),
        Leg(Account.EXCHANGE, paid.bank_amount, paid.bank_currency),
        Leg(Account.BANK, -paid.bank_amount, paid.bank_currency),
    ]
    issuer = bill.issuer if isinstance(bill, SupplierBill) else bill.cloud_account.issuer
    words = f"Payment of {bill if own else f'the cloud bill {bill}'}, {paid.reference}"
    post(issuer=issuer, kind="supplier_payment", source=row, on=paid.on, narration=words, legs=legs, at=at)
    after = {"amount": row.amount, "currency": row.currency, "bank_amount": row.bank_amount}
    audit.record("billing.supplier_paid", row, by=by, at=at, institution_id=None, after=after)
    crash_point("supplier_payment.before_commit")
    return row


def owed(bill: SupplierBill | BillImport) -> Decimal:
    """Return what is still to be paid on a bill, in its currency; for a cloud's bill, of what was posted."""
    if isinstance(bill, SupplierBill):
        total, payments = bill.total, SupplierPayment.objects.filter(bill=bill)
    else:
        posted = LedgerLeg.objects.filter(
            entry__kind="supplier_bill", entry__source_type="billing.BillImport", entry__source_id=bill.pk,
            account__code=Account.PAYABLES,
        ).aggregate(sum=Sum("amount"))["sum"]  # fmt: skip
        total, payments = -(posted or _NONE), SupplierPayment.objects.filter(cloud_bill=bill)
    return EXACT.subtract(total, payments.aggregate(sum=Sum("amount"))["sum"] or _NONE)


def _legs(bill: Bill) -> list[Leg]:
    kept = EXACT.subtract(exact_sum([bill.gst, bill.qst]), exact_sum([bill.gst_recovered, bill.qst_recovered]))
    return [
        Leg(bill.expense, bill.net, bill.currency),
        Leg(Account.TAX_COST, kept, bill.currency),
        Leg(Account.GST_RECOVERABLE, bill.gst_recovered, bill.currency),
        Leg(Account.QST_RECOVERABLE, bill.qst_recovered, bill.currency),
        Leg(Account.PAYABLES, -bill.total, bill.currency),
    ]


def _check(bill: Bill) -> None:
    """Refuse what the supplier cannot have written, naming the field."""
    exponent(bill.currency)
    if not (bill.supplier.strip() and bill.number.strip() and bill.description.strip()):
        raise SupplierBillInvalid(_("A bill has a supplier, the supplier's number and a description."), field="number")
    if CHART[bill.expense][0] != "expense":
        raise SupplierBillInvalid(_("A supplier's bill goes to an expense account."), field="expense")
    for name in ("net", "gst", "gst_recovered", "qst", "qst_recovered"):
        amount: Decimal = getattr(bill, name)
        if not amount.is_finite() or round_money(amount, bill.currency) != amount:
            raise SupplierBillInvalid(_("An amount is exact to the smallest unit of its currency."), field=name)
    if bill.total == 0:
        raise SupplierBillInvalid(_("The bill comes to nothing, so there is nothing to record."), field="net")
    if bill.due_on < bill.billed_on:
        raise SupplierBillInvalid(_("A bill is due on its own day or later."), field="due_on")
    for tax, part, name in (
        (bill.gst, bill.gst_recovered, "gst_recovered"),
        (bill.qst, bill.qst_recovered, "qst_recovered"),
    ):
        if part * tax < 0 or abs(part) > abs(tax):
            raise SupplierBillInvalid(_("No more tax comes back than the bill contains."), field=name)


def _check_payment(bill: SupplierBill | BillImport, paid: Paid) -> None:
    for name, amount, currency in (
        ("amount", paid.amount, bill.currency),
        ("bank_amount", paid.bank_amount, paid.bank_currency),
    ):
        if not amount.is_finite() or amount <= 0 or round_money(amount, currency) != amount:
            raise SupplierBillInvalid(_("A payment is above zero, to the smallest unit of its currency."), field=name)
    if paid.bank_currency == bill.currency and paid.bank_amount != paid.amount:
        raise SupplierBillInvalid(
            _("In one currency, what leaves the bank is what settles the bill."), field="bank_amount"
        )
    if not paid.reference.strip():
        raise SupplierBillInvalid(_("Give the bank's reference, so that the payment can be found."), field="reference")
    rest = owed(bill)
    if paid.amount > rest:
        raise Overpaid(
            _("Only %(rest)s %(currency)s are owed on this bill.") % {"rest": plain(rest), "currency": bill.currency},
            field="amount",
        )
