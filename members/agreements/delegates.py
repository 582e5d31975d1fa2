"""Delegates: somebody without an account may read and sign one agreement, by a secret link to one address.

The link is a secret of 256 bits, kept as its hash, good for 14 days and for one signature. Reading changes nothing,
since mail scanners follow links.
"""

from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid, Missing, PortalError
from consortium.kernel.language import LANGUAGES
from consortium.kernel.secrets import new_token, token_hash
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Agreement, SigningInvitation, User
from members.permissions import Permission, check_at

VALID_FOR: Final = timedelta(days=14)
DELEGATE: Final = audit.System("delegate")


class InvitationUnknown(Missing):
    """No invitation belongs to the link."""

    code = "invitation_unknown"


class InvitationOver(PortalError):
    """The link was good once: it was used, taken back, or its time is over; `code` says which."""

    status = 410

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class WrongAddress(Invalid):
    """The address is not the one that the link was sent to."""

    code = "wrong_address"


@transaction.atomic
def invite_delegate(
    agreement: Agreement, *, email: str, name: str, language: str, by: User, at: datetime
) -> SigningInvitation:
    """Let somebody sign an offered agreement by a link that is mailed to their address; an earlier link ends.

    Raises Forbidden, Invalid.
    """
    check_at(by, Permission.SIGN_AGREEMENT, agreement.institution_id)
    email, name = email.strip().lower(), name.strip()
    Agreement.objects.select_for_update().get(pk=agreement.pk)
    agreement.refresh_from_db()
    if agreement.status != "offered":
        raise Invalid(_("Only an agreement that waits for a signature can be signed by a delegate."))
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid(_("Write the delegate's e-mail address."), field="email") from error
    if not name or len(name) > 200:
        raise Invalid(_("Write the delegate's name."), field="name")
    if language not in LANGUAGES:
        raise Invalid(_("The agreement is in English and French. Choose one."), field="language")
    revoke_open_invitations(agreement, at=at)
    invitation = SigningInvitation.objects.create(
        institution_id=agreement.institution_id,
        agreement=agreement,
        email=email,
        name=name,
        language=language,
        created_by=by,
        created_at=at,
        expires_at=at + VALID_FOR,
    )
    audit.record(
        "members.delegate_invited",
        invitation,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        after={"agreement": agreement.pk, "email": audit.digest(email)},
        deliver_to=("members.mail_delegate",),
    )
    return invitation


@transaction.atomic
def revoke_invitation(invitation: SigningInvitation, *, by: User, at: datetime) -> None:
    """Take a delegate's link back; one that was used or taken back stays as it is."""
    check_at(by, Permission.SIGN_AGREEMENT, invitation.institution_id)
    if _still_open(invitation).update(revoked_at=at):
        audit.record("members.delegate_revoked", invitation, by=by, at=at, institution_id=invitation.institution_id)


def revoke_open_invitations(agreement: Agreement, *, at: datetime) -> None:
    """End every link to an agreement that was not used: it is withdrawn, signed by somebody else, or sent anew."""
    SigningInvitation.objects.filter(agreement=agreement, used_at=None, revoked_at=None).update(revoked_at=at)


def make_link(invitation: SigningInvitation) -> str:
    """Make the link's token and return it; nobody can read it again. Only the mail to the delegate calls this.

    Raises Invalid when it was made already.
    """
    token = new_token()
    if not _still_open(invitation).filter(token_hash="").update(token_hash=token_hash(token)):
        raise Invalid("The link of this invitation was made already, or the invitation is over.")
    return token


def open_invitation(token: str, *, at: datetime) -> SigningInvitation:
    """Return the invitation of a link; see its rows in `institution_scope(invitation.institution_id)`.

    Raises InvitationUnknown, and InvitationOver for one that was used or taken back, or has expired.
    """
    with consortium_scope(Scope.SIGN_LINK):
        found = SigningInvitation.objects.filter(token_hash=token_hash(token)).exclude(token_hash="")
        invitation = found.select_related("agreement__institution", "agreement__issuer").first()
    if invitation is None:
        raise InvitationUnknown(_("This link leads to no agreement. Check that you have copied all of it."))
    if invitation.used_at is not None:
        raise InvitationOver(_("The agreement was signed with this link already."), code="invitation_used")
    if invitation.revoked_at is not None:
        raise InvitationOver(
            _("This link was taken back, or a newer one was sent. Open the newest mail, or ask who sent it."),
            code="invitation_revoked",
        )
    if invitation.expires_at <= at:
        raise InvitationOver(
            _("This link has expired: it was good for 14 days. Ask who sent it for a new one."),
            code="invitation_expired",
        )
    return invitation


def use_invitation(invitation: SigningInvitation, *, email: str, at: datetime) -> None:
    """Use a link up, once: of two at the same time one wins. Raises WrongAddress, InvitationOver."""
    if email.strip().lower() != invitation.email:
        raise WrongAddress(
            _("This link was sent to another address. Write the address at which you received it."), field="email"
        )
    if not _still_open(invitation).filter(expires_at__gt=at).update(used_at=at):
        raise InvitationOver(_("This link cannot be used any more."), code="invitation_used")
    invitation.used_at = at


def _still_open(invitation: SigningInvitation) -> QuerySet[SigningInvitation]:
    return SigningInvitation.objects.filter(pk=invitation.pk, used_at=None, revoked_at=None)
