"""A member whose last owner is gone, because the account was closed: staff name another, with the reason."""

from datetime import datetime

from django.db import transaction

from consortium.kernel import audit
from consortium.kernel.errors import Invalid
from members.models import Membership, Seat, User
from members.people import owners_locked, person_by_email, take_seat
from members.permissions import Permission, check_staff
from members.roles import Role


def has_owner(membership: Membership) -> bool:
    """Tell whether anybody who can sign in owns the membership."""
    owners = Seat.objects.filter(institution=membership.institution_id, role=Role.OWNER, ended_at=None)
    return owners.filter(user__is_active=True).exists()


@transaction.atomic
def name_owner(membership: Membership, *, email: str, reason: str, by: User, at: datetime) -> Seat:
    """Make somebody with a confirmed account the owner of a member that has no active one; they are told by mail.

    `reason` says how it was verified that they may act for the university. Raises Forbidden, PersonUnknown, SeatTaken,
    and Invalid while somebody owns it: owners name owners.
    """
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    if owners_locked(membership.institution_id):
        raise Invalid("This member has an active owner, who can name others. Staff do not.")
    if not reason.strip():
        raise Invalid("Write how you verified that this person may act for the university.", field="reason")
    user = person_by_email(email)
    seat = take_seat(
        institution=membership.institution, user=user, role=Role.OWNER, by=by, at=at, source="consortium", tell=True
    )
    audit.record(
        "members.owner_named",
        seat,
        by=by,
        at=at,
        institution_id=membership.institution_id,
        after={"user": user.pk},
        reason=reason.strip(),
    )
    return seat
