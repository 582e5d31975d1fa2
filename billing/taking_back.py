"""What it does to us when money of a payment is lost again, and when it comes after all.

Lost money first takes the credit that the payment had left over, then makes its invoice due again, as far as this
payment had paid it; what is neither stands on an account of its own until a person recovers it. Money that comes again
goes the same way back.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db.models import F, Sum

from billing.chart_of_accounts import Account
from billing.models import CreditNote, Invoice, InvoiceBalance, LedgerLeg, Payment, TakenBack
from billing.reopening import REOPENABLE, Cause, reopen
from billing.states import INVOICE
from consortium.kernel.audit import Actor, System
from consortium.kernel.money import EXACT, exact_sum

_NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where an amount goes: above zero when it is lost, below when it comes again. They sum to it."""

    reopened: Decimal
    from_credit: Decimal
    uncovered: Decimal

    @property
    def amount(self) -> Decimal:
        """All of it."""
        return exact_sum([self.reopened, self.from_credit, self.uncovered])


def split_of(payment: Payment, balance: InvoiceBalance, amount: Decimal) -> Split:
    """Return what losing `amount` of a payment (or, below zero, getting it again) would do now; nothing is written."""
    if amount < 0:
        return _split_again(payment, balance, EXACT.minus(amount))
    status = Invoice.objects.values_list("status", flat=True).get(pk=balance.pk)
    from_credit = min(amount, credit_left(payment))
    rest = EXACT.subtract(amount, from_credit)
    applied = EXACT.subtract(_posted(payment, Account.RECEIVABLES), _taken(payment, "reopened"))
    reopened = max(min(rest, applied, balance.paid), _NONE) if status in REOPENABLE else _NONE
    return Split(reopened=reopened, from_credit=from_credit, uncovered=EXACT.subtract(rest, reopened))


def carry_out(
    split: Split, balance: InvoiceBalance, *, because: Cause, note: str, by: Actor | System, at: datetime
) -> None:
    """Will move the invoice and its balance as the split says. The caller holds the lock and posts."""
    if split.reopened > 0:
        reopen(balance, split.reopened, because=because, note=note, by=by, at=at)
    elif split.reopened < 0:
        _pay_again(balance, EXACT.minus(split.reopened))


def credit_left(payment: Payment) -> Decimal:
    """Return what is left of the credit that came of the payment: more than was due, or credited after it was paid."""
    siblings = Payment.objects.filter(invoice_id=payment.invoice_id, status="succeeded")
    held = [_posted(each, Account.MEMBER_CREDIT) for each in siblings]
    held += CreditNote.objects.filter(invoice_id=payment.invoice_id).values_list("held", flat=True)
    used = TakenBack.objects.filter(payment__in=siblings).aggregate(sum=Sum("from_credit"))["sum"] or _NONE
    member = -(
        LedgerLeg.objects.filter(
            institution_id=payment.institution_id, currency=payment.currency, account__code=Account.MEMBER_CREDIT
        ).aggregate(sum=Sum("amount"))["sum"]
        or _NONE
    )
    return max(min(EXACT.subtract(exact_sum(held), used), member), _NONE)


def _split_again(payment: Payment, balance: InvoiceBalance, amount: Decimal) -> Split:
    status = Invoice.objects.values_list("status", flat=True).get(pk=balance.pk)
    covered = min(amount, max(_taken(payment, "uncovered"), _NONE))
    rest = EXACT.subtract(amount, covered)
    due = EXACT.subtract(balance.total, EXACT.add(balance.paid, balance.credited))
    paid = max(min(rest, due), _NONE) if status in REOPENABLE else _NONE
    credit = EXACT.subtract(rest, paid)
    return Split(reopened=EXACT.minus(paid), from_credit=EXACT.minus(credit), uncovered=EXACT.minus(covered))


def _pay_again(balance: InvoiceBalance, amount: Decimal) -> None:
    InvoiceBalance.objects.filter(pk=balance.pk).update(paid=F("paid") + amount)
    balance.paid = EXACT.add(balance.paid, amount)
    invoice = Invoice.objects.get(pk=balance.pk)
    is_paid = balance.total == EXACT.add(balance.paid, balance.credited)
    status = "paid" if is_paid else "partly_paid"
    if invoice.status != status:
        INVOICE.move(invoice, status)


def _posted(payment: Payment, account: Account) -> Decimal:
    """What the payment put on an account when it came, above zero."""
    legs = LedgerLeg.objects.filter(
        entry__kind="payment",
        entry__source_type="billing.Payment",
        entry__source_id=payment.pk,
        account__code=account,
        currency=payment.currency,
    )
    return -(legs.aggregate(sum=Sum("amount"))["sum"] or _NONE)


def _taken(payment: Payment, part: str) -> Decimal:
    found: Decimal | None = TakenBack.objects.filter(payment=payment).aggregate(sum=Sum(part))["sum"]
    return found or _NONE
