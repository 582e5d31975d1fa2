"""Canadian sales tax as dated data, and the decision which of it a line bears. Pure: the caller says the date.

The decisions are the issuer's and are recorded with every invoice; an adviser confirms them. The questions, in order:
does the line bear tax at all (exempt dues, agency, deposits), is the buyer outside Canada (zero-rated, with proof),
what is the province of the contracting address, is the issuer registered for that tax on that day, what was the rate
then. HST is one rate in place of GST; QST stands beside GST, both on the price without tax; PST and RST are charged
only where a dated rule says that the service is taxable. Universities pay and claim rebates: they are not exempt.

Rates: Excise Tax Act (Canada), Act respecting the Quebec sales tax, and the provincial sales tax acts of British
Columbia, Saskatchewan and Manitoba, as in force in November 2026.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from billing.tax_reasons import PROVINCES, reason
from consortium.kernel.errors import Invalid
from consortium.kernel.money import EXACT, exact_sum, multiply, round_money

CANADA: Final = "CA"
EUROPEAN_UNION: Final = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip


class TaxUndecided(Invalid, ValueError):
    """A fact is missing that the decision needs; the line waits for it. `code` names the fact."""

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.code = code


class Tax(StrEnum):
    """The taxes by their English names: in French TPS, TVH, TVQ, TVP and TVD."""

    GST = "GST"
    HST = "HST"
    QST = "QST"
    PST = "PST"
    RST = "RST"


class LineKind(StrEnum):
    """What a line is for, as far as tax cares. The last three bear none, by an explicit decision of the issuer."""

    DUES = "dues"
    USAGE = "usage"
    CLOUD = "cloud"
    SUPPORT = "support"
    EXEMPT_DUES = "exempt_dues"
    AGENCY = "agency"
    DEPOSIT = "deposit"


_UNTAXED: Final = frozenset({LineKind.EXEMPT_DUES, LineKind.AGENCY, LineKind.DEPOSIT})


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A rate in percent, from `start` up to, not including, `end` (None: still in force)."""

    jurisdiction: str  # CA, or the province as in ISO 3166-2: CA-ON
    tax: Tax
    rate: Decimal
    start: date
    end: date | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """The issuer's registration for one tax: GST and HST are one, in jurisdiction CA; the others are the province's."""

    jurisdiction: str
    tax: Tax
    number: str
    start: date
    end: date | None = None


@dataclass(frozen=True, slots=True)
class ProvincialRule:
    """A dated finding that a province's PST or RST applies to a kind of line. Without one, it does not."""

    jurisdiction: str
    kind: LineKind
    source: str
    start: date
    end: date | None = None


@dataclass(frozen=True, slots=True)
class TaxDecision:
    """One tax for one line, or why there is none. `rate` is in percent; `basis` says on what ground it stands."""

    jurisdiction: str
    tax: Tax
    rate: Decimal
    basis: str
    code: str
    reason_en: str
    reason_fr: str


@dataclass(frozen=True, slots=True)
class TaxableLine:
    """A line's amount without tax and its decisions."""

    amount: Decimal
    decisions: tuple[TaxDecision, ...]


@dataclass(frozen=True, slots=True)
class TaxAmount:
    """One tax of an invoice: its decision, the sum it is charged on, and the amount, rounded once."""

    decision: TaxDecision
    taxable: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TaxTotals:
    """An invoice's net, its taxes and its total; net + taxes = total, exactly."""

    net: Decimal
    taxes: tuple[TaxAmount, ...]
    tax: Decimal
    total: Decimal


def _rates(province: str, tax: Tax, *steps: tuple[str, date]) -> tuple[TaxRate, ...]:
    """Lay rates end to end: each runs until the next begins."""
    jurisdiction = f"{CANADA}-{province}" if province else CANADA
    ends = [start for _, start in steps[1:]] + [None]
    return tuple(
        TaxRate(jurisdiction, tax, Decimal(rate), start, end) for (rate, start), end in zip(steps, ends, strict=True)
    )


RATES: Final = (
    *_rates("", Tax.GST, ("5", date(2008, 1, 1))),
    *_rates("ON", Tax.HST, ("13", date(2010, 7, 1))),
    *_rates("NB", Tax.HST, ("13", date(2008, 1, 1)), ("15", date(2016, 7, 1))),
    *_rates("NL", Tax.HST, ("13", date(2008, 1, 1)), ("15", date(2016, 7, 1))),
    *_rates("NS", Tax.HST, ("13", date(2008, 1, 1)), ("15", date(2010, 7, 1)), ("14", date(2025, 4, 1))),
    *_rates("PE", Tax.HST, ("14", date(2013, 4, 1)), ("15", date(2016, 10, 1))),
    *_rates("QC", Tax.QST, ("9.975", date(2013, 1, 1))),
    *_rates("BC", Tax.PST, ("7", date(2013, 4, 1))),
    *_rates("SK", Tax.PST, ("6", date(2017, 3, 23))),
    *_rates("MB", Tax.RST, ("8", date(2013, 7, 1)), ("7", date(2019, 7, 1))),
)


def tax_point(invoiced: date, paid: date | None = None) -> date:
    """Will return the day whose rate applies: the earlier of invoice and payment."""
    return invoiced if paid is None else min(invoiced, paid)


def decide(
    *,
    place_of_supply: str,
    buyer_country: str,
    at: date,
    kind: LineKind,
    registrations: Sequence[Registration],
    provincial_rules: Sequence[ProvincialRule] = (),
    non_residence_evidence: str = "",
    vat_number: str = "",
    rates: Sequence[TaxRate] = RATES,
) -> list[TaxDecision]:
    """Will decide every tax of a line at a day (`tax_point`): those charged, and those not charged with the reason.

    `place_of_supply` is the province of the contracting address (ON or CA-ON; ignored outside Canada) and
    `buyer_country` an ISO 3166 code. `non_residence_evidence` names the proof that a foreign buyer is not resident in
    Canada; `vat_number` is a buyer's in the European Union, validated by the issuer: it proves the same, and shifts the
    tax to the buyer. The list is never empty. Raises TaxUndecided with the code place_unknown, country_unknown,
    non_residence_unproven or rate_missing.
    """
    if not (len(buyer_country) == 2 and buyer_country.isascii() and buyer_country.isupper()):
        raise TaxUndecided(
            "country_unknown", f"{buyer_country!a} is no country code. Use two capitals, such as CA.", field="country"
        )
    if kind in _UNTAXED:
        return [_none(CANADA, Tax.GST, str(kind), basis="issuer's recorded decision")]
    if buyer_country != CANADA:
        return [_export(buyer_country, non_residence_evidence, vat_number.strip())]
    province = place_of_supply.removeprefix(f"{CANADA}-")
    if province not in PROVINCES:
        raise TaxUndecided(
            "place_unknown",
            f"{place_of_supply!a} is no province or territory of Canada, so the tax cannot be decided. Record the "
            "contracting address with its evidence.",
            field="place_of_supply",
        )
    decisions = [_federal(province, at, registrations, rates)]
    provincial = _provincial(province, at, kind, registrations=registrations, rules=provincial_rules, rates=rates)
    return decisions if provincial is None else [*decisions, provincial]


def compute(lines: Iterable[TaxableLine], currency: str) -> TaxTotals:
    """Will charge each tax on the sum of the lines that bear it, per jurisdiction, rate and reason, rounded once.

    Line amounts must be rounded to the currency already. Credits (negative amounts) mirror their charge. Taxes come in
    the order in which the lines first name them, in the words of that first decision. Raises CurrencyUnknown.
    """
    lines = tuple(lines)
    words: dict[tuple[str, Tax, Decimal, str], TaxDecision] = {}
    bases: dict[tuple[str, Tax, Decimal, str], Decimal] = {}
    for line in lines:
        for each in line.decisions:
            key = (each.jurisdiction, each.tax, each.rate, each.code)
            words.setdefault(key, each)
            bases[key] = EXACT.add(bases.get(key, Decimal(0)), line.amount)
    taxes = tuple(
        TaxAmount(words[key], base, round_money(EXACT.scaleb(multiply(base, words[key].rate), -2), currency))
        for key, base in bases.items()
    )
    net = round_money(exact_sum(line.amount for line in lines), currency)
    tax = round_money(exact_sum(each.amount for each in taxes), currency)
    return TaxTotals(net=net, taxes=taxes, tax=tax, total=EXACT.add(net, tax))


def _federal(province: str, at: date, registrations: Sequence[Registration], rates: Sequence[TaxRate]) -> TaxDecision:
    """Decide GST, or HST in its place."""
    place = f"{CANADA}-{province}"
    harmonised = any(rate.jurisdiction == place and rate.tax is Tax.HST for rate in rates)
    tax, jurisdiction = (Tax.HST, place) if harmonised else (Tax.GST, CANADA)
    if not any(_in_force(each, at) and each.tax in {Tax.GST, Tax.HST} for each in registrations):
        return _none(jurisdiction, tax, "not_registered", province=province)
    return _charged(jurisdiction, tax, province, at, rates)


def _provincial(
    province: str,
    at: date,
    kind: LineKind,
    *,
    registrations: Sequence[Registration],
    rules: Sequence[ProvincialRule],
    rates: Sequence[TaxRate],
) -> TaxDecision | None:
    """Decide QST, PST or RST; None where the province has no tax of its own beside GST or HST."""
    place = f"{CANADA}-{province}"
    own = {rate.tax for rate in rates if rate.jurisdiction == place} - {Tax.HST}
    if not own:
        return None
    tax = own.pop()
    registered = any(_in_force(each, at) and (each.jurisdiction, each.tax) == (place, tax) for each in registrations)
    if tax is Tax.QST:
        return (
            _charged(place, tax, province, at, rates) if registered else _none(place, tax, "not_registered", province)
        )
    rule = next((r for r in rules if _in_force(r, at) and (r.jurisdiction, r.kind) == (place, kind)), None)
    if rule is None:
        return _none(place, tax, "no_provincial_rule", province)
    if not registered:
        return _none(place, tax, "not_registered", province)
    return _charged(place, tax, province, at, rates, basis=rule.source)


def _charged(
    jurisdiction: str, tax: Tax, province: str, at: date, rates: Sequence[TaxRate], *, basis: str = ""
) -> TaxDecision:
    """Charge the rate in force on that day."""
    for each in rates:
        if (each.jurisdiction, each.tax) == (jurisdiction, tax) and _in_force(each, at):
            ground = basis or f"place of supply {CANADA}-{province}"
            english, french = reason("charged", tax, province, each.rate)
            return TaxDecision(jurisdiction, tax, each.rate, ground, "charged", english, french)
    raise TaxUndecided(
        "rate_missing", f"No {tax} rate is recorded for {jurisdiction} on {at}. Add it with its source.", field="rates"
    )


def _none(jurisdiction: str, tax: Tax, code: str, province: str = "", *, basis: str = "") -> TaxDecision:
    """Record that a tax is not charged, and why."""
    english, french = reason(code, tax, province, Decimal(0))
    ground = basis or f"place of supply {CANADA}-{province}"
    return TaxDecision(jurisdiction, tax, Decimal(0), ground, code, english, french)


def _export(country: str, evidence: str, vat_number: str) -> TaxDecision:
    """Zero-rate a supply to a proven non-resident; with a validated VAT number the buyer accounts for its own tax."""
    if vat_number and country in EUROPEAN_UNION:
        return _none(CANADA, Tax.GST, "reverse_charge", basis=f"validated VAT number {vat_number}")
    if not evidence.strip():
        raise TaxUndecided(
            "non_residence_unproven",
            f"The buyer is in {country}, but nothing proves that it is not resident in Canada. Record the proof first.",
            field="non_residence_evidence",
        )
    return _none(CANADA, Tax.GST, "zero_rated_export", basis=f"proof of non-residence: {evidence}")


def _in_force(dated: TaxRate | Registration | ProvincialRule, at: date) -> bool:
    """Tell whether a dated fact holds on a day."""
    return dated.start <= at and (dated.end is None or at < dated.end)
