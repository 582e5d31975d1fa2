"""Promises to pay: recorded by staff as they hear them, kept or broken by what arrived, and nobody reminded meanwhile.

A promise changes no due day. What is put on its invoices after it was said counts, from money or from credit, by the
day on which it came in the issuer's zone; the day after the promised one it is broken, and stands in the work queue
until something else was done about what is still due.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from billing.balances import lock_all, may_take
from billing.models import Application, ArrangementInvoice, Invoice, PaymentPromise, PromiseInvoice
from billing.queries import OPEN
from billing.states_promising import PROMISE
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid
from consortium.kernel.money import exact_sum, plain, round_money
from consortium.kernel.periods import day_period, local_date
from members.models import User
from members.permissions import Permission, check_staff

WATCH: Final = System("promise watch")
LONGEST: Final = timedelta(days=90)  # whoever needs longer pays in parts


@transaction.atomic
def record_promise(
    invoices: Sequence[Invoice], *, said_by: str, amount: Decimal, by_day: date, note: str, by: User, at: datetime
) -> PaymentPromise:
    """Will write down that an amount comes by the end of a day, in the invoices' currency and their issuer's zone.

    Raises Forbidden, and Invalid for invoices of two members, issuers or currencies, or already promised or arranged;
    for more than is due on them, and for a day that is over or more than 90 days away. Needs a scope over the member.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    if not invoices:
        raise Invalid(_("Choose the invoices that it is about."), field="invoices")
    if not said_by.strip():
        raise Invalid(_("Write who said it."), field="said_by")
    first = invoices[0]
    if len({(row.institution_id, row.issuer_id, row.currency) for row in invoices}) != 1:
        raise Invalid(_("The invoices must be of one member, one issuer and one currency."), field="invoices")
    _check_amount(amount, invoices)
    _check_day(by_day, today=local_date(at, first.issuer.zone))
    promise = PaymentPromise.objects.create(
        institution_id=first.institution_id,
        said_by=said_by.strip()[:200],
        amount=amount,
        currency=first.currency,
        by_day=by_day,
        note=note.strip()[:500],
        recorded_by=by,
        recorded_at=at,
    )
    _name(promise, invoices)
    _record("recorded", promise, by=by, at=at)
    return promise


@transaction.atomic
def withdraw_promise(promise: PaymentPromise, *, by: User, at: datetime) -> PaymentPromise:
    """Will end a promise that does not count: reminders go on. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    return _end(promise, "withdrawn", by=by, at=at, ended_by=by)


def review_promises(*, at: datetime) -> int:
    """Will end those that are kept or broken, by the days of their issuer; returns how many. Needs a wide scope."""
    ended = 0
    for key in PaymentPromise.objects.filter(status="open").values_list("pk", flat=True):
        with transaction.atomic():
            promise = PaymentPromise.objects.select_for_update().get(pk=key)
            to = _outcome(promise, at=at) if promise.status == "open" else None
            if to is not None:
                _end(promise, to, by=WATCH, at=at)
                ended += 1
    return ended


def promised_until(invoice: Invoice, *, day: date) -> date | None:
    """Return the day of an invoice's open promise when it is not over on that day, else None. Needs its scope."""
    live = PromiseInvoice.objects.filter(invoice=invoice, live=True, promise__by_day__gte=day)
    return live.values_list("promise__by_day", flat=True).first()


def arrived(promise: PaymentPromise) -> Decimal:
    """Return what was put on its invoices since it was said, up to the end of its day, less what was taken off.

    Money counts from the day on which it came, even where its bank line was read later.
    """
    end = day_period(promise.by_day, _zone(promise)).end
    by_then = Q(taken_back=None, payment__succeeded_at__lt=end) | Q(at__lt=end)
    rows = Application.objects.filter(by_then, invoice__promises__promise=promise, at__gt=promise.recorded_at)
    return exact_sum(rows.values_list("amount", flat=True))


def broken_promises() -> QuerySet[PaymentPromise]:
    """Broken ones with something due about which nothing was promised or arranged since. Needs a wide scope."""
    newer = PromiseInvoice.objects.filter(
        invoice=OuterRef("invoice"), promise__recorded_at__gt=OuterRef("promise__recorded_at")
    )
    arranged = ArrangementInvoice.objects.filter(invoice=OuterRef("invoice"), live=True)
    waiting = PromiseInvoice.objects.filter(promise=OuterRef("pk"), invoice__status__in=OPEN)
    return PaymentPromise.objects.filter(
        Exists(waiting.exclude(Exists(newer)).exclude(Exists(arranged))), status="broken"
    )


def _outcome(promise: PaymentPromise, *, at: datetime) -> str | None:
    if arrived(promise) >= promise.amount:
        return "kept"
    return "broken" if local_date(at, _zone(promise)) > promise.by_day else None


def _zone(promise: PaymentPromise) -> str:
    named = PromiseInvoice.objects.filter(promise=promise).values_list("invoice__issuer__zone", flat=True)
    return str(named[0])


def _check_amount(amount: Decimal, invoices: Sequence[Invoice]) -> None:
    """The balances are locked: who pays meanwhile waits, so that it counts as paid since."""
    currency = invoices[0].currency
    due = exact_sum(may_take(balance) for balance in lock_all(row.pk for row in invoices).values())
    if amount <= 0 or round_money(amount, currency) != amount:
        raise Invalid(_("The amount must be above zero, to the smallest unit."), field="amount")
    if amount > due:
        raise Invalid(
            _("Only %(due)s %(currency)s is due on these invoices.") % {"due": plain(due), "currency": currency},
            field="amount",
        )


def _check_day(by_day: date, *, today: date) -> None:
    if not today <= by_day <= today + LONGEST:
        raise Invalid(
            _("The day must be from today on, at most 90 days away. Whoever needs longer pays in parts."),
            field="by_day",
        )


def _name(promise: PaymentPromise, invoices: Sequence[Invoice]) -> None:
    """Write which invoices it is about; refused where another promise or an arrangement has one of them."""
    if ArrangementInvoice.objects.filter(invoice__in=[row.pk for row in invoices], live=True).exists():
        raise Invalid(_("One of these invoices is paid in parts already."), field="invoices")
    of = {"institution_id": promise.institution_id, "promise": promise}
    try:
        with transaction.atomic():
            PromiseInvoice.objects.bulk_create(PromiseInvoice(**of, invoice=row) for row in invoices)
    except IntegrityError as error:
        if "promiseinvoice_one_live" not in str(error):
            raise
        raise Invalid(_("One of these invoices is promised already."), field="invoices") from None


def _end(
    promise: PaymentPromise, to: str, *, by: User | System, at: datetime, ended_by: User | None = None
) -> PaymentPromise:
    PROMISE.move(promise, to, ended_at=at, ended_by=ended_by)
    PromiseInvoice.objects.filter(promise=promise, live=True).update(live=False)
    _record(to, promise, by=by, at=at)
    return promise


def _record(what: str, promise: PaymentPromise, *, by: User | System, at: datetime) -> None:
    numbers = PromiseInvoice.objects.filter(promise=promise).order_by("invoice__number")
    after: dict[str, Fact] = {
        "invoices": ", ".join(str(each) for each in numbers.values_list("invoice__number", flat=True)),
        "said_by": promise.said_by,
        "amount": promise.amount,
        "currency": promise.currency,
        "by_day": promise.by_day,
        "status": promise.status,
    }
    audit.record(f"billing.promise_{what}", promise, by=by, at=at, institution_id=promise.institution_id, after=after)
