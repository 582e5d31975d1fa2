"""Staff roles: handed out and ended by a superuser alone, audited; with the last one a person is staff no more."""

from datetime import datetime

import pytest

from consortium.kernel.errors import Forbidden, Invalid
from consortium.models import AuditEvent
from members.models import StaffSeat, User
from members.people import SeatEnded, SeatTaken
from members.permissions import Permission, staff_permissions
from members.roles import StaffRole
from members.staff_seats import end_staff_seat, give_staff_seat
from tests.cast import Cast

pytestmark = pytest.mark.usefixtures("scope")


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@people.example")


def test_a_superuser_gives_and_ends_a_staff_role(cast: Cast, root: User, at: datetime) -> None:
    seat = give_staff_seat(user=cast.stranger, role=StaffRole.OPERATOR, by=root, at=at)
    cast.stranger.refresh_from_db()
    assert staff_permissions(cast.stranger) == {Permission.OPERATE_HUBS}
    end_staff_seat(seat, reason="Left the consortium.", by=root, at=at)
    cast.stranger.refresh_from_db()
    assert (cast.stranger.is_staff, staff_permissions(cast.stranger)) == (False, frozenset())
    with pytest.raises(SeatEnded):
        end_staff_seat(seat, reason="Again.", by=root, at=at)
    actions = AuditEvent.objects.filter(object_id=str(seat.pk)).order_by("seq").values_list("action", "actor_id")
    assert list(actions) == [("members.staffseat_given", root.pk), ("members.staffseat_ended", root.pk)]


def test_ending_one_of_several_roles_leaves_the_others(cast: Cast, root: User, at: datetime) -> None:
    end_staff_seat(StaffSeat.objects.get(user=cast.staff, role="auditor"), reason="Moved.", by=root, at=at)
    cast.staff.refresh_from_db()
    assert cast.staff.is_staff
    assert Permission.READ_AUDIT not in staff_permissions(cast.staff)


@pytest.mark.parametrize("name", ["staff", "owner", "stranger"])
def test_nobody_else_does(cast: Cast, at: datetime, name: str) -> None:
    with pytest.raises(Forbidden):
        give_staff_seat(user=cast.stranger, role="auditor", by=cast.person(name), at=at)
    with pytest.raises(Forbidden):
        end_staff_seat(StaffSeat.objects.earliest("pk"), reason="", by=cast.person(name), at=at)


def test_what_cannot_be_is_refused(cast: Cast, root: User, at: datetime) -> None:
    with pytest.raises(SeatTaken):
        give_staff_seat(user=cast.staff, role="auditor", by=root, at=at)
    with pytest.raises(Invalid):
        give_staff_seat(user=cast.stranger, role="emperor", by=root, at=at)
    cast.stranger.is_active = False
    with pytest.raises(Invalid):
        give_staff_seat(user=cast.stranger, role="auditor", by=root, at=at)
