"""Reads what a cash forecast is made of, as things stand now: what is due, promised, agreed in parts, and each habit.

Read only; needs a consortium scope. As many queries as there are kinds of rows, however many members there are, but
for arrangements and promises.
"""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Max
from django.db.models.functions import Coalesce

from billing.arrangements import paid_so_far
from billing.cash_forecast import HABIT_OF, Forecast, Instalment, OpenAmount, forecast
from billing.holding import held_amounts
from billing.models import (
    ArrangementInvoice,
    Invoice,
    InvoiceBalance,
    PaymentArrangement,
    PromiseInvoice,
)
from billing.promises import arrived
from billing.queries import OPEN
from consortium.kernel.money import EXACT
from consortium.kernel.periods import local_date
from members.models import Issuer

_NONE = Decimal(0)
Habits = dict[UUID, tuple[int, ...]]


def read_forecast(issuer: Issuer, *, on: date) -> list[Forecast]:
    """Return what an issuer's members are expected to pay in the thirteen weeks from a day on, by currency."""
    habits = habits_of(issuer)
    return forecast(_open_amounts(issuer, habits), _instalments(issuer, habits), on=on)


def habits_of(issuer: Issuer) -> Habits:
    """Return how many days after its due day each of a member's last paid invoices was paid, the newest first.

    The day of the last money or credit that was put on it counts, in the issuer's zone; below zero is early.
    """
    paid = Invoice.objects.filter(issuer=issuer, status="paid", applications__amount__gt=0)
    came = Max(Coalesce("applications__payment__succeeded_at", "applications__at"))
    rows = paid.annotate(last=came).order_by("-last", "number")
    found: dict[UUID, list[int]] = defaultdict(list)
    for owner, due_on, last in rows.values_list("institution_id", "due_on", "last"):
        if due_on is not None and len(found[owner]) < HABIT_OF:
            found[owner].append((local_date(last, issuer.zone) - due_on).days)
    return {owner: tuple(days) for owner, days in found.items()}


def _open_amounts(issuer: Issuer, habits: Habits) -> list[OpenAmount]:
    """What is due on invoices that are not paid in parts."""
    arranged = ArrangementInvoice.objects.filter(live=True).values("invoice")
    balances = list(
        InvoiceBalance.objects.filter(invoice__issuer=issuer, invoice__status__in=OPEN)
        .exclude(invoice__in=arranged)
        .select_related("invoice__institution")
        .order_by("invoice__due_on", "invoice__number")
    )
    held = held_amounts(balances)
    promised = _promised(balances, held)
    return [
        OpenAmount(
            number=str(row.invoice.number),
            member=row.invoice.institution.name_en,
            currency=row.currency,
            due_on=row.invoice.due_on or date.max,
            amount=row.due,
            held=held[row.pk],
            promised=promised[row.pk][0] if row.pk in promised else _NONE,
            promised_by=promised[row.pk][1] if row.pk in promised else None,
            habit=habits.get(row.institution_id, ()),
        )
        for row in balances
    ]


def _promised(balances: list[InvoiceBalance], held: dict[UUID, Decimal]) -> dict[UUID, tuple[Decimal, date]]:
    """What is still to come of open promises, put on their invoices from the longest due on."""
    live = PromiseInvoice.objects.filter(live=True, invoice__in=[row.pk for row in balances]).select_related("promise")
    promise_of = {row.invoice_id: row.promise for row in live}
    left = {
        key: max(EXACT.subtract(promise.amount, arrived(promise)), _NONE)
        for key, promise in {row.pk: row for row in promise_of.values()}.items()
    }
    found: dict[UUID, tuple[Decimal, date]] = {}
    for balance in balances:
        promise = promise_of.get(balance.pk)
        if promise is not None:
            part = min(left[promise.pk], EXACT.subtract(balance.due, held[balance.pk]))
            left[promise.pk] = EXACT.subtract(left[promise.pk], part)
            found[balance.pk] = (part, promise.by_day)
    return found


def _instalments(issuer: Issuer, habits: Habits) -> list[Instalment]:
    """What is missing of the parts of live arrangements: what was paid so far covers the first ones."""
    found = []
    for row in PaymentArrangement.objects.filter(issuer=issuer, status="active").select_related("institution"):
        paid = paid_so_far(row)
        numbers = row.invoices.order_by("invoice__number").values_list("invoice__number", flat=True)
        for part in row.parts.order_by("due_on"):
            covered = min(paid, part.amount)
            paid = EXACT.subtract(paid, covered)
            if covered < part.amount:
                found.append(
                    Instalment(
                        numbers=", ".join(map(str, numbers)),
                        member=row.institution.name_en,
                        currency=row.currency,
                        due_on=part.due_on,
                        amount=EXACT.subtract(part.amount, covered),
                        habit=habits.get(row.institution_id, ()),
                    )
                )
    return found
