"""Suspending an agreement and taking it up again; ending it by either side, with the notice it says."""

from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.periods import local_date
from consortium.kernel.spoken import spoken_day
from members.agreements.cover import LIVE, OPEN, binding_versions
from members.agreements.history import add_event
from members.agreements.offering import withdraw_agreement
from members.models import Agreement, AgreementEvent, Membership, User
from members.permissions import Permission, check_at, check_staff
from members.schedule import Schedule
from members.states import AGREEMENT, MEMBERSHIP

PORTAL = System("agreements")


@transaction.atomic
def suspend_agreement(agreement: Agreement, *, reason: str, by: User | System, at: datetime) -> None:
    """Stop new work under an agreement until it is resumed: no hub may be requested, its dues go on.

    The owners get the reason by mail. Raises Forbidden, Invalid, TransitionRefused.
    """
    check_staff(by, Permission.COUNTERSIGN_AGREEMENT)
    _check_reason(reason)
    before = _lock(agreement)
    AGREEMENT.move(agreement, "suspended")
    add_event(agreement, "suspended", side="consortium", by=by, at=at, text=reason)
    _record(agreement, "suspended", before, by, at, reason=reason)


@transaction.atomic
def resume_agreement(agreement: Agreement, *, reason: str, by: User | System, at: datetime) -> None:
    """Take a suspended agreement up again; one under notice is under notice still. Raises TransitionRefused."""
    check_staff(by, Permission.COUNTERSIGN_AGREEMENT)
    before = _lock(agreement)
    AGREEMENT.move(agreement, "terminating" if standing_notice(agreement) else "in_force")
    add_event(agreement, "resumed", side="consortium", by=by, at=at, text=reason)
    _record(agreement, "resumed", before, by, at, reason=reason)


def earliest_last_day(agreement: Agreement, *, at: datetime) -> date:
    """The soonest last day that a notice given now can name, in the agreement's zone."""
    notice = Schedule.parse(agreement.schedule).notice_days
    return max(local_date(at, agreement.zone) + timedelta(days=notice), agreement.starts_on)


@transaction.atomic
def give_notice(
    agreement: Agreement, *, side: str, last_day: date, reason: str, by: User, at: datetime
) -> AgreementEvent:
    """End an agreement on a day that the notice of its schedule allows; `side` is "member" or "consortium".

    What was offered to follow it is withdrawn, the member is leaving, and both sides are told. Raises Forbidden,
    Invalid with the soonest day, TransitionRefused.
    """
    _check_side(agreement, side, by)
    _check_reason(reason)
    before = _lock(agreement)
    if before not in LIVE:
        AGREEMENT.move(agreement, "terminating")  # says why it cannot
    if standing_notice(agreement):
        raise Invalid(_("Notice was given already."))
    first_day_after = last_day + timedelta(days=1)
    _check_last_day(agreement, last_day, at)
    for successor in Agreement.objects.filter(follows=agreement, status__in=OPEN):
        withdraw_agreement(successor, reason=_("Notice was given to end the agreement."), by=PORTAL, at=at)
    if before == "in_force":
        AGREEMENT.move(agreement, "terminating", covered_until=first_day_after)
    else:
        Agreement.objects.filter(pk=agreement.pk, status=before).update(covered_until=first_day_after)
        agreement.covered_until = first_day_after
    _move_membership(agreement, "active", "leaving")
    event = add_event(agreement, "notice_given", side=side, by=by, at=at, text=reason, day=last_day)
    _record(agreement, "notice_given", before, by, at, reason=reason, last_day=last_day)
    return event


@transaction.atomic
def withdraw_notice(agreement: Agreement, *, side: str, reason: str, by: User, at: datetime) -> None:
    """Take back the notice that the same side gave, before its last day. Raises Forbidden, Invalid."""
    _check_side(agreement, side, by)
    before = _lock(agreement)
    notice = standing_notice(agreement)
    if notice is None or before not in LIVE:
        raise Invalid(_("No notice was given to end this agreement."))
    if notice.side != side:
        raise Forbidden(_("The other side gave this notice; only it can take the notice back."))
    if before == "terminating":
        AGREEMENT.move(agreement, "in_force", covered_until=None)
    else:
        Agreement.objects.filter(pk=agreement.pk, status=before).update(covered_until=None)
        agreement.covered_until = None
    _move_membership(agreement, "leaving", "active")
    add_event(agreement, "notice_withdrawn", side=side, by=by, at=at, text=reason)
    _record(agreement, "notice_withdrawn", before, by, at, reason=reason)


def standing_notice(agreement: Agreement) -> AgreementEvent | None:
    """The notice that ends the agreement, unless it was taken back."""
    rows = AgreementEvent.objects.filter(agreement=agreement, kind__in=["notice_given", "notice_withdrawn"])
    newest = rows.order_by("at", "id").last()
    return newest if newest is not None and newest.kind == "notice_given" else None


def end_agreement(agreement: Agreement, *, at: datetime) -> None:
    """Write down that the last day is over, and that the member leaves unless another version covers it.

    The daily run calls it, under the lock of the row.
    """
    before = agreement.status
    AGREEMENT.move(agreement, "ended")
    others = binding_versions(agreement).filter(status__in=LIVE)
    if not others.exists():
        _move_membership(agreement, "active", "leaving")
    add_event(agreement, "ended", side="portal", by=None, at=at, day=agreement.covers_until)
    _record(agreement, "ended", before, PORTAL, at)


def _lock(agreement: Agreement) -> str:
    """Hold the row until the end of the transaction, read it as it is now, and return its state."""
    Agreement.objects.select_for_update().filter(pk=agreement.pk).first()
    agreement.refresh_from_db()
    return agreement.status


def _check_side(agreement: Agreement, side: str, by: User) -> None:
    if side == "member":
        check_at(by, Permission.SIGN_AGREEMENT, agreement.institution_id)
    else:
        check_staff(by, Permission.COUNTERSIGN_AGREEMENT)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid(_("Write the reason: the other side reads it."), field="reason")


def _check_last_day(agreement: Agreement, last_day: date, at: datetime) -> None:
    soonest = earliest_last_day(agreement, at=at)
    if last_day < soonest:
        raise Invalid(
            _("The agreement asks for %(days)d days of notice: the soonest last day is %(day)s.")
            % {"days": Schedule.parse(agreement.schedule).notice_days, "day": spoken_day(soonest)},
            field="last_day",
        )
    end = agreement.covers_until
    if end is not None and last_day + timedelta(days=1) > end:
        raise Invalid(
            _("The agreement ends on %(day)s anyway. Choose that day or an earlier one.")
            % {"day": spoken_day(end - timedelta(days=1))},
            field="last_day",
        )


def _move_membership(agreement: Agreement, was: str, to: str) -> None:
    membership = Membership.objects.filter(institution_id=agreement.institution_id, status=was).first()
    if membership is not None:
        MEMBERSHIP.move(membership, to)


def _record(
    agreement: Agreement,
    what: str,
    before: str,
    by: User | System,
    at: datetime,
    *,
    reason: str = "",
    last_day: date | None = None,
) -> None:
    audit.record(
        f"members.agreement_{what}",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": before},
        after={"status": agreement.status, "last_day": last_day},
        reason=reason,
        deliver_to=("members.mail_agreement_changed",),
    )
