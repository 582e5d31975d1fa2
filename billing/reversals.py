"""A bill that its provider restates after its month was closed: taken back whole, then charged anew.

The closed month never changes. In the month that takes the restated bill stand both: a reversal, which mirrors what
was charged to the cent (same shares, same rate), and the new version, split by the frozen use, the policies and the
rate of the bill's own month. What a member pays in the end is what it would have paid had the bill been right at once.
"""

import hashlib
from datetime import datetime
from decimal import Decimal

from billing import staging
from billing.models import BillImport, BillingPeriod
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.money import EXACT
from members.models import Issuer, User


def charged_in_closed(issuer: Issuer, newest: BillImport | None) -> BillImport | None:
    """Return the version that a closed month charged and nothing took back yet, if the newest one is such."""
    if newest is None or hasattr(newest, "reversal"):
        return None
    closed = BillingPeriod.objects.filter(issuer=issuer, month=newest.charged_month, status="closed")
    return newest if closed.exists() else None


def take_back(original: BillImport, *, charged_month: str, by: User | System, at: datetime) -> BillImport:
    """Write the reversal of a bill into the month, rows and all."""
    bill = BillImport.objects.create(
        kind="reversal",
        reverses=original,
        cloud_account=original.cloud_account,
        month=original.month,
        charged_month=charged_month,
        version=original.version,
        file_name=original.file_name,
        content_sha256=hashlib.sha256(f"reversal of {original.pk}".encode()).hexdigest(),
        rows=original.rows,
        billed_total=EXACT.subtract(Decimal(0), original.billed_total),
        currency=original.currency,
        imported_at=at,
    )
    staging.reverse(bill, original)
    after: dict[str, Fact] = {
        "reverses": original.pk,
        "charged_month": charged_month,
        "billed_total": bill.billed_total,
    }
    audit.record("billing.bill_taken_back", bill, by=by, at=at, institution_id=None, after=after)
    return bill


def is_restated(bill: BillImport) -> bool:
    """Tell whether the bill corrects a version that a closed month charged."""
    if bill.kind == "reversal":
        return False
    earlier = BillImport.objects.filter(
        cloud_account=bill.cloud_account_id, month=bill.month, kind="reversal", version__lt=bill.version
    )
    return earlier.exists()
