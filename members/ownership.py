"""Ownership passes on by an offer: an owner offers it to a colleague, who accepts or declines."""

from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Forbidden, Invalid, PortalError
from members.models import Institution, OwnershipOffer, Seat, User
from members.people import close_seat, owners_locked, take_seat
from members.permissions import Permission, check_at
from members.roles import Role
from members.states import OWNERSHIP_OFFER

VALID_FOR: Final = timedelta(days=14)


class OfferOpen(PortalError):
    """The owner has offered it to somebody already."""

    code = "offer_open"


class OfferExpired(PortalError):
    """Nobody answered in time."""

    code = "offer_expired"
    status = 410


class OfferVoid(PortalError):
    """The giver is no owner any more, or the successor has left: there is nothing to pass on."""

    code = "offer_void"


@transaction.atomic
def offer_ownership(*, institution: Institution, to: User, keeps_role: str, by: User, at: datetime) -> OwnershipOffer:
    """Offer one's own ownership to a colleague with a seat here; `keeps_role` is what the giver stays, "" is nothing.

    Raises Forbidden, Invalid, OfferOpen.
    """
    check_at(by, Permission.MANAGE_PEOPLE, institution.pk)
    if keeps_role not in ("", Role.FINANCE, Role.TECHNICAL, Role.VIEWER):
        raise Invalid(_("Choose one of the roles."), field="keeps_role")
    seats = Seat.objects.filter(institution=institution, ended_at=None)
    roles = set(seats.filter(user=to, user__is_active=True).values_list("role", flat=True))
    if not roles or Role.OWNER in roles or to.pk == by.pk:
        raise Invalid(_("Choose somebody who has another role here."), field="person")
    OwnershipOffer.objects.filter(institution=institution, offered_by=by, status="offered", expires_at__lte=at).update(
        status="withdrawn", decided_at=at
    )
    try:
        with transaction.atomic():
            offer = OwnershipOffer.objects.create(
                institution=institution, offered_by=by, offered_to=to, keeps_role=keeps_role, created_at=at,
                expires_at=at + VALID_FOR,
            )  # fmt: skip
    except IntegrityError as error:
        raise OfferOpen(_("You have offered it to somebody already. Withdraw that offer first.")) from error
    _record(offer, "offered", by=by, at=at, deliver_to=("members.mail_ownership_offered",))
    return offer


@transaction.atomic
def accept_ownership(offer: OwnershipOffer, *, by: User, at: datetime) -> Seat:
    """Become an owner; the giver's ownership ends in the same moment. Returns the new seat.

    Raises Forbidden, OfferExpired, OfferVoid, TransitionRefused.
    """
    _check_successor(offer, by)
    if offer.status == "offered" and offer.expires_at <= at:
        raise OfferExpired(_("This offer has expired. Ask for it to be made again."))
    institution = offer.institution
    givers = owners_locked(offer.institution_id)
    seats = Seat.objects.filter(institution=institution, ended_at=None)
    mine = list(seats.filter(user=by))
    if offer.offered_by_id not in givers or not mine:
        raise OfferVoid(_("There is nothing to pass on any more: one of you has left or lost the role meanwhile."))
    OWNERSHIP_OFFER.move(offer, "accepted", decided_at=at)
    new = take_seat(institution=institution, user=by, role=Role.OWNER, by=by, at=at, source="ownership", tell=False)
    for seat in mine:
        close_seat(seat, by=by, at=at)  # an owner may do all of it
    old = seats.get(user=offer.offered_by, role=Role.OWNER)
    if offer.keeps_role and not seats.filter(user=offer.offered_by, role=offer.keeps_role).exists():
        take_seat(
            institution=institution, user=offer.offered_by, role=offer.keeps_role, by=by, at=at,
            source="ownership", tell=False,
        )  # fmt: skip
    close_seat(old, by=by, at=at)
    _record(offer, "accepted", by=by, at=at, deliver_to=("members.mail_ownership_decided",))
    return new


@transaction.atomic
def decline_ownership(offer: OwnershipOffer, *, by: User, at: datetime) -> None:
    """Refuse it; the giver stays the owner and is told. Raises Forbidden, TransitionRefused."""
    _check_successor(offer, by)
    OWNERSHIP_OFFER.move(offer, "declined", decided_at=at)
    _record(offer, "declined", by=by, at=at, deliver_to=("members.mail_ownership_decided",))


@transaction.atomic
def withdraw_ownership(offer: OwnershipOffer, *, by: User, at: datetime) -> None:
    """Take the offer back. Raises Forbidden, TransitionRefused."""
    check_at(by, Permission.MANAGE_PEOPLE, offer.institution_id)
    OWNERSHIP_OFFER.move(offer, "withdrawn", decided_at=at)
    _record(offer, "withdrawn", by=by, at=at)


def _check_successor(offer: OwnershipOffer, by: User) -> None:
    if offer.offered_to_id != by.pk or not by.is_active:
        raise Forbidden(_("This offer is for somebody else."))


def _record(offer: OwnershipOffer, what: str, *, by: User, at: datetime, deliver_to: tuple[str, ...] = ()) -> None:
    audit.record(
        f"members.ownership_{what}",
        offer,
        by=by,
        at=at,
        institution_id=offer.institution_id,
        after={"from": offer.offered_by_id, "to": offer.offered_to_id, "keeps": offer.keeps_role},
        deliver_to=deliver_to,
    )
