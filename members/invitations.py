"""Invitations: a role at an institution, offered to whoever reads the mail of an address.

The mail's link is a secret of 256 bits, kept as its hash, good for seven days and for one acceptance. It proves the
address, so that whoever opens it may sign up without a second mail. Sending it again kills the link before.
"""

from datetime import datetime, timedelta
from typing import Final

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid, Missing, PortalError
from consortium.kernel.formats import instant_text
from consortium.kernel.language import LANGUAGES, bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.kernel.secrets import new_token, token_hash
from consortium.models import AuditEvent
from members.models import Institution, Invitation, Seat, User
from members.people import SeatTaken, take_seat
from members.permissions import Permission, check_at, permissions_at
from members.queries import role_words
from members.roles import Role
from members.states import INVITATION

VALID_FOR: Final = timedelta(days=7)
SESSION_KEY: Final = "invitation"  # where a browser's session keeps the hash of the link that it opened
# How long the address of somebody who never came is kept.
FORGET_AFTER: Final = timedelta(days=90)


class AlreadyInvited(PortalError):
    """An invitation to the address is open."""

    code = "already_invited"


class InvitationUnknown(Missing):
    """No invitation belongs to the link."""

    code = "invitation_unknown"


class InvitationExpired(PortalError):
    """The link was good once."""

    code = "invitation_expired"
    status = 410


class InvitationUsed(PortalError):
    """Somebody has accepted it."""

    code = "invitation_used"
    status = 410


class InvitationRevoked(PortalError):
    """It was withdrawn, or who sent it may not invite any more."""

    code = "invitation_revoked"
    status = 410


class WrongPerson(Forbidden):
    """It is for another address than those of the person."""

    code = "invitation_for_another_address"


# --- By owners -----------------------------------------------------------------------------------------------------


@transaction.atomic
def invite(*, institution: Institution, email: str, role: str, language: str, by: User, at: datetime) -> Invitation:
    """Invite an address to a role; the mail with the link goes out in `language`.

    Raises Forbidden, Invalid, SeatTaken (the person has the role), AlreadyInvited (send that one again, or revoke it).
    """
    check_at(by, Permission.MANAGE_PEOPLE, institution.pk)
    if role not in Role.values:
        raise Invalid(_("Choose one of the roles."), field="role")
    if language not in LANGUAGES:
        raise Invalid(_("Choose one of the languages."), field="language")
    email = email.strip().lower()
    _refuse_seated(institution, email, role)
    for old in Invitation.objects.filter(institution=institution, email=email, status="open", expires_at__lte=at):
        _decide(old, "revoked", by=by, at=at)  # an expired one makes room for the new one
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                institution=institution, email=email, role=role, language=language, invited_by=by, created_at=at,
                sent_at=at, expires_at=at + VALID_FOR,
            )  # fmt: skip
    except IntegrityError as error:
        raise AlreadyInvited(
            _("This address is invited already. Send that invitation again, or withdraw it first."), field="email"
        ) from error
    _record(invitation, "sent", by=by, at=at, deliver_to=("members.mail_invitation",))
    return invitation


@transaction.atomic
def resend_invitation(invitation: Invitation, *, by: User, at: datetime) -> None:
    """Send a fresh link, good for seven days from now; the one before is dead at once.

    Who sends it again answers for it from now on. Raises Forbidden, InvitationUsed, InvitationRevoked.
    """
    check_at(by, Permission.MANAGE_PEOPLE, invitation.institution_id)
    row = Invitation.objects.select_for_update().get(pk=invitation.pk)
    _refuse_decided(row)
    Invitation.objects.filter(pk=row.pk, status="open").update(
        token_hash=None, invited_by=by, sent_at=at, expires_at=at + VALID_FOR
    )
    _record(row, "sent_again", by=by, at=at, deliver_to=("members.mail_invitation",))


@transaction.atomic
def revoke_invitation(invitation: Invitation, *, by: User | System, at: datetime) -> None:
    """Withdraw an invitation: its link is dead at once. Raises Forbidden, InvitationUsed, InvitationRevoked."""
    check_at(by, Permission.MANAGE_PEOPLE, invitation.institution_id)
    row = Invitation.objects.select_for_update().get(pk=invitation.pk)
    _refuse_decided(row)
    _decide(row, "revoked", by=by, at=at)


@receiver("members.mail_invitation")
def mail_invitation(event: AuditEvent) -> None:
    """Make the link and send it; only the newest of several sendings makes one."""
    row = Invitation.objects.select_for_update(of=("self",)).select_related("institution", "invited_by")
    invitation = row.get(pk=event.object_id)
    if invitation.status != "open" or invitation.sent_at != event.at:
        return
    token = new_token()
    Invitation.objects.filter(pk=invitation.pk, status="open").update(token_hash=token_hash(token))
    with translation.override(invitation.language):
        role = role_words(invitation.role)
    compose(
        event,
        recipient=invitation.email,
        template="members_invitation",
        language=invitation.language,
        context={
            "university": bilingual(invitation.institution, "name", invitation.language),
            "inviter": invitation.invited_by,
            "role": role,
            "until": instant_text(invitation.expires_at, invitation.institution.zone, language=invitation.language),
            "url": invitation_url(token, invitation.language),
        },
        at=event.at,
    )


def invitation_url(token: str, language: str) -> str:
    """The address of the page that accepts, whole, in a language."""
    with translation.override(language):
        return settings.PUBLIC_URL + reverse("invitation", args=[token])


# --- By the invited ------------------------------------------------------------------------------------------------


def open_invitation(hashed: str, *, at: datetime) -> Invitation:
    """Return the invitation whose link has that hash, as long as it can be accepted. Needs Scope.SIGN_IN.

    Raises InvitationUnknown, InvitationExpired, InvitationUsed, InvitationRevoked.
    """
    row = Invitation.objects.select_related("institution", "invited_by").filter(token_hash=hashed).first()
    if row is None:
        raise InvitationUnknown(
            _("This link leads to no invitation. Use the newest mail, and check that you have copied all of the link.")
        )
    _refuse_closed(row, at=at)
    return row


def may_accept(invitation: Invitation, user: User) -> bool:
    """Tell whether the invitation is for an address that the person has confirmed."""
    own = EmailAddress.objects.filter(user=user, email__iexact=invitation.email, verified=True)
    return bool(own.exists())


def confirm_address(hashed: str, *, user: User, at: datetime) -> None:
    """Take the link as the proof of the person's address, if it is the invited one. Needs Scope.SIGN_IN."""
    try:
        invitation = open_invitation(hashed, at=at)
    except PortalError:
        return
    if EmailAddress.objects.filter(email__iexact=invitation.email, verified=True).exists():
        return
    own = EmailAddress.objects.filter(user=user, email__iexact=invitation.email).first()
    if own is not None:
        own.verified = True
        own.save(update_fields=["verified"])
        audit.record("members.address_confirmed", user, by=user, at=at, institution_id=invitation.institution_id)


@transaction.atomic
def accept_invitation(hashed: str, *, by: User, at: datetime) -> Seat:
    """Take the offered seat, once: of all who try at the same time the first one gets it. Needs Scope.SIGN_IN.

    Raises WrongPerson, SeatTaken, InvitationUnknown, InvitationExpired, InvitationUsed, InvitationRevoked.
    """
    invitation = open_invitation(hashed, at=at)
    row = Invitation.objects.select_for_update(of=("self",)).select_related("institution", "invited_by")
    invitation = row.get(pk=invitation.pk)
    _refuse_closed(invitation, at=at)
    if not by.is_active or not may_accept(invitation, by):
        raise WrongPerson(
            _("This invitation is for %(email)s, which is not an address of yours.") % {"email": invitation.email}
        )
    seat = take_seat(
        institution=invitation.institution,
        user=by,
        role=invitation.role,
        by=by,
        at=at,
        source="invitation",
        tell=False,
    )
    _decide(invitation, "accepted", by=by, at=at)
    return seat


# --- Upkeep --------------------------------------------------------------------------------------------------------


@transaction.atomic
def forget_addresses(*, at: datetime) -> int:
    """Forget the addresses of invitations that came to nothing 90 days ago; returns how many."""
    before = at - FORGET_AFTER
    for row in Invitation.objects.filter(status="open", expires_at__lt=before):
        _decide(row, "revoked", by=System("upkeep"), at=at)
    over = Q(status="revoked", expires_at__lt=before)
    return Invitation.objects.filter(over).exclude(email="").update(email="")


def _refuse_seated(institution: Institution, email: str, role: str) -> None:
    held = set(
        Seat.objects.filter(
            institution=institution,
            ended_at=None,
            user__in=EmailAddress.objects.filter(email__iexact=email, verified=True).values("user"),
        ).values_list("role", flat=True)
    )
    if role in held:
        raise SeatTaken(_("This person has that role already."), field="role")
    if Role.OWNER in held:
        raise SeatTaken(_("This person is an owner already, who may do everything."), field="role")


def _refuse_decided(invitation: Invitation) -> None:
    if invitation.status == "accepted":
        raise InvitationUsed(_("This invitation has been accepted already."))
    if invitation.status == "revoked":
        raise InvitationRevoked(_("This invitation was withdrawn."))


def _refuse_closed(invitation: Invitation, *, at: datetime) -> None:
    _refuse_decided(invitation)
    if invitation.expires_at <= at:
        raise InvitationExpired(_("This invitation has expired. Ask who invited you to send it again."))
    # Like a token, an invitation ends with the rights of whoever made it.
    if Permission.MANAGE_PEOPLE not in permissions_at(invitation.invited_by, invitation.institution_id):
        raise InvitationRevoked(
            _("Whoever invited you may not do so any more. Ask an owner of the university to invite you again.")
        )


def _decide(invitation: Invitation, to: str, *, by: User | System, at: datetime) -> None:
    accepted_by = by if to == "accepted" else None
    INVITATION.move(invitation, to, decided_at=at, accepted_by=accepted_by)
    _record(invitation, to, by=by, at=at)


def _record(
    invitation: Invitation, what: str, *, by: User | System, at: datetime, deliver_to: tuple[str, ...] = ()
) -> None:
    audit.record(
        f"members.invitation_{what}",
        invitation,
        by=by,
        at=at,
        institution_id=invitation.institution_id,
        after={"role": invitation.role, "address": audit.digest(invitation.email)},
        deliver_to=deliver_to,
    )
