"""Mail of joining: the right people, once each, in their own language."""

from datetime import datetime, timedelta

import pytest

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Delivery, OutgoingMail
from members.models import Institution
from members.onboarding import answer_question, approve_application, ask_applicant, decline_application
from members.people import add_seat
from members.roles import Role
from tests.cast import Cast
from tests.unit.members.story import FIRST_DAY, deliver, in_force, submitted

pytestmark = pytest.mark.usefixtures("terms")


def mails(at: datetime) -> list[tuple[str, str, str]]:
    deliver(at)
    deliver(at + timedelta(hours=1))  # nothing is left to do a second time
    with consortium_scope(Scope.COMMAND):
        assert not Delivery.objects.filter(done_at=None).exists()
        rows = OutgoingMail.objects.order_by("id").values_list("recipient", "template", "language")
        return sorted(rows)


@pytest.fixture
def speaks_french(cast: Cast) -> None:
    cast.stranger.language = "fr"
    cast.stranger.save()


@pytest.mark.usefixtures("speaks_french")
def test_each_step_writes_to_the_right_people_once_in_their_language(
    cast: Cast, birch: Institution, at: datetime
) -> None:
    with consortium_scope(Scope.COMMAND):
        in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    applicant, staff = cast.stranger.email, cast.staff.email
    assert mails(at) == sorted(
        [
            (applicant, "members_received", "fr"),
            (staff, "members_review", "en"),
            (applicant, "members_approved", "fr"),
            ("registrar@birch.example", "members_invitation", "en"),
            (applicant, "members_offer", "fr"),
            (staff, "members_signed", "en"),
            (applicant, "members_in_force", "fr"),
        ]
    )
    with consortium_scope(Scope.COMMAND):
        offer = OutgoingMail.objects.get(template="members_offer")
        review = OutgoingMail.objects.get(template="members_review")
    assert "/fr/i/birch/agreements/" in offer.body
    assert "Université Birch" in offer.subject
    assert "/en/staff/members/application/" in review.body
    assert "Birch University" in review.subject


def test_a_question_and_its_answer_are_written_to_each_other(cast: Cast, birch: Institution, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        application = submitted(birch, by=cast.stranger, at=at)
        ask_applicant(application, text="Is <5 & more right?", by=cast.staff, at=at)
        answer_question(application, text="Yes.", by=cast.stranger, at=at)
        decline_application(application, reason="L'an prochain.", by=cast.staff, at=at)
    templates = [template for _recipient, template, _language in mails(at)]
    assert sorted(templates) == [
        "members_declined",
        "members_question",
        "members_received",
        "members_review",
        "members_review",
    ]
    with consortium_scope(Scope.COMMAND):
        assert "Is <5 & more right?" in OutgoingMail.objects.get(template="members_question").body
        assert "L'an prochain." in OutgoingMail.objects.get(template="members_declined").body


def test_a_person_is_told_of_a_new_role(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        add_seat(institution=cast.university, user=cast.stranger, role=Role.FINANCE, by=cast.owner, at=at)
    assert mails(at) == [(cast.stranger.email, "members_seat", "en")]


def test_nobody_is_written_to_when_the_step_is_rolled_back(cast: Cast, birch: Institution, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        application = submitted(birch, by=cast.stranger, at=at, currency="USD")
    mails(at)
    with pytest.raises(Exception, match="USD"), consortium_scope(Scope.COMMAND):
        approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    assert len(mails(at)) == 2
