"""Who signs and how: owners, delegates by a link, French first in Quebec, two people for two sides."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.secrets import token_hash
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import AuditEvent, OutgoingMail
from members import agreements
from members.agreements.delegates import make_link
from members.models import (
    Agreement,
    AgreementTemplate,
    Institution,
    Signature,
    SigningInvitation,
    StaffSeat,
    TextDelivery,
)
from members.roles import StaffRole
from tests.cast import Cast, make_cast
from tests.unit.members.agreement_story import BUILDERS, Place, edit, make_owner
from tests.unit.members.story import deliver, make_applicant_university, make_template, offered

ADDRESS = "rector@birch.example"


def invite(place: Place, agreement: Agreement, *, email: str = ADDRESS) -> tuple[SigningInvitation, str]:
    invitation = agreements.invite_delegate(
        agreement, email=email, name="Rita Rector", language="fr", by=place.cast.stranger, at=place.at
    )
    return invitation, make_link(invitation)


def sign_by(token: str, agreement: Agreement, at: datetime, **changes: object) -> Signature:
    values = {
        "email": ADDRESS, "name": "Rita Rector", "title": "Rector", "language": "fr", "consent": True,
        "seen_sha256": agreements.content_sha256(agreement), "at": at,
    } | changes  # fmt: skip
    invitation = agreements.open_invitation(token, at=at)
    return agreements.sign_as_delegate(invitation, **values)  # type: ignore[arg-type] # spelled out above


def test_a_delegate_gets_a_link_that_nobody_else_can_read(place: Place) -> None:
    agreement = BUILDERS["offered"](place)
    invitation = agreements.invite_delegate(
        agreement, email=" Rector@Birch.example", name="Rita", language="fr", by=place.cast.stranger, at=place.at
    )
    deliver(place.at)
    mail = OutgoingMail.objects.get(template="members_delegate")
    token = mail.body.split("/fr/sign/")[1].split("/")[0]
    invitation.refresh_from_db()
    assert (mail.recipient, mail.language) == (ADDRESS, "fr")
    assert invitation.token_hash == token_hash(token)
    with institution_scope(place.cast.university.pk):
        assert not SigningInvitation.objects.exists()
    event = AuditEvent.objects.get(action="members.delegate_invited")
    assert ADDRESS not in str(event.after)
    assert agreements.open_invitation(token, at=place.at).pk == invitation.pk


def test_a_delegate_signs_without_an_account_and_the_link_is_used_up(place: Place) -> None:
    agreement = BUILDERS["offered"](place)
    invitation, token = invite(place, agreement)
    signature = sign_by(token, agreement, place.at)
    agreement.refresh_from_db()
    assert (agreement.status, signature.signer, signature.invitation) == ("signed", None, invitation)
    with pytest.raises(agreements.InvitationOver) as over:
        agreements.open_invitation(token, at=place.at)
    assert over.value.code == "invitation_used"
    agreements.countersign_agreement(agreement, name="Sam", title="Director", by=place.cast.staff, at=place.at)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"email": "somebody@else.example"}, "wrong_address"),
        ({"consent": False}, "consent_missing"),
        ({"name": " "}, "invalid"),
        ({"seen_sha256": "0" * 64}, "content_changed"),
    ],
)
def test_a_delegates_signature_that_lacks_something_leaves_the_link_good(
    place: Place, changes: dict[str, object], code: str
) -> None:
    agreement = BUILDERS["offered"](place)
    _invitation, token = invite(place, agreement)
    with pytest.raises(Exception) as refused, transaction.atomic():
        sign_by(token, agreement, place.at, **changes)
    assert getattr(refused.value, "code", "") == code
    assert sign_by(token, agreement, place.at)


def test_a_link_ends_after_14_days_by_a_newer_one_or_when_it_is_taken_back(place: Place) -> None:
    agreement = BUILDERS["offered"](place)
    first, first_token = invite(place, agreement)
    second, second_token = invite(place, agreement, email="dean@birch.example")
    for token, at, code in (
        (first_token, place.at, "invitation_revoked"),
        (second_token, place.at + timedelta(days=14), "invitation_expired"),
        ("nonsense", place.at, "invitation_unknown"),
        ("", place.at, "invitation_unknown"),
    ):
        with pytest.raises((agreements.InvitationOver, agreements.InvitationUnknown)) as over:
            agreements.open_invitation(token, at=at)
        assert over.value.code == code
    assert agreements.open_invitation(second_token, at=place.at + timedelta(days=13, hours=23))
    agreements.revoke_invitation(second, by=place.cast.stranger, at=place.at)
    with pytest.raises(agreements.InvitationOver):
        agreements.open_invitation(second_token, at=place.at)
    for change in ("used_at = now()", "email = 'me@evil.example'", "expires_at = expires_at + interval '1 year'"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE members_signinginvitation SET {change} WHERE id = %s", [first.pk])


@pytest.mark.parametrize("name", ["finance", "technical", "viewer", "outsider", "staff"])
def test_only_an_owner_names_a_delegate(place: Place, name: str) -> None:
    agreement = BUILDERS["offered"](place)
    with pytest.raises(Forbidden):
        agreements.invite_delegate(
            agreement, email=ADDRESS, name="R", language="en", by=place.cast.person(name), at=place.at
        )


@pytest.mark.parametrize(("field", "value"), [("email", "nobody"), ("name", " "), ("language", "de")])
def test_an_invitation_that_lacks_something_is_refused_by_name(place: Place, field: str, value: str) -> None:
    agreement = BUILDERS["offered"](place)
    wish = {"email": ADDRESS, "name": "Rita", "language": "fr"} | {field: value}
    with pytest.raises(Invalid) as refused:
        agreements.invite_delegate(agreement, **wish, by=place.cast.stranger, at=place.at)
    assert refused.value.field == field


def test_a_revised_offer_is_signed_by_the_same_link_after_reading_again(place: Place) -> None:
    agreement = BUILDERS["offered"](place)
    seen = agreements.content_sha256(agreement)
    _invitation, token = invite(place, agreement)
    agreements.request_changes(agreement, reason="More.", by=place.cast.stranger, at=place.at)
    edit(agreement, by=place.cast.staff, at=place.at, terms={"notice_days": 30})
    agreements.offer_agreement(agreement, by=place.cast.staff, at=place.at)
    with pytest.raises(agreements.ContentChanged), transaction.atomic():
        sign_by(token, agreement, place.at, seen_sha256=seen)
    assert sign_by(token, agreement, place.at)


def test_one_person_does_not_sign_for_both_sides(place: Place) -> None:
    agreement = BUILDERS["signed"](place)
    alma = place.cast.stranger
    alma.is_staff = True
    alma.save()
    StaffSeat.objects.create(user=alma, role=StaffRole.REVIEWER)
    with pytest.raises(Forbidden, match="Somebody else"):
        agreements.countersign_agreement(agreement, name="Alma", title="Both", by=alma, at=place.at)


@pytest.fixture
def erable(place: Place) -> Agreement:
    """An agreement offered to a university in Quebec, whose owner is `stranger`."""
    university = Institution.objects.create(
        slug="erable", name_en="Erable University", name_fr="Université Érable", province="QC", zone="America/Toronto"
    )
    return offered(university, **place.people, email_domains=["erable.example"])


def owner_signs(place: Place, agreement: Agreement, language: str) -> Signature:
    return agreements.sign_agreement(
        agreement, name="Alma", title="VP", language=language, consent=True, by=place.cast.stranger, at=place.at
    )


def test_in_quebec_french_is_delivered_before_consent_to_english(place: Place, erable: Agreement) -> None:
    with pytest.raises(agreements.FrenchFirst):
        owner_signs(place, erable, "en")
    first = agreements.deliver_text(erable, language="fr", by=place.cast.stranger, at=place.at)
    again = agreements.deliver_text(erable, language="fr", by=place.cast.stranger, at=place.at + timedelta(hours=1))
    assert (again, again.at) == (first, place.at)  # the first instant is the evidence
    signature = owner_signs(place, erable, "en")
    assert "French text was handed to me first" in signature.consent
    with pytest.raises(DatabaseError), transaction.atomic():
        TextDelivery.objects.all().delete()


def test_in_quebec_the_french_text_is_signed_at_once_and_elsewhere_the_english_one(
    place: Place, erable: Agreement
) -> None:
    assert owner_signs(place, erable, "fr").language == "fr"
    assert "French" not in owner_signs(place, BUILDERS["offered"](place), "en").consent


def test_french_that_was_delivered_counts_for_its_reader_and_its_content_alone(place: Place, erable: Agreement) -> None:
    make_owner(place.cast.outsider, erable.institution, place.at)
    agreements.deliver_text(erable, language="fr", by=place.cast.outsider, at=place.at)
    with pytest.raises(agreements.FrenchFirst):
        owner_signs(place, erable, "en")
    agreements.deliver_text(erable, language="fr", by=place.cast.stranger, at=place.at)
    agreements.request_changes(erable, reason="More.", by=place.cast.stranger, at=place.at)
    edit(erable, by=place.cast.staff, at=place.at, terms={"notice_days": 30})
    agreements.offer_agreement(erable, by=place.cast.staff, at=place.at)
    with pytest.raises(agreements.FrenchFirst):
        owner_signs(place, erable, "en")


def test_a_delegate_in_quebec_gets_the_french_text_first_too(place: Place, erable: Agreement) -> None:
    invitation, token = invite(place, erable)
    with pytest.raises(agreements.FrenchFirst), transaction.atomic():
        sign_by(token, erable, place.at, language="en")
    agreements.deliver_text(erable, language="fr", invitation=invitation, at=place.at)
    assert sign_by(token, erable, place.at, language="en").invitation == invitation


def test_postgresql_itself_wants_the_french_text_first(place: Place, erable: Agreement) -> None:
    row = {
        "institution": erable.institution, "agreement": erable, "side": "member", "signer": place.cast.stranger,
        "name": "A", "title": "VP", "consent": "x", "content_sha256": agreements.content_sha256(erable), "at": place.at,
    }  # fmt: skip
    with pytest.raises(IntegrityError, match="Quebec"), transaction.atomic():
        Signature.objects.create(**row, language="en")
    with pytest.raises(IntegrityError, match="its agreement"), transaction.atomic():
        Signature.objects.create(**row | {"institution": place.birch}, language="fr")
    assert Signature.objects.create(**row, language="fr")


@pytest.mark.usefixtures("committed_db")
def test_of_eight_who_sign_with_one_link_at_once_one_does(at: datetime) -> None:
    cast: Cast = make_cast(at)
    with consortium_scope(Scope.COMMAND):
        template: AgreementTemplate = make_template(cast.issuer, at)
        place = Place(cast, make_applicant_university(), template, at)
        agreement = BUILDERS["offered"](place)
        _invitation, token = invite(place, agreement)
        invitation = agreements.open_invitation(token, at=at)

    def attempt(number: int) -> bool:
        try:
            with institution_scope(place.birch.pk):
                agreements.sign_as_delegate(
                    invitation, email=ADDRESS, name=f"Rita {number}", title="Rector", language="fr", consent=True,
                    seen_sha256=agreements.content_sha256(agreement), at=at,
                )  # fmt: skip
        except Exception:  # noqa: BLE001 - however the others are refused, they are
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(8)))
    assert won.count(True) == 1
    with consortium_scope(Scope.COMMAND):
        assert Signature.objects.count() == 1
