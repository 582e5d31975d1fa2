"""Cost that no rule claims: shown until it is zero, or until a person takes responsibility for it with a reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, F, Sum
from django.utils.translation import gettext as _

from billing.bills import current_bills
from billing.models import BillImport, BillingPeriod, CostAcceptance, CostRow
from billing.periods import open_period
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid
from consortium.kernel.fields import AmountField
from consortium.kernel.money import plain
from members.models import User
from members.permissions import Permission, check_staff


class AcceptanceInvalid(Invalid):
    """Nothing is there to accept, another total was meant, or the reason is missing."""

    code = "acceptance_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattributed:
    """What of one bill no rule claims, and who accepted exactly that, if anybody did."""

    bill: BillImport
    rows: int
    total: Decimal
    acceptance: CostAcceptance | None


def unattributed_of(period: BillingPeriod) -> list[Unattributed]:
    """Return what of the period's bills no rule claims. Two queries. Needs a consortium scope."""
    return _of(current_bills(period))


def open_unattributed(period: BillingPeriod) -> list[Unattributed]:
    """Return what still waits for a rule or a person: what stops a close."""
    return [each for each in unattributed_of(period) if each.acceptance is None]


@transaction.atomic
def accept_unattributed(
    bill: BillImport, *, total: Decimal, reason: str, by: User | System, at: datetime
) -> CostAcceptance:
    """Take responsibility for what no rule claims of a bill: nobody is billed for it.

    `total` is what the person read, so that a bill that changed meanwhile is looked at again. Raises Forbidden,
    AcceptanceInvalid.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    found = next(iter(_of([bill])), None)
    if found is None:
        raise AcceptanceInvalid(_("A rule claims every row of this bill: there is nothing to accept."))
    if found.total != total:
        raise AcceptanceInvalid(
            _("%(total)s %(currency)s of this bill are unattributed. Read the rows again and type that total.")
            % {"total": plain(found.total), "currency": bill.currency},
            field="total",
        )
    if not reason.strip():
        raise AcceptanceInvalid(_("Say why nobody shall be billed for it; an auditor will ask."), field="reason")
    if found.acceptance is not None:
        return found.acceptance
    row = CostAcceptance.objects.create(
        period=open_period(bill.cloud_account.issuer, bill.charged_month),
        bill=bill,
        total=total,
        currency=bill.currency,
        reason=reason.strip(),
        accepted_by=by if isinstance(by, User) else None,
        accepted_at=at,
    )
    after: dict[str, Fact] = {"total": total, "currency": bill.currency, "rows": found.rows}
    audit.record("billing.cost_accepted", row, by=by, at=at, institution_id=None, after=after, reason=reason)
    return row


def _of(bills: Iterable[BillImport]) -> list[Unattributed]:
    by_key = {bill.pk: bill for bill in bills}
    groups = (
        CostRow.objects.filter(bill__in=by_key, destination="unattributed")
        .order_by("bill")
        .values("bill")
        .annotate(total=Sum(F("billed_cost") - F("prepaid"), output_field=AmountField()), number=Count("pk"))
    )
    accepted = {row.bill_id: row for row in CostAcceptance.objects.filter(bill__in=by_key).order_by("accepted_at")}
    found = []
    for group in groups:
        acceptance = accepted.get(group["bill"])
        if acceptance is not None and acceptance.total != group["total"]:
            acceptance = None
        bill = by_key[group["bill"]]
        found.append(Unattributed(bill=bill, rows=group["number"], total=group["total"], acceptance=acceptance))
    return found
