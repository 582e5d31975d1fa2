"""What members owed at the end of a day, invoice by invoice, from the documents; and whether the books say the same.

The documents are invoices, credit notes, what was put on invoices or taken off again, write-offs and recoveries. Any
past day can be asked for: what came later is not counted. Read only; needs a consortium scope.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from billing.chart_of_accounts import Account
from billing.ledger import trial_balance
from billing.models import Application, CreditNote, Invoice, Recovery, WriteOff
from billing.queries import NOT_MEMBERS_BUSINESS
from consortium.kernel.fields import AmountField
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.periods import day_period
from members.models import Issuer

BUCKETS = ("Not due", "1 to 30", "31 to 60", "61 to 90", "Over 90")
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """An invoice on which something was owed at the end of the day; `late` are the days since it was due, or 0."""

    invoice_id: UUID
    number: str
    institution_id: UUID
    member: str
    currency: str
    due_on: date
    amount: Decimal
    late: int

    @property
    def bucket(self) -> int:
        """Its place in BUCKETS."""
        return 0 if self.late <= 0 else min((self.late - 1) // 30 + 1, len(BUCKETS) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAge:
    """What one member owed in one currency, by BUCKETS; without an institution: all members together."""

    institution_id: UUID | None
    member: str
    currency: str
    amounts: tuple[Decimal, ...]
    total: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Open invoices beside the books' receivables at the end of the day, in one currency."""

    currency: str
    documents: Decimal
    books: Decimal

    @property
    def difference(self) -> Decimal:
        """Zero, or an entry lacks its document."""
        return EXACT.subtract(self.books, self.documents)


def open_items(issuer: Issuer, *, on: date, institution_id: UUID | None = None) -> list[OpenItem]:
    """Return what was open at the end of a day in the issuer's zone, by member, the longest due first."""
    until = day_period(on, issuer.zone).end
    rows = Invoice.objects.filter(issuer=issuer, issued_at__lt=until).exclude(status__in=NOT_MEMBERS_BUSINESS)
    if institution_id is not None:
        rows = rows.filter(institution_id=institution_id)
    rest = F("total") - _paid(on, until) - _credited(on) - _given_up(until) + _recovered(until)
    rows = rows.annotate(rest=rest).exclude(rest=0).order_by("institution__name_en", "currency", "due_on", "number")
    names = ("pk", "number", "institution_id", "institution__name_en", "currency", "due_on", "rest")
    return [
        OpenItem(
            invoice_id=key,
            number=number,
            institution_id=owner,
            member=name,
            currency=currency,
            due_on=due_on,
            amount=amount,
            late=max((on - due_on).days, 0),
        )
        for key, number, owner, name, currency, due_on, amount in rows.values_list(*names)
    ]


def ages(items: Iterable[OpenItem]) -> list[MemberAge]:
    """Sum items by member and currency, and after them a total for each currency. Pure."""
    sums: dict[tuple[str, UUID | None, str], list[Decimal]] = {}
    totals: dict[tuple[str, UUID | None, str], list[Decimal]] = {}
    for item in items:
        mine, all_of = (item.member, item.institution_id, item.currency), ("", None, item.currency)
        for found, key in ((sums, mine), (totals, all_of)):
            amounts = found.setdefault(key, [_NONE] * len(BUCKETS))
            amounts[item.bucket] = EXACT.add(amounts[item.bucket], item.amount)
    rows = [*sorted(sums.items(), key=lambda each: (each[0][0], each[0][2])), *sorted(totals.items())]
    return [
        MemberAge(
            institution_id=owner,
            member=name or "All members",
            currency=currency,
            amounts=tuple(amounts),
            total=exact_sum(amounts),
        )
        for (name, owner, currency), amounts in rows
    ]


def agreement(issuer: Issuer, items: Iterable[OpenItem], *, on: date) -> list[Agreement]:
    """Put the sums of all of an issuer's items beside its books, per currency."""
    books = {row.currency: row.balance for row in trial_balance(issuer, until=on) if row.code == Account.RECEIVABLES}
    sums: dict[str, Decimal] = {}
    for item in items:
        sums[item.currency] = EXACT.add(sums.get(item.currency, _NONE), item.amount)
    return [
        Agreement(currency=currency, documents=sums.get(currency, _NONE), books=books.get(currency, _NONE))
        for currency in sorted(books.keys() | sums.keys())
    ]


def _paid(on: date, until: datetime) -> Any:
    """What was on the invoice by then: a payment counts from its day, credit from the day on which it was used."""
    then = (
        Q(payment__isnull=False, taken_back=None, payment__succeeded_at__lt=until)
        | Q(taken_back__isnull=False, taken_back__at__lt=until)
        | Q(credit_use__isnull=False, credit_use__used_on__lte=on)
    )
    return _sum(Application.objects.filter(then, invoice=OuterRef("pk")), "invoice", "amount")


def _credited(on: date) -> Any:
    return _sum(CreditNote.objects.filter(invoice=OuterRef("pk"), issued_on__lte=on), "invoice", "applied")


def _given_up(until: datetime) -> Any:
    rows = WriteOff.objects.filter(invoice=OuterRef("pk"), status="approved", decided_at__lt=until)
    return _sum(rows, "invoice", "amount")


def _recovered(until: datetime) -> Any:
    rows = Recovery.objects.filter(write_off__invoice=OuterRef("pk"), recorded_at__lt=until)
    return _sum(rows, "write_off__invoice", "amount")


def _sum(rows: QuerySet[Any], key: str, column: str) -> Any:
    """The sum of a column over rows of the outer invoice, zero where there are none."""
    summed = rows.order_by().values(key).annotate(sum=Sum(column)).values("sum")
    return Coalesce(Subquery(summed), Value(_NONE), output_field=AmountField())
