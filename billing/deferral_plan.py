"""Which months an invoice line is income of: planned once, when its invoice is posted.

A line says so itself, in its evidence: `"covers": {"from": "2026-01-01", "until": "2027-01-01"}`, half-open days. One
that covers a single month, or says nothing, is income at once.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from psycopg.types.range import DateRange

from billing.chart_of_accounts import INCOME_OF_LINE
from billing.models import Deferral, DeferralPart, Invoice, InvoiceLine
from consortium.kernel.errors import Invalid
from consortium.kernel.money import from_minor, to_minor
from consortium.kernel.periods import Month, days_of
from members.models import Issuer

LONGEST_MONTHS: Final = 12  # that one instalment of dues pays for


class CoverageInvalid(Invalid):
    """A line's evidence names days that are no period."""

    code = "coverage_invalid"


def spread(amount: Decimal, currency: str, *, since: date, until: date) -> dict[Month, Decimal]:
    """Will spread an amount over the months of a half-open range of days; the parts sum to it exactly.

    A whole month weighs one, a part of one its days over the days of that month. Cents that are left go to the largest
    remainders, equal ones to the earlier month. Raises CoverageInvalid, AmountInvalid.
    """
    weights = _weights(since, until)
    whole = sum(weights.values(), Fraction(0))
    minor = to_minor(abs(amount), currency)
    exact = {month: minor * weight / whole for month, weight in weights.items()}
    down = {month: part.numerator // part.denominator for month, part in exact.items()}
    left = minor - sum(down.values())
    claim = sorted(weights, key=lambda month: (down[month] - exact[month], month))
    lucky = frozenset(claim[:left])
    sign = -1 if amount < 0 else 1
    return {month: from_minor(sign * (down[month] + (month in lucky)), currency) for month in weights}


def keep_plans(
    invoices: Sequence[Invoice], lines: Mapping[UUID, Sequence[InvoiceLine]], *, on: date, at: datetime
) -> frozenset[UUID]:
    """Write the plan of each line that covers several months, once; return the keys of those lines.

    `lines` are all lines of each invoice. The number of queries does not grow with them. Raises CoverageInvalid.
    """
    held = Deferral.objects.filter(invoice__in=invoices).values_list("invoice_id", "line_id")
    planned = {line for _invoice, line in held}
    done = {invoice for invoice, _line in held}
    wanted = [
        (invoice, line, days)
        for invoice in invoices
        if invoice.pk not in done
        for line in lines[invoice.pk]
        if (days := coverage(line.evidence)) and line.net and len(_weights(*days)) > 1
    ]
    deferrals = Deferral.objects.bulk_create(_deferral(*each, on=on, at=at) for each in wanted)
    DeferralPart.objects.bulk_create(
        DeferralPart(
            institution_id=invoice.institution_id,
            deferral=deferral,
            month=str(month),
            amount=amount,
            currency=line.currency,
        )
        for deferral, (invoice, line, days) in zip(deferrals, wanted, strict=True)
        for month, amount in spread(line.net, line.currency, since=days[0], until=days[1]).items()
        if amount
    )
    return frozenset(planned | {line.pk for _invoice, line, _days in wanted})


def coverage(evidence: Mapping[str, Any]) -> tuple[date, date] | None:
    """Will read the days that a line covers from its evidence; None where it says nothing. Raises CoverageInvalid."""
    covers = evidence.get("covers")
    if covers is None:
        return None
    try:
        since, until = date.fromisoformat(covers["from"]), date.fromisoformat(covers["until"])
    except (KeyError, TypeError, ValueError) as error:
        raise CoverageInvalid('A line covers {"from": "YYYY-MM-DD", "until": "YYYY-MM-DD"}.') from error
    _weights(since, until)
    return since, until


def dues_until(issuer: Issuer, *, before: str) -> dict[UUID, date]:
    """Return the first day that no dues of an earlier month's invoice paid for, by institution. One query.

    `before` is a month, YYYY-MM: its own invoices and later ones do not count, so that a preview says the same after
    them; void and discarded ones pay for nothing.
    """
    first = str(Month.parse(before).plus(-LONGEST_MONTHS))
    rows = InvoiceLine.objects.filter(
        kind="dues",
        invoice__issuer=issuer,
        invoice__period__month__gte=first,
        invoice__period__month__lt=before,
        evidence__covers__until__gte=before,
    ).exclude(invoice__status__in=["discarded", "void"])
    found: dict[UUID, date] = {}
    for institution, evidence in rows.values_list("institution_id", "evidence"):
        days = coverage(evidence)
        if days is not None:
            found[institution] = max(days[1], found.get(institution, days[1]))
    return found


def _deferral(invoice: Invoice, line: InvoiceLine, days: tuple[date, date], *, on: date, at: datetime) -> Deferral:
    return Deferral(
        institution_id=invoice.institution_id,
        issuer_id=invoice.issuer_id,
        invoice=invoice,
        line=line,
        valid=DateRange(*days),
        income_code=INCOME_OF_LINE[line.kind],
        amount=line.net,
        currency=line.currency,
        posted_on=on,
        created_at=at,
    )


def _weights(since: date, until: date) -> dict[Month, Fraction]:
    """Count the covered days of each month against the days that it has. Raises CoverageInvalid."""
    if since >= until:
        raise CoverageInvalid(f"A line cannot cover {since} up to {until}: that holds no day.")
    weights, month, last = {}, Month.of(since), until - timedelta(days=1)
    while month <= Month.of(last):
        days = days_of(month)
        covered = sum(since <= day < until for day in days)
        weights[month] = Fraction(covered, len(days))
        month = month.next()
    return weights


__all__ = ["CoverageInvalid", "coverage", "dues_until", "keep_plans", "spread"]
