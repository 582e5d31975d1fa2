"""How a member stands with what it owes, and the ladder of its agreement. Hubs are the use case's business.

What is disputed, on its way or arranged is not overdue. The ladder's rungs are rows: proposed by the days of the
agreement's schedule, confirmed by a person, lifted as soon as nothing is overdue.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from billing.arrangements import arranged_among, next_part
from billing.holding import held_amounts
from billing.models import Invoice, InvoiceBalance, LapseStep, Payment, PaymentArrangement
from billing.models.standing import RUNGS
from billing.queries import OPEN
from billing.settlement import amount_due
from billing.states_collecting import LAPSE
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.periods import local_date
from members.models import Agreement, User
from members.permissions import Permission, check_staff
from members.schedule import Schedule
from members.schedule_terms import Lapse

STANDING: Final = System("standing")
MAIL: Final = "billing.mail_lapse"
SOON: Final = timedelta(days=14)


class ReadOnly(PortalError):
    """The university's place is read-only until what is overdue is paid."""

    code = "read_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One open invoice as it counts for standing: what is due, what of it is payable, whether it is paid in parts."""

    invoice: Invoice
    due: Decimal
    payable: Decimal
    arranged: bool

    def is_late(self, today: date) -> bool:
        """Tell whether its day is over and nobody agreed to wait; what is disputed of it is not settled yet."""
        return self.invoice.due_on is not None and self.invoice.due_on < today and self.due > 0 and not self.arranged

    def is_overdue(self, today: date) -> bool:
        """Tell whether it is late and something of it is to be paid, neither disputed nor on its way."""
        return self.is_late(today) and self.payable > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyStanding:
    """What a member owes: overdue by currency, since when, the next due day, its arrangement, its rung."""

    overdue: tuple[tuple[str, Decimal], ...]
    since: date | None
    due_soon: tuple[Owed, ...]
    arrangement: PaymentArrangement | None
    part_due_on: date | None
    rung: str  # the highest rung in force, "" for none
    needs_person: bool  # every reminder went out

    @property
    def code(self) -> str:
        """The standing in one word, as far as money goes."""
        if self.rung in {"suspended", "retired"}:
            return "suspended"
        if self.rung or (self.since is not None and self.needs_person):
            return "escalated"
        if self.since is not None:
            return "overdue"
        if self.arrangement is not None:
            return "arranged"
        return "due_soon" if self.due_soon else "current"


def money_standing(institution_id: UUID, *, today: date) -> MoneyStanding:
    """Return how a member stands on a day, with as many queries for many invoices as for one. Needs its scope."""
    owed = owed_by(institution_id, today=today)
    late = [each for each in owed if each.is_overdue(today)]
    sums: dict[str, Decimal] = {}
    for each in late:
        sums[each.invoice.currency] = EXACT.add(sums.get(each.invoice.currency, Decimal(0)), each.payable)
    soon = [
        each for each in owed
        if each.payable > 0 and each.invoice.due_on and today <= each.invoice.due_on <= today + SOON
    ]  # fmt: skip
    arrangement = PaymentArrangement.objects.filter(institution_id=institution_id, status="active").first()
    part = next_part(arrangement) if arrangement else None
    keys = [each.invoice.pk for each in late]
    return MoneyStanding(
        overdue=tuple(sorted(sums.items())),
        since=min((each.invoice.due_on for each in late if each.invoice.due_on), default=None),
        due_soon=tuple(soon),
        arrangement=arrangement,
        part_due_on=part.due_on if part else None,
        rung=rung_of(institution_id),
        needs_person=bool(keys) and Invoice.objects.filter(pk__in=keys, reminders__step="human").exists(),
    )


def owed_by(institution_id: UUID, *, today: date, issuer_id: UUID | None = None) -> list[Owed]:
    """Return a member's open invoices, the oldest due first. Payable is what is due, not held and not on its way."""
    rows = InvoiceBalance.objects.filter(institution_id=institution_id, invoice__status__in=OPEN)
    if issuer_id is not None:
        rows = rows.filter(invoice__issuer=issuer_id)
    balances = list(rows.select_related("invoice").order_by("invoice__due_on", "pk"))
    if not balances:
        return []
    held = held_amounts(balances)
    arranged = arranged_among([row.invoice for row in balances], day=today)
    moving: dict[UUID, list[Decimal]] = {}
    pending = Payment.objects.filter(invoice__in=[row.pk for row in balances], status="pending")
    for key, amount in pending.values_list("invoice", "amount"):
        moving.setdefault(key, []).append(amount)
    return [
        Owed(
            invoice=row.invoice,
            due=amount_due(row),
            payable=EXACT.subtract(amount_due(row), exact_sum([held[row.pk], *moving.get(row.pk, [])])),
            arranged=row.invoice_id in arranged,
        )
        for row in balances
    ]


def ladder_of(agreement: Agreement) -> Lapse | None:
    """Return the ladder that an agreement's schedule agrees on; None: it agrees on none, so nothing may be stopped."""
    return Schedule.parse(agreement.schedule).lapse


def rung_of(institution_id: UUID) -> str:
    """Return the highest rung that is in force for a member, "" for none."""
    held = set(
        LapseStep.objects.filter(institution_id=institution_id, status="confirmed").values_list("rung", flat=True)
    )
    return next((rung for rung in reversed(RUNGS) if rung in held), "")


def refuse_read_only(institution_id: UUID) -> None:
    """Raise ReadOnly while a rung from read-only on is in force: what runs may go on, nothing new begins."""
    if rung_of(institution_id) in RUNGS[1:]:
        raise ReadOnly(
            _("Hubs cannot be requested or changed while invoices are overdue. Pay them, or agree on parts with us.")
        )


def next_rung(agreement: Agreement, *, today: date) -> tuple[str, date, list[Owed]] | None:
    """Return the rung that would come next, the first day on which it may, and what is overdue; None where none would.

    Needs a scope over the member.
    """
    ladder = ladder_of(agreement)
    late = [
        each for each in owed_by(agreement.institution_id, today=today, issuer_id=agreement.issuer_id)
        if each.is_overdue(today)
    ]  # fmt: skip
    if ladder is None or not late:
        return None
    steps = LapseStep.objects.filter(agreement=agreement, status="confirmed")
    held = dict(steps.values_list("rung", "confirmed_on"))
    rung = next((each for each in RUNGS if each not in held), None)
    if rung is None:
        return None
    oldest = late[0].invoice.due_on
    before = held[RUNGS[RUNGS.index(rung) - 1]] if rung != RUNGS[0] else oldest
    assert before is not None  # noqa: S101 - issued invoices have a due day, confirmed rungs their day
    return rung, before + timedelta(days=ladder.days_before(rung)), late


@transaction.atomic
def propose_step(agreement: Agreement, *, at: datetime) -> LapseStep | None:
    """Will propose the rung whose days are over; None where none is due or one waits. Needs a consortium scope."""
    today = local_date(at, agreement.zone)
    found = next_rung(agreement, today=today)
    if found is None or found[1] > today:
        return None
    rung, _day, late = found
    since = late[0].invoice.due_on
    assert since is not None  # noqa: S101 - an issued invoice has a due day, says a constraint
    if LapseStep.objects.filter(agreement=agreement, status="proposed").exists() or _laid_aside(agreement, rung, at):
        return None
    step = LapseStep.objects.create(
        institution_id=agreement.institution_id,
        agreement=agreement,
        rung=rung,
        overdue_since=since,
        facts={each.invoice.number or "": f"{each.payable} {each.invoice.currency}" for each in late},
        proposed_at=at,
    )
    _record(step, "proposed", by=STANDING, at=at)
    return step


@transaction.atomic
def confirm_step(step: LapseStep, *, reason: str, by: User, at: datetime) -> None:
    """Will put a rung in force: a person's decision, with the words that the member reads.

    Raises Forbidden, Invalid where it was paid meanwhile or the days are not over, TransitionRefused. PostgreSQL
    refuses it without the rung before.
    """
    check_staff(by, Permission.DECIDE_STANDING)
    if not reason.strip():
        raise Invalid(_("Write the reason: the university reads it."), field="reason")
    agreement = Agreement.objects.select_for_update(of=("self",)).get(pk=step.agreement_id)
    today = local_date(at, agreement.zone)
    found = next_rung(agreement, today=today)
    if found is None or found[0] != step.rung or found[1] > today:
        raise Invalid(_("This rung is not due any more: it was paid, arranged or disputed meanwhile."))
    LAPSE.move(step, "confirmed", confirmed_by=by, confirmed_at=at, confirmed_on=today, reason=reason.strip()[:300])
    _record(step, "confirmed", by=by, at=at, mail=True)


@transaction.atomic
def dismiss_step(step: LapseStep, *, reason: str, by: User, at: datetime) -> None:
    """Will lay a proposal aside; the same rung is not proposed again for 30 days. Raises Forbidden, Invalid."""
    check_staff(by, Permission.DECIDE_STANDING)
    if not reason.strip():
        raise Invalid(_("Write why it is laid aside."), field="reason")
    LAPSE.move(step, "dismissed", reason=reason.strip()[:300], ended_at=at)
    _record(step, "dismissed", by=by, at=at)


@transaction.atomic
def lift_settled(agreement: Agreement, *, at: datetime) -> list[LapseStep]:
    """Will lift every rung of an agreement on which nothing is late any more; returns those that were in force.

    Disputing lifts nothing, it only keeps the next rung away: what is paid, credited or arranged does. Needs a
    consortium scope.
    """
    today = local_date(at, agreement.zone)
    owed = owed_by(agreement.institution_id, today=today, issuer_id=agreement.issuer_id)
    if any(each.is_late(today) for each in owed):
        return []
    lifted = []
    for step in LapseStep.objects.select_for_update().filter(agreement=agreement, status__in=["proposed", "confirmed"]):
        if step.status == "proposed":
            LAPSE.move(step, "dismissed", reason="Settled.", ended_at=at)
            _record(step, "dismissed", by=STANDING, at=at)
        else:
            LAPSE.move(step, "lifted", ended_at=at)
            lifted.append(step)
    for number, step in enumerate(sorted(lifted, key=lambda each: RUNGS.index(each.rung), reverse=True)):
        _record(step, "lifted", by=STANDING, at=at, mail=number == 0)
    return lifted


def agreements_to_look_at(statuses: Iterable[str], *, at: datetime) -> list[UUID]:
    """Return the agreements in these states whose standing may change: something is late, or a rung waits or holds.

    One query, however many members there are. Needs a consortium scope.
    """
    latest = at.astimezone(UTC).date() + timedelta(days=1)  # the day it may be already, somewhere
    late = Invoice.objects.filter(
        institution=OuterRef("institution"), issuer=OuterRef("issuer"), status__in=OPEN, due_on__lt=latest
    )
    steps = LapseStep.objects.filter(agreement=OuterRef("pk"), status__in=["proposed", "confirmed"])
    rows = Agreement.objects.filter(Exists(late) | Exists(steps), status__in=list(statuses))
    return list(rows.order_by("pk").values_list("pk", flat=True))


def waiting_steps() -> int:
    """How many proposals wait for a person."""
    return LapseStep.objects.filter(status="proposed").count()


def agreements_on(rungs: Iterable[str]) -> list[UUID]:
    """Return the agreements for which one of these rungs is in force."""
    rows = LapseStep.objects.filter(status="confirmed", rung__in=list(rungs))
    return list(rows.values_list("agreement", flat=True).distinct())


def _laid_aside(agreement: Agreement, rung: str, at: datetime) -> bool:
    rows = LapseStep.objects.filter(agreement=agreement, rung=rung, status="dismissed")
    recent = rows.filter(ended_at__gt=at - timedelta(days=30))
    return recent.exclude(reason="Settled.").exists()


def _record(step: LapseStep, what: str, *, by: User | System, at: datetime, mail: bool = False) -> None:
    audit.record(
        f"billing.lapse_{what}",
        step,
        by=by,
        at=at,
        institution_id=step.institution_id,
        after={"rung": step.rung, "status": step.status, "overdue_since": step.overdue_since},
        reason=step.reason,
        deliver_to=(MAIL,) if mail or what == "proposed" else (),
    )
