"""Commitments paid ahead: bought once, an asset, and cost only in the months that use them up.

A provider bills the purchase of a commitment with no effective cost, and the use that it covers with an effective cost
and nothing billed. Only rows of these two kinds move the asset: other differences between billed and effective cost are
discounts and the provider's roundings.
"""

from decimal import Decimal

from django.db.models import Q, Sum

from billing.chart_of_accounts import Account
from billing.models import BillImport, CostRow, LedgerLeg
from consortium.kernel.money import EXACT, round_money
from members.models import Issuer


def prepaid_part(bill: BillImport, *, issuer: Issuer) -> Decimal:
    """Return what a bill puts into the prepaid asset (above zero) or takes from it (below), in the bill's currency.

    Never more is taken than the asset holds: a commitment that was bought before these books began was cost then. A
    bill that is posted already gives what was posted.
    """
    own = LedgerLeg.objects.filter(
        entry__kind="supplier_bill", entry__source_type="billing.BillImport", entry__source_id=bill.pk
    )
    if own.exists():
        return own.filter(account__code=Account.PREPAID).aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
    rows = CostRow.objects.filter(bill=bill).exclude(charge_category="Tax")
    bought = rows.filter(Q(effective_cost=0), ~Q(billed_cost=0), charge_category="Purchase")
    used = rows.filter(Q(billed_cost=0), ~Q(effective_cost=0), charge_category="Usage")
    ahead = round_money(bought.aggregate(sum=Sum("billed_cost"))["sum"] or Decimal(0), bill.currency)
    spent = round_money(used.aggregate(sum=Sum("effective_cost"))["sum"] or Decimal(0), bill.currency)
    held = EXACT.add(prepaid_balance(issuer, bill.currency), ahead)
    return EXACT.subtract(ahead, min(max(spent, Decimal(0)), max(held, Decimal(0))))


def prepaid_balance(issuer: Issuer, currency: str) -> Decimal:
    """Return what the issuer has paid ahead and not yet used, in the currency. Needs a consortium scope."""
    legs = LedgerLeg.objects.filter(entry__issuer=issuer, account__code=Account.PREPAID, currency=currency)
    return legs.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
