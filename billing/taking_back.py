"""What it does to us when money of a payment is lost again, and when it comes after all.

Lost money first takes the credit that the payment had left over, then makes its invoice due again, as far as this
payment had paid it; what is neither stands on an account of its own until a person recovers it. Money that comes again
goes the same way back.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db.models import Sum

from billing.balances import pay
from billing.chart_of_accounts import Account
from billing.member_credit import LOCK_ORDER, credits_with_rest, hold, pick, use_credit
from billing.models import (
    Application,
    CreditNote,
    Invoice,
    InvoiceBalance,
    LedgerLeg,
    MemberCredit,
    Payment,
    TakenBack,
)
from billing.reopening import REOPENABLE, Cause, reopen
from consortium.kernel.audit import System
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.periods import local_date
from members.models import User

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
    split: Split, balance: InvoiceBalance, row: TakenBack, *, because: Cause, note: str, by: User | System, at: datetime
) -> None:
    """Will move the invoice, its balance and the member's credit as the split says.

    The caller has locked the balance and the credits before the split was made, and posts.
    """
    payment = row.payment
    if split.from_credit > 0:
        for part in pick(_own_credits(payment), split.from_credit):
            use_credit(part, kind="taken_back", reference=note or because, by=by, at=at, on=None)
    elif split.from_credit < 0:
        about = f"Came again for {balance.invoice.number}"
        hold(
            row, issuer=balance.invoice.issuer, institution_id=row.institution_id, amount=-split.from_credit,
            currency=row.currency, about=about, received_on=local_date(at, balance.invoice.issuer.zone), at=at,
        )  # fmt: skip
    if split.reopened:
        Application.objects.create(
            institution_id=row.institution_id, invoice_id=balance.pk, payment=payment, taken_back=row,
            amount=-split.reopened, currency=row.currency, at=at,
        )  # fmt: skip
    if split.reopened > 0:
        reopen(balance, split.reopened, because=because, note=note, by=by, at=at)
    elif split.reopened < 0:
        pay(balance, EXACT.minus(split.reopened))


def lock_credits(payment: Payment) -> None:
    """Lock the credit that came of a payment's invoice, before it is asked what is left of it: others may use it up,
    for other invoices, under locks of their own. Lock the balance before, never after.
    """
    _own_credits(payment, lock=True)


def credit_left(payment: Payment) -> Decimal:
    """Return what is left of the credit that came of the payment: more than was due, or credited after it was paid."""
    return exact_sum(credit.rest for credit in _own_credits(payment))  # type: ignore[attr-defined]


def _own_credits(payment: Payment, *, lock: bool = False) -> list[MemberCredit]:
    """The credits that came of the invoice's payments and credit notes, the payment's own first, then the oldest."""
    siblings = list(
        Payment.objects.filter(invoice_id=payment.invoice_id, status="succeeded").values_list("pk", flat=True)
    )
    again = TakenBack.objects.filter(payment__in=siblings).values_list("pk", flat=True)
    notes = CreditNote.objects.filter(invoice_id=payment.invoice_id).values_list("pk", flat=True)
    rows = MemberCredit.objects.filter(source_id__in=[*siblings, *again, *notes], currency=payment.currency)
    if lock:
        list(rows.select_for_update().order_by(*LOCK_ORDER))
    return sorted(credits_with_rest(rows), key=lambda each: each.source_id != payment.pk)


def _split_again(payment: Payment, balance: InvoiceBalance, amount: Decimal) -> Split:
    status = Invoice.objects.values_list("status", flat=True).get(pk=balance.pk)
    covered = min(amount, max(_taken(payment, "uncovered"), _NONE))
    rest = EXACT.subtract(amount, covered)
    paid = max(min(rest, balance.due), _NONE) if status in REOPENABLE else _NONE
    credit = EXACT.subtract(rest, paid)
    return Split(reopened=EXACT.minus(paid), from_credit=EXACT.minus(credit), uncovered=EXACT.minus(covered))


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
