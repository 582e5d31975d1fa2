"""Ownership passes on by an offer that the other accepts; both steps are in the audit trail."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.models import AuditEvent, OutgoingMail
from members.models import OwnershipOffer, Seat
from members.ownership import (
    OfferExpired,
    OfferOpen,
    OfferVoid,
    accept_ownership,
    decline_ownership,
    offer_ownership,
    withdraw_ownership,
)
from members.people import end_seat
from members.roles import Role
from tests.cast import Cast
from tests.unit.members.story import deliver

pytestmark = pytest.mark.usefixtures("scope")


def offered(cast: Cast, at: datetime, *, to: str = "technical", keeps: str = Role.VIEWER) -> OwnershipOffer:
    return offer_ownership(institution=cast.university, to=cast.person(to), keeps_role=keeps, by=cast.owner, at=at)


def roles_of(cast: Cast, name: str) -> list[str]:
    return sorted(Seat.objects.filter(user=cast.person(name), ended_at=None).values_list("role", flat=True))


def test_accepting_makes_one_the_owner_and_the_other_what_they_keep(cast: Cast, at: datetime) -> None:
    offer = offered(cast, at)
    assert roles_of(cast, "owner") == ["owner"]  # nothing changes until it is accepted
    accept_ownership(offer, by=cast.technical, at=at)
    assert (roles_of(cast, "technical"), roles_of(cast, "owner")) == (["owner"], ["viewer"])
    events = AuditEvent.objects.filter(object_id=str(offer.pk)).order_by("seq")
    assert [(event.action, event.actor_id) for event in events] == [
        ("members.ownership_offered", cast.owner.pk),
        ("members.ownership_accepted", cast.technical.pk),
    ]


def test_who_keeps_nothing_leaves(cast: Cast, at: datetime) -> None:
    accept_ownership(offered(cast, at, keeps=""), by=cast.technical, at=at)
    assert roles_of(cast, "owner") == []


def test_only_the_chosen_one_accepts_and_only_an_owner_withdraws(cast: Cast, at: datetime) -> None:
    offer = offered(cast, at)
    for name in ("owner", "finance", "outsider", "stranger", "staff"):
        with pytest.raises(Forbidden):
            accept_ownership(offer, by=cast.person(name), at=at)
        with pytest.raises(Forbidden):
            decline_ownership(offer, by=cast.person(name), at=at)
    with pytest.raises(Forbidden):
        withdraw_ownership(offer, by=cast.technical, at=at)
    withdraw_ownership(offer, by=cast.owner, at=at)
    with pytest.raises(TransitionRefused):
        accept_ownership(offer, by=cast.technical, at=at)


@pytest.mark.parametrize("to", ["owner", "outsider", "stranger"])
def test_it_goes_to_a_colleague_with_another_role(cast: Cast, at: datetime, to: str) -> None:
    with pytest.raises(Invalid):
        offered(cast, at, to=to)


def test_only_an_owner_offers_and_once(cast: Cast, at: datetime) -> None:
    with pytest.raises(Forbidden):
        offer_ownership(institution=cast.university, to=cast.viewer, keeps_role="", by=cast.technical, at=at)
    with pytest.raises(Invalid):
        offered(cast, at, keeps="owner")
    first = offered(cast, at)
    with pytest.raises(OfferOpen):
        offered(cast, at, to="viewer")
    offered(cast, at + timedelta(days=15), to="viewer")  # the first has expired
    first.refresh_from_db()
    assert first.status == "withdrawn"


def test_an_old_or_empty_offer_is_refused(cast: Cast, at: datetime) -> None:
    offer = offered(cast, at)
    with pytest.raises(OfferExpired):
        accept_ownership(offer, by=cast.technical, at=at + timedelta(days=14))
    end_seat(Seat.objects.get(user=cast.technical), by=cast.owner, at=at)
    with pytest.raises(OfferVoid):
        accept_ownership(offer, by=cast.technical, at=at)
    assert roles_of(cast, "owner") == ["owner"]


def test_both_are_told(cast: Cast, at: datetime) -> None:
    cast.technical.language = "fr"
    cast.technical.save()
    decline_ownership(offered(cast, at), by=cast.technical, at=at)
    deliver(at)
    sent = sorted(OutgoingMail.objects.values_list("recipient", "template", "language"))
    assert sent == [
        (cast.owner.email, "members_ownership_decided", "en"),
        (cast.technical.email, "members_ownership_decided", "fr"),
        (cast.technical.email, "members_ownership_offered", "fr"),
    ]


@pytest.mark.parametrize("change", [{"keeps_role": "owner"}, {"offered_to": "self"}, {"status": "lost"}])
def test_postgresql_refuses_nonsense(cast: Cast, at: datetime, change: dict[str, str]) -> None:
    offered(cast, at)
    wanted = {"offered_to": cast.owner} if "offered_to" in change else change
    with pytest.raises(IntegrityError), transaction.atomic():
        OwnershipOffer.objects.update(**wanted)
