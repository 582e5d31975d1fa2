"""Giving up the rest of an invoice takes two people: one proposes it and why, another one approves it.

Only the whole rest that is due is written off, to bad debts. What the issuer decided about its tax is named with it,
and posted where the return is made. The member's statement says so; money that comes after all is recovered
(`billing.recoveries`).
"""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from billing import balances, ledger
from billing.chart_of_accounts import Account
from billing.holding import held_of
from billing.invoicing import FourEyes
from billing.models import Invoice, InvoiceBalance, Payment, WriteOff
from billing.models.write_offs import TAX_EFFECTS
from billing.states_writing_off import WRITE_OFF
from consortium.kernel import audit
from consortium.kernel.audit import Fact
from consortium.kernel.errors import Invalid
from consortium.kernel.money import EXACT
from consortium.kernel.periods import local_date
from members.models import User
from members.permissions import Permission, check_staff


class WriteOffInvalid(Invalid):
    """Nothing is due, or a payment or dispute is under way, or words are missing."""

    code = "write_off_invalid"


@transaction.atomic
def propose_write_off(invoice: Invoice, *, reason: str, tax_effect: str, by: User, at: datetime) -> WriteOff:
    """Put giving up the rest of an invoice before a second person; nothing is given up yet.

    `tax_effect` is "kept" or "relief", the issuer's decision. Raises Forbidden, WriteOffInvalid.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    balance = _locked_balance(invoice)
    invoice = balance.invoice
    if not reason.strip():
        raise WriteOffInvalid(_("Say why nobody expects it any more, and what was tried."), field="reason")
    if tax_effect not in dict(TAX_EFFECTS):
        raise WriteOffInvalid(_("Say what the issuer decided about the tax."), field="tax_effect")
    due = _due(balance)
    if WriteOff.objects.filter(invoice=invoice, status="waiting").exists():
        raise WriteOffInvalid(_("Writing this invoice off waits for a second person already."))
    row = WriteOff.objects.create(
        institution_id=invoice.institution_id,
        invoice=invoice,
        amount=due,
        currency=invoice.currency,
        reason=reason.strip()[:500],
        tax_effect=tax_effect,
        proposed_by=by,
        proposed_at=at,
    )
    _record("proposed", row, by=by, at=at)
    return row


@transaction.atomic
def approve_write_off(row: WriteOff, *, by: User, at: datetime) -> WriteOff:
    """Write the rest of the invoice off, to the cent as it was proposed; approved before, it is returned.

    Raises Forbidden, FourEyes for who proposed it, TransitionRefused for one that was withdrawn, WriteOffInvalid when
    money or a credit came since.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    balance, row = _locked(row)
    invoice = balance.invoice
    if row.status == "approved":
        return row
    if by.pk == row.proposed_by_id:
        raise FourEyes(_("A write-off is approved by another person than the one who proposed it."))
    if row.status == "waiting" and _due(balance) != row.amount:
        raise WriteOffInvalid(_("What is due has changed since: withdraw this and propose it anew."))
    WRITE_OFF.move(row, "approved", decided_by=by, decided_at=at)
    InvoiceBalance.objects.filter(pk=balance.pk).update(written_off=F("written_off") + row.amount)
    balance.written_off = EXACT.add(balance.written_off, row.amount)
    balances.settle(balance)
    ledger.post(
        issuer=invoice.issuer,
        kind="write_off",
        source=row,
        on=local_date(at, invoice.issuer.zone),
        narration=f"Invoice {invoice.number} written off",
        legs=[
            ledger.Leg(Account.BAD_DEBTS, row.amount, row.currency),
            ledger.Leg(Account.RECEIVABLES, EXACT.minus(row.amount), row.currency),
        ],
        at=at,
        institution_id=row.institution_id,
    )
    _record("approved", row, by=by, at=at)
    return row


@transaction.atomic
def withdraw_write_off(row: WriteOff, *, by: User, at: datetime) -> WriteOff:
    """Give a proposal up; the invoice stays due. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    _balance, row = _locked(row)
    WRITE_OFF.move(row, "withdrawn", decided_by=by, decided_at=at)
    _record("withdrawn", row, by=by, at=at)
    return row


def _due(balance: InvoiceBalance) -> Decimal:
    """What is due and may be given up; refused while money or a dispute is under way."""
    due = balances.may_take(balance)
    if due <= 0:
        raise WriteOffInvalid(_("Nothing is due on this invoice."))
    if held_of(balance) > 0:
        raise WriteOffInvalid(_("A dispute holds a part of this invoice. Decide it first."))
    if Payment.objects.filter(invoice=balance.invoice, status="pending").exists():
        raise WriteOffInvalid(_("A payment of this invoice is on its way. Wait until the bank has settled it."))
    return due


def _locked_balance(invoice: Invoice) -> InvoiceBalance:
    if not InvoiceBalance.objects.filter(pk=invoice.pk).exists():
        raise WriteOffInvalid(_("Nothing is due on this invoice."))
    return balances.lock(invoice.pk)


def _locked(row: WriteOff) -> tuple[InvoiceBalance, WriteOff]:
    """Balance and write-off as they are now, locked until commit, in this order everywhere."""
    balance = _locked_balance(row.invoice)
    return balance, WriteOff.objects.select_for_update(of=("self",)).select_related("invoice").get(pk=row.pk)


def _record(what: str, row: WriteOff, *, by: User, at: datetime) -> None:
    after: dict[str, Fact] = {
        "invoice": row.invoice.number,
        "amount": row.amount,
        "currency": row.currency,
        "tax_effect": row.tax_effect,
    }
    audit.record(
        f"billing.write_off_{what}",
        row,
        by=by,
        at=at,
        institution_id=row.institution_id,
        after=after,
        reason=row.reason,
    )
