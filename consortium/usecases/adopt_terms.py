"""Billing accounts follow the agreement: days to pay and the purchase-order rule are those in force today."""

from datetime import datetime

from django.db import transaction

from billing.models import BillingAccount
from consortium.kernel import audit
from consortium.kernel.audit import System
from members.agreements import agreement_in_force
from members.entitlements import entitlements_of
from members.models import Agreement

PORTAL = System("agreements")


def adopt_terms(*, at: datetime) -> int:
    """Will bring every open billing account into line with the agreement that binds now; returns how many changed.

    An amendment may begin weeks after both have signed, so the calendar does it, each day anew. What was issued keeps
    its own terms. Needs a scope that sees all institutions.
    """
    accounts = BillingAccount.objects.filter(ended_at=None).select_related("institution").order_by("pk")
    return sum(_adopt(account, at) for account in accounts)


def _adopt(account: BillingAccount, at: datetime) -> bool:
    agreement = agreement_in_force(account.institution_id, at=at)
    if agreement is None or agreement.issuer_id != account.issuer_id:
        return False
    agreed = entitlements_of(agreement)
    before = {"payment_days": account.payment_days, "po_required": account.po_required}
    after = {"payment_days": agreed.payment_days, "po_required": agreed.po_required}
    if before == after:
        return False
    _write(account, agreement, before, after, at)
    return True


@transaction.atomic
def _write(
    account: BillingAccount, agreement: Agreement, before: dict[str, int], after: dict[str, int], at: datetime
) -> None:
    BillingAccount.objects.filter(pk=account.pk).update(**after)
    audit.record(
        "billing.account_terms_adopted",
        account,
        by=PORTAL,
        at=at,
        institution_id=account.institution_id,
        before=before,
        after={**after, "agreement": agreement.pk},
    )
