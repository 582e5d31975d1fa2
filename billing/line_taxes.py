"""The taxes of an invoice, line by line: each tax is computed once on its sum and laid back over its lines. Pure.

An invoice shows every decision on every line, and a tax total per tax that is the rounded tax on the sum. Both can only
agree when the rounded total is apportioned: each line gets its exact tax rounded down, and the cents that are left go
to the largest remainders; equal ones to the larger line first, then to the earlier one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.tax import LineKind, Registration, Tax, TaxableLine, TaxAmount, TaxDecision, TaxTotals, compute, decide
from consortium.kernel.money import exponent, from_minor, to_minor

KIND_OF_LINE = {
    "dues": LineKind.DUES,
    "active_users": LineKind.USAGE,
    "direct_cost": LineKind.CLOUD,
    "shared_cost": LineKind.CLOUD,
    "adjustment": LineKind.USAGE,
    "credit": LineKind.USAGE,
    "support": LineKind.SUPPORT,
    "event": LineKind.USAGE,
    "commitment": LineKind.USAGE,
    "sla_credit": LineKind.USAGE,
    "prepaid": LineKind.DEPOSIT,  # it was paid for before: what it pays for bears the tax, not the payment
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxFacts:
    """What decides a payer's taxes: where it is, the proof of it, the issuer's registrations, and the day."""

    province: str
    country: str
    evidence: str
    registrations: tuple[Registration, ...]
    on: date
    vat_number: str = ""  # validated; of a buyer in the European Union


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTax:
    """One tax of one line: its decision, what it is charged on, its amount, and the issuer's number for it."""

    decision: TaxDecision
    basis: Decimal
    amount: Decimal
    registration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxed:
    """The taxes of each line, in the order of the lines, and the totals they sum to."""

    lines: tuple[tuple[LineTax, ...], ...]
    totals: TaxTotals


def tax_lines(
    lines: Sequence[tuple[str, Decimal]],
    *,
    facts: TaxFacts,
    currency: str,
    kept: Mapping[int, tuple[TaxDecision, ...]] | None = None,
) -> Taxed:
    """Will decide and compute the taxes of lines given as (kind of invoice line, net). Raises TaxUndecided.

    `kept` are the decisions of lines, by their place, that follow an earlier invoice whatever holds today.
    """
    decided = kept or {}
    taxable = [
        TaxableLine(net, decided[place] if place in decided else tuple(_decisions(kind, facts)))
        for place, (kind, net) in enumerate(lines)
    ]
    totals = compute(taxable, currency)
    parts: list[list[LineTax]] = [[] for _ in taxable]
    for total in totals.taxes:
        bearers = [
            (index, decision, line.amount)
            for index, line in enumerate(taxable)
            for decision in line.decisions
            if _key(decision) == _key(total.decision)
        ]
        amounts = _apportioned(total, [amount for _, _, amount in bearers], currency)
        for (index, decision, net), amount in zip(bearers, amounts, strict=True):
            number = registration_number(facts, decision) if decision.rate else ""
            parts[index].append(LineTax(decision=decision, basis=net, amount=amount, registration=number))
    return Taxed(lines=tuple(tuple(each) for each in parts), totals=totals)


def kept_decisions(evidence: Sequence[Mapping[str, Any]]) -> dict[int, tuple[TaxDecision, ...]]:
    """Will return the decisions that lines keep, by their place: those whose evidence has `tax_as`."""
    return {
        place: tuple(
            TaxDecision(
                jurisdiction=each["jurisdiction"],
                tax=Tax(each["tax"]),
                rate=Decimal(each["rate"]),
                basis=each["basis"],
                code=each["code"],
                reason_en=each["reason_en"],
                reason_fr=each["reason_fr"],
            )
            for each in found["tax_as"]
        )
        for place, found in enumerate(evidence)
        if found.get("tax_as")
    }


def registration_number(facts: TaxFacts, decision: TaxDecision) -> str:
    """Will return the issuer's number for a tax on the day; GST and HST share one."""
    for each in facts.registrations:
        in_force = each.start <= facts.on and (each.end is None or facts.on < each.end)
        federal = {each.tax, decision.tax} <= {"GST", "HST"}
        if in_force and (federal or (each.tax, each.jurisdiction) == (decision.tax, decision.jurisdiction)):
            return each.number
    return ""


def _decisions(kind: str, facts: TaxFacts) -> list[TaxDecision]:
    return decide(
        place_of_supply=facts.province,
        buyer_country=facts.country,
        at=facts.on,
        kind=KIND_OF_LINE[kind],
        registrations=facts.registrations,
        non_residence_evidence=facts.evidence,
        vat_number=facts.vat_number,
    )


def _key(decision: TaxDecision) -> tuple[str, str, Decimal, str]:
    return decision.jurisdiction, decision.tax, decision.rate, decision.code


def _apportioned(total: TaxAmount, nets: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Lay the rounded total over the lines that bear the tax, so that they sum to it exactly, credits included."""
    per_net = Fraction(total.decision.rate) / 100 * 10 ** exponent(currency)
    exact = [Fraction(net) * per_net for net in nets]
    down = [each.numerator // each.denominator for each in exact]
    left = to_minor(total.amount, currency) - sum(down)
    by_claim = sorted(range(len(nets)), key=lambda index: (down[index] - exact[index], -abs(nets[index]), index))
    lucky = frozenset(by_claim[:left])
    return [from_minor(minor + (index in lucky), currency) for index, minor in enumerate(down)]
