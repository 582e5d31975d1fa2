"""An owner answers who asked for a seat: once, by mail, and nobody else may."""

from datetime import datetime

import pytest
from django.db import IntegrityError, InternalError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.tenancy import institution_scope
from consortium.models import OutgoingMail
from members.access import AlreadyAsked, request_access
from members.access_answers import AlreadyAnswered, decline_access, grant_access, waiting_at
from members.models import AccessDecision, AccessRequest, Seat, User
from members.people import add_seat
from tests.cast import Cast
from tests.unit.members.story import deliver

pytestmark = pytest.mark.usefixtures("scope")


@pytest.fixture
def asked(cast: Cast, at: datetime) -> AccessRequest:
    """The stranger has asked Cedar's owners."""
    return request_access(institution=cast.university, by=cast.stranger, at=at)


def test_an_owner_sees_who_waits_and_what_the_address_tells(cast: Cast, asked: AccessRequest) -> None:
    User.objects.filter(pk=cast.stranger.pk).update(email="prof@math.cedar.example")
    (asker,) = waiting_at(cast.university)
    assert (asker.request, asker.is_at_domain, asker.has_confirmed_address) == (asked, True, False)
    assert waiting_at(cast.other_university) == []


def test_a_granted_request_is_a_seat_and_waits_no_more(cast: Cast, asked: AccessRequest, at: datetime) -> None:
    seat = grant_access(asked, role="viewer", by=cast.owner, at=at)
    assert (seat.user, seat.role, seat.source) == (cast.stranger, "viewer", "request")
    assert waiting_at(cast.university) == []
    deliver(at)
    assert OutgoingMail.objects.filter(template="members_seat", recipient=cast.stranger.email).count() == 1


def test_a_declined_asker_is_told_but_not_by_whom_and_cannot_ask_again(
    cast: Cast, asked: AccessRequest, at: datetime
) -> None:
    decline_access(asked, by=cast.owner, at=at)
    deliver(at)
    mail = OutgoingMail.objects.get(template="members_access_declined")
    assert mail.recipient == cast.stranger.email
    assert cast.owner.email not in mail.body
    with pytest.raises(AlreadyAsked, match="declined"):
        request_access(institution=cast.university, by=cast.stranger, at=at)


def test_a_request_is_answered_once(cast: Cast, asked: AccessRequest, at: datetime) -> None:
    decline_access(asked, by=cast.owner, at=at)
    with pytest.raises(AlreadyAnswered):
        grant_access(asked, role="viewer", by=cast.owner, at=at)
    assert not Seat.objects.filter(user=cast.stranger).exists()


def test_who_was_invited_meanwhile_waits_no_more(cast: Cast, asked: AccessRequest, at: datetime) -> None:
    add_seat(institution=cast.university, user=asked.user, role="finance", by=cast.owner, at=at)
    assert waiting_at(cast.university) == []


@pytest.mark.parametrize("person", ["finance", "technical", "viewer", "outsider"])
def test_only_owners_answer(cast: Cast, asked: AccessRequest, at: datetime, person: str) -> None:
    with pytest.raises(Forbidden):
        grant_access(asked, role="viewer", by=getattr(cast, person), at=at)
    with pytest.raises(Forbidden):
        decline_access(asked, by=getattr(cast, person), at=at)


def test_an_unknown_role_and_a_closed_account_get_no_seat(cast: Cast, asked: AccessRequest, at: datetime) -> None:
    with pytest.raises(Invalid):
        grant_access(asked, role="emperor", by=cast.owner, at=at)
    asked.user.is_active = False
    with pytest.raises(Invalid):
        grant_access(asked, role="viewer", by=cast.owner, at=at)
    assert not AccessDecision.objects.exists()


def test_an_answer_is_kept_as_it_was_given(cast: Cast, asked: AccessRequest, at: datetime) -> None:
    decline_access(asked, by=cast.owner, at=at)
    for change in (
        lambda: AccessDecision.objects.update(granted_role="owner"),
        AccessDecision.objects.get().delete,
        lambda: AccessDecision.objects.create(
            institution=cast.university, request=asked, decided_by=cast.owner, decided_at=at
        ),
    ):
        with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
            change()
    with institution_scope(cast.other_university.pk):
        assert not AccessDecision.objects.exists()
