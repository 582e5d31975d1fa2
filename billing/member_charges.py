"""Charges and credits beside an agreement's monthly prices: support hours, event hubs, service credits, adjustments.

Each is recorded once for what it is about. One that comes after its month was closed goes on the next open month as an
adjustment that names the month it belongs to: closed months never change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing.models import BillingPeriod, MemberCharge
from billing.models.member_charges import KINDS
from billing.periods import PeriodClosed, open_period
from billing.prices import Support, support_charge
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid
from consortium.kernel.money import exponent, multiply, round_money
from consortium.kernel.periods import Month
from members.models import Institution, Issuer, User
from members.permissions import Permission, check_staff


class ChargeInvalid(Invalid):
    """A charge lacks its words, has the wrong sign, or is finer than its currency."""

    code = "charge_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is charged: quantity times unit price, in `currency`; below zero it is a credit.

    `kind` is as MemberCharge.kind; `source_type` and `source_id` name what it is about (a statement, an event, a
    ticket): the same is charged once.
    """

    kind: str
    description_en: str
    description_fr: str
    quantity: Decimal
    unit: str = ""
    unit_price: Decimal
    currency: str
    source_type: str
    source_id: UUID
    evidence: Mapping[str, Any] = field(default_factory=dict)


@transaction.atomic
def record_charge(
    *, institution: Institution, issuer: Issuer, month: str, charge: Charge, by: User | System, at: datetime
) -> MemberCharge:
    """Record a charge for the invoice of that month, or of the next one that is still open, then as an adjustment.

    Recorded before, it is returned as it was. Raises Forbidden, ChargeInvalid.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    net = _checked(charge)
    known = {"source_type": charge.source_type, "source_id": charge.source_id}
    if held := MemberCharge.objects.filter(kind__in={charge.kind, "adjustment"}, **known).first():
        return held
    period = _first_open(issuer, month)
    is_late = period.month != month
    row = MemberCharge.objects.create(
        institution=institution,
        issuer=issuer,
        month=period.month,
        kind="adjustment" if is_late else charge.kind,
        description_en=(f"Adjustment for {month}: {charge.description_en}" if is_late else charge.description_en)[:300],
        description_fr=(f"Ajustement pour {month} : {charge.description_fr}" if is_late else charge.description_fr)[
            :300
        ],
        quantity=charge.quantity,
        unit=charge.unit,
        unit_price=charge.unit_price,
        net=net,
        currency=charge.currency,
        evidence={**charge.evidence, **({"month": month, "kind": charge.kind} if is_late else {})},
        recorded_by=None if isinstance(by, System) else by,
        recorded_at=at,
        **known,
    )
    after: dict[str, Fact] = {"kind": row.kind, "month": row.month, "net": net, "currency": row.currency}
    audit.record("billing.charge_recorded", row, by=by, at=at, institution_id=institution.pk, after=after)
    return row


@transaction.atomic
def cancel_charge(charge: MemberCharge, *, by: User | System, at: datetime) -> None:
    """Take a charge back before its month is closed; cancelled before, it stays. Raises Forbidden, PeriodClosed."""
    check_staff(by, Permission.CLOSE_MONTH)
    period = open_period(charge.issuer, charge.month)
    if period.status != "open":
        raise PeriodClosed(period, what=_("the cancelling of a charge"))
    if MemberCharge.objects.filter(pk=charge.pk, cancelled_at=None).update(cancelled_at=at):
        audit.record("billing.charge_cancelled", charge, by=by, at=at, institution_id=charge.institution_id)


def support_hours(hours: Decimal, *, support: Support, currency: str, source_id: UUID) -> Charge | None:
    """Will price a month's support hours beyond the included ones; None when they are all included."""
    priced = support_charge(hours, support=support, currency=currency)
    if not priced.total:
        return None
    return Charge(
        kind="support",
        description_en="Support hours beyond those included",
        description_fr="Heures de soutien au-delà de celles incluses",
        quantity=priced.billable_hours,
        unit="hour",
        unit_price=priced.hourly_rate,
        currency=currency,
        source_type="support",
        source_id=source_id,
        evidence={"hours": str(hours), "included": str(support.included_hours)},
    )


def _checked(charge: Charge) -> Decimal:
    """Return the charge's amount. Raises ChargeInvalid."""
    net = multiply(charge.quantity, charge.unit_price)
    exponent(charge.currency)
    wants_credit = charge.kind == "sla_credit"
    if charge.kind not in KINDS or not (charge.description_en.strip() and charge.description_fr.strip()):
        raise ChargeInvalid(_("A charge has a kind and is described in English and French."), field="description_en")
    if net == 0 or (charge.kind != "adjustment" and (net < 0) != wants_credit):
        raise ChargeInvalid(_("A charge is above zero, a service credit below."), field="unit_price")
    if round_money(net, charge.currency) != net:
        raise ChargeInvalid(_("Quantity times price is finer than the smallest unit."), field="unit_price")
    return net


def _first_open(issuer: Issuer, month: str) -> BillingPeriod:
    """The month itself, or the first later one that is open, locked so that nobody closes it meanwhile."""
    wanted = Month.parse(month)
    while (period := open_period(issuer, str(wanted))).status != "open":
        wanted = wanted.next()
    return period
