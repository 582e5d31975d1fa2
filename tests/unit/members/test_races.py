"""Twenty at once, with real commits: one invitation lets one in; two owners do not both leave."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction

from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.invitations import InvitationUsed, accept_invitation
from members.models import Seat
from members.people import LastOwner, add_seat, end_seat
from members.roles import Role
from tests.cast import make_cast
from tests.unit.members.invited import confirmed, hash_in, invited, link_to

pytestmark = pytest.mark.usefixtures("committed_db")


def all_at_once(count: int, act: Callable[[int], object]) -> list[str]:
    """Run `act` in that many threads, each with its own connection, and name how each ended."""
    barrier = Barrier(count)

    def run(number: int) -> str:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            with consortium_scope(Scope.SIGN_IN):
                act(number)
        except (PortalError, IntegrityError) as error:
            return type(error).__name__
        finally:
            connection.close()
        return "in"

    with ThreadPoolExecutor(count) as pool:
        return sorted(pool.map(run, range(count)))


def test_of_twenty_redemptions_one_wins(at: datetime) -> None:
    cast = make_cast(at)
    invited(cast, at)
    hashed = hash_in(link_to(cast.stranger.email, at))
    confirmed(cast.stranger)
    ends = all_at_once(20, lambda _: accept_invitation(hashed, by=cast.stranger, at=at))
    assert ends == sorted(["in", *[InvitationUsed.__name__] * 19])
    with consortium_scope(Scope.COMMAND):
        assert Seat.objects.filter(user=cast.stranger).count() == 1


def _two_owners(at: datetime) -> list[Seat]:
    cast = make_cast(at)
    with consortium_scope(Scope.COMMAND):
        add_seat(institution=cast.university, user=cast.technical, role=Role.OWNER, by=cast.owner, at=at)
        return list(
            Seat.objects.filter(institution=cast.university, role=Role.OWNER).select_related("user", "institution")
        )


def test_two_owners_who_leave_at_once_do_not_both_get_away(at: datetime) -> None:
    seats = _two_owners(at)
    ends = all_at_once(2, lambda number: end_seat(seats[number], by=seats[number].user, at=at))
    assert ends == sorted(["in", LastOwner.__name__])


def test_postgresql_itself_keeps_the_second_owner(at: datetime) -> None:
    seats = _two_owners(at)

    def behind_the_code(number: int) -> None:
        Seat.objects.filter(pk=seats[number].pk).update(ended_at=at)

    assert all_at_once(2, behind_the_code) == sorted(["in", IntegrityError.__name__])


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"ended_at": "at"}])
def test_postgresql_refuses_the_loss_of_the_last_owner_at_commit(at: datetime, change: dict[str, str]) -> None:
    cast = make_cast(at)
    wanted = {"ended_at": at} if "ended_at" in change else change
    with pytest.raises(IntegrityError, match="must keep an owner"), consortium_scope(Scope.COMMAND):
        Seat.objects.filter(user=cast.owner).update(**wanted)
    with pytest.raises(IntegrityError, match="must keep an owner"), consortium_scope(Scope.COMMAND):
        Seat.objects.filter(user=cast.owner).delete()


def test_the_order_within_one_transaction_does_not_matter_and_an_ended_membership_needs_no_owner(at: datetime) -> None:
    cast = make_cast(at)
    with consortium_scope(Scope.COMMAND), transaction.atomic():
        Seat.objects.filter(user=cast.owner).update(ended_at=at)
        Seat.objects.create(institution=cast.university, user=cast.technical, role=Role.OWNER, created_at=at)
    with consortium_scope(Scope.COMMAND):
        membership = cast.other_university.membership
        for status in ("leaving", "ended"):
            type(membership).objects.filter(pk=membership.pk).update(status=status)
        Seat.objects.filter(user=cast.outsider).update(ended_at=at)
        assert not Seat.objects.filter(user=cast.outsider, ended_at=None).exists()
