"""Credits for a service level that was missed: what is owed, what was credited before, the invoice it stands beside.

A credit keeps the tax of the invoice of its month: whatever the rates are when it is given, what is given back is what
was charged. A newer statement of a month is set off against what was credited on the older ones, as an adjustment.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from billing.member_charges import Charge, record_charge
from billing.models import MemberCharge
from billing.originals import original_of
from consortium.kernel.audit import System
from consortium.kernel.formats import money_text, percent_text
from consortium.kernel.money import EXACT, exact_sum, plain
from consortium.kernel.periods import Month
from members.models import Institution, Issuer, User

SOURCE: Final = "provisioning.ServiceStatement"
# A credit is taxed as the service was: by the use of the hub, else by the dues.
_TAXED_AS: Final = ("active_users", "dues")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """The newest statement of a hub's month: its credit is a share of the creditable monthly `fee`, in `currency`.

    `versions` are the keys of all statements of that hub and month; `availability` is a share of one, None without a
    result.
    """

    statement_id: UUID
    versions: Collection[UUID]
    number: int
    hub: str
    month: str
    availability: Decimal | None
    target: Decimal
    share: Decimal
    credit: Decimal
    fee: Decimal
    currency: str


def credit_service(
    missed: Missed, *, institution: Institution, issuer: Issuer, month: str, by: User | System, at: datetime
) -> MemberCharge | None:
    """Record on the invoice of `month` what the statement owes beyond what was credited; None where that is nothing.

    Recorded before, it is returned as it was; what staff cancelled stays cancelled. Never more than the fee is credited
    for one hub and month. Needs a consortium scope.
    """
    if held := MemberCharge.objects.filter(source_type=SOURCE, source_id=missed.statement_id).first():
        return held
    owed = min(missed.credit, missed.fee)
    given = _given(missed)
    difference = EXACT.subtract(owed, given)
    if not difference:
        return None
    original = original_of(institution, issuer, missed.month, kinds=_TAXED_AS)
    charge = _charge(missed, difference, is_first=not given, original=original)
    return record_charge(institution=institution, issuer=issuer, month=month, charge=charge, by=by, at=at)


def _given(missed: Missed) -> Decimal:
    """What was credited on older statements of the hub's month."""
    rows = MemberCharge.objects.filter(source_type=SOURCE, source_id__in=list(missed.versions), cancelled_at=None)
    return EXACT.minus(exact_sum(rows.values_list("net", flat=True)))


def _charge(missed: Missed, difference: Decimal, *, is_first: bool, original: dict[str, Any]) -> Charge:
    words = {language: _words(missed, language, is_first, original.get("invoice", "")) for language in ("en", "fr")}
    return Charge(
        kind="sla_credit" if is_first and difference > 0 else "adjustment",
        description_en=words["en"],
        description_fr=words["fr"],
        quantity=Decimal(1),
        unit_price=EXACT.minus(difference),
        currency=missed.currency,
        source_type=SOURCE,
        source_id=missed.statement_id,
        evidence={
            "statement": str(missed.statement_id),
            "version": missed.number,
            "service_month": missed.month,
            "hub": missed.hub,
            "availability": None if missed.availability is None else plain(missed.availability),
            "target": plain(missed.target),
            "credit_share": plain(missed.share),
            "fee": plain(missed.fee),
            **original,
        },
    )


def _words(missed: Missed, language: str, is_first: bool, invoice: str) -> str:
    """What a finance person reads: the hub, the month, why, of what, and beside which invoice."""
    french = language == "fr"
    month = Month.parse(missed.month).label(language)
    target = percent_text(missed.target, language=language, digits=2)
    served = "" if missed.availability is None else percent_text(missed.availability, language=language, digits=3)
    fee = money_text(missed.fee, missed.currency, language=language)
    share = percent_text(missed.share, language=language, digits=0)
    of = ""
    if invoice:
        of = f", facture {invoice}" if french else f", invoice {invoice}"
    if french:
        space = "\N{NO-BREAK SPACE}"
        what = "Crédit de service" if is_first else "Rectification du crédit de service"
        why = (
            f"{served} au lieu de {target}, {share} de {fee}" if missed.credit else f"décompte no{space}{missed.number}"
        )
        return f"{what}, {missed.hub}, {month}{of}{space}: {why}"
    what = "Service credit" if is_first else "Correction of the service credit"
    why = f"{served} instead of {target}, {share} of {fee}" if missed.credit else f"statement no. {missed.number}"
    return f"{what}, {missed.hub}, {month}{of}: {why}"
