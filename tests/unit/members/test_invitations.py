"""Invitations: a hashed link bound to an address, good once and for seven days, sent again, withdrawn, forgotten."""

from datetime import datetime, timedelta

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from consortium.kernel.errors import Forbidden, Invalid, PortalError
from consortium.kernel.mail import send_due
from consortium.models import AuditEvent, OutgoingMail
from members.invitations import (
    AlreadyInvited,
    InvitationExpired,
    InvitationRevoked,
    InvitationUnknown,
    InvitationUsed,
    WrongPerson,
    accept_invitation,
    confirm_address,
    forget_addresses,
    invite,
    open_invitation,
    resend_invitation,
    revoke_invitation,
)
from members.models import Invitation, Seat
from members.people import SeatTaken, add_seat, end_seat
from members.roles import Role
from tests.cast import Cast
from tests.unit.members.invited import confirmed, hash_in, invited, link_to
from tests.unit.members.story import deliver

pytestmark = pytest.mark.usefixtures("scope")
STRANGER = "stranger@people.example"
WEEK = timedelta(days=7)


def test_the_link_seats_whoever_confirmed_the_address(cast: Cast, at: datetime) -> None:
    invited(cast, at)
    link = link_to(STRANGER, at)
    seat = accept_invitation(hash_in(link), by=confirmed(cast.stranger), at=at)
    assert (seat.user, seat.institution, seat.role, seat.source) == (
        cast.stranger, cast.university, Role.FINANCE, "invitation",
    )  # fmt: skip
    assert Invitation.objects.get().accepted_by == cast.stranger
    with pytest.raises(InvitationUsed):
        accept_invitation(hash_in(link), by=cast.stranger, at=at)


def test_only_the_hash_of_the_link_is_kept_and_the_audit_trail_knows_no_address(cast: Cast, at: datetime) -> None:
    row = invited(cast, at)
    secret = link_to(STRANGER, at).rstrip("/").rpartition("/")[2]
    assert len(secret) * 6 >= 128
    stored = str(Invitation.objects.filter(pk=row.pk).values().get()) + str(list(AuditEvent.objects.values()))
    assert secret not in stored
    assert STRANGER not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("name", ["finance", "technical", "viewer", "outsider", "stranger", "staff"])
def test_nobody_but_an_owner_invites_sends_again_or_withdraws(cast: Cast, at: datetime, name: str) -> None:
    row, person = invited(cast, at), cast.person(name)
    with pytest.raises(Forbidden):
        invite(institution=cast.university, email="x@y.example", role="viewer", language="en", by=person, at=at)
    for act in (resend_invitation, revoke_invitation):
        with pytest.raises(Forbidden):
            act(row, by=person, at=at)


def test_an_address_is_invited_once_until_that_has_expired(cast: Cast, at: datetime) -> None:
    first = invited(cast, at)
    with pytest.raises(AlreadyInvited):
        invited(cast, at, email=" Stranger@People.example ", role=Role.VIEWER)
    second = invited(cast, at + WEEK, role=Role.VIEWER)
    first.refresh_from_db()
    assert (first.status, second.status) == ("revoked", "open")


def test_somebody_seated_is_not_invited_to_what_they_have(cast: Cast, at: datetime) -> None:
    confirmed(cast.finance)
    confirmed(cast.owner)
    with pytest.raises(SeatTaken, match="that role already"):
        invited(cast, at, email=cast.finance.email)
    with pytest.raises(SeatTaken, match="owner already"):
        invited(cast, at, email=cast.owner.email, role=Role.VIEWER)
    assert invited(cast, at, email=cast.finance.email, role=Role.TECHNICAL).status == "open"


@pytest.mark.parametrize(("role", "language"), [("emperor", "en"), ("viewer", "tlh")])
def test_unknown_roles_and_languages_are_refused(cast: Cast, at: datetime, role: str, language: str) -> None:
    with pytest.raises(Invalid):
        invited(cast, at, role=role, language=language)


def test_it_expires_after_seven_days_to_the_second(cast: Cast, at: datetime) -> None:
    invited(cast, at)
    hashed = hash_in(link_to(STRANGER, at))
    person = confirmed(cast.stranger)
    with pytest.raises(InvitationExpired):
        accept_invitation(hashed, by=person, at=at + WEEK)
    accept_invitation(hashed, by=person, at=at + WEEK - timedelta(seconds=1))


def test_sending_again_kills_the_link_before_and_gives_seven_more_days(cast: Cast, at: datetime) -> None:
    row = invited(cast, at)
    old = link_to(STRANGER, at)
    later = at + timedelta(days=8)
    resend_invitation(row, by=cast.owner, at=later)
    with pytest.raises(InvitationUnknown):  # dead at once, before the new mail is even written
        open_invitation(hash_in(old), at=later)
    new = link_to(STRANGER, later)
    assert new != old
    assert open_invitation(hash_in(new), at=later + WEEK - timedelta(seconds=1)) == row


def test_two_sendings_that_were_not_delivered_yet_mail_one_link(cast: Cast, at: datetime) -> None:
    row = invited(cast, at)
    resend_invitation(row, by=cast.owner, at=at + timedelta(seconds=1))
    deliver(at + timedelta(seconds=2))
    deliver(at + timedelta(hours=1))
    assert OutgoingMail.objects.filter(template="members_invitation").count() == 1


def test_a_withdrawn_link_is_dead_and_says_so(cast: Cast, at: datetime) -> None:
    row = invited(cast, at)
    hashed = hash_in(link_to(STRANGER, at))
    revoke_invitation(row, by=cast.owner, at=at)
    with pytest.raises(InvitationRevoked):
        accept_invitation(hashed, by=confirmed(cast.stranger), at=at)
    with pytest.raises(InvitationRevoked):
        resend_invitation(row, by=cast.owner, at=at)


def test_an_invitation_ends_with_the_rights_of_whoever_sent_it(cast: Cast, at: datetime) -> None:
    row = invited(cast, at)
    hashed = hash_in(link_to(STRANGER, at))
    add_seat(institution=cast.university, user=cast.technical, role=Role.OWNER, by=cast.owner, at=at)
    end_seat(Seat.objects.get(user=cast.owner, ended_at=None), by=cast.owner, at=at)
    with pytest.raises(InvitationRevoked, match="not do so any more"):
        accept_invitation(hashed, by=confirmed(cast.stranger), at=at)
    resend_invitation(row, by=cast.technical, at=at)  # another owner takes it over
    seat = accept_invitation(hash_in(link_to(STRANGER, at)), by=cast.stranger, at=at)
    assert seat.role == Role.FINANCE


def test_another_persons_address_or_an_unconfirmed_one_is_refused(cast: Cast, at: datetime) -> None:
    invited(cast, at)
    hashed = hash_in(link_to(STRANGER, at))
    with pytest.raises(WrongPerson, match=STRANGER):
        accept_invitation(hashed, by=confirmed(cast.viewer), at=at)
    with pytest.raises(WrongPerson):
        accept_invitation(hashed, by=cast.stranger, at=at)  # has confirmed nothing yet
    assert Invitation.objects.get().status == "open"


def test_the_link_proves_the_invited_address_and_no_other(cast: Cast, at: datetime) -> None:
    from allauth.account.models import EmailAddress  # noqa: PLC0415 - used here alone

    invited(cast, at)
    hashed = hash_in(link_to(STRANGER, at))
    EmailAddress.objects.create(user=cast.viewer, email=cast.viewer.email, verified=False)
    own = EmailAddress.objects.create(user=cast.stranger, email=STRANGER, verified=False)
    confirm_address(hashed, user=cast.viewer, at=at)
    confirm_address("forged", user=cast.stranger, at=at)
    assert not EmailAddress.objects.filter(verified=True).exists()
    confirm_address(hashed, user=cast.stranger, at=at)
    assert list(EmailAddress.objects.filter(verified=True)) == [own]


def test_the_mail_is_in_the_chosen_language(cast: Cast, at: datetime) -> None:
    invited(cast, at, language="fr")
    assert link_to(STRANGER, at).startswith("/fr/")
    mail = OutgoingMail.objects.get()
    assert "Université Cedar" in mail.subject
    assert "Finances" in mail.body


def test_addresses_of_those_who_never_came_are_forgotten(cast: Cast, at: datetime) -> None:
    invited(cast, at)
    assert forget_addresses(at=at + WEEK + timedelta(days=89)) == 0
    assert forget_addresses(at=at + WEEK + timedelta(days=91)) == 1
    assert (Invitation.objects.get().email, Invitation.objects.get().status) == ("", "revoked")


# --- What PostgreSQL refuses by itself ---------------------------------------------------------------------------


def test_postgresql_keeps_one_open_invitation_per_address(cast: Cast, at: datetime) -> None:
    row = invited(cast, at)
    row.pk, row._state.adding, row.email = None, True, "STRANGER@people.example"
    with pytest.raises(IntegrityError, match="invitation_open_once"), transaction.atomic():
        row.save(force_insert=True)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "accepted"},
        {"role": "emperor"},
        {"expires_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")},
    ],
)
def test_postgresql_refuses_half_a_decision_and_nonsense(cast: Cast, at: datetime, change: dict[str, object]) -> None:
    invited(cast, at)
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.update(**change)


def test_postgresql_lets_nothing_change_after_the_decision(cast: Cast, at: datetime) -> None:
    row = invited(cast, at)
    revoke_invitation(row, by=cast.owner, at=at)
    for change in ({"status": "open", "decided_at": None}, {"role": "owner"}, {"token_hash": "x"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Invitation.objects.update(**change)


def test_another_institutions_invitations_are_not_there(cast: Cast, at: datetime) -> None:
    invited(cast, at)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('portal.scope', '', true)")
        assert not Invitation.objects.exists()
        cursor.execute("SELECT set_config('portal.institution', %s, true)", [str(cast.other_university.pk)])
        assert not Invitation.objects.exists()
        cursor.execute("SELECT set_config('portal.institution', %s, true)", [str(cast.university.pk)])
        assert Invitation.objects.exists()


def test_every_refusal_has_a_sentence(cast: Cast, at: datetime) -> None:
    with pytest.raises(PortalError) as refused:
        open_invitation("forged", at=at)
    assert refused.value.status == 404
    assert "newest mail" in refused.value.message


def test_once_the_mail_is_out_the_portal_knows_the_link_no_more(cast: Cast, at: datetime) -> None:
    invited(cast, at)
    secret = link_to(STRANGER, at).rstrip("/").rpartition("/")[2]
    assert send_due(at=at) == 1
    assert secret in str(mail.outbox[-1].body)
    assert secret not in str(list(OutgoingMail.objects.values()))
