"""From what a member owes to the lines of its invoice. Pure: a preview and the invoice itself come from here.

Dues, active users by slab, the cost of its own hubs, its share of each pool: in this order, lines of zero left out,
each with the evidence of how it came about and its taxes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from billing.dues import Instalment, instalment_of
from billing.facts import MemberFacts
from billing.line_taxes import LineTax, Taxed, TaxFacts, kept_decisions, tax_lines
from billing.prices import PriceSchedule, user_charge
from billing.snapshot import SharePart, StepPart
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import day_text
from consortium.kernel.money import EXACT, plain
from consortium.kernel.periods import Month, Period

# Pools that every consortium has, in words; another key is shown as it is.
POOL_WORDS: Final = {
    "shared": ("Shared cloud cost", "Coûts infonuagiques partagés"),
    "tax": ("Tax on cloud cost", "Taxes sur les coûts infonuagiques"),
    "support": ("Shared support", "Soutien partagé"),
}


class NothingDue(PortalError):
    """The credits are as large as the charges, or larger: there is nothing to invoice this month."""

    code = "nothing_due"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The recorded rate by which a cost became the invoice's currency."""

    rate: Decimal
    currency: str  # converted from
    source: str
    on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectCost:
    """The cost of a member's own hubs on one bill: exact in the bill's currency, and as it is charged."""

    bill_id: UUID
    bill_month: str
    provider: str
    rows: int
    exact_total: Decimal
    bill_currency: str
    fx: Conversion | None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCost:
    """A member's share of one pool, as it is charged; `fx` also where the member is invoiced in another currency."""

    pool_id: UUID | None  # None in a preview: the pool is not kept yet
    provider: str
    share: SharePart
    fx: Conversion | None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraCharge:
    """A charge or credit beside the monthly prices: support, an event, a service credit, an adjustment."""

    charge_id: UUID
    kind: str
    description_en: str
    description_fr: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    net: Decimal
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """Everything that one billing account owes for a month, before taxes."""

    month: Month
    period: Period
    facts: MemberFacts
    direct: tuple[DirectCost, ...] = ()
    shared: tuple[SharedCost, ...] = ()
    extra: tuple[ExtraCharge, ...] = ()
    prepaid: Decimal = Decimal(0)  # what is left of it in the member's currency
    dues_until: date | None = None  # the first day that no earlier invoice's dues paid for


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """A line before it is written; quantity times unit price is `net`, exactly."""

    kind: str
    description_en: str
    description_fr: str
    quantity: Decimal
    unit: str = ""
    unit_price: Decimal
    net: Decimal
    fx: Conversion | None = None
    source_type: str = ""
    source_id: UUID | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    taxes: tuple[LineTax, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An invoice before it is written. Lines sum to `net`, their taxes to `tax`, both to `total`."""

    institution_id: UUID
    slug: str
    currency: str
    zone: str
    period: Period
    lines: tuple[DraftLine, ...]
    net: Decimal
    tax: Decimal
    total: Decimal


def compose(charges: Charges, *, tax_facts: TaxFacts) -> Draft | None:
    """Will return the member's invoice for the month; None when there is no line at all.

    Raises TaxUndecided when a fact is missing, NothingDue when the lines come to nothing or less.
    """
    currency = charges.facts.currency
    lines = [line for line in _lines(charges) if line.net]
    if not lines:
        return None
    taxed = _taxed(lines, tax_facts, currency)
    if taxed.totals.total <= 0:
        raise NothingDue(
            f"{charges.facts.slug}: the lines of {charges.month} come to {plain(taxed.totals.total)} {currency}. "
            "The credit waits for a month with charges."
        )
    if charges.prepaid > 0:
        lines.append(_prepaid(min(charges.prepaid, taxed.totals.total)))
        taxed = _taxed(lines, tax_facts, currency)
    return Draft(
        institution_id=charges.facts.institution_id,
        slug=charges.facts.slug,
        currency=currency,
        zone=charges.facts.zone,
        period=charges.period,
        lines=tuple(replace(line, taxes=taxes) for line, taxes in zip(lines, taxed.lines, strict=True)),
        net=taxed.totals.net,
        tax=taxed.totals.tax,
        total=taxed.totals.total,
    )


def _taxed(lines: Sequence[DraftLine], facts: TaxFacts, currency: str) -> Taxed:
    kept = kept_decisions([line.evidence for line in lines])
    return tax_lines([(line.kind, line.net) for line in lines], facts=facts, currency=currency, kept=kept)


def _lines(charges: Charges) -> Iterator[DraftLine]:
    prices = PriceSchedule.model_validate(charges.facts.schedule.price_terms())
    yield from _dues(charges, prices)
    yield from _users(charges, prices)
    for direct in charges.direct:
        yield _direct(direct)
    for shared in charges.shared:
        yield _shared(shared)
    for extra in charges.extra:
        yield _extra(extra)


def _extra(charge: ExtraCharge) -> DraftLine:
    return DraftLine(
        kind=charge.kind,
        description_en=charge.description_en,
        description_fr=charge.description_fr,
        quantity=charge.quantity,
        unit=charge.unit,
        unit_price=charge.unit_price,
        net=charge.net,
        source_type="billing.MemberCharge",
        source_id=charge.charge_id,
        evidence=dict(charge.evidence),
    )


def _prepaid(amount: Decimal) -> DraftLine:
    """What prepaid credit pays, after everything else: what it pays for has borne its taxes already."""
    return DraftLine(
        kind="prepaid",
        description_en="Paid from your prepaid credit",
        description_fr="Payé à même votre crédit prépayé",
        quantity=Decimal(1),
        unit_price=EXACT.minus(amount),
        net=EXACT.minus(amount),
    )


def _dues(charges: Charges, prices: PriceSchedule) -> Iterator[DraftLine]:
    """The instalment of the dues year, which is the calendar year; one that pays for months to come says which."""
    found = instalment_of(
        charges.month,
        yearly=prices.tier.yearly_dues,
        currency=prices.currency,
        joined=charges.facts.starts_on,
        ends_on=charges.facts.ends_on,
        every=charges.facts.schedule.dues_every,
        covered_until=charges.dues_until,
    )
    if found is None:
        return
    words_en, words_fr = _dues_words(found, prices)
    year = charges.month.year
    step = StepPart(
        label_en=f"Dues for {year}"
        + ("" if found.is_whole_year else f", from {day_text(found.first_day, language='en')} on"),
        label_fr=f"Cotisation {year}"
        + ("" if found.is_whole_year else f", depuis le {day_text(found.first_day, language='fr')}"),
        amount=found.year_total,
    )
    yield DraftLine(
        kind="dues",
        description_en=words_en,
        description_fr=words_fr,
        quantity=Decimal(1),
        unit="month" if found.first == found.last else "",
        unit_price=found.amount,
        net=found.amount,
        source_type="members.Agreement",
        source_id=charges.facts.agreement_id,
        evidence={
            "steps": [step.model_dump(mode="json")],
            "yearly_dues": plain(prices.tier.yearly_dues),
            "joined": charges.facts.starts_on.isoformat(),
            "instalment": found.number,
            "instalments": found.count,
            "covers": found.covers,
        },
    )


def _dues_words(found: Instalment, prices: PriceSchedule) -> tuple[str, str]:
    """A line's words in English and French; an instalment of several months names them."""
    english = f"Membership dues {found.first.year}, {prices.tier.name_en}"
    french = f"Cotisation {found.first.year}, {prices.tier.name_fr}"
    if found.first != found.last:
        return (
            f"{english}: {found.first.label('en')} to {found.last.label('en')}",
            f"{french}\N{NO-BREAK SPACE}: {found.first.label('fr')} à {found.last.label('fr')}",
        )
    part_en, part_fr = f"instalment {found.number} of {found.count}", f"versement {found.number} de {found.count}"
    return f"{english}: {part_en}", f"{french}\N{NO-BREAK SPACE}: {part_fr}"


def _users(charges: Charges, prices: PriceSchedule) -> Iterator[DraftLine]:
    """One line per slab, so that quantity times price is the amount on every one of them."""
    users = charges.facts.active_users
    charge = user_charge(users, slabs=prices.slabs, currency=prices.currency)
    label_en, label_fr = charges.month.label("en"), f"{charges.month.label('fr')}\N{NO-BREAK SPACE}"
    for slab in charge.lines:
        yield DraftLine(
            kind="active_users",
            description_en=f"Active users in {label_en}: {slab.first} to {slab.last} of {users}",
            description_fr=f"Utilisateurs actifs en {label_fr}: {slab.first} à {slab.last} de {users}",
            quantity=Decimal(slab.users),
            unit="user",
            unit_price=slab.unit_price,
            net=slab.amount,
            source_type="members.Agreement",
            source_id=charges.facts.agreement_id,
            evidence={"users": users, "first": slab.first, "last": slab.last, "total": plain(charge.total)},
        )


def _direct(cost: DirectCost) -> DraftLine:
    label = _month_label(cost.bill_month)
    return DraftLine(
        kind="direct_cost",
        description_en=f"Cloud cost of your hubs, {label('en')} ({cost.provider})",
        description_fr=f"Coûts infonuagiques de vos hubs, {label('fr')} ({cost.provider})",
        quantity=Decimal(1),
        unit_price=cost.amount,
        net=cost.amount,
        fx=cost.fx,
        source_type="billing.BillImport",
        source_id=cost.bill_id,
        evidence={
            "bill": str(cost.bill_id),
            "bill_month": cost.bill_month,
            "rows": cost.rows,
            "exact_total": plain(cost.exact_total),
            "bill_currency": cost.bill_currency,
        },
    )


def _shared(cost: SharedCost) -> DraftLine:
    label = _month_label(cost.share.bill_month)
    name = cost.share.pool
    own_words = (f"Shared cost: {name}", f"Coût partagé\N{NO-BREAK SPACE}: {name}")
    words_en, words_fr = POOL_WORDS.get(name, own_words)
    return DraftLine(
        kind="shared_cost",
        description_en=f"{words_en}, {label('en')} ({cost.provider})",
        description_fr=f"{words_fr}, {label('fr')} ({cost.provider})",
        quantity=Decimal(1),
        unit_price=cost.amount,
        net=cost.amount,
        fx=cost.fx,
        source_type="billing.Pool",
        source_id=cost.pool_id,
        evidence={"share": cost.share.model_dump(mode="json")},
    )


def _month_label(month: str) -> Callable[[str], str]:
    return Month.parse(month).label


def totals(drafts: Sequence[Draft]) -> dict[str, Decimal]:
    """Will return what the drafts come to, per currency."""
    sums: dict[str, Decimal] = {}
    for draft in drafts:
        sums[draft.currency] = sums.get(draft.currency, Decimal(0)) + draft.total
    return sums
