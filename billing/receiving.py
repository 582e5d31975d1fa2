"""Money that arrived, by whatever way: put on its invoice up to what is due, the rest kept as the member's credit.

Stripe, bank statements and hand entries all come through here, so that one rule holds: the balance is locked, no more
than is due is ever counted on it, no cent is lost, and each step is in the books. What is taken back later is a row of
its own (`billing.taking_back`); so is a match that is undone, and nothing is deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from billing import balances, ledger
from billing.chart_of_accounts import Account
from billing.ledger import Leg
from billing.member_credit import hold
from billing.models import Application, LedgerLeg, Payment, TakenBack
from billing.reopening import Cause
from billing.states import PAYMENT
from billing.taking_back import carry_out, lock_credits, split_of
from consortium.kernel import audit, jobs
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT
from consortium.kernel.periods import local_date
from members.models import User

MAIL_RECEIVER: Final = "billing.mail_receipt"
_NONE: Final = Decimal(0)


class UndoRefused(PortalError):
    """What the payment did cannot be undone as a whole any more."""

    code = "undo_refused"


@dataclass(frozen=True, slots=True)
class Received:
    """Where money went: `applied` on the invoice, `excess` into the member's credit."""

    applied: Decimal
    excess: Decimal


@transaction.atomic
def receive(
    payment: Payment,
    *,
    amount: Decimal,
    arrives: Account,
    by: User | System,
    at: datetime,
    received_at: datetime | None = None,
    fee: Decimal = _NONE,
    seen: Mapping[str, str] | None = None,
    exchange: Sequence[Leg] = (),
) -> Received:
    """Count a payment that has arrived, in full: up to what is due on its invoice, the rest as the member's credit.

    The payment must be able to succeed; whoever calls has the right to. `amount` is what the payer is credited with,
    in the payment's currency; of it a bank kept `fee`, so `arrives` gets the rest. `received_at` is when the money
    came, if that was earlier; `seen` are columns of the payment to write with it; `exchange` replaces the leg of
    `arrives` where the money came in another currency. Posts, sends the receipt. Raises TransitionRefused, YearLocked.
    """
    balance = balances.lock(payment.invoice_id)
    applied = min(amount, balances.may_take(balance))
    excess, before = EXACT.subtract(amount, applied), payment.status
    when = received_at or at
    PAYMENT.move(payment, "succeeded", amount=amount, fee=fee, succeeded_at=when, failure="", **(seen or {}))
    on = local_date(when, balance.invoice.issuer.zone)
    if applied > 0:
        Application.objects.create(
            institution_id=payment.institution_id, invoice_id=payment.invoice_id, payment=payment, amount=applied,
            currency=payment.currency, at=at,
        )  # fmt: skip
        balances.pay(balance, applied)
        jobs.enqueue(
            "render_receipt", key=str(payment.pk), at=at, institution_id=payment.institution_id,
            arguments={"payment_id": str(payment.pk)},
        )  # fmt: skip
    if excess > 0:
        about = f"Paid beyond what was due on {balance.invoice.number}"
        hold(
            payment, issuer=balance.invoice.issuer, institution_id=payment.institution_id, amount=excess,
            currency=payment.currency, about=about, received_on=on, at=at,
        )  # fmt: skip
    ledger.post(
        issuer=balance.invoice.issuer, kind="payment", source=payment, on=on, at=at,
        narration=f"Payment of invoice {balance.invoice.number}", institution_id=payment.institution_id,
        legs=[
            *(exchange or [Leg(arrives, EXACT.subtract(amount, fee), payment.currency)]),
            Leg(Account.PAYMENT_FEES, fee, payment.currency),
            Leg(Account.RECEIVABLES, EXACT.minus(applied), payment.currency),
            Leg(Account.MEMBER_CREDIT, EXACT.minus(excess), payment.currency),
        ],
    )  # fmt: skip
    audit.record(
        "billing.payment_succeeded", payment, by=by, at=at, institution_id=payment.institution_id,
        before={"status": before}, after={"received": amount, "applied": applied, "currency": payment.currency},
        deliver_to=(MAIL_RECEIVER,) if applied > 0 else (),
    )  # fmt: skip
    crash_point("payment.received")
    return Received(applied, excess)


@transaction.atomic
def undo(payment: Payment, *, reason: str, because: Cause = "undone", by: User | System, at: datetime) -> TakenBack:
    """Undo how money was counted, whole: its invoice is due again, its credit is gone, its postings are mirrored.

    Whoever calls has the right to, and knows where the money is now. Raises UndoRefused when nothing of it is left, or
    when credit that it left was used since.
    """
    balance = balances.lock(payment.invoice_id)
    payment.refresh_from_db()
    amount = left_of(payment)
    if amount <= 0 or amount != payment.amount:
        raise UndoRefused(_("This payment was taken back already, or a part of it was. Reload the page."))
    lock_credits(payment)
    split = split_of(payment, balance, amount)
    if split.uncovered:
        raise UndoRefused(
            _("What this payment left as credit is on another invoice or was paid out, or its invoice is written off.")
        )
    row = TakenBack.objects.create(
        institution_id=payment.institution_id, payment=payment, amount=amount, reopened=split.reopened,
        from_credit=split.from_credit, uncovered=split.uncovered, currency=payment.currency,
        note=reason.strip()[:300] or because, at=at,
    )  # fmt: skip
    carry_out(split, balance, row, because=because, note=reason, by=by, at=at)
    issuer = balance.invoice.issuer
    ledger.post(
        issuer=issuer, kind="payment_undone", source=row, on=local_date(at, issuer.zone), at=at,
        narration=f"Payment of invoice {balance.invoice.number} undone", institution_id=row.institution_id,
        legs=[
            Leg(Account.RECEIVABLES, split.reopened, row.currency),
            Leg(Account.MEMBER_CREDIT, split.from_credit, row.currency),
            *_mirrored(payment),
        ],
    )  # fmt: skip
    after: dict[str, Fact] = {"payment": payment.pk, "amount": amount, "currency": row.currency}
    audit.record(
        "billing.payment_undone", payment, by=by, at=at, institution_id=row.institution_id, after=after, reason=reason
    )
    crash_point("payment.undone")
    return row


def left_of(payment: Payment) -> Decimal:
    """Return what of a payment has not been taken back; nothing of one that has not arrived."""
    if payment.status != "succeeded":
        return _NONE
    taken = TakenBack.objects.filter(payment=payment).aggregate(sum=Sum("amount"))["sum"] or _NONE
    return EXACT.subtract(payment.amount, taken)


def _mirrored(payment: Payment) -> list[Leg]:
    """What the payment's own entry put on the bank and on fees, the other way round."""
    legs = LedgerLeg.objects.filter(
        entry__kind="payment", entry__source_type="billing.Payment", entry__source_id=payment.pk
    ).exclude(account__code__in=[Account.RECEIVABLES, Account.MEMBER_CREDIT])
    return [
        Leg(Account(code), EXACT.minus(amount), currency)
        for code, amount, currency in legs.values_list("account__code", "amount", "currency")
    ]
