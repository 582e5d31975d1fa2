"""Members' people are pointed to their owners: who belongs where, and asking once."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, InternalError, transaction

from consortium.kernel.errors import Invalid
from consortium.kernel.tenancy import institution_scope
from consortium.models import OutgoingMail
from members.access import AlreadyAsked, AlreadyMember, member_of_hosts, request_access
from members.models import AccessRequest, Institution, User
from members.onboarding import approve_application, save_application, start_application
from tests.cast import Cast, make_institution
from tests.unit.members.story import FIRST_DAY, deliver, submitted

pytestmark = pytest.mark.usefixtures("scope")


@pytest.mark.parametrize(
    ("host", "is_cedars"),
    [
        ("cedar.example", True),
        ("physics.CEDAR.example", True),
        ("cedar.example.evil.example", False),
        ("notcedar.example", False),
        ("example", False),
        ("gmail.com", False),
        ("", False),
    ],
)
def test_a_host_belongs_to_the_member_whose_domain_covers_it(cast: Cast, host: str, is_cedars: bool) -> None:
    assert member_of_hosts([host]) == (cast.university if is_cedars else None)


@pytest.mark.usefixtures("terms")
def test_a_domain_of_an_approved_application_belongs_to_it_too(cast: Cast, birch: Institution, at: datetime) -> None:
    application = submitted(birch, by=cast.stranger, at=at, email_domains=["birch.example", "bouleau.example"])
    assert member_of_hosts(["mail.bouleau.example"]) is None  # not before it is approved
    assert member_of_hosts(["bouleau.example"]) is None
    approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    assert member_of_hosts(["mail.bouleau.example"]) == birch


def test_domains_of_a_member_are_no_answer(cast: Cast, birch: Institution, at: datetime) -> None:
    draft = start_application(institution=birch, by=cast.stranger, at=at)
    with pytest.raises(AlreadyMember) as refused:
        save_application(draft, values={"email_domains": ["it.cedar.example"]}, by=cast.stranger, at=at)
    assert (refused.value.institution, refused.value.field) == (cast.university, "email_domains")
    assert draft.email_domains == []


def test_owners_are_written_to_once_and_the_asker_is_not_told_who_they_are(cast: Cast, at: datetime) -> None:
    User.objects.filter(pk=cast.owner.pk).update(language="fr")
    request_access(institution=cast.university, by=cast.stranger, at=at)
    with pytest.raises(AlreadyAsked) as refused:
        request_access(institution=cast.university, by=cast.stranger, at=at + timedelta(days=90))
    assert cast.owner.email not in refused.value.message
    deliver(at)
    mail = OutgoingMail.objects.get()
    assert (mail.recipient, mail.template, mail.language) == (cast.owner.email, "members_access", "fr")
    assert cast.stranger.email in mail.body
    assert "/fr/i/cedar/people/" in mail.body


def test_who_has_a_seat_and_who_could_apply_need_not_ask(cast: Cast, birch: Institution, at: datetime) -> None:
    with pytest.raises(Invalid):
        request_access(institution=cast.university, by=cast.viewer, at=at)
    with pytest.raises(Invalid):
        request_access(institution=birch, by=cast.stranger, at=at)


def test_nobody_asks_every_university_in_one_day(cast: Cast, at: datetime) -> None:
    for n in range(5):
        AccessRequest.objects.create(institution=make_institution(f"u{n}"), user=cast.stranger, created_at=at)
    with pytest.raises(Invalid):
        request_access(institution=cast.university, by=cast.stranger, at=at)
    request_access(institution=cast.university, by=cast.stranger, at=at + timedelta(days=1, seconds=1))


def test_another_university_does_not_see_who_asked(cast: Cast, at: datetime) -> None:
    request_access(institution=cast.university, by=cast.stranger, at=at)
    with institution_scope(cast.other_university.pk):
        assert not AccessRequest.objects.exists()
    with institution_scope(cast.university.pk):
        assert AccessRequest.objects.count() == 1


def test_a_request_is_kept_once_and_for_ever(cast: Cast, at: datetime) -> None:
    request = request_access(institution=cast.university, by=cast.stranger, at=at)
    for change in (
        lambda: AccessRequest.objects.create(institution=cast.university, user=cast.stranger, created_at=at),
        request.delete,
        lambda: AccessRequest.objects.update(user=cast.owner),
    ):
        with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
            change()
