"""Joining: from the first draft to a member's agreement, and every refusal on the way."""

from datetime import date, datetime

import pytest
from django.db import IntegrityError, InternalError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.models import AuditEvent
from members.access import AlreadyMember
from members.models import Agreement, AgreementTemplate, Application, ApplicationNote, Institution, Membership, Seat
from members.onboarding import (
    AlreadyApplying,
    ApplicationIncomplete,
    NoTemplate,
    add_internal_note,
    answer_question,
    approve_application,
    ask_applicant,
    decline_application,
    save_application,
    start_application,
    submit_application,
    withdraw_application,
)
from members.queries import timeline
from members.states import APPLICATION
from tests.cast import Cast, make_institution
from tests.unit.members.story import ANSWERS, FIRST_DAY, submitted

pytestmark = pytest.mark.usefixtures("scope")


def test_a_draft_keeps_what_was_written_and_is_found_again(cast: Cast, birch: Institution, at: datetime) -> None:
    draft = start_application(institution=birch, by=cast.stranger, at=at)
    save_application(draft, values={"legal_name": "Birch"}, by=cast.stranger, at=at)
    again = start_application(institution=birch, by=cast.stranger, at=at)
    assert again.pk == draft.pk
    assert again.legal_name == "Birch"


def test_a_second_applicant_is_told_of_the_first(cast: Cast, birch: Institution, at: datetime) -> None:
    start_application(institution=birch, by=cast.stranger, at=at)
    with pytest.raises(AlreadyApplying):
        start_application(institution=birch, by=cast.outsider, at=at)


def test_a_member_cannot_apply(cast: Cast, at: datetime) -> None:
    with pytest.raises(AlreadyMember):
        start_application(institution=cast.university, by=cast.stranger, at=at)


def test_an_incomplete_application_names_every_missing_answer(cast: Cast, birch: Institution, at: datetime) -> None:
    draft = start_application(institution=birch, by=cast.stranger, at=at)
    save_application(draft, values=ANSWERS | {"fte": None, "purpose": ""}, by=cast.stranger, at=at)
    with pytest.raises(ApplicationIncomplete) as refused:
        submit_application(draft, by=cast.stranger, at=at)
    assert refused.value.missing == ("fte", "purpose")
    assert Application.objects.get(pk=draft.pk).status == "draft"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"finance_email": "nowhere"}, "finance_email"),
        ({"fte": -5}, "fte"),
        ({"legal_name": "x" * 2_000_000}, "legal_name"),
        ({"language": "de"}, "language"),
        ({"status": "approved"}, None),
    ],
)
def test_a_value_that_is_no_answer_is_refused(
    cast: Cast, birch: Institution, at: datetime, values: dict[str, object], field: str | None
) -> None:
    draft = start_application(institution=birch, by=cast.stranger, at=at)
    with pytest.raises(Invalid) as refused:
        save_application(draft, values=values, by=cast.stranger, at=at)
    assert refused.value.field == field


def test_only_the_applicant_writes_and_only_before_submitting(cast: Cast, birch: Institution, at: datetime) -> None:
    draft = start_application(institution=birch, by=cast.stranger, at=at)
    with pytest.raises(Forbidden):
        save_application(draft, values={}, by=cast.outsider, at=at)
    with pytest.raises(Forbidden):
        submit_application(draft, by=cast.outsider, at=at)
    with pytest.raises(Forbidden):
        withdraw_application(draft, by=cast.outsider, at=at)
    application = submitted(birch, by=cast.stranger, at=at)
    with pytest.raises(Invalid):
        save_application(application, values={"legal_name": "Other"}, by=cast.stranger, at=at)


def test_a_question_waits_for_its_answer_and_notes_among_staff_stay_there(
    cast: Cast, birch: Institution, at: datetime
) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    ask_applicant(application, text="How many courses?", by=cast.staff, at=at)
    assert application.status == "questioned"
    add_internal_note(application, text="Looks fine.", by=cast.staff, at=at)
    answer_question(application, text="Four.", by=cast.stranger, at=at)
    assert application.status == "submitted"
    with pytest.raises(Invalid):
        answer_question(application, text="Five.", by=cast.stranger, at=at)
    public = [event.body for event in timeline(application) if event.body]
    assert public == ["How many courses?", "Four."]
    assert "Looks fine." in [event.body for event in timeline(application, internal=True)]


def test_what_was_said_cannot_be_unsaid(cast: Cast, birch: Institution, at: datetime) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    note = ask_applicant(application, text="How many courses?", by=cast.staff, at=at)
    for change in (note.delete, lambda: ApplicationNote.objects.update(text="Nothing")):
        with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
            change()


@pytest.mark.parametrize("name", ["owner", "finance", "technical", "viewer", "outsider", "stranger"])
def test_only_reviewers_decide(cast: Cast, birch: Institution, at: datetime, name: str) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    person = cast.person(name)
    with pytest.raises(Forbidden):
        ask_applicant(application, text="?", by=person, at=at)
    with pytest.raises(Forbidden):
        add_internal_note(application, text="?", by=person, at=at)
    with pytest.raises(Forbidden):
        decline_application(application, reason="?", by=person, at=at)
    with pytest.raises(Forbidden):
        approve_application(application, starts_on=FIRST_DAY, by=person, at=at)
    assert Application.objects.get(pk=application.pk).status == "submitted"


def test_declining_needs_a_reason_and_lets_the_university_apply_again(
    cast: Cast, birch: Institution, at: datetime
) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    with pytest.raises(Invalid):
        decline_application(application, reason="  ", by=cast.staff, at=at)
    decline_application(application, reason="Not this year.", by=cast.staff, at=at)
    assert application.decision_reason == "Not this year."
    assert start_application(institution=birch, by=cast.outsider, at=at).pk != application.pk


@pytest.mark.usefixtures("terms")
def test_approval_makes_the_membership_the_owner_and_the_offer(cast: Cast, birch: Institution, at: datetime) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    agreement = approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    membership = Membership.objects.get(institution=birch)
    assert (membership.status, membership.tier, membership.fte) == ("joining", "small", 9_000)
    assert Seat.objects.get(institution=birch).user == cast.stranger
    assert (agreement.status, agreement.version, agreement.zone) == ("offered", 1, "America/Halifax")
    assert (agreement.starts_on, agreement.ends_on) == (FIRST_DAY, date(2027, 10, 1))
    assert agreement.schedule["dues"] == "6000.00"
    assert agreement.schedule["po_required"] is True
    actions = list(AuditEvent.objects.filter(institution_id=birch.pk).order_by("seq").values_list("action", flat=True))
    assert actions[-5:] == [
        "members.application_approved",
        "members.membership_begun",
        "members.invitation_sent",  # the administrator who was named
        "members.agreement_drafted",
        "members.agreement_offered",
    ]


@pytest.mark.usefixtures("terms")
def test_approving_twice_is_refused_and_leaves_one_agreement(cast: Cast, birch: Institution, at: datetime) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    stale = Application.objects.get(pk=application.pk)
    approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    with pytest.raises((AlreadyMember, TransitionRefused)):
        approve_application(stale, starts_on=FIRST_DAY, by=cast.staff, at=at)
    assert Agreement.objects.filter(institution=birch).count() == 1


def test_without_terms_in_the_currency_nothing_is_approved(
    cast: Cast, birch: Institution, terms: AgreementTemplate, at: datetime
) -> None:
    application = submitted(birch, by=cast.stranger, at=at, currency="USD")
    with pytest.raises(NoTemplate):
        approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    assert Application.objects.get(pk=application.pk).status == "submitted"
    assert not Membership.objects.filter(institution=birch).exists()


@pytest.mark.parametrize("was", [state.value for state in APPLICATION.states])
def test_postgresql_refuses_every_move_the_table_does_not_have(cast: Cast, at: datetime, was: str) -> None:
    """The trigger of the status column, asked for every pair of states."""
    route = {"approved": ["submitted"], "declined": ["submitted"], "questioned": ["submitted"]}.get(was, [])
    for to in (state.value for state in APPLICATION.states):
        university = make_institution(f"{was}-{to}")
        row = Application.objects.create(institution=university, applicant=cast.stranger, created_at=at)
        for step in [*route, was]:
            if step != "draft":
                Application.objects.filter(pk=row.pk).update(status=step)
        moving = Application.objects.filter(pk=row.pk)
        if to == was or APPLICATION.allows(was, to):
            moving.update(status=to)
        else:
            with pytest.raises(IntegrityError), transaction.atomic():
                moving.update(status=to)
