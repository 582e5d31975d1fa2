"""Seats: given by owners, ended by owners or by oneself, and an owner always stays."""

from datetime import datetime

import pytest
from allauth.account.models import EmailAddress

from consortium.kernel.errors import Forbidden, Invalid
from members.models import Seat, User
from members.people import (
    LastOwner,
    PersonUnknown,
    SeatEnded,
    SeatTaken,
    add_seat,
    change_role,
    close_account,
    end_seat,
    person_by_email,
)
from members.queries import people_at
from members.roles import Role
from tests.cast import Cast

pytestmark = pytest.mark.usefixtures("scope")


def seat_of(cast: Cast, name: str) -> Seat:
    return Seat.objects.get(user=cast.person(name), institution=cast.university, ended_at=None)


def test_an_owner_gives_a_role_once(cast: Cast, at: datetime) -> None:
    add_seat(institution=cast.university, user=cast.stranger, role=Role.FINANCE, by=cast.owner, at=at)
    with pytest.raises(SeatTaken):
        add_seat(institution=cast.university, user=cast.stranger, role=Role.FINANCE, by=cast.owner, at=at)
    with pytest.raises(Invalid):
        add_seat(institution=cast.university, user=cast.stranger, role="emperor", by=cast.owner, at=at)


@pytest.mark.parametrize("name", ["finance", "technical", "viewer", "outsider", "stranger", "staff"])
def test_nobody_but_an_owner_gives_or_ends_other_peoples_roles(cast: Cast, at: datetime, name: str) -> None:
    person = cast.person(name)
    with pytest.raises(Forbidden):
        add_seat(institution=cast.university, user=cast.stranger, role=Role.OWNER, by=person, at=at)
    with pytest.raises(Forbidden):
        end_seat(seat_of(cast, "owner"), by=person, at=at)


def test_the_last_owner_cannot_leave_until_there_is_another(cast: Cast, at: datetime) -> None:
    mine = seat_of(cast, "owner")
    with pytest.raises(LastOwner):
        end_seat(mine, by=cast.owner, at=at)
    add_seat(institution=cast.university, user=cast.technical, role=Role.OWNER, by=cast.owner, at=at)
    end_seat(mine, by=cast.owner, at=at)
    assert mine.ended_at == at


def test_a_disabled_owner_is_no_owner_to_leave_behind(cast: Cast, at: datetime) -> None:
    add_seat(institution=cast.university, user=cast.technical, role=Role.OWNER, by=cast.owner, at=at)
    cast.technical.is_active = False
    cast.technical.save()
    with pytest.raises(LastOwner):
        end_seat(seat_of(cast, "owner"), by=cast.owner, at=at)


def test_a_person_may_give_up_their_own_seat(cast: Cast, at: datetime) -> None:
    mine = seat_of(cast, "viewer")
    end_seat(mine, by=cast.viewer, at=at)
    end_seat(mine, by=cast.viewer, at=at)  # a second time changes nothing
    assert [person.seat.role for person in people_at(cast.university, me=cast.owner)] == [
        "owner",
        "finance",
        "technical",
    ]


def test_only_a_confirmed_address_names_a_person(cast: Cast) -> None:
    EmailAddress.objects.create(user=cast.stranger, email="stranger@people.example", verified=False)
    with pytest.raises(PersonUnknown):
        person_by_email("stranger@people.example")
    EmailAddress.objects.update(verified=True)
    assert person_by_email(" Stranger@People.example ") == cast.stranger
    cast.stranger.is_active = False
    cast.stranger.save()
    with pytest.raises(PersonUnknown):
        person_by_email("stranger@people.example")


def test_another_role_is_a_new_seat_and_the_old_one_stays_in_the_record(cast: Cast, at: datetime) -> None:
    old = seat_of(cast, "viewer")
    new = change_role(old, role=Role.FINANCE, by=cast.owner, at=at)
    assert old.ended_at == at
    assert (new.user, new.role, new.source, new.ended_at) == (cast.viewer, "finance", old.source, None)
    with pytest.raises(SeatTaken):
        change_role(new, role=Role.FINANCE, by=cast.owner, at=at)
    with pytest.raises(SeatEnded):
        change_role(old, role=Role.TECHNICAL, by=cast.owner, at=at)


def test_the_last_owner_is_not_demoted(cast: Cast, at: datetime) -> None:
    with pytest.raises(LastOwner):
        change_role(seat_of(cast, "owner"), role=Role.VIEWER, by=cast.owner, at=at)
    add_seat(institution=cast.university, user=cast.technical, role=Role.OWNER, by=cast.owner, at=at)
    change_role(seat_of(cast, "owner"), role=Role.VIEWER, by=cast.technical, at=at)
    with pytest.raises(Forbidden):
        change_role(seat_of(cast, "viewer"), role=Role.OWNER, by=cast.owner, at=at)  # is no owner any more


@pytest.mark.parametrize("name", ["finance", "technical", "viewer", "outsider", "stranger", "staff"])
def test_nobody_but_an_owner_changes_roles_even_their_own(cast: Cast, at: datetime, name: str) -> None:
    with pytest.raises(Forbidden):
        change_role(seat_of(cast, "viewer"), role=Role.OWNER, by=cast.person(name), at=at)


def test_only_a_superuser_closes_accounts(cast: Cast, at: datetime) -> None:
    for name in ("owner", "staff", "viewer"):
        with pytest.raises(Forbidden):
            close_account(cast.viewer, by=cast.person(name), at=at)
    close_account(cast.viewer, by=User.objects.create_superuser("root@people.example"), at=at)
    cast.viewer.refresh_from_db()
    assert not cast.viewer.is_active
