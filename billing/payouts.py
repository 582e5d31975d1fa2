"""Payouts: what the provider sends to our bank, every line of it known, and what of it the bank has not shown yet.

A payout is posted when its lines are: payments, less refunds, disputes and fees, to the cent. Until the bank's
statement shows it, it is on its way (`unreconciled_payouts`).
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from billing.chart_of_accounts import Account
from billing.clearing import PROVIDER, record_own
from billing.gateways import PaymentGateway, ProviderMovement, ProviderPayout
from billing.ledger import Leg, post
from billing.models import ClearingMovement, Payment, Payout, PayoutArrival, PayoutLine
from billing.states_processor import PAYOUT
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT, exact_sum, plain
from members.models import Issuer, User
from members.permissions import Permission, check_staff

SENT = ("in_transit", "paid", "failed")


class PayoutNotOpen(PortalError):
    """The payout is with the bank already, or never will be."""

    code = "payout_not_open"


def unreconciled_payouts(currency: str, *, issuer: Issuer | None = None) -> QuerySet[Payout]:
    """Return the payouts in a currency that are on their way and in the books, and that no bank line is matched with.

    The oldest expected first; all issuers' unless narrowed. `record_arrival` matches one.
    """
    found = Payout.objects.filter(currency=currency, status__in=("in_transit", "paid"), lines__isnull=False)
    found = found.exclude(arrivals__in=PayoutArrival.objects.filter(undone_at=None))
    if issuer is not None:
        found = found.filter(issuer=issuer)
    return found.distinct().order_by("arrives_on", "pk")


@transaction.atomic
def record_arrival(payout: Payout, *, on: date, reference: str, by: User | System, at: datetime) -> PayoutArrival:
    """Record that the bank's statement shows a payout, whole, on a day, and post it to the bank.

    Raises Forbidden, PayoutNotOpen, YearLocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    payout = Payout.objects.select_for_update(of=("self",)).select_related("issuer").get(pk=payout.pk)
    if not unreconciled_payouts(payout.currency).filter(pk=payout.pk).exists():
        raise PayoutNotOpen(_("This payout is matched with the bank already, or is not on its way to it."))
    person = None if isinstance(by, System) else by
    arrival = PayoutArrival.objects.create(payout=payout, on=on, reference=reference[:200], by=person, at=at)
    _post_arrival(arrival, payout.amount, on=on, at=at, kind="payout_arrived")
    after = {"amount": payout.amount, "currency": payout.currency, "on": on}
    audit.record("billing.payout_arrived", payout, by=by, at=at, institution_id=None, after=after)
    return arrival


def arrival_of(payout: Payout) -> PayoutArrival:
    """Return the match with the bank that holds now. Raises PayoutNotOpen when there is none."""
    found = PayoutArrival.objects.filter(payout=payout, undone_at=None).first()
    if found is None:
        raise PayoutNotOpen(_("This payout is not matched with the bank."))
    return found


@transaction.atomic
def undo_arrival(arrival: PayoutArrival, *, on: date, by: User | System, at: datetime) -> PayoutArrival:
    """Take back that a payout arrived, by an entry that reverses it on a day; it is on its way again.

    Raises Forbidden, PayoutNotOpen when it is undone already, YearLocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    arrival = PayoutArrival.objects.select_for_update(of=("self",)).select_related("payout__issuer").get(pk=arrival.pk)
    if arrival.undone_at is not None:
        raise PayoutNotOpen(_("This match was undone already."))
    arrival.undone_at, arrival.undone_by = at, None if isinstance(by, System) else by
    arrival.save(update_fields=["undone_at", "undone_by"])
    _post_arrival(arrival, EXACT.minus(arrival.payout.amount), on=on, at=at, kind="payout_arrival_undone")
    audit.record("billing.payout_arrival_undone", arrival.payout, by=by, at=at, institution_id=None)
    return arrival


def keep_payout(found: ProviderPayout, movements: Sequence[ProviderMovement], *, at: datetime) -> str:
    """Will move our payout to where the provider's is and, once it is sent, record and post all its lines.

    Returns "" or what a person must look at; then the payout waits with that problem, and nothing of it is posted.
    Every line of a payment must be known before: see `missing_of`.
    """
    payout, known = _ours(found, at=at)
    if payout is None:
        return f"Payout {found.id} came before any payment: nobody knows whose it is."
    problem = "" if known or found.status not in SENT else _lines(payout, found, movements, at=at)
    own = [each for each in movements if each.kind == "payout"]
    for movement in [] if problem else [*own, *filter(None, [found.came_back])]:
        record_own(movement, issuer=payout.issuer, at=at)
    if payout.problem != problem:
        Payout.objects.filter(pk=payout.pk).update(problem=problem[:500])
    _move(payout, found, at=at)
    return problem


def missing_of(movements: Sequence[ProviderMovement]) -> list[ProviderMovement]:
    """Return the lines that belong to payments and that no message has told us of yet."""
    known = set(
        ClearingMovement.objects.filter(provider_id__in=[each.id for each in movements]).values_list(
            "provider_id", flat=True
        )
    )
    of_payments = {"charge", "refund", "refund_failure", "dispute"}
    return [each for each in movements if each.kind in of_payments and each.id not in known]


def _ours(found: ProviderPayout, *, at: datetime) -> tuple[Payout | None, bool]:
    """The payout's row, and whether its lines are in the books. One account at the provider serves one issuer."""
    held = Payout.objects.select_for_update(of=("self",)).filter(provider_id=found.id).first()
    if held is None:
        newest = Payment.objects.filter(provider="stripe").select_related("invoice").order_by("-created_at").first()
        if newest is None:
            return None, False
        held = Payout.objects.create(
            issuer_id=newest.invoice.issuer_id,
            provider_id=found.id,
            amount=found.amount,
            currency=found.currency,
            arrives_on=found.arrives_on,
            reference=found.reference[:200],
            first_seen_at=at,
        )
        after: dict[str, Fact] = {"amount": found.amount, "currency": found.currency}
        audit.record("billing.payout_announced", held, by=PROVIDER, at=at, institution_id=None, after=after)
    return held, PayoutLine.objects.filter(payout=held).exists()


def _lines(payout: Payout, found: ProviderPayout, movements: Sequence[ProviderMovement], *, at: datetime) -> str:
    """Record every line, if all of them are there and sum to the payout; else say what is wrong."""
    lines = [each for each in movements if each.kind != "payout"]
    total = exact_sum(EXACT.subtract(each.amount, each.fee) for each in lines)
    if (missing := missing_of(lines)) and not payout.strangers_accepted:
        names = ", ".join(f"{each.kind} {each.source_id or each.id}" for each in missing[:5])
        return f"{len(missing)} lines belong to no payment of this portal: {names}. Look them up at the provider."
    if total != found.amount:
        return f"Its lines sum to {plain(total)} {found.currency}, it is {plain(found.amount)} {found.currency}."
    rows = [record_own(each, issuer=payout.issuer, at=at) for each in lines]
    if {row.issuer_id for row in rows} != {payout.issuer_id}:
        return "Its lines belong to several issuers. Give each issuer an account of its own at the provider."
    PayoutLine.objects.bulk_create(PayoutLine(payout=payout, movement=row) for row in rows)
    crash_point("payout.lines_kept")
    return ""


def _move(payout: Payout, found: ProviderPayout, *, at: datetime) -> None:
    if payout.status != found.status and PAYOUT.allows(payout.status, found.status):
        was = payout.status
        PAYOUT.move(
            payout,
            found.status,
            arrives_on=found.arrives_on,
            reference=found.reference[:200],
            failure=found.failure[:300],
        )
        audit.record(
            f"billing.payout_{found.status}",
            payout,
            by=PROVIDER,
            at=at,
            institution_id=None,
            before={"status": was},
            after={"status": found.status},
        )


def _post_arrival(arrival: PayoutArrival, amount: Decimal, *, on: date, at: datetime, kind: str) -> None:
    payout = arrival.payout
    post(
        issuer=payout.issuer,
        kind=kind,
        source=arrival,
        on=on,
        narration=f"Payout {payout.provider_id}: {arrival.reference}",
        legs=[
            Leg(Account.BANK, amount, payout.currency),
            Leg(Account.IN_TRANSIT, EXACT.minus(amount), payout.currency),
        ],
        at=at,
    )


def fetched(gateway: PaymentGateway, payout_id: str) -> tuple[ProviderPayout, list[ProviderMovement]]:
    """Ask the provider for a payout and, once it is sent, for all its lines."""
    found = gateway.fetch_payout(payout_id)
    return found, gateway.movements_of(payout_id) if found.status in SENT else []
