"""Money that comes for an invoice after it was written off, by whatever way: first the member's credit, then recovered.

As much as came is due again and paid from that credit at once, so that money has one way onto invoices; what was a bad
debt is then income of its own.
"""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from billing import balances, ledger
from billing.chart_of_accounts import Account
from billing.member_credit import apply_credit, credit_held
from billing.models import InvoiceBalance, Recovery, WriteOff
from consortium.kernel import audit
from consortium.kernel.audit import Fact
from consortium.kernel.errors import Invalid
from consortium.kernel.money import EXACT, plain, round_money
from consortium.kernel.periods import local_date
from members.models import User
from members.permissions import Permission, check_staff


class RecoveryInvalid(Invalid):
    """The amount is none, or more than was written off or than the member's credit."""

    code = "recovery_invalid"


@transaction.atomic
def recover(write_off: WriteOff, *, amount: Decimal, by: User, at: datetime) -> Recovery:
    """Put the member's credit on an invoice that was written off, and book as much as recovered.

    `amount` is in the invoice's currency, at most what is left of the write-off and of the member's credit. Raises
    Forbidden, RecoveryInvalid, YearLocked.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    balance = balances.lock(write_off.invoice_id)
    write_off = WriteOff.objects.select_for_update().get(pk=write_off.pk)
    left = recoverable(write_off)
    if amount <= 0 or amount > left or round_money(amount, write_off.currency) != amount:
        raise RecoveryInvalid(
            _("Between nothing and %(left)s %(currency)s of it can be recovered.")
            % {"left": plain(left), "currency": write_off.currency},
            field="amount",
        )
    invoice = balance.invoice
    row = Recovery.objects.create(
        institution_id=write_off.institution_id,
        write_off=write_off,
        amount=amount,
        currency=write_off.currency,
        recorded_by=by,
        recorded_at=at,
    )
    InvoiceBalance.objects.filter(pk=balance.pk).update(written_off=F("written_off") - amount)
    balance.written_off = EXACT.subtract(balance.written_off, amount)
    balances.settle(balance)
    ledger.post(
        issuer=invoice.issuer,
        kind="recovery",
        source=row,
        on=local_date(at, invoice.issuer.zone),
        narration=f"Recovered of invoice {invoice.number}",
        legs=[
            ledger.Leg(Account.RECEIVABLES, amount, row.currency),
            ledger.Leg(Account.BAD_DEBT_RECOVERIES, EXACT.minus(amount), row.currency),
        ],
        at=at,
        institution_id=row.institution_id,
    )
    apply_credit(invoice, amount=amount, by=by, at=at)
    after: dict[str, Fact] = {"invoice": invoice.number, "amount": amount, "currency": row.currency}
    audit.record("billing.recovered", row, by=by, at=at, institution_id=row.institution_id, after=after)
    return row


def recoverable(write_off: WriteOff) -> Decimal:
    """Return what is left of a write-off, in its currency; zero before it is approved."""
    if write_off.status != "approved":
        return Decimal(0)
    came = Recovery.objects.filter(write_off=write_off).aggregate(sum=Sum("amount"))["sum"]
    return EXACT.subtract(write_off.amount, came or Decimal(0))


def waiting_credit(write_off: WriteOff) -> Decimal:
    """Return the credit that the member holds with the issuer, in the write-off's currency."""
    held = credit_held(write_off.institution_id, issuer=write_off.invoice.issuer)
    return held.get(write_off.currency, Decimal(0))
