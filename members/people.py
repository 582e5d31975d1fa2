"""Seats: who acts for an institution, in which role, from when until when."""

from datetime import datetime

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, Missing, PortalError
from members.models import Institution, Seat, User
from members.permissions import Permission, check_at
from members.roles import Role


class SeatTaken(PortalError):
    """The person has that role already."""

    code = "seat_taken"


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
        deliver_to=("members.mail_seat",),
    )
    return seat


@transaction.atomic
def end_seat(seat: Seat, *, by: User | System, at: datetime) -> None:
    """End a seat now; one's own may always be given up, but the last owner stays. Raises Forbidden, LastOwner."""
    if seat.user_id != by.pk:
        check_at(by, Permission.MANAGE_PEOPLE, seat.institution_id)
    # Every ending waits for the owners' rows, so that two owners cannot end each other at once.
    owners = Seat.objects.select_for_update().filter(
        institution_id=seat.institution_id, role=Role.OWNER, ended_at=None, user__is_active=True
    )
    others = {owner.user_id for owner in owners} - {seat.user_id}
    if seat.role == Role.OWNER and not others:
        raise LastOwner(_("The last owner cannot leave. Give somebody else the role of owner first."))
    if Seat.objects.filter(pk=seat.pk, ended_at=None).update(ended_at=at):
        seat.ended_at = at
        audit.record(
            "members.seat_ended",
            seat,
            by=by,
            at=at,
            institution_id=seat.institution_id,
            before={"user": seat.user_id, "role": seat.role},
        )
