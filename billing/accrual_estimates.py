"""What a payer will still be invoiced for service up to a day, such as its own year-end: an estimate, said as such.

For every month that is not invoiced yet: the dues as agreed, and everything else as the average of the payer's last
three invoiced months, the days of the last month counted. Nothing here is posted, and no invoice depends on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID

from django.db.models import Sum
from django.utils.translation import gettext as _

from billing.deferral_plan import dues_until
from billing.line_taxes import tax_lines
from billing.models import BillingAccount, Invoice, InvoiceLine
from billing.prices import dues_by_month
from billing.purchase_orders import number_on
from billing.queries import NOT_MEMBERS_BUSINESS
from billing.tax import TaxUndecided
from billing.tax_facts import tax_facts
from consortium.kernel.errors import Invalid
from consortium.kernel.money import exact_sum, from_minor, to_minor
from consortium.kernel.periods import Month, days_of, local_date
from members.models import Agreement
from members.schedule import Schedule

BASIS_MONTHS: Final = 3
MAX_MONTHS: Final = 18


class EstimateInvalid(Invalid):
    """The day is one that nothing can be estimated for."""

    code = "estimate_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatedMonth:
    """One month that is not invoiced: its dues, and the rest as an average; without taxes."""

    month: Month
    dues: Decimal
    other: Decimal
    days: int
    of_days: int

    @property
    def net(self) -> Decimal:
        """Both together."""
        return exact_sum([self.dues, self.other])


@dataclass(frozen=True, slots=True, kw_only=True)
class AccrualEstimate:
    """What one billing account, under one purchase order, should accrue on a day; `basis` names the months averaged."""

    account: BillingAccount
    po_number: str
    until: date
    currency: str
    months: tuple[EstimatedMonth, ...]
    basis: tuple[str, ...]
    net: Decimal
    tax: Decimal
    total: Decimal

    @property
    def has_taxes(self) -> bool:
        """Tell whether any tax is in the total."""
        return bool(self.tax)


def estimates(institution_id: UUID, *, until: date, at: datetime) -> list[AccrualEstimate]:
    """Return what each open billing account of the institution should accrue on `until`. Needs its scope.

    `until` is the last day that counts, at most eighteen months ahead. Accounts without an agreement in force owe
    nothing new and are left out. Raises EstimateInvalid.
    """
    accounts = BillingAccount.objects.filter(institution_id=institution_id, ended_at=None).select_related("issuer")
    found = []
    for account in accounts.order_by("name", "pk"):
        agreement = Agreement.objects.filter(
            institution_id=account.institution_id, issuer_id=account.issuer_id, status="in_force"
        ).first()
        if agreement is not None:
            found.append(_estimate(account, agreement, until=until, at=at))
    return found


def next_year_end(today: date, *, month: int = 3) -> date:
    """Will return the next last day of a month: of March, a common year-end, unless told otherwise."""
    for year in (today.year, today.year + 1):
        last = Month(year, month).next().first_day - timedelta(days=1)
        if last >= today:
            return last
    raise EstimateInvalid("A year has every month once.")  # pragma: no cover - the second year always has one


def _estimate(account: BillingAccount, agreement: Agreement, *, until: date, at: datetime) -> AccrualEstimate:
    today = local_date(at, agreement.zone)
    if until > Month.of(today).plus(MAX_MONTHS).first_day:
        raise EstimateInvalid(
            _("Nothing can be estimated for more than %(months)s months ahead.") % {"months": MAX_MONTHS},
            field="until",
        )
    basis = _invoiced_months(account)
    first = max(Month.of(agreement.starts_on), Month.parse(basis[0]).next() if basis else Month.of(agreement.starts_on))
    average = _average(account, basis[:BASIS_MONTHS])
    paid_until = dues_until(account.issuer, before=str(first)).get(account.institution_id)
    months = tuple(_months(agreement, first, until, average, paid_until))
    lines = [("dues", exact_sum(each.dues for each in months)), ("active_users", exact_sum(e.other for e in months))]
    net = exact_sum(amount for _kind, amount in lines)
    tax = _tax(account, lines, at)
    return AccrualEstimate(
        account=account,
        po_number=number_on(account, on=today),
        until=until,
        currency=account.currency,
        months=months,
        basis=tuple(reversed(basis[:BASIS_MONTHS])),
        net=net,
        tax=tax,
        total=exact_sum([net, tax]),
    )


def _invoiced_months(account: BillingAccount) -> list[str]:
    """The months that were invoiced to the account, the newest first."""
    invoices = Invoice.objects.filter(billing_account=account, kind="regular")
    invoices = invoices.exclude(status__in=[*NOT_MEMBERS_BUSINESS, "void"])
    return list(invoices.order_by("-period__month").values_list("period__month", flat=True).distinct())


def _average(account: BillingAccount, months: Sequence[str]) -> Fraction:
    """What a month cost beside dues, on average, in the account's smallest unit."""
    if not months:
        return Fraction(0)
    lines = InvoiceLine.objects.filter(invoice__billing_account=account, invoice__period__month__in=months)
    lines = lines.exclude(invoice__status__in=[*NOT_MEMBERS_BUSINESS, "void"]).exclude(kind="dues")
    total = lines.aggregate(sum=Sum("net"))["sum"] or Decimal(0)
    return Fraction(to_minor(total, account.currency), len(months))


def _months(
    agreement: Agreement, first: Month, until: date, average: Fraction, paid_until: date | None
) -> Iterable[EstimatedMonth]:
    """Every month from the first that is not invoiced to that of `until`, its covered days against all of them.

    Dues that were invoiced in advance are not accrued: they are paid for up to `paid_until`.
    """
    schedule = Schedule.parse(agreement.schedule)
    month = first
    while month.first_day <= until:
        days = days_of(month)
        covered = sum(_covers(agreement, day) and day <= until for day in days)
        part = Fraction(covered, len(days))
        is_paid = paid_until is not None and month.first_day < paid_until
        dues = Decimal(0) if is_paid else _share(_dues(schedule, agreement, month), part, agreement.currency)
        other = from_minor(_nearest(average * part), agreement.currency)
        if covered:
            yield EstimatedMonth(month=month, dues=dues, other=other, days=covered, of_days=len(days))
        month = month.next()


def _covers(agreement: Agreement, day: date) -> bool:
    return agreement.starts_on <= day and (agreement.ends_on is None or day < agreement.ends_on)


def _dues(schedule: Schedule, agreement: Agreement, month: Month) -> Decimal:
    """The month's instalment, as the invoice will have it."""
    year_start = date(month.year, 1, 1)
    parts = dues_by_month(schedule.dues, currency=schedule.currency, joined=agreement.starts_on, year_start=year_start)
    return parts.get(month, Decimal(0))


def _share(amount: Decimal, part: Fraction, currency: str) -> Decimal:
    """Cut the instalment only where the estimate ends within its month; a joiner's is prorated already."""
    return amount if part == 1 else from_minor(_nearest(Fraction(to_minor(amount, currency)) * part), currency)


def _tax(account: BillingAccount, lines: Sequence[tuple[str, Decimal]], at: datetime) -> Decimal:
    """The taxes of today's rates; none where a fact for the decision is missing."""
    try:
        facts = tax_facts(account.issuer, at=at).of(account)
        return tax_lines([line for line in lines if line[1]], facts=facts, currency=account.currency).totals.tax
    except TaxUndecided:
        return Decimal(0)


def _nearest(value: Fraction) -> int:
    """Round half away from zero to a whole number."""
    half = Fraction(1, 2)
    return int(value + half) if value >= 0 else -int(-value + half)


__all__ = ["AccrualEstimate", "EstimateInvalid", "EstimatedMonth", "estimates", "next_year_end"]
