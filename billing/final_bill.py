"""The last money between a leaving member and its issuer: is its last month billed, which dues were not earned.

Months are billed by the ordinary run, which prorates what the agreement covers. What was invoiced ahead for days after
the last one is taken back by credit notes; both questions are answered here, crediting is `billing.crediting`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db import transaction

from billing.chart_of_accounts import Account
from billing.crediting import issue_credit_note, left_of
from billing.deferral_plan import coverage
from billing.models import BillingPeriod, CreditNote, Invoice, InvoiceLine, LedgerLeg
from billing.queries import OPEN
from consortium.kernel.audit import System
from consortium.kernel.money import EXACT, exact_sum, exponent, from_minor
from consortium.kernel.periods import Month
from members.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Unearned:
    """What of a line of dues was charged for days after the last one and not taken back yet, before tax."""

    line: InvoiceLine
    net: Decimal
    days: int
    of: int


def is_billed(institution_id: UUID, *, issuer_id: UUID, last_day: date) -> bool:
    """Tell whether every month up to the last day's is closed, so that no further invoice comes by itself."""
    month = str(Month.of(last_day))
    periods = BillingPeriod.objects.filter(issuer=issuer_id)
    drafts = Invoice.objects.filter(institution_id=institution_id, issuer=issuer_id, status__in=["draft", "approved"])
    is_open = periods.filter(month__lte=month).exclude(status="closed").exists()
    return periods.filter(month=month, status="closed").exists() and not is_open and not drafts.exists()


def unearned_dues(institution_id: UUID, *, issuer_id: UUID, last_day: date) -> list[Unearned]:
    """Return the dues that were charged for days after the last one, by line, less what credit notes took back."""
    lines = InvoiceLine.objects.filter(
        institution_id=institution_id, kind="dues", net__gt=0, invoice__issuer=issuer_id, invoice__number__isnull=False
    ).exclude(invoice__status__in=["void", "written_off"])
    found = []
    for line in lines.select_related("invoice").order_by("invoice__issued_at", "position"):
        days = coverage(line.evidence)
        if days is None or days[1] <= last_day + timedelta(days=1):
            continue
        whole = (days[1] - days[0]).days
        after = (days[1] - max(days[0], last_day + timedelta(days=1))).days
        share = _rounded(Fraction(line.net) * after / whole, line.currency)
        taken = EXACT.subtract(line.net, left_of(line.invoice)[line.pk])
        rest = EXACT.subtract(share, taken)
        if rest > 0:
            found.append(Unearned(line=line, net=rest, days=after, of=whole))
    return found


@transaction.atomic
def credit_unearned(
    institution_id: UUID, *, issuer_id: UUID, last_day: date, reason: str, by: User | System, at: datetime
) -> list[CreditNote]:
    """Will take unearned dues back, one credit note for each invoice. Raises Forbidden, CreditInvalid, FourEyes."""
    by_invoice: dict[Invoice, dict[UUID, Decimal]] = {}
    for each in unearned_dues(institution_id, issuer_id=issuer_id, last_day=last_day):
        by_invoice.setdefault(each.line.invoice, {})[each.line.pk] = each.net
    return [issue_credit_note(invoice, nets=nets, reason=reason, by=by, at=at) for invoice, nets in by_invoice.items()]


def open_invoices(institution_id: UUID, *, issuer_id: UUID) -> list[Invoice]:
    """Return what the member has still to pay, the oldest first."""
    rows = Invoice.objects.filter(institution_id=institution_id, issuer=issuer_id, status__in=OPEN)
    return list(rows.select_related("balance").order_by("due_on"))


def credit_owed(institution_id: UUID, *, issuer_id: UUID) -> Mapping[str, Decimal]:
    """Return the credit that the books hold for the member, by currency: used or paid out before all is settled."""
    legs = LedgerLeg.objects.filter(
        entry__institution=institution_id, entry__issuer=issuer_id, account__code=Account.MEMBER_CREDIT
    )
    sums: dict[str, list[Decimal]] = {}
    for currency, amount in legs.values_list("currency", "amount"):
        sums.setdefault(currency, []).append(amount)
    owed = {currency: EXACT.minus(exact_sum(amounts)) for currency, amounts in sums.items()}
    return {currency: amount for currency, amount in sorted(owed.items()) if amount != 0}


def _rounded(amount: Fraction, currency: str) -> Decimal:
    """Half away from zero, to the currency's smallest unit."""
    minor = amount * 10 ** exponent(currency)
    return from_minor((2 * minor.numerator + minor.denominator) // (2 * minor.denominator), currency)
