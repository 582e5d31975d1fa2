"""What the provider's own invoice comes to: a bill that sums to anything else waits, and nobody is billed for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing.bills import current_bills
from billing.facts import Finding
from billing.models import BillImport, BillingPeriod, CloudAccount, ProviderTotal
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid
from consortium.kernel.money import exponent, plain, round_money
from consortium.kernel.periods import Month
from members.models import User
from members.permissions import Permission, check_staff

PARKED = "provider_total"


class ProviderTotalInvalid(Invalid):
    """The total cannot be one of the provider's invoice."""

    code = "provider_total_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A bill whose rows do not come to what the provider's invoice says; tax rows count on both sides."""

    bill: BillImport
    stated: ProviderTotal

    @property
    def message(self) -> str:
        """Both figures, for the person who has to find out."""
        return _(
            "%(account)s %(month)s: the rows come to %(rows)s %(currency)s, the provider's invoice %(reference)s to "
            "%(stated)s %(other)s. Fetch the bill again, or correct the stated total."
        ) % {
            "account": self.bill.cloud_account,
            "month": self.bill.month,
            "rows": plain(self.bill.billed_total),
            "currency": self.bill.currency,
            "reference": self.stated.reference or "",
            "stated": plain(self.stated.total),
            "other": self.stated.currency,
        }


@transaction.atomic
def record_provider_total(
    *,
    account: CloudAccount,
    month: Month,
    total: Decimal,
    currency: str,
    reference: str,
    by: User | System,
    at: datetime,
) -> ProviderTotal:
    """Record what the provider's invoice of a month comes to; a later statement replaces it.

    Raises Forbidden, ProviderTotalInvalid, CurrencyUnknown.
    """
    check_staff(by, Permission.IMPORT_BILLS)
    exponent(currency)
    if round_money(total, currency) != total:
        raise ProviderTotalInvalid(
            _("%(total)s is finer than the smallest unit of %(currency)s; an invoice is not.")
            % {"total": plain(total), "currency": currency},
            field="total",
        )
    row = ProviderTotal.objects.create(
        cloud_account=account,
        month=str(month),
        total=total,
        currency=currency,
        reference=reference[:200],
        recorded_at=at,
    )
    after: dict[str, Fact] = {"month": str(month), "total": total, "currency": currency}
    audit.record("billing.provider_total_recorded", row, by=by, at=at, institution_id=None, after=after)
    return row


def differences(bills: Iterable[BillImport]) -> dict[UUID, Difference]:
    """Return the bills that do not come to the provider's total, rounded to its currency; those without one agree."""
    bills = [bill for bill in bills if bill.kind == "bill"]
    stated = _stated(bills)
    found = {}
    for bill in bills:
        total = stated.get((bill.cloud_account_id, bill.month))
        if total is not None and not _agrees(bill, total):
            found[bill.pk] = Difference(bill=bill, stated=total)
    return found


def provider_findings(period: BillingPeriod) -> list[Finding]:
    """Return what the preflight of a month should say: each bill that differs, blocking."""
    bills = current_bills(period)
    return [
        Finding(code=PARKED, blocking=True, message=difference.message) for difference in differences(bills).values()
    ]


def _stated(bills: list[BillImport]) -> dict[tuple[UUID, str], ProviderTotal]:
    """The newest statement of each (account, month)."""
    rows = ProviderTotal.objects.filter(cloud_account__in={bill.cloud_account_id for bill in bills})
    return {(row.cloud_account_id, row.month): row for row in rows.order_by("recorded_at", "pk")}


def _agrees(bill: BillImport, stated: ProviderTotal) -> bool:
    return bill.currency == stated.currency and round_money(bill.billed_total, bill.currency) == stated.total
