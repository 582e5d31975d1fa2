"""Identities: an institution, its issuer and a subject there, linked to an account by its own person.

The institution is part of the key: nobody can name another university's issuer in a configuration and speak for it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution, SignOn, User
from members.sign_on.claims import Claims
from members.sign_on.configuring import is_bound

PENDING: Final = "sign_on_pending"
WAITS: Final = timedelta(minutes=10)


class IdentityTaken(PortalError):
    """The identity belongs to another account."""

    code = "identity_taken"


class LastWayIn(PortalError):
    """Without a password and without an identity nobody could sign in."""

    code = "last_way_in"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """An identity that was proven in this browser and belongs to no account yet."""

    institution: Institution
    sign_on_id: str
    key: str
    subject: str
    email: str
    name: str
    affiliations: tuple[str, ...]
    bound: bool


def key_of(sign_on: SignOn) -> str:
    """What allauth keeps as the provider of an account: institution and issuer."""
    return f"{sign_on.institution_id}|{sign_on.issuer}"


def identity(sign_on: SignOn, subject: str) -> Any:
    """The account of a subject, or None."""
    return SocialAccount.objects.filter(provider=key_of(sign_on), uid=subject).select_related("user").first()


def account_with_address(email: str) -> bool:
    """Whether somebody here has the address, confirmed or not."""
    return (
        User.objects.filter(email__iexact=email).exists() or EmailAddress.objects.filter(email__iexact=email).exists()
    )


def hold(request: HttpRequest, sign_on: SignOn, claims: Claims, *, at: datetime) -> None:
    """Remember an identity in the session until its person has signed in to the account."""
    request.session[PENDING] = {
        "sign_on": str(sign_on.pk),
        "key": key_of(sign_on),
        "subject": claims.subject,
        "email": claims.email,
        "name": claims.name,
        "affiliations": list(claims.affiliations),
        "bound": is_bound(sign_on, claims),
        "at": at.isoformat(),
    }


def held(request: HttpRequest, *, at: datetime) -> Pending | None:
    """The identity that waits in this session, if it is younger than ten minutes."""
    kept = request.session.get(PENDING)
    if not kept or at - datetime.fromisoformat(kept["at"]) > WAITS:
        return None
    with consortium_scope(Scope.SIGN_IN):
        sign_on = SignOn.objects.select_related("institution").filter(pk=kept["sign_on"]).first()
        if sign_on is None:
            return None
        return Pending(
            institution=sign_on.institution,
            sign_on_id=kept["sign_on"],
            key=kept["key"],
            subject=kept["subject"],
            email=kept["email"],
            name=kept["name"],
            affiliations=tuple(kept["affiliations"]),
            bound=kept["bound"],
        )


def release(request: HttpRequest) -> None:
    """Forget the identity that waits."""
    request.session.pop(PENDING, None)


@transaction.atomic
def link(user: User, pending: Pending, *, at: datetime) -> None:
    """Link a proven identity to the account of the person who asks. Raises IdentityTaken."""
    if user.is_staff:
        raise IdentityTaken(_("Consortium staff sign in with a password and a second factor only."))
    try:
        with transaction.atomic():
            account = SocialAccount.objects.create(provider=pending.key, uid=pending.subject, user=user, extra_data={})
    except IntegrityError as error:
        raise IdentityTaken(_("This identity is linked to an account already.")) from error
    audit.record(
        "members.identity_linked",
        account,
        by=user,
        at=at,
        institution_id=pending.institution.pk,
        after={"user": user.pk, "subject": audit.digest(pending.subject)},
        deliver_to=("members.mail_identity_linked",),
    )


@transaction.atomic
def unlink(user: User, account_id: int, *, at: datetime) -> None:
    """Unlink one of the person's identities. Raises LastWayIn for people without a password."""
    account = SocialAccount.objects.filter(pk=account_id, user=user).first()
    if account is None:
        return
    if not user.has_usable_password():
        raise LastWayIn(_("Set a password first: this is your only way in."))
    institution_id = (
        Institution.objects.filter(pk=account.provider.partition("|")[0]).values_list("pk", flat=True).first()
    )
    audit.record(
        "members.identity_unlinked",
        account,
        by=user,
        at=at,
        institution_id=institution_id,
        before={"user": user.pk, "subject": audit.digest(account.uid)},
    )
    account.delete()
