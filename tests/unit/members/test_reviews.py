"""Each year an owner says of every seat that it is still needed; the owners are reminded once."""

from datetime import datetime, timedelta

import pytest

from consortium.kernel.errors import Forbidden
from consortium.models import AuditEvent, Job, OutgoingMail
from members import upkeep
from members.models import Membership, Seat
from members.people import SeatEnded, confirm_seat, end_seat
from members.queries import people_at
from members.upkeep import remind_of_reviews, seats_due, want_upkeep
from tests.cast import Cast
from tests.unit.members.story import deliver

pytestmark = pytest.mark.usefixtures("scope")
YEAR = timedelta(days=365)


def seat_of(cast: Cast, name: str) -> Seat:
    return Seat.objects.select_related("institution", "user").get(user=cast.person(name), ended_at=None)


def test_a_seat_is_due_a_year_after_it_began_or_was_confirmed(cast: Cast, at: datetime) -> None:
    assert not seats_due(at=at + YEAR - timedelta(seconds=1)).exists()
    assert seats_due(at=at + YEAR).count() == 5
    confirm_seat(seat_of(cast, "viewer"), by=cast.owner, at=at + YEAR)
    assert seats_due(at=at + YEAR).count() == 4
    shown = {person.seat.user.name: person.review_due for person in people_at(cast.university, me=cast.owner)}
    assert shown["Viewer"] == at + 2 * YEAR
    assert shown["Owner"] == at + YEAR


def test_only_an_owner_confirms_and_only_what_is_live(cast: Cast, at: datetime) -> None:
    seat = seat_of(cast, "viewer")
    for name in ("finance", "technical", "viewer", "outsider", "staff"):
        with pytest.raises(Forbidden):
            confirm_seat(seat, by=cast.person(name), at=at)
    end_seat(seat, by=cast.owner, at=at)
    with pytest.raises(SeatEnded):
        confirm_seat(seat, by=cast.owner, at=at)


def test_the_owners_are_reminded_once_when_seats_become_due(cast: Cast, at: datetime) -> None:
    due = at + YEAR
    assert remind_of_reviews(at=due - timedelta(seconds=1)) == 0
    assert remind_of_reviews(at=due) == 2  # both universities
    assert remind_of_reviews(at=due + timedelta(days=1)) == 0
    deliver(due)
    mails = OutgoingMail.objects.filter(template="members_review_due")
    assert set(mails.values_list("recipient", flat=True)) == {cast.owner.email, cast.outsider.email}
    assert "4 seats of Cedar University" in mails.get(recipient=cast.owner.email).body
    assert "One seat of Maple University" in mails.get(recipient=cast.outsider.email).body


def test_a_year_after_the_confirmation_they_are_reminded_again(cast: Cast, at: datetime) -> None:
    remind_of_reviews(at=at + YEAR)
    for name in ("owner", "finance", "technical", "viewer"):
        confirm_seat(seat_of(cast, name), by=cast.owner, at=at + YEAR)
    assert remind_of_reviews(at=at + YEAR + timedelta(days=364)) == 0
    assert remind_of_reviews(at=at + 2 * YEAR) == 1


def test_an_institution_that_has_left_reviews_nothing(cast: Cast, at: datetime) -> None:
    for status in ("leaving", "ended"):
        Membership.objects.filter(institution=cast.other_university).update(status=status)
    assert remind_of_reviews(at=at + YEAR) == 1


def test_upkeep_is_wanted_once_a_day(cast: Cast, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_wanted", [])
    assert [want_upkeep(at=at), want_upkeep(at=at + timedelta(hours=1)), want_upkeep(at=at + timedelta(days=1))] == [
        1, 0, 1,
    ]  # fmt: skip
    monkeypatch.setattr(upkeep, "_wanted", [])  # a sweeper that starts again wants the same job
    want_upkeep(at=at)
    assert Job.objects.filter(kind="people_upkeep").count() == 2


def test_a_confirmation_is_in_the_audit_trail(cast: Cast, at: datetime) -> None:
    confirm_seat(seat_of(cast, "viewer"), by=cast.owner, at=at)
    event = AuditEvent.objects.get(action="members.seat_confirmed")
    assert (event.actor_id, event.after) == (cast.owner.pk, {"user": str(cast.viewer.pk), "role": "viewer"})
