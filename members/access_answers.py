"""How a member's owners answer who asked for a seat: a role, or a polite no. Each request is answered once."""

from dataclasses import dataclass
from datetime import datetime

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid, PortalError
from members.access import belongs_to, host_of
from members.models import AccessDecision, AccessRequest, Institution, Seat, User
from members.people import add_seat
from members.permissions import Permission, check_at


class AlreadyAnswered(PortalError):
    """Another owner was faster."""

    code = "already_answered"


@dataclass(frozen=True)
class Asker:
    """Somebody who waits for an answer, and what tells an owner who that is."""

    request: AccessRequest
    has_confirmed_address: bool
    is_at_domain: bool


def waiting_at(institution: Institution) -> list[Asker]:
    """Return who asked for a seat, has none and has no answer yet; who asked first comes first."""
    seated = Seat.objects.filter(institution=institution, ended_at=None).values("user_id")
    rows = AccessRequest.objects.filter(institution=institution, decision=None).exclude(user_id__in=seated)
    requests = list(rows.filter(user__is_active=True).select_related("user").order_by("created_at"))
    own = EmailAddress.objects.filter(user__in=[each.user_id for each in requests], verified=True)
    confirmed = {(user_id, email.lower()) for user_id, email in own.values_list("user_id", "email")}
    return [
        Asker(
            request=each,
            has_confirmed_address=(each.user_id, each.user.email.lower()) in confirmed,
            is_at_domain=belongs_to(host_of(each.user.email), institution.domain),
        )
        for each in requests
    ]


@transaction.atomic
def grant_access(request: AccessRequest, *, role: str, by: User, at: datetime) -> Seat:
    """Give who asked a seat in that role; they are told by mail.

    Raises Forbidden, Invalid (an unknown role, a closed account), SeatTaken, AlreadyAnswered.
    """
    check_at(by, Permission.MANAGE_PEOPLE, request.institution_id)
    if not request.user.is_active:
        raise Invalid(_("This account is closed."))
    _decide(request, role, by=by, at=at)
    return add_seat(institution=request.institution, user=request.user, role=role, by=by, at=at, source="request")


@transaction.atomic
def decline_access(request: AccessRequest, *, by: User, at: datetime) -> None:
    """Say no; who asked is told by mail, without the name of the owner. Raises Forbidden, AlreadyAnswered."""
    check_at(by, Permission.MANAGE_PEOPLE, request.institution_id)
    decision = _decide(request, "", by=by, at=at)
    audit.record(
        "members.access_declined",
        decision,
        by=by,
        at=at,
        institution_id=request.institution_id,
        deliver_to=("members.mail_access_declined",),
    )


def _decide(request: AccessRequest, role: str, *, by: User, at: datetime) -> AccessDecision:
    try:
        with transaction.atomic():
            return AccessDecision.objects.create(
                institution_id=request.institution_id, request=request, granted_role=role, decided_by=by, decided_at=at
            )
    except IntegrityError as error:
        if AccessDecision.objects.filter(request=request).exists():
            raise AlreadyAnswered(_("Another owner has answered this request already.")) from error
        raise Invalid(_("Choose one of the roles."), field="role") from error
