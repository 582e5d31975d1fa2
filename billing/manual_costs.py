"""Costs that no provider bills, such as staff and licences: entered by a person, with the document that proves them.

A manual cost is a bill of one row, so that everything that holds for bills holds for it: versions, months, pools,
reversals, the way from a share back to its row. Its account is called after what it is for.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from billing import reversals
from billing.bills import next_version
from billing.matching import Destination, Kind
from billing.models import BillImport, CloudAccount, CostRow
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.documents import store
from consortium.kernel.errors import Invalid
from consortium.kernel.money import exponent, plain, round_money
from consortium.kernel.periods import Month
from members.models import Institution, Issuer, User
from members.permissions import Permission, check_staff

PROVIDER: Final = "Consortium"
EVIDENCE: Final = "evidence"
MAX_EVIDENCE_BYTES: Final = 20 << 20


class ManualCostInvalid(Invalid):
    """The cost has no name, no amount, no evidence, or goes nowhere."""

    code = "manual_cost_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The document that proves a cost: a payslip summary, a licence invoice."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualCost:
    """A cost: what for ("Support staff"), of which month, how much, who bears it, and why it is right."""

    name: str
    month: Month
    charged_month: Month
    amount: Decimal
    currency: str
    destination: Destination
    note: str
    evidence: Evidence


@transaction.atomic
def enter_manual_cost(cost: ManualCost, *, issuer: Issuer, by: User | System, at: datetime) -> BillImport:
    """Enter a cost; the same name and month again is its next version, as a restated bill would be.

    Needs a consortium scope. Raises Forbidden, ManualCostInvalid, RuleInvalid, PeriodClosed, BillMonthUnclear.
    """
    check_staff(by, Permission.IMPORT_BILLS)
    _check(cost)
    institution_id = _institution(cost.destination)
    account = _account(cost.name, issuer, by=by, at=at)
    version, wrong = next_version(account, cost.month, str(cost.charged_month))
    if wrong is not None:
        reversals.take_back(wrong, charged_month=str(cost.charged_month), by=by, at=at)
    bill = BillImport.objects.create(
        kind="manual",
        note=cost.note.strip(),
        cloud_account=account,
        month=str(cost.month),
        charged_month=str(cost.charged_month),
        version=version,
        file_name=cost.evidence.name[:300],
        content_sha256=hashlib.sha256(cost.evidence.content).hexdigest(),
        rows=1,
        billed_total=cost.amount,
        currency=cost.currency,
        imported_at=at,
    )
    CostRow.objects.create(**_row(bill, cost, institution_id))
    store(
        cost.evidence.content,
        kind=EVIDENCE,
        name=cost.evidence.name[:200],
        media_type=cost.evidence.media_type,
        subject=bill,
        institution_id=None,
        at=at,
    )
    after: dict[str, Fact] = {
        "month": bill.month, "version": version, "amount": cost.amount, "currency": cost.currency,
        "destination": str(cost.destination),
    }  # fmt: skip
    audit.record("billing.manual_cost_entered", bill, by=by, at=at, institution_id=None, after=after)
    return bill


def _check(cost: ManualCost) -> None:
    exponent(cost.currency)
    if not slugify(cost.name):
        raise ManualCostInvalid(_("Say what the cost is for, such as Support staff."), field="name")
    if not cost.amount or round_money(cost.amount, cost.currency) != cost.amount:
        raise ManualCostInvalid(
            _("%(amount)s is no amount of %(currency)s: it is zero, or finer than the smallest unit.")
            % {"amount": plain(cost.amount), "currency": cost.currency},
            field="amount",
        )
    if not cost.note.strip():
        raise ManualCostInvalid(_("Say what the evidence shows; a member will read it."), field="note")
    if not cost.evidence.content or len(cost.evidence.content) > MAX_EVIDENCE_BYTES:
        raise ManualCostInvalid(_("Attach the document that proves the cost, of at most 20 MB."), field="evidence")


def _institution(destination: Destination) -> UUID | None:
    """The institution that bears a direct cost; None for a pool. Raises ManualCostInvalid."""
    if destination.kind is Kind.POOL:
        return None
    institution = Institution.objects.filter(slug=destination.key).first()
    if destination.kind is not Kind.DIRECT or institution is None:
        raise ManualCostInvalid(_("Choose a pool or an institution that bears the cost."), field="destination")
    return institution.pk


def _account(name: str, issuer: Issuer, *, by: User | System, at: datetime) -> CloudAccount:
    number = f"{issuer.slug}/{slugify(name)[:60]}"
    account, made = CloudAccount.objects.get_or_create(
        provider=PROVIDER,
        billing_account_id=number,
        defaults={"issuer": issuer, "slug": slugify(f"{issuer.slug}-{name}")[:60].strip("-"), "created_at": at},
    )
    if made:
        after: dict[str, Fact] = {"provider": PROVIDER, "billing_account_id": number}
        audit.record("billing.cloud_account_added", account, by=by, at=at, institution_id=None, after=after)
    return account


def _row(bill: BillImport, cost: ManualCost, institution_id: UUID | None) -> dict[str, object]:
    """The one row: its charge period is the month, its reason the note."""
    start = datetime.combine(cost.month.first_day, time.min, UTC)
    end = datetime.combine(cost.month.next().first_day, time.min, UTC)
    return {
        "bill": bill,
        "line": 1,
        "billed_cost": cost.amount,
        "effective_cost": cost.amount,
        "currency": cost.currency,
        "charge_category": "Purchase",
        "charge_period_start": start,
        "charge_period_end": end,
        "service_name": cost.name,
        "destination": str(cost.destination.kind),
        "institution_id": institution_id,
        "pool_key": cost.destination.key if institution_id is None else "",
        "because": f"Entered by hand: {cost.note.strip()}",
    }
