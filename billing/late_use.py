"""Use that became known after its month was closed: the people it adds or takes away, on the next invoice.

A closed month never changes, and the split of its shared cost stands, because another split would change the invoices
of others. What is made good is the member's own: its active users, by the slabs of its agreement in that month.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import uuid5

from billing.facts import MemberFacts
from billing.member_charges import Charge, record_charge
from billing.models import BillingPeriod, MemberCharge, PeriodBasis
from billing.originals import original_of
from billing.prices import PriceSchedule, user_charge
from consortium.kernel.audit import System
from consortium.kernel.money import EXACT, exact_sum, plain
from consortium.kernel.periods import Month
from members.models import User

SOURCE: Final = "billing.PeriodBasis"
_TAXED_AS: Final = ("active_users", "dues")


def adjust_use(
    period: BillingPeriod, earlier: BillingPeriod, facts: list[MemberFacts], *, by: User | System, at: datetime
) -> list[MemberCharge]:
    """Record on the invoices of `period` what `facts` change: the use of the closed `earlier` month as it is known now.

    What was made good before is set off, so that a second call records nothing. Needs a consortium scope.
    """
    bases = PeriodBasis.objects.filter(period=earlier, run=earlier.run).select_related("institution")
    known = {each.institution_id: each for each in facts}
    return [
        charge
        for basis in bases.order_by("institution__slug")
        if basis.institution_id in known
        and (charge := _adjusted(period, earlier, basis, known[basis.institution_id], by=by, at=at)) is not None
    ]


def _adjusted(
    period: BillingPeriod,
    earlier: BillingPeriod,
    basis: PeriodBasis,
    member: MemberFacts,
    *,
    by: User | System,
    at: datetime,
) -> MemberCharge | None:
    prices = PriceSchedule.model_validate(member.schedule.price_terms())
    now, then = (
        user_charge(count, slabs=prices.slabs, currency=prices.currency).total
        for count in (member.active_users, basis.active_users)
    )
    before = list(MemberCharge.objects.filter(source_type=SOURCE, evidence__basis=str(basis.pk), cancelled_at=None))
    made_good = exact_sum(row.net for row in before)
    owed = EXACT.subtract(EXACT.subtract(now, then), made_good)
    if not owed:
        return None
    charge = _charge(earlier, basis, member, owed, number=len(before))
    return record_charge(
        institution=basis.institution, issuer=period.issuer, month=period.month, charge=charge, by=by, at=at
    )


def _charge(earlier: BillingPeriod, basis: PeriodBasis, member: MemberFacts, owed: Decimal, *, number: int) -> Charge:
    original = original_of(basis.institution, earlier.issuer, earlier.month, kinds=_TAXED_AS)
    month, now, then = Month.parse(earlier.month), member.active_users, basis.active_users
    invoice = original.get("invoice", "")
    beside_en, beside_fr = (f", invoice {invoice}", f", facture {invoice}") if invoice else ("", "")
    return Charge(
        kind="adjustment",
        description_en=f"Active users of {month.label('en')} known later{beside_en}: {now} instead of {then}",
        description_fr=(
            f"Utilisateurs actifs de {month.label('fr')} connus plus tard{beside_fr}\N{NO-BREAK SPACE}: "
            f"{now} au lieu de {then}"
        ),
        quantity=Decimal(1),
        unit_price=owed,
        currency=member.currency,
        source_type=SOURCE,
        source_id=uuid5(basis.pk, str(number)),
        evidence={
            "basis": str(basis.pk),
            "use_month": earlier.month,
            "users": now,
            "users_billed": then,
            "net": plain(owed),
            **original,
        },
    )
