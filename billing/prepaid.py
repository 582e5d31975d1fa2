"""Prepaid credit: money paid in advance, which later invoices take first, each as a line of its own after the taxes."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from billing.models import (
    BillingAccount,
    BillingPeriod,
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    Prepaid,
    PrepaidUse,
)
from billing.postings_credit import post_prepaid
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, exact_sum, round_money
from members.models import Issuer, User
from members.permissions import Permission, check_staff


class PrepaidInvalid(Invalid):
    """The amount cannot be one, or the reference is missing."""

    code = "prepaid_invalid"


class PrepaidChanged(PortalError):
    """Since the draft another invoice took the prepaid credit."""

    code = "prepaid_changed"


@transaction.atomic
def record_prepaid(
    account: BillingAccount, *, amount: Decimal, reference: str, received_on: date, by: User | System, at: datetime
) -> Prepaid:
    """Record money that arrived in advance, in the account's currency; the same reference is recorded once.

    Raises Forbidden, PrepaidInvalid.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    if amount <= 0 or round_money(amount, account.currency) != amount:
        raise PrepaidInvalid(_("The amount is above zero, to the smallest unit of its currency."), field="amount")
    if not reference.strip():
        raise PrepaidInvalid(_("Enter the bank's reference, by which an auditor finds the payment."), field="reference")
    row, made = _kept(account, amount, reference.strip()[:100], received_on, by=by, at=at)
    if made:
        post_prepaid(row, at=at)
        after = {"amount": amount, "currency": account.currency, "received_on": received_on}
        audit.record("billing.prepaid_recorded", row, by=by, at=at, institution_id=account.institution_id, after=after)
    return row


def left_by_account(issuer: Issuer, *, before: BillingPeriod | None = None) -> dict[UUID, Decimal]:
    """Return what is left of the prepaid credit of each billing account of the issuer that has some.

    `before` leaves out what that month's own invoices took, so that a preview says the same after them.
    """
    held = Prepaid.objects.filter(billing_account__issuer=issuer).values_list("billing_account_id")
    used = PrepaidUse.objects.filter(billing_account__issuer=issuer).values_list("billing_account_id")
    if before is not None:
        used = used.exclude(invoice__period=before)
    taken = dict(used.annotate(sum=Sum("amount")))
    left = {key: EXACT.subtract(sum_, taken.get(key, Decimal(0))) for key, sum_ in held.annotate(sum=Sum("amount"))}
    return {key: amount for key, amount in left.items() if amount > 0}


def prepaid_uses(invoices: Sequence[Invoice], *, refused: dict[UUID, PortalError]) -> list[PrepaidUse]:
    """Return what the invoices take of their accounts' prepaid credit, as their own lines say, for the caller to write.

    The accounts' rows are held until commit. What is not there any more goes to `refused`.
    """
    wanted: dict[UUID, Decimal] = {}
    lines = InvoiceLine.objects.filter(invoice__in=invoices, kind="prepaid").values_list("invoice_id", "net")
    for key, net in lines:
        wanted[key] = EXACT.subtract(wanted.get(key, Decimal(0)), net)
    takers = [invoice for invoice in invoices if wanted.get(invoice.pk)]
    if not takers:
        return []
    keys = {invoice.billing_account_id for invoice in takers}
    list(BillingAccount.objects.select_for_update(of=("self",)).filter(pk__in=keys).order_by("pk").values_list("pk"))
    left, uses = left_by_account(takers[0].issuer), []
    for invoice in takers:
        account, amount = invoice.billing_account_id, wanted[invoice.pk]
        if left.get(account, Decimal(0)) < amount:
            refused[invoice.pk] = PrepaidChanged(
                _("Another invoice took the prepaid credit since the draft. Discard it and draft again.")
            )
            continue
        left[account] = EXACT.subtract(left[account], amount)
        uses.append(
            PrepaidUse(
                institution_id=invoice.institution_id,
                billing_account_id=account,
                invoice=invoice,
                amount=amount,
                currency=invoice.currency,
            )
        )
    return uses


def give_back(note: CreditNote, *, by: User | System, at: datetime) -> None:
    """Make what a credit note takes back of a prepaid line prepaid credit again; its posting is the note's own."""
    rows = CreditNoteLine.objects.filter(credit_note=note, invoice_line__kind="prepaid")
    amount = EXACT.minus(exact_sum(rows.values_list("net", flat=True)))
    if amount > 0:
        account = note.invoice.billing_account
        _kept(account, amount, f"Credit note {note.number}", note.issued_on, by=by, at=at)


def _kept(
    account: BillingAccount, amount: Decimal, reference: str, on: date, *, by: User | System, at: datetime
) -> tuple[Prepaid, bool]:
    return Prepaid.objects.get_or_create(
        billing_account=account,
        reference=reference,
        defaults={
            "institution_id": account.institution_id,
            "amount": amount,
            "currency": account.currency,
            "received_on": on,
            "recorded_by": None if isinstance(by, System) else by,
            "recorded_at": at,
        },
    )
