"""What was paid up front and how much of it is left, reconciled to the rows that bought and used it.

A commitment is bought once, is an asset, and is cost only in the months that use it up. One idea for allocation and
books: what a row's `prepaid` says is charged to nobody yet, and the asset holds what was bought less what was used.
"""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum

from billing.bills import charged_bills
from billing.chart_of_accounts import Account
from billing.models import BillImport, Commitment, CostRow, LedgerEntry, LedgerLeg
from consortium.kernel.fields import AmountField
from consortium.kernel.money import EXACT, round_money
from members.models import Issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentStand:
    """One commitment: paid up front, used up so far, left. `left` is the prepaid asset, always paid less used."""

    key: str
    account: str
    currency: str
    paid: Decimal
    used: Decimal
    left: Decimal


def commitments_of(issuer: Issuer) -> list[CommitmentStand]:
    """Return the issuer's commitments as its bills tell them; replaced versions do not count. Two queries."""
    commitments = Commitment.objects.filter(cloud_account__issuer=issuer).select_related("cloud_account")
    sums = _sums(issuer)
    stands = []
    for commitment in commitments.order_by("cloud_account__slug", "key"):
        paid, used, left = sums.get((commitment.cloud_account_id, commitment.key), (Decimal(0),) * 3)
        stands.append(
            CommitmentStand(
                key=commitment.key,
                account=commitment.cloud_account.slug,
                currency=commitment.currency,
                paid=paid,
                used=used,
                left=left,
            )
        )
    return stands


def prepaid_of(bill: BillImport) -> Decimal:
    """Return what of a bill goes into prepaid commitments, exactly; below zero where more is used than bought."""
    return _exact(CostRow.objects.filter(bill=bill))


def prepaid_posting(bill: BillImport, *, issuer: Issuer) -> Decimal:
    """Return what the books put into the prepaid asset for a bill, in its currency; below zero they take from it.

    The asset is what all posted bills and this one say exactly, rounded once: after the last use of a commitment
    nothing is left of it, whatever the roundings between. A bill that is posted gives what was posted.
    """
    entries = LedgerEntry.objects.filter(issuer=issuer, kind="supplier_bill", source_type="billing.BillImport")
    legs = LedgerLeg.objects.filter(entry__in=entries, account__code=Account.PREPAID, currency=bill.currency)
    if entries.filter(source_id=bill.pk).exists():
        return _sum(legs.filter(entry__source_id=bill.pk))
    own = prepaid_of(bill)
    if not own:
        return Decimal(0)
    posted = CostRow.objects.filter(bill__in=entries.values("source_id"), currency=bill.currency)
    return EXACT.subtract(round_money(EXACT.add(_exact(posted), own), bill.currency), _sum(legs))


def prepaid_balance(issuer: Issuer, currency: str) -> Decimal:
    """Return what the issuer has paid ahead and not yet used, in the currency. Needs a consortium scope."""
    return _sum(LedgerLeg.objects.filter(entry__issuer=issuer, account__code=Account.PREPAID, currency=currency))


def _exact(rows: QuerySet[CostRow]) -> Decimal:
    return rows.exclude(prepaid=0).aggregate(sum=Sum("prepaid"))["sum"] or Decimal(0)


def _sum(legs: QuerySet[LedgerLeg]) -> Decimal:
    return legs.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)


def _sums(issuer: Issuer) -> dict[tuple[UUID, str], tuple[Decimal, Decimal, Decimal]]:
    bought = Q(charge_category="Purchase")
    groups = (
        CostRow.objects.filter(bill__in=charged_bills(issuer).values("pk"))
        .exclude(commitment_id="")
        .order_by()
        .values("bill__cloud_account", "commitment_id")
        .annotate(
            paid=Sum("prepaid", filter=bought, default=Decimal(0), output_field=AmountField()),
            used=Sum(-F("prepaid"), filter=~bought, default=Decimal(0), output_field=AmountField()),
            left=Sum("prepaid"),
        )
    )
    return {
        (group["bill__cloud_account"], group["commitment_id"]): (group["paid"], group["used"], group["left"])
        for group in groups
    }
