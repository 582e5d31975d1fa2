"""Matching a line of our bank with what it is: invoices, a member's credit, a payment entered by hand, a payout.

Each match is undone by reversal: the payment is taken off its invoice again, the line is open, nothing is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from billing import ledger
from billing.balances import lock_all
from billing.chart_of_accounts import Account
from billing.ledger import Leg
from billing.member_credit import hold, take_back_credit
from billing.models import BankLine, BankMatch, Invoice, MemberCredit, Payment, Payout
from billing.payouts import record_arrival, undo_arrival
from billing.receiving import receive, undo
from billing.states_bank import BANK_LINE
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, exact_sum, plain, round_money
from consortium.kernel.periods import day_period
from members.models import Institution, User
from members.permissions import Permission, check_staff

_NONE: Final = Decimal(0)


class MatchInvalid(Invalid):
    """The parts do not come to the line, or one of them cannot be."""

    code = "match_invalid"


class LineNotOpen(PortalError):
    """Somebody else matched or parked the line first."""

    code = "line_not_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a line for one invoice: `amount` of the line, in its currency.

    `fee` is what a bank kept on the way, borne by us; `credited`, where the invoice is in another currency, is what the
    payer is credited with in that one.
    """

    invoice: Invoice
    amount: Decimal
    fee: Decimal = _NONE
    credited: Decimal | None = None


@transaction.atomic
def accept(
    line: BankLine,
    parts: Sequence[Part],
    *,
    by: User | System,
    at: datetime,
    because: str = "",
    confidence: int | None = None,
) -> list[BankMatch]:
    """Match an open line with invoices: each part is a payment, received as any other one. Parts come to the line.

    Less than is due leaves the exact rest due; more becomes the member's credit. Raises Forbidden, LineNotOpen,
    MatchInvalid, YearLocked.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    line = _open(line)
    _check_parts(line, parts)
    lock_all(part.invoice.pk for part in parts)
    # What is written in two universities' audit trails holds both to the end: everybody writes in the same order.
    parts = sorted(parts, key=lambda part: part.invoice.institution_id)
    matches = [
        _match(
            line, "payment", part.amount, by=by, at=at, because=because, confidence=confidence,
            payment=_paid(line, part, number, by=by, at=at),
        )
        for number, part in enumerate(parts, 1)
    ]  # fmt: skip
    return _done(line, matches, by=by, at=at)


@transaction.atomic
def accept_as_credit(line: BankLine, institution: Institution, *, by: User | System, at: datetime) -> BankMatch:
    """Keep all of an open line as a member's credit: it paid for no invoice. Raises as accept does."""
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    line = _open(line)
    credit = _held(line, institution, at)
    match = _match(line, "credit", line.amount, by=by, at=at, because="for no invoice", credit=credit)
    ledger.post(
        issuer=line.account.issuer, kind="credit_received", source=credit, on=line.booked_on, at=at,
        narration=f"Received from {institution.name_en} for no invoice", institution_id=institution.pk,
        legs=[
            Leg(Account.BANK, line.amount, line.currency),
            Leg(Account.MEMBER_CREDIT, EXACT.minus(line.amount), line.currency),
        ],
    )  # fmt: skip
    return _done(line, [match], by=by, at=at)[0]


@transaction.atomic
def accept_recorded(line: BankLine, payment: Payment, *, by: User | System, at: datetime) -> BankMatch:
    """Match an open line with a payment that was entered by hand and is in the books already. Raises as accept does."""
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    line = _open(line)
    lock_all([payment.invoice_id])  # of two lines for one cheque the second sees what the first did
    taken = BankMatch.objects.filter(payment=payment, undone_at=None).exists()
    arrived = EXACT.subtract(payment.amount, payment.fee)
    if payment.provider != "manual" or taken or (arrived, payment.currency) != (line.amount, line.currency):
        raise MatchInvalid(_("This payment was not entered by hand, is matched already, or has another amount."))
    match = _match(line, "recorded", line.amount, by=by, at=at, because="entered by hand before", payment=payment)
    return _done(line, [match], by=by, at=at)[0]


@transaction.atomic
def accept_payout(line: BankLine, payout: Payout, *, by: User | System, at: datetime) -> BankMatch:
    """Match an open line with a payout of the payment provider, whole. Raises as accept does, and PayoutNotOpen."""
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    line = _open(line)
    if (payout.amount, payout.currency, payout.issuer_id) != (line.amount, line.currency, line.account.issuer_id):
        raise MatchInvalid(_("The payout has another amount, currency or issuer than the line."))
    reference = line.bank_reference or line.text or str(line.pk)
    arrival = record_arrival(payout, on=line.booked_on, reference=reference, by=by, at=at)
    match = _match(line, "payout", line.amount, by=by, at=at, because=f"payout {payout.provider_id}", arrival=arrival)
    return _done(line, [match], by=by, at=at)[0]


@transaction.atomic
def undo_match(line: BankLine, *, reason: str, by: User | System, at: datetime) -> BankLine:
    """Undo all that a line was matched with: postings are mirrored, invoices due again, the line is open.

    Raises Forbidden, LineNotOpen, MatchInvalid, UndoRefused.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    line = BankLine.objects.select_for_update(of=("self",)).select_related("account__issuer").get(pk=line.pk)
    if line.status != "matched":
        raise LineNotOpen(_("This line is not matched. Reload the page."))
    if not reason.strip():
        raise MatchInvalid(_("Say why it is undone: an auditor will ask."), field="reason")
    live = BankMatch.objects.filter(line=line, undone_at=None)
    matches = list(live.select_related("payment", "credit__issuer", "arrival", "line"))
    lock_all(match.payment.invoice_id for match in matches if match.payment is not None)
    for match in sorted(matches, key=_university):
        _undo(match, reason=reason, by=by, at=at)
        match.undone_at, match.undone_by = at, None if isinstance(by, System) else by
        match.undone_because = reason.strip()[:300]
        match.save(update_fields=["undone_at", "undone_by", "undone_because"])
    BANK_LINE.move(line, "open", moved_by=None if isinstance(by, System) else by, moved_at=at)
    audit.record("billing.bank_match_undone", line, by=by, at=at, institution_id=None, reason=reason)
    crash_point("bank_line.undone")
    return line


@transaction.atomic
def park(line: BankLine, *, reason: str, by: User | System, at: datetime) -> BankLine:
    """Put an open line aside with the reason. Raises Forbidden, LineNotOpen, MatchInvalid."""
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    if not reason.strip():
        raise MatchInvalid(_("Say why: a colleague will read it."), field="reason")
    line = _open(line)
    person = None if isinstance(by, System) else by
    BANK_LINE.move(line, "parked", parked_reason=reason.strip()[:300], moved_by=person, moved_at=at)
    audit.record("billing.bank_line_parked", line, by=by, at=at, institution_id=None, reason=reason)
    return line


@transaction.atomic
def take_up(line: BankLine, *, by: User | System, at: datetime) -> BankLine:
    """Open a parked line again. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    line = BankLine.objects.select_for_update(of=("self",)).get(pk=line.pk)
    person = None if isinstance(by, System) else by
    BANK_LINE.move(line, "open", parked_reason="", moved_by=person, moved_at=at)
    audit.record("billing.bank_line_taken_up", line, by=by, at=at, institution_id=None)
    return line


# --- Parts ------------------------------------------------------------------------------------------------------------


def _open(line: BankLine) -> BankLine:
    """Lock the line, or say that somebody was faster."""
    line = BankLine.objects.select_for_update(of=("self",)).select_related("account__issuer").get(pk=line.pk)
    if line.status != "open" or line.amount < 0:
        raise LineNotOpen(_("This line is matched or parked already, or its money left the account. Reload the page."))
    return line


def _check_parts(line: BankLine, parts: Sequence[Part]) -> None:
    total = exact_sum(part.amount for part in parts)
    if total != line.amount:
        raise MatchInvalid(
            _("The parts come to %(total)s, the line to %(amount)s %(currency)s.")
            % {"total": plain(total), "amount": plain(line.amount), "currency": line.currency},
            field="parts",
        )
    if len({part.invoice.pk for part in parts}) != len(parts):
        raise MatchInvalid(_("An invoice is named twice."), field="parts")
    for part in parts:
        amounts = [part.amount, part.credited if part.credited is not None else part.amount]
        if min(amounts) <= 0 or part.fee < 0 or round_money(part.amount, line.currency) != part.amount:
            raise MatchInvalid(_("Each part is above zero, to the smallest unit of its currency."), field="parts")
        if part.invoice.issuer_id != line.account.issuer_id:
            raise MatchInvalid(_("The invoice is of another issuer than the bank account."), field="parts")
        if (part.credited is None) != (part.invoice.currency == line.currency):
            raise MatchInvalid(
                _("%(number)s is in %(currency)s: say what the payer is credited with in that currency.")
                % {"number": part.invoice.number, "currency": part.invoice.currency},
                field="credited",
            )


def _paid(line: BankLine, part: Part, number: int, *, by: User | System, at: datetime) -> Payment:
    """Make the payment of a part, and receive it."""
    turn = BankMatch.objects.filter(line=line).count()
    currency = part.invoice.currency
    credited = EXACT.add(part.amount if part.credited is None else part.credited, part.fee)
    payment = Payment.objects.create(
        institution_id=part.invoice.institution_id, invoice=part.invoice, provider="bank", amount=credited,
        currency=currency, method="bank_transfer", idempotency_key=f"bank:{line.pk}:{turn}:{number}", created_at=at,
    )  # fmt: skip
    exchange: list[Leg] = []
    if part.credited is not None:
        exchange = [
            Leg(Account.BANK, part.amount, line.currency),
            Leg(Account.EXCHANGE, EXACT.minus(part.amount), line.currency),
            Leg(Account.EXCHANGE, part.credited, currency),
        ]
    receive(
        payment, amount=credited, fee=part.fee, arrives=Account.BANK, exchange=exchange, by=by, at=at,
        received_at=day_period(line.booked_on, line.account.issuer.zone).start,
    )  # fmt: skip
    return payment


def _held(line: BankLine, institution: Institution, at: datetime) -> MemberCredit:
    """The credit of a line that is for no invoice; a line that was undone and matched again makes another one."""
    before = BankMatch.objects.filter(line=line, kind="credit").order_by("-at").first()
    return hold(
        before or line, issuer=line.account.issuer, institution_id=institution.pk, amount=line.amount,
        currency=line.currency, about=f"Bank transfer of {line.booked_on}", received_on=line.booked_on, at=at,
    )  # fmt: skip


def _match(
    line: BankLine,
    kind: str,
    amount: Decimal,
    *,
    by: User | System,
    at: datetime,
    because: str = "",
    confidence: int | None = None,
    **what: Any,
) -> BankMatch:
    return BankMatch.objects.create(
        line=line, kind=kind, amount=amount, currency=line.currency, because=because[:500], confidence=confidence,
        by=None if isinstance(by, System) else by, at=at, **what,
    )  # fmt: skip


def _done(line: BankLine, matches: list[BankMatch], *, by: User | System, at: datetime) -> list[BankMatch]:
    BANK_LINE.move(line, "matched", moved_by=None if isinstance(by, System) else by, moved_at=at)
    for match in matches:
        audit.record(
            "billing.bank_line_matched", match, by=by, at=at,
            institution_id=match.payment.institution_id if match.payment else None,
            after={"line": line.pk, "kind": match.kind, "amount": match.amount, "currency": match.currency},
        )  # fmt: skip
    crash_point("bank_line.matched")
    return matches


def _university(match: BankMatch) -> str:
    """Whose audit trail undoing a match writes in first, "" where it is nobody's."""
    found = match.payment or match.credit
    return str(found.institution_id) if found else ""


def _undo(match: BankMatch, *, reason: str, by: User | System, at: datetime) -> None:
    if match.kind == "payment" and match.payment is not None:
        undo(match.payment, reason=reason, by=by, at=at)
    elif match.kind == "credit" and match.credit is not None:
        take_back_credit(match.credit, reason=reason, by=by, at=at)
    elif match.kind == "payout" and match.arrival is not None:
        undo_arrival(match.arrival, on=match.line.booked_on, by=by, at=at)
