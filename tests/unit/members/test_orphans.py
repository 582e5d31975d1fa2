"""A member whose last owner's account was closed gets another one from staff; nobody else does."""

from datetime import datetime

import pytest
from allauth.account.models import EmailAddress

from consortium.kernel.errors import Forbidden, Invalid
from consortium.models import AuditEvent
from members.models import Membership, User
from members.orphans import has_owner, name_owner
from members.people import PersonUnknown
from tests.cast import Cast

pytestmark = pytest.mark.usefixtures("scope")
HOW = "The registrar confirmed it by telephone."


@pytest.fixture
def orphan(cast: Cast) -> Membership:
    """Cedar, whose owners' accounts are closed; its viewer has confirmed the address."""
    owners = User.objects.filter(seats__institution=cast.university, seats__role="owner")
    User.objects.filter(pk__in=owners).update(is_active=False)
    EmailAddress.objects.get_or_create(user=cast.viewer, email=cast.viewer.email, defaults={"primary": True})
    EmailAddress.objects.filter(user=cast.viewer).update(verified=True)
    return Membership.objects.get(institution=cast.university)


def test_staff_name_an_owner_and_say_how_they_know(cast: Cast, orphan: Membership, at: datetime) -> None:
    assert not has_owner(orphan)
    seat = name_owner(orphan, email=cast.viewer.email, reason=HOW, by=cast.staff, at=at)
    assert (seat.user, seat.role, seat.source) == (cast.viewer, "owner", "consortium")
    assert has_owner(orphan)
    assert AuditEvent.objects.get(action="members.owner_named").reason_digest


def test_while_somebody_owns_it_staff_do_not(cast: Cast, at: datetime) -> None:
    membership = Membership.objects.get(institution=cast.university)
    with pytest.raises(Invalid, match="active owner"):
        name_owner(membership, email=cast.viewer.email, reason=HOW, by=cast.staff, at=at)


def test_a_reason_and_a_confirmed_account_are_needed(cast: Cast, orphan: Membership, at: datetime) -> None:
    with pytest.raises(Invalid):
        name_owner(orphan, email=cast.viewer.email, reason=" ", by=cast.staff, at=at)
    with pytest.raises(PersonUnknown):
        name_owner(orphan, email="nobody@cedar.example", reason=HOW, by=cast.staff, at=at)


@pytest.mark.parametrize("person", ["owner", "technical", "outsider", "stranger"])
def test_nobody_else_may(cast: Cast, orphan: Membership, at: datetime, person: str) -> None:
    with pytest.raises(Forbidden):
        name_owner(orphan, email=cast.viewer.email, reason=HOW, by=getattr(cast, person), at=at)
