"""What the portal checks for a reviewer, and what an approval leaves behind."""

from datetime import datetime, timedelta

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.test import RequestFactory

from consortium.models import AuditEvent, OutgoingMail
from members.admin_applications import ApplicationAdmin
from members.models import Agreement, Application, Institution, Invitation, Seat
from members.nominees import unseated
from members.onboarding import answer_question, approve_application, ask_applicant, withdraw_application
from members.queries import timeline
from members.review import review_checks
from tests.cast import Cast, make_institution, make_person
from tests.unit.members.story import FIRST_DAY, deliver, submitted

pytestmark = pytest.mark.usefixtures("scope", "terms")


def outcome(institution: Institution, cast: Cast, at: datetime, label: str, **changes: object) -> str:
    application = submitted(institution, by=cast.stranger, at=at, **changes)
    return next(check.outcome for check in review_checks(application) if check.label == label)


@pytest.mark.parametrize(
    ("label", "changes", "expected"),
    [
        ("Answers", {}, "ok"),
        ("Institution", {}, "ok"),
        ("Applicant", {}, "look"),  # an address at people.example
        ("E-mail domains", {}, "ok"),
        ("E-mail domains", {"email_domains": ["birch.example", "other.example"]}, "look"),
        ("Signatory", {}, "ok"),
        ("Signatory", {"signatory_email": "alma@hotmail.com"}, "look"),
        ("Administrator", {}, "ok"),
        ("ROR id", {}, "look"),
        ("Business number", {}, "look"),
        ("Business number", {"tax_number": "123026635 RC0001"}, "ok"),
        ("Business number", {"tax_number": "123026636"}, "stop"),
        ("Postal code", {}, "ok"),
        ("Postal code", {"postal_code": "V8W 2Y2"}, "look"),  # of British Columbia
        ("Duplicates", {}, "ok"),
        ("Agreement template", {}, "ok"),
        ("Agreement template", {"currency": "USD"}, "stop"),
        ("Tier", {}, "ok"),
        ("Tier", {"currency": "USD"}, "look"),
    ],
)
def test_each_check_says_whether_a_person_must_look(
    cast: Cast, birch: Institution, at: datetime, label: str, changes: dict[str, object], expected: str
) -> None:
    assert outcome(birch, cast, at, label, **changes) == expected


def test_an_address_of_the_university_needs_no_second_look(cast: Cast, birch: Institution, at: datetime) -> None:
    cast.stranger.email = "prof@math.birch.example"
    cast.stranger.save()
    EmailAddress.objects.create(user=cast.stranger, email=cast.stranger.email, verified=True, primary=True)
    assert outcome(birch, cast, at, "Applicant") == "ok"


def test_the_same_name_and_the_same_domain_are_duplicates(cast: Cast, birch: Institution, at: datetime) -> None:
    twin = make_institution("betula")
    Institution.objects.filter(pk=twin.pk).update(name_en="The University of Birch")
    rival = submitted(make_institution("rival"), by=cast.outsider, at=at)
    application = submitted(birch, by=cast.stranger, at=at)
    found = next(check for check in review_checks(application) if check.label == "Duplicates")
    assert "The University of Birch in the directory" in found.detail
    assert f"an open application of {rival.institution}" in found.detail


def test_a_known_ror_id_is_told_from_a_well_formed_one(cast: Cast, birch: Institution, at: datetime) -> None:
    birch.ror = "03rmrcq20"
    birch.save()
    assert outcome(birch, cast, at, "ROR id") == "ok"


def test_an_approval_may_leave_the_agreement_for_negotiation(cast: Cast, birch: Institution, at: datetime) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    agreement = approve_application(application, starts_on=FIRST_DAY, negotiate=True, by=cast.staff, at=at)
    assert Agreement.objects.get().status == agreement.status == "draft"
    deliver(at)
    templates = set(OutgoingMail.objects.values_list("template", flat=True))
    assert "members_approved" in templates
    assert "members_offer" not in templates


def test_administrators_with_an_account_get_their_seats_and_the_others_are_invited(
    cast: Cast, birch: Institution, at: datetime
) -> None:
    cora = make_person("cora", language="fr")
    dan = make_person("dan")  # has not confirmed his address
    EmailAddress.objects.create(user=cora, email="Cora@people.example", verified=True, primary=True)
    EmailAddress.objects.create(user=dan, email=dan.email, verified=False, primary=True)
    people = [(cora.email, "finance"), (dan.email, "owner"), (cast.stranger.email, "owner")]
    administrators = [{"name": email.split("@")[0], "email": email, "role": role} for email, role in people]
    application = submitted(birch, by=cast.stranger, at=at, administrators=administrators)
    approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    seats = set(Seat.objects.filter(institution=birch).values_list("user__email", "role"))
    assert seats == {(cast.stranger.email, "owner"), (cora.email, "finance")}
    assert AuditEvent.objects.filter(action="members.seat_added", institution_id=birch.pk).count() == 1
    assert [nominee.email for nominee in unseated(application)] == [dan.email]
    deliver(at)
    told = OutgoingMail.objects.filter(template="members_nominee").values_list("recipient", "language")
    assert list(told) == [(cora.email, "fr")]
    invited = OutgoingMail.objects.get(template="members_invitation")
    assert (invited.recipient, Invitation.objects.get().role) == (dan.email, "owner")
    assert "/en/invitations/" in invited.body


def test_several_questions_wait_for_one_answer(cast: Cast, birch: Institution, at: datetime) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    ask_applicant(application, text="How many courses?", by=cast.staff, at=at)
    ask_applicant(application, text="And which hubs?", by=cast.staff, at=at)
    deliver(at)
    asked = OutgoingMail.objects.filter(template="members_question").order_by("id")
    assert ["How many" in mail.body for mail in asked] == [True, False]
    answer_question(application, text="Four; one.", by=cast.stranger, at=at)
    assert application.status == "submitted"
    assert [event.body for event in timeline(application) if event.body] == [
        "How many courses?",
        "And which hubs?",
        "Four; one.",
    ]


def test_reviewers_hear_of_a_withdrawal_but_not_of_a_draft(cast: Cast, birch: Institution, at: datetime) -> None:
    withdraw_application(submitted(birch, by=cast.stranger, at=at), by=cast.stranger, at=at)
    deliver(at)
    assert OutgoingMail.objects.get(template="members_withdrawn").recipient == cast.staff.email


def test_the_queue_begins_with_what_has_waited_longest_for_a_reviewer(
    cast: Cast, birch: Institution, at: datetime
) -> None:
    old = submitted(birch, by=cast.stranger, at=at - timedelta(days=30))
    approve_application(old, starts_on=FIRST_DAY, by=cast.staff, at=at)
    asked, waiting = (
        submitted(
            make_institution(slug), by=make_person(slug), at=at - timedelta(days=days), email_domains=[f"{slug}.ca"]
        )
        for slug, days in (("ash", 20), ("elm", 10))
    )
    ask_applicant(asked, text="How many?", by=cast.staff, at=at)
    rows = ApplicationAdmin(Application, admin.site).get_queryset(RequestFactory().get("/"))
    assert [row.pk for row in rows] == [waiting.pk, asked.pk, old.pk]
