"""A member's open credit goes on its invoices as they are issued, the oldest first, unless their payer is asked first.

It happens in the transaction that issues, so no invoice is ever due for what is there already. The document as issued
stays what it is: the mail, the pay page and the statement say what was used and what is left.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing.member_credit import LOCK_ORDER, credits_with_rest, pick, put_on
from billing.models import Invoice, InvoiceBalance, MemberCredit
from billing.states import INVOICE
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.money import EXACT
from members.models import User

Purse = tuple[UUID, UUID, str]  # member, issuer, currency


def open_credit(invoices: Sequence[Invoice]) -> dict[Purse, list[MemberCredit]]:
    """Lock what the members of these invoices have as credit until commit, the oldest first.

    To be called before the invoices are locked: whoever puts credit on an invoice by hand locks the credit first, then
    moves the invoice.
    """
    mine = MemberCredit.objects.filter(
        institution__in={each.institution_id for each in invoices},
        issuer__in={each.issuer_id for each in invoices},
        currency__in={each.currency for each in invoices},
    )
    open_ones = credits_with_rest(mine).filter(rest__gt=0)  # type: ignore[misc]  # annotated
    keys = list(open_ones.select_for_update(of=("self",)).order_by(*LOCK_ORDER).values_list("pk", flat=True))
    found: dict[Purse, list[MemberCredit]] = {}
    # What is left is read once the rows are ours: another one may have used some while we waited.
    rows = credits_with_rest(MemberCredit.objects.filter(pk__in=keys)).order_by(*LOCK_ORDER) if keys else ()
    for credit in rows:
        found.setdefault((credit.institution_id, credit.issuer_id, credit.currency), []).append(credit)
    return found


def use_at_issue(
    invoices: Sequence[Invoice],
    balances: Mapping[UUID, InvoiceBalance],
    credit: Mapping[Purse, Sequence[MemberCredit]],
    *,
    by: User | System,
    at: datetime,
) -> None:
    """Put locked credit on invoices of one issuer that are issued now, in their order; their balances are new.

    The queries do not grow with the invoices.
    """
    taken = [
        (row, part)
        for row in invoices
        if not row.billing_account.ask_before_credit
        for part in pick(credit.get((row.institution_id, row.issuer_id, row.currency), ()), row.total)
    ]
    if not taken:
        return
    for use in put_on(taken, by=by, at=at):
        assert use.invoice_id is not None  # noqa: S101 - put_on puts it on one
        balance = balances[use.invoice_id]
        balance.paid = EXACT.add(balance.paid, use.amount)
    served = list({row.pk: row for row, _part in taken}.values())
    InvoiceBalance.objects.bulk_update([balances[row.pk] for row in served], ["paid"])
    INVOICE.move_all([row for row in served if balances[row.pk].paid == row.total], "paid")
    INVOICE.move_all([row for row in served if Decimal(0) < balances[row.pk].paid < row.total], "partly_paid")
    crash_point("credit.at_issue")
