"""What was paid up front and how much of it is left, reconciled to the rows that bought and used it."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q, Sum

from billing.bills import charged_bills
from billing.models import BillImport, Commitment, CostRow
from consortium.kernel.fields import AmountField
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
    """Return what of a bill goes into prepaid commitments; below zero where more is used than bought."""
    return CostRow.objects.filter(bill=bill).aggregate(total=Sum("prepaid"))["total"] or Decimal(0)


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
