"""Arranging with a payer who cannot pay at once: parts by days, watched each day, kept or broken by what was paid.

Any payment of its invoices counts, in any order. A part that is missing three days after its day breaks the
arrangement: everything is due as the invoices say, and reminders and the ladder go on from where they were.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from billing.models import ArrangementInvoice, ArrangementPart, Invoice, InvoiceBalance, PaymentArrangement
from billing.payments import PAYABLE
from billing.settlement import amount_due
from billing.states_collecting import ARRANGEMENT
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid
from consortium.kernel.money import EXACT, exact_sum, plain, round_money
from consortium.kernel.periods import local_date
from members.models import User
from members.permissions import Permission, check_staff

WATCH: Final = System("arrangement watch")
GRACE: Final = timedelta(days=3)
MAIL: Final = "billing.mail_arrangement"
Part = tuple[date, Decimal]


@transaction.atomic
def arrange(
    invoices: Sequence[Invoice], parts: Sequence[Part], *, reason: str, by: User | System, at: datetime
) -> PaymentArrangement:
    """Will let a member pay what is open on these invoices in parts; the parts sum to it exactly.

    Raises Forbidden, and Invalid for invoices of two members, issuers or currencies, for days that are over, for parts
    that do not sum. Needs a scope over the member.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    if not invoices:
        raise Invalid(_("Choose the invoices that it is about."), field="invoices")
    if not reason.strip():
        raise Invalid(_("Write why, and with whom it was agreed."), field="reason")
    first = invoices[0]
    if len({(row.institution_id, row.issuer_id, row.currency) for row in invoices}) != 1:
        raise Invalid(_("The invoices must be of one member, one issuer and one currency."), field="invoices")
    opened = _open_amounts(invoices)
    total = exact_sum(opened.values())
    _check_parts(parts, total, first, today=local_date(at, first.issuer.zone))
    arrangement = PaymentArrangement.objects.create(
        institution_id=first.institution_id,
        issuer_id=first.issuer_id,
        total=total,
        currency=first.currency,
        reason=reason.strip()[:300],
        agreed_by=by if isinstance(by, User) else None,
        agreed_at=at,
    )
    of = {"institution_id": first.institution_id, "arrangement": arrangement}
    try:
        with transaction.atomic():
            ArrangementInvoice.objects.bulk_create(
                ArrangementInvoice(**of, invoice=invoice, amount=amount) for invoice, amount in opened.items()
            )
    except IntegrityError as error:
        if "arrangementinvoice_one_live" not in str(error):
            raise
        raise Invalid(_("One of these invoices is in another arrangement already."), field="invoices") from None
    ArrangementPart.objects.bulk_create(ArrangementPart(**of, due_on=day, amount=amount) for day, amount in parts)
    _record(arrangement, "agreed", by=by, at=at)
    return arrangement


@transaction.atomic
def cancel_arrangement(arrangement: PaymentArrangement, *, by: User | System, at: datetime) -> None:
    """Will end an arrangement: everything is due as the invoices say. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    _end(arrangement, "cancelled", by=by, at=at)


def review_arrangements(*, at: datetime) -> int:
    """Will end those that are paid or broken, by the days of their issuer; returns how many. Needs a wide scope."""
    ended = 0
    for arrangement in PaymentArrangement.objects.filter(status="active").select_related("issuer"):
        to = _outcome(arrangement, today=local_date(at, arrangement.issuer.zone))
        if to is not None:
            with transaction.atomic():
                _end(arrangement, to, by=WATCH, at=at)
            ended += 1
    return ended


def is_arranged(invoice: Invoice, *, day: date) -> bool:
    """Tell whether an invoice is paid in parts, and no part is missing on that day. Needs its scope."""
    live = ArrangementInvoice.objects.filter(invoice=invoice, live=True).select_related("arrangement").first()
    return live is not None and _outcome(live.arrangement, today=day) != "broken"


def arranged_among(invoices: Sequence[Invoice], *, day: date) -> set[UUID]:
    """Return which of these invoices are paid in parts, none of them missing on that day; one query where none is."""
    live = ArrangementInvoice.objects.filter(invoice__in=[row.pk for row in invoices], live=True)
    kept: dict[UUID, bool] = {}
    found = set()
    for row in live.select_related("arrangement"):
        if row.arrangement_id not in kept:
            kept[row.arrangement_id] = _outcome(row.arrangement, today=day) != "broken"
        if kept[row.arrangement_id]:
            found.add(row.invoice_id)
    return found


def paid_so_far(arrangement: PaymentArrangement) -> Decimal:
    """Return what was paid or credited on its invoices since it was agreed, in its currency."""
    balances = InvoiceBalance.objects.filter(invoice__arrangements__arrangement=arrangement)
    return EXACT.subtract(arrangement.total, exact_sum(amount_due(balance) for balance in balances))


def next_part(arrangement: PaymentArrangement) -> ArrangementPart | None:
    """Return the first part that is not covered by what was paid so far; None when all are."""
    paid, sum_ = paid_so_far(arrangement), Decimal(0)
    for part in arrangement.parts.order_by("due_on"):
        sum_ = EXACT.add(sum_, part.amount)
        if sum_ > paid:
            return part
    return None


def _outcome(arrangement: PaymentArrangement, *, today: date) -> str | None:
    paid = paid_so_far(arrangement)
    if paid >= arrangement.total:
        return "kept"
    expected = arrangement.parts.filter(due_on__lt=today - GRACE).values_list("amount", flat=True)
    return "broken" if paid < exact_sum(expected) else None


def _open_amounts(invoices: Sequence[Invoice]) -> dict[Invoice, Decimal]:
    keys = sorted(invoice.pk for invoice in invoices)
    balances = {row.pk: row for row in InvoiceBalance.objects.select_for_update().filter(pk__in=keys).order_by("pk")}
    opened = {invoice: amount_due(balances[invoice.pk]) for invoice in invoices}
    if any(amount <= 0 or invoice.status not in PAYABLE for invoice, amount in opened.items()):
        raise Invalid(_("Only invoices on which something is due can be arranged."), field="invoices")
    return opened


def _check_parts(parts: Sequence[Part], total: Decimal, invoice: Invoice, *, today: date) -> None:
    days = [day for day, _amount in parts]
    if not parts or days != sorted(set(days)) or days[0] < today:
        raise Invalid(_("The parts need days from today on, each later than the one before."), field="parts")
    if any(amount <= 0 or round_money(amount, invoice.currency) != amount for _day, amount in parts):
        raise Invalid(_("Each part must be above zero, to the smallest unit."), field="parts")
    sum_ = exact_sum(amount for _day, amount in parts)
    if sum_ != total:
        raise Invalid(
            _("The parts come to %(sum)s; %(total)s %(currency)s is open.")
            % {"sum": plain(sum_), "total": plain(total), "currency": invoice.currency},
            field="parts",
        )


def _end(arrangement: PaymentArrangement, to: str, *, by: User | System, at: datetime) -> None:
    ARRANGEMENT.move(arrangement, to, ended_at=at)
    ArrangementInvoice.objects.filter(arrangement=arrangement, live=True).update(live=False)
    _record(arrangement, to, by=by, at=at)


def _record(arrangement: PaymentArrangement, what: str, *, by: User | System, at: datetime) -> None:
    audit.record(
        f"billing.arrangement_{what}",
        arrangement,
        by=by,
        at=at,
        institution_id=arrangement.institution_id,
        after={"status": arrangement.status, "total": arrangement.total, "currency": arrangement.currency},
        deliver_to=(MAIL,),
    )
