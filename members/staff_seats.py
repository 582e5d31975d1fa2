"""Roles of consortium staff: handed out and ended by a superuser, each time in the audit trail."""

from datetime import datetime

from django.db import IntegrityError, transaction

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid
from members.models import StaffSeat, User
from members.people import SeatEnded, SeatTaken
from members.roles import StaffRole
from members.sessions import end_sessions


@transaction.atomic
def give_staff_seat(*, user: User, role: str, by: User | System, at: datetime) -> StaffSeat:
    """Make a person consortium staff in that role. Raises Forbidden, Invalid, SeatTaken."""
    _check_superuser(by)
    if role not in StaffRole.values:
        raise Invalid("Choose one of the staff roles.", field="role")
    if not user.is_active:
        raise Invalid("This account is closed.", field="user")
    try:
        with transaction.atomic():
            seat = StaffSeat.objects.create(user=user, role=role)
    except IntegrityError as error:
        raise SeatTaken("This person has that staff role already.", field="role") from error
    User.objects.filter(pk=user.pk).update(is_staff=True)
    _record(seat, "given", by=by, at=at)
    return seat


@transaction.atomic
def end_staff_seat(seat: StaffSeat, *, reason: str, by: User | System, at: datetime) -> None:
    """End a staff role now; with the last one the person is staff no more, and is signed out everywhere.

    Raises Forbidden, SeatEnded.
    """
    _check_superuser(by)
    if not StaffSeat.objects.filter(pk=seat.pk, ended_at=None).update(ended_at=at):
        raise SeatEnded("This staff role has ended already.")
    seat.ended_at = at
    _record(seat, "ended", by=by, at=at, reason=reason)
    user = User.objects.select_for_update().get(pk=seat.user_id)
    if not user.is_superuser and not user.staff_seats.filter(ended_at=None).exists():
        User.objects.filter(pk=user.pk).update(is_staff=False)
        end_sessions(user)


def _check_superuser(by: User | System) -> None:
    if not isinstance(by, System) and not (by.is_active and by.is_superuser):
        raise Forbidden("Only a superuser hands out and ends staff roles.")


def _record(seat: StaffSeat, what: str, *, by: User | System, at: datetime, reason: str = "") -> None:
    audit.record(
        f"members.staffseat_{what}",
        seat,
        by=by,
        at=at,
        institution_id=None,
        after={"user": seat.user_id, "role": seat.role},
        reason=reason,
    )
