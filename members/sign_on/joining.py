"""Seats that come and go with an affiliation: as viewer only, of the institution whose own provider vouches."""

from datetime import datetime

from django.db import transaction

from consortium.kernel.audit import System
from consortium.models import AuditEvent
from members.domains import verified_domains
from members.models import Seat, SignOn, User
from members.people import add_seat, end_seat
from members.roles import Role

SOURCE = "sign_on"
PROGRAM = System("sign-on")


def joins(sign_on: SignOn, *, affiliations: tuple[str, ...], bound: bool) -> bool:
    """Whether these affiliations bring a seat: listed by an owner, in a verified domain, said by the own provider."""
    if not bound:
        return False
    scopes = verified_domains(sign_on.institution_id)
    for value in affiliations:
        kind, _, scope = value.partition("@")
        if kind in sign_on.join_affiliations and scope in scopes:
            return True
    return False


@transaction.atomic
def follow_affiliation(
    sign_on: SignOn, *, user: User, affiliations: tuple[str, ...], bound: bool, at: datetime
) -> Seat | None:
    """Give a viewer's seat to whom an affiliation brings one, and end the one whose affiliation is gone.

    A person with any seat gets none; a seat that a person of the institution ended does not come back by itself.
    Needs a scope that sees the institution.
    """
    User.objects.select_for_update().get(pk=user.pk)  # two sign-ins at once are one after the other
    seats = Seat.objects.filter(institution_id=sign_on.institution_id, user=user)
    if joins(sign_on, affiliations=affiliations, bound=bound):
        if seats.filter(ended_at=None).exists() or _ended_by_a_person(user, seats):
            return None
        return add_seat(institution=sign_on.institution, user=user, role=Role.VIEWER, by=PROGRAM, at=at, source=SOURCE)
    if bound:
        for seat in seats.filter(ended_at=None, source=SOURCE, role=Role.VIEWER):
            end_seat(seat, by=PROGRAM, at=at)
    return None


def _ended_by_a_person(user: User, seats: "object") -> bool:
    last = seats.filter(source=SOURCE).exclude(ended_at=None).order_by("-ended_at").first()  # type: ignore[attr-defined]
    if last is None:
        return False
    ended = AuditEvent.objects.filter(action="members.seat_ended", object_id=str(last.pk)).first()
    return ended is not None and ended.actor_id is not None and ended.actor_id != user.pk
