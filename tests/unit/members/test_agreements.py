"""Agreements: who signs what, in which order, and that nothing changes afterwards."""

from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.secrets import SecretUnreadable
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import institution_scope
from consortium.models import Job
from members.agreements import (
    ConsentMissing,
    ContentChanged,
    agreement_in_force,
    content_sha256,
    countersign_agreement,
    draft_agreement,
    months_later,
    offer_agreement,
    sign_agreement,
    withdraw_agreement,
)
from members.keys import NoMemberKey, make_member_key, member_key
from members.models import Agreement, AgreementTemplate, Institution, MemberKey, Membership, Signature
from tests.cast import Cast
from tests.unit.members.story import FIRST_DAY, in_force, offered, signed

pytestmark = pytest.mark.usefixtures("scope", "terms")


def sign(agreement: Agreement, cast: Cast, at: datetime, **changes: object) -> Signature:
    values = {"name": "Alma", "title": "VP", "language": "fr", "consent": True, "by": cast.stranger, "at": at} | changes
    return sign_agreement(agreement, **values)  # type: ignore[arg-type] # spelled out above


def test_an_owner_signs_in_their_language_and_the_signature_holds_the_content(
    cast: Cast, birch: Institution, at: datetime
) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    signature = sign(agreement, cast, at)
    assert (signature.side, signature.language, agreement.status) == ("member", "fr", "signed")
    assert signature.content_sha256 == content_sha256(Agreement.objects.get(pk=agreement.pk))
    assert signature.consent


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"consent": False}, ConsentMissing),
        ({"name": "  "}, Invalid),
        ({"title": ""}, Invalid),
        ({"name": "x" * 2_000_000}, Invalid),
        ({"language": "de"}, Invalid),
        ({"seen_sha256": "0" * 64}, ContentChanged),
    ],
)
def test_a_signature_that_lacks_something_is_refused(
    cast: Cast, birch: Institution, at: datetime, changes: dict[str, object], error: type[Exception]
) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    with pytest.raises(error):
        sign(agreement, cast, at, **changes)
    assert not Signature.objects.exists()
    assert Agreement.objects.get(pk=agreement.pk).status == "offered"


@pytest.mark.parametrize("name", ["owner", "finance", "technical", "viewer", "outsider", "staff"])
def test_nobody_but_an_owner_of_that_university_signs(cast: Cast, birch: Institution, at: datetime, name: str) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    with pytest.raises(Forbidden):
        sign(agreement, cast, at, by=cast.person(name))


@pytest.mark.parametrize("name", ["owner", "outsider", "stranger"])
def test_nobody_but_staff_countersigns(cast: Cast, birch: Institution, at: datetime, name: str) -> None:
    agreement = signed(birch, by=cast.stranger, staff=cast.staff, at=at)
    with pytest.raises(Forbidden):
        countersign_agreement(agreement, name="Me", title="Me", by=cast.person(name), at=at)


def test_the_consortium_signs_second_and_the_university_is_a_member(
    cast: Cast, birch: Institution, at: datetime
) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    with pytest.raises(TransitionRefused):
        countersign_agreement(agreement, name="Sam", title="Director", by=cast.staff, at=at)
    with pytest.raises(NoMemberKey):
        member_key(birch.pk)
    sign(agreement, cast, at)
    with pytest.raises(TransitionRefused):
        sign(agreement, cast, at)
    countersign_agreement(agreement, name="Sam", title="Director", by=cast.staff, at=at)
    membership = Membership.objects.get(institution=birch)
    assert (agreement.status, membership.status, membership.joined_at) == ("in_force", "active", at)
    assert {signature.content_sha256 for signature in agreement.signatures.all()} == {content_sha256(agreement)}
    assert len(member_key(birch.pk)) == 32
    assert Job.objects.get(kind="render_agreement").unique_key == str(agreement.pk)


CHANGES = [
    {"clauses_en": "Everything is free."},
    {"schedule": {}},
    {"ends_on": None},
    {"currency": "USD"},
    {"version": 7},
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", [signed, in_force])
def test_a_signed_agreement_cannot_be_changed_by_the_orm(
    cast: Cast, birch: Institution, at: datetime, change: dict[str, object], step: object
) -> None:
    agreement: Agreement = step(birch, by=cast.stranger, staff=cast.staff, at=at)  # type: ignore[operator]
    with pytest.raises(DatabaseError), transaction.atomic():
        Agreement.objects.filter(pk=agreement.pk).update(**change)
    for name, value in change.items():
        setattr(agreement, name, value)
    with pytest.raises(DatabaseError), transaction.atomic():
        agreement.save()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE members_agreement SET starts_on = '2020-01-01'",
        "UPDATE members_agreement SET status = 'draft'",
        "DELETE FROM members_signature",
        "DELETE FROM members_agreement",
        "UPDATE members_signature SET name = 'Somebody else'",
        "TRUNCATE members_signature",
        "UPDATE members_agreementtemplate SET clauses_en = ''",
    ],
)
def test_a_signed_agreement_cannot_be_changed_by_sql(
    cast: Cast, birch: Institution, at: datetime, statement: str
) -> None:
    agreement = in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    before = content_sha256(agreement)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert content_sha256(Agreement.objects.get(pk=agreement.pk)) == before


def test_the_content_has_one_hash_whether_in_memory_or_stored(cast: Cast, birch: Institution, at: datetime) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    assert content_sha256(agreement) == content_sha256(Agreement.objects.get(pk=agreement.pk))


def test_the_next_version_in_force_supersedes_the_last(
    cast: Cast, birch: Institution, terms: AgreementTemplate, at: datetime
) -> None:
    first = in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    second = draft_agreement(
        institution=birch, template=terms, fte=20_000, po_required=False, starts_on=FIRST_DAY, by=cast.staff, at=at
    )
    offer_agreement(second, by=cast.staff, at=at)
    sign(second, cast, at)
    countersign_agreement(second, name="Sam", title="Director", by=cast.staff, at=at)
    first.refresh_from_db()
    assert (first.status, second.version, second.schedule["tier"]) == ("superseded", 2, "large")
    found = agreement_in_force(birch.pk, at=at)
    assert found is not None
    assert found.pk == second.pk


def test_an_offer_that_was_withdrawn_cannot_be_signed(cast: Cast, birch: Institution, at: datetime) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    withdraw_agreement(agreement, reason="A mistake.", by=cast.staff, at=at)
    with pytest.raises(TransitionRefused):
        sign(agreement, cast, at)


def test_a_key_is_made_once_and_opens_for_its_institution_alone(cast: Cast, birch: Institution, at: datetime) -> None:
    make_member_key(birch, at=at)
    key = member_key(birch.pk)
    make_member_key(birch, at=at + timedelta(days=1))
    assert member_key(birch.pk) == key
    stolen = MemberKey.objects.get(institution=birch).sealed
    MemberKey.objects.create(institution=cast.university, sealed=stolen, created_at=at)
    with pytest.raises(SecretUnreadable):
        member_key(cast.university.pk)


def test_another_university_sees_neither_agreement_nor_key(cast: Cast, birch: Institution, at: datetime) -> None:
    agreement = in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    with institution_scope(cast.university.pk):
        assert not Agreement.objects.filter(pk=agreement.pk).exists()
        assert not Signature.objects.exists()
        assert agreement_in_force(birch.pk, at=at) is None
        with pytest.raises(NoMemberKey):
            member_key(UUID(str(birch.pk)))


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2026, 12, 1), 1, date(2027, 1, 1)),
        (date(2026, 10, 15), 36, date(2029, 10, 15)),
    ],
)
def test_a_term_ends_on_the_same_day_or_the_last_of_a_shorter_month(day: date, months: int, later: date) -> None:
    assert months_later(day, months) == later
