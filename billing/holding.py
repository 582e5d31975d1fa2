"""How much of an invoice is held, by whatever holds it: one question for reminders, the pay page and standing.

What is held stays owed, but nobody is asked or reminded to pay it until whoever holds it is through.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Sum

from billing.card_disputes import taken_by_card
from billing.models import Invoice, InvoiceBalance, LineDispute
from billing.settlement import amount_due
from billing.states_collecting import HOLDING
from consortium.kernel.money import EXACT, exact_sum

NOTHING: Final = Decimal(0)


def held_amount(invoice: Invoice) -> Decimal:
    """Return what is held of an invoice, in its currency, never more than is due on it. Needs its scope."""
    balance = InvoiceBalance.objects.get(pk=invoice.pk)
    return held_of(balance)


def held_of(balance: InvoiceBalance) -> Decimal:
    """Return what is held of the invoice of a balance, as the balance reads now; needs its scope."""
    return min(_held([balance.pk]).get(balance.pk, NOTHING), amount_due(balance))


def payable_of(balance: InvoiceBalance) -> Decimal:
    """Return what is due and not held."""
    return EXACT.subtract(amount_due(balance), held_of(balance))


def held_amounts(balances: Iterable[InvoiceBalance]) -> dict[UUID, Decimal]:
    """Return what is held of many invoices, by their keys, with as many queries as for one."""
    rows = list(balances)
    found = _held([row.pk for row in rows])
    return {row.pk: min(found.get(row.pk, NOTHING), amount_due(row)) for row in rows}


def _held(keys: list[UUID]) -> dict[UUID, Decimal]:
    """What the payers dispute, line by line, and the card holders through their banks."""
    disputed = LineDispute.objects.filter(invoice__in=keys, status__in=HOLDING)
    sums = dict(disputed.values_list("invoice").annotate(sum=Sum("amount")))
    by_card = taken_by_card(keys)
    return {key: exact_sum([sums.get(key, NOTHING), by_card.get(key, NOTHING)]) for key in keys}
