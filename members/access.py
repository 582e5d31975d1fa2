"""A university that is a member already: who its people are by their addresses, and how they ask its owners for a seat.

Owners' addresses are never shown to who asks; they get the asker's.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid, PortalError
from members.models import AccessDecision, AccessRequest, Application, Institution, Membership, Seat, User

# Addresses there say nothing of where somebody works.
PUBLIC_MAIL: Final = frozenset(
    {
        "aol.com",
        "bell.net",
        "fastmail.com",
        "gmail.com",
        "gmx.com",
        "googlemail.com",
        "hotmail.ca",
        "hotmail.com",
        "hotmail.fr",
        "icloud.com",
        "laposte.net",
        "live.ca",
        "live.com",
        "me.com",
        "msn.com",
        "outlook.com",
        "outlook.fr",
        "pm.me",
        "proton.me",
        "protonmail.com",
        "qq.com",
        "rogers.com",
        "shaw.ca",
        "sympatico.ca",
        "telus.net",
        "videotron.ca",
        "yahoo.ca",
        "yahoo.com",
        "yahoo.fr",
        "yandex.com",
        "zoho.com",
    }
)
ASKED_AT_MOST: Final = 5


class AlreadyMember(PortalError):
    """The institution has joined already; `institution` is the one whose owners are to be asked."""

    code = "already_member"

    def __init__(self, institution: Institution, *, field: str | None = None) -> None:
        super().__init__(
            _("%(university)s is a member already. Ask one of its owners to give you a seat.")
            % {"university": institution.name},
            field=field,
        )
        self.institution = institution


class AlreadyAsked(PortalError):
    """The owners have the request; they are not written to twice."""

    code = "already_asked"


def suffixes(host: str) -> list[str]:
    """Will return the host and every domain above it: a.b.ca gives a.b.ca, b.ca, ca."""
    labels = host.lower().strip(".").split(".")
    return [".".join(labels[index:]) for index in range(len(labels))]


def belongs_to(host: str, domain: str) -> bool:
    """Will tell whether a host is the domain or stands below it."""
    return bool(domain) and domain.lower() in suffixes(host)


def host_of(email: str) -> str:
    """Will return what stands after the @, in small letters."""
    return email.rpartition("@")[2].lower()


def member_of_hosts(hosts: Iterable[str]) -> Institution | None:
    """Return a member whose domain, or a domain of whose approved application, covers one of the hosts.

    Needs a consortium scope. Providers of mail for everybody are nobody's.
    """
    wanted = {suffix for host in hosts for suffix in suffixes(host)} - PUBLIC_MAIL
    members = Membership.objects.exclude(status="ended").values("institution_id")
    for institution in Institution.objects.filter(pk__in=members).exclude(domain=""):
        if institution.domain.lower() in wanted:
            return institution
    declared = Application.objects.filter(
        status="approved", institution__in=members, email_domains__overlap=sorted(wanted)
    )
    application = declared.select_related("institution").first()
    return application.institution if application else None


@transaction.atomic
def request_access(*, institution: Institution, by: User, at: datetime) -> AccessRequest:
    """Ask a member's owners for a seat; they are written to once. Needs Scope.APPLICANT.

    Raises AlreadyAsked, and Invalid for who has a seat there, for a university that is no member, and for who asks more
    than a few universities in a day.
    """
    if not Membership.objects.filter(institution=institution).exclude(status="ended").exists():
        raise Invalid(_("This university is not a member. You can apply for it."))
    if Seat.objects.filter(institution=institution, user=by, ended_at=None).exists():
        raise Invalid(_("You have a seat at this university already."))
    if AccessRequest.objects.filter(user=by, created_at__gt=at - timedelta(days=1)).count() >= ASKED_AT_MOST:
        raise Invalid(_("You have asked several universities today. Please try again tomorrow."))
    try:
        with transaction.atomic():
            request = AccessRequest.objects.create(institution=institution, user=by, created_at=at)
    except IntegrityError as error:
        declined = AccessDecision.objects.filter(request__institution=institution, request__user=by, granted_role="")
        words = (
            _("The owners of %(university)s have declined your request. Ask a colleague there to invite you.")
            if declined.exists()
            else _("The owners of %(university)s have your request. They will answer you.")
        )
        raise AlreadyAsked(words % {"university": institution.name}) from error
    audit.record(
        "members.access_requested",
        request,
        by=by,
        at=at,
        institution_id=institution.pk,
        deliver_to=("members.mail_access",),
    )
    return request


def asked_by(user: User) -> set[str]:
    """The slugs of the universities whose owners the person has asked. Needs Scope.APPLICANT."""
    return set(AccessRequest.objects.filter(user=user).values_list("institution__slug", flat=True))
