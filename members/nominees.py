"""The administrators that an application names: who they are, and their seats when it is approved."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid
from members.answers import ADMINISTRATORS_AT_MOST
from members.invitations import AlreadyInvited, invite
from members.models import Application, Seat, User
from members.roles import Role

ROLES: Final = (Role.OWNER, Role.FINANCE, Role.TECHNICAL)
NAME_AT_MOST: Final = 200


@dataclass(frozen=True)
class Nominee:
    """Somebody who shall administer the membership."""

    name: str
    email: str
    role: Role


def nominees_of(application: Application) -> list[Nominee]:
    """Will return the administrators that an application names."""
    return [Nominee(each["name"], each["email"], Role(each["role"])) for each in application.administrators]


def clean_nominees(value: object) -> list[dict[str, str]]:
    """Will return the list as it is stored: addresses in small letters. Raises Invalid, field "administrators"."""
    if not isinstance(value, list) or len(value) > ADMINISTRATORS_AT_MOST:
        raise _refused(_("Name at most %(count)d administrators.") % {"count": ADMINISTRATORS_AT_MOST})
    cleaned = [_clean(each) for each in value]
    if len({each["email"] for each in cleaned}) != len(cleaned):
        raise _refused(_("Two administrators have the same e-mail address."))
    return cleaned


def _clean(value: object) -> dict[str, str]:
    each = value if isinstance(value, dict) else {}
    name, email, role = (str(each.get(key, "")).strip() for key in ("name", "email", "role"))
    if not name or len(name) > NAME_AT_MOST:
        raise _refused(_("Write the name of every administrator, in at most 200 characters."))
    try:
        validate_email(email)
    except ValidationError as error:
        raise _refused(_("“%(email)s” is not an e-mail address.") % {"email": email[:100]}) from error
    if role not in ROLES:
        raise _refused(_("Choose a role for every administrator."))
    return {"name": name, "email": email.lower(), "role": role}


def _refused(message: str) -> Invalid:
    return Invalid(message, field="administrators")


def account_of(nominee: Nominee) -> User | None:
    """Return the active person whose confirmed address it is, None where there is no such account yet."""
    found = EmailAddress.objects.filter(email__iexact=nominee.email, verified=True, user__is_active=True)
    address = found.select_related("user").first()
    return address.user if address else None


def seat_nominees(application: Application, *, by: User | System, at: datetime) -> None:
    """Give a seat to every named administrator who has an account; the applicant's own is made elsewhere."""
    for nominee in nominees_of(application):
        user = account_of(nominee)
        if user is None or user.pk == application.applicant_id:
            continue
        seat, made = Seat.objects.get_or_create(
            institution_id=application.institution_id,
            user=user,
            role=nominee.role,
            ended_at=None,
            defaults={"source": "application", "created_at": at},
        )
        if made:
            audit.record(
                "members.seat_added",
                seat,
                by=by,
                at=at,
                institution_id=application.institution_id,
                after={"role": nominee.role.value},
            )


def invite_nominees(application: Application, *, at: datetime) -> None:
    """Invite every named administrator who has no account, in the application's language.

    The applicant named them and is an owner by now, so the invitations are the applicant's. Raises Forbidden.
    """
    for nominee in nominees_of(application):
        if account_of(nominee) is None and nominee.email != application.applicant.email.lower():
            with suppress(AlreadyInvited):
                invite(
                    institution=application.institution,
                    email=nominee.email,
                    role=nominee.role,
                    language=application.language,
                    by=application.applicant,
                    at=at,
                )


def unseated(application: Application) -> list[Nominee]:
    """Return the administrators named by an approved application who have no seat yet, the applicant aside."""
    if application.status != "approved":
        return []
    seats = Seat.objects.filter(institution_id=application.institution_id, ended_at=None)
    seated = set(seats.values_list("user_id", flat=True))
    missing = []
    for nominee in nominees_of(application):
        user = account_of(nominee)
        if nominee.email != application.applicant.email.lower() and (user is None or user.pk not in seated):
            missing.append(nominee)
    return missing
