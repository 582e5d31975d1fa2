"""Seats: who acts for an institution, in which role, from when until when."""

from datetime import datetime
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid, Missing, PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution, Seat, User
from members.permissions import Permission, check_at
from members.roles import Role
from members.sessions import end_sessions


class SeatTaken(PortalError):
    """The person has that role already."""

    code = "seat_taken"


class SeatEnded(PortalError):
    """The seat has ended; nothing about it changes any more."""

    code = "seat_ended"


class LastOwner(PortalError):
    """An institution always has an owner."""

    code = "last_owner"


class PersonUnknown(Missing):
    """Nobody has signed up and confirmed that address."""

    code = "person_unknown"


def person_by_email(email: str) -> User:
    """Return the person who confirmed that address. Raises PersonUnknown."""
    address = EmailAddress.objects.filter(email__iexact=email.strip(), verified=True).select_related("user").first()
    if address is None or not address.user.is_active:
        raise PersonUnknown(
            _("Nobody has signed up with this address yet. Ask them to create an account and confirm the address."),
            field="email",
        )
    user: User = address.user
    return user


@transaction.atomic
def add_seat(
    *, institution: Institution, user: User, role: str, by: User | System, at: datetime, source: str = "owner"
) -> Seat:
    """Give a person a role at the institution, and tell them. Raises Forbidden, Invalid, SeatTaken."""
    check_at(by, Permission.MANAGE_PEOPLE, institution.pk)
    return take_seat(institution=institution, user=user, role=role, by=by, at=at, source=source, tell=True)


def take_seat(
    *, institution: Institution, user: User, role: str, by: User | System, at: datetime, source: str, tell: bool
) -> Seat:
    """Write a seat whose right to be was checked by the caller (an invitation, an offer). Raises Invalid, SeatTaken."""
    if role not in Role.values:
        raise Invalid(_("Choose one of the roles."), field="role")
    try:
        with transaction.atomic():
            seat = Seat.objects.create(institution=institution, user=user, role=role, source=source, created_at=at)
    except IntegrityError as error:
        raise SeatTaken(_("This person has that role already."), field="role") from error
    audit.record(
        "members.seat_added",
        seat,
        by=by,
        at=at,
        institution_id=institution.pk,
        after={"user": user.pk, "role": role, "source": source},
        deliver_to=("members.mail_seat",) if tell else (),
    )
    return seat


@transaction.atomic
def end_seat(seat: Seat, *, by: User | System, at: datetime) -> None:
    """End a seat now; one's own may always be given up, but the last owner stays.

    Who loses the last seat by another one's hand is signed out everywhere. Raises Forbidden, LastOwner.
    """
    if seat.user_id != by.pk:
        check_at(by, Permission.MANAGE_PEOPLE, seat.institution_id)
    if seat.role == Role.OWNER:
        refuse_last_owner(seat)
    if close_seat(seat, by=by, at=at) and seat.user_id != by.pk:
        _sign_out_if_seatless(seat.user)


@transaction.atomic
def change_role(seat: Seat, *, role: str, by: User | System, at: datetime) -> Seat:
    """End the seat and give the person another role instead; returns the new seat.

    Raises Forbidden, Invalid, SeatTaken, SeatEnded, LastOwner.
    """
    check_at(by, Permission.MANAGE_PEOPLE, seat.institution_id)
    if role == seat.role:
        raise SeatTaken(_("This person has that role already."), field="role")
    if seat.role == Role.OWNER:
        refuse_last_owner(seat)
    new = take_seat(
        institution=seat.institution, user=seat.user, role=role, by=by, at=at, source=seat.source, tell=True
    )
    if not close_seat(seat, by=by, at=at):
        raise SeatEnded(_("This seat has ended meanwhile. Look at the list of people again."))
    return new


@transaction.atomic
def confirm_seat(seat: Seat, *, by: User | System, at: datetime) -> None:
    """Say that the person still needs the seat: its next review is a year from now. Raises Forbidden, SeatEnded."""
    check_at(by, Permission.MANAGE_PEOPLE, seat.institution_id)
    if not Seat.objects.filter(pk=seat.pk, ended_at=None).update(reviewed_at=at):
        raise SeatEnded(_("This seat has ended meanwhile. Look at the list of people again."))
    seat.reviewed_at = at
    audit.record(
        "members.seat_confirmed",
        seat,
        by=by,
        at=at,
        institution_id=seat.institution_id,
        after={"user": seat.user_id, "role": seat.role},
    )


@transaction.atomic
def close_account(user: User, *, by: User | System, at: datetime) -> None:
    """Disable a person: whoever is signed in with the account is out with the next request. Raises Forbidden.

    Seats stay as they are: an account may be opened again, and its institutions see that it is closed.
    """
    if not isinstance(by, System) and not (by.is_active and by.is_superuser):
        raise Forbidden(_("Only a superuser closes accounts."))
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.is_active = False
    ended = end_sessions(user)
    audit.record("members.account_closed", user, by=by, at=at, institution_id=None, after={"sessions": ended})


def refuse_last_owner(seat: Seat) -> None:
    """Raise LastOwner when nobody else who is active owns the institution; holds the owners' rows until the commit.

    Every loss of an owner waits here, so that two owners cannot end each other at once.
    """
    others = owners_locked(seat.institution_id) - {seat.user_id}
    if not others:
        raise LastOwner(_("The last owner cannot leave. Give somebody else the role of owner first."))


def owners_locked(institution_id: UUID) -> set[UUID]:
    """The keys of the active owners, whose seats are locked until the end of the transaction."""
    owners = Seat.objects.select_for_update(of=("self",)).filter(
        institution_id=institution_id, role=Role.OWNER, ended_at=None, user__is_active=True
    )
    return {owner.user_id for owner in owners.order_by("pk")}


def close_seat(seat: Seat, *, by: User | System, at: datetime) -> bool:
    """Write the end of a seat whose end was checked by the caller; tells whether it was live until now."""
    if not Seat.objects.filter(pk=seat.pk, ended_at=None).update(ended_at=at):
        return False
    seat.ended_at = at
    audit.record(
        "members.seat_ended",
        seat,
        by=by,
        at=at,
        institution_id=seat.institution_id,
        before={"user": seat.user_id, "role": seat.role},
    )
    return True


def _sign_out_if_seatless(user: User) -> None:
    # A page of one institution sees that institution's seats alone; the person may have others.
    with consortium_scope(Scope.SIGN_IN):
        seated = Seat.objects.filter(user=user, ended_at=None).exists()
    if not seated and not user.is_staff:
        end_sessions(user)
