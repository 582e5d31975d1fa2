"""Domains that an institution proves to be its own by a TXT record, and what follows when the record goes away.

The DNS is asked outside of transactions that hold locks; what it said is written afterwards by compare-and-set.
"""

import re
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from consortium.kernel import audit, jobs
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.gateways.dns import DnsError, DnsGateway, TxtAnswer, resolver
from members.models import Domain, Institution, User
from members.models.domains import DOMAIN_PATTERN
from members.permissions import Permission, check_at
from members.sign_on_states import DOMAIN

LABEL = "_portal-challenge"
PREFIX = "portal-verification="
RECHECK_AFTER = timedelta(hours=6)
GRACE = timedelta(days=7)
SHOWN_RECORDS, SHOWN_LENGTH = 10, 300
CHECKER = System("domain checker")


class DomainListed(PortalError):
    """The institution lists that domain already."""

    code = "domain_listed"


class DomainTaken(PortalError):
    """Another institution has proven that the domain is its own."""

    code = "domain_taken"


def record_name(domain: Domain) -> str:
    """Where the TXT record stands."""
    return f"{LABEL}.{domain.name}"


def record_value(domain: Domain) -> str:
    """What the TXT record says."""
    return f"{PREFIX}{domain.token}"


def verified_domains(institution_id: UUID) -> frozenset[str]:
    """The names of the institution's verified domains. Needs a scope that sees the institution."""
    return frozenset(
        Domain.objects.filter(institution_id=institution_id, status="verified").values_list("name", flat=True)
    )


def listed_domains(institution: Institution) -> "QuerySet[Domain]":
    """The domains that the institution has not removed, by name."""
    return Domain.objects.filter(institution=institution).exclude(status="removed")


def plain_name(text: str) -> str:
    """Return a domain as the DNS knows it: lower case, ASCII, without a final dot. Raises Invalid."""
    name = text.strip().rstrip(".").lower()
    try:
        name = name.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not re.fullmatch(DOMAIN_PATTERN, name) or len(name) > 200:
        raise Invalid(_("Write a domain such as example.ca, without https:// and without an @."), field="name")
    return name


@transaction.atomic
def add_domain(*, institution: Institution, name: str, by: User | System, at: datetime) -> Domain:
    """List a domain with a random token that its DNS must publish. Raises Forbidden, Invalid, DomainListed."""
    check_at(by, Permission.MANAGE_SIGN_ON, institution.pk)
    plain = plain_name(name)
    try:
        with transaction.atomic():
            domain = Domain.objects.create(
                institution=institution, name=plain, token=secrets.token_hex(16), created_at=at
            )
    except IntegrityError as error:
        raise DomainListed(_("This domain is in the list already."), field="name") from error
    audit.record("members.domain_added", domain, by=by, at=at, institution_id=institution.pk, after={"domain": plain})
    return domain


@transaction.atomic
def remove_domain(domain: Domain, *, by: User | System, at: datetime) -> None:
    """Take a domain off the list; another institution may prove it then. Raises Forbidden, TransitionRefused."""
    check_at(by, Permission.MANAGE_SIGN_ON, domain.institution_id)
    was = domain.status
    DOMAIN.move(domain, "removed")
    audit.record(
        "members.domain_removed",
        domain,
        by=by,
        at=at,
        institution_id=domain.institution_id,
        before={"domain": domain.name, "status": was},
    )


def check_domain(domain: Domain, *, by: User | System, at: datetime, dns: DnsGateway | None = None) -> Domain:
    """Ask the DNS now and write what it says: verified, still pending, missing, or lost once the grace is over.

    Raises Forbidden, DomainTaken, and DnsError when the DNS gave no answer (which is noted and changes no state).
    """
    check_at(by, Permission.MANAGE_SIGN_ON, domain.institution_id)
    crash_point("domain.before_lookup")
    try:
        answer = (dns or resolver()).txt(record_name(domain))
    except DnsError:
        Domain.objects.filter(pk=domain.pk).update(checked_at=at, problem="no_answer")
        domain.checked_at, domain.problem = at, "no_answer"
        raise
    crash_point("domain.looked_up")
    return _apply(domain, answer, by=by, at=at)


@transaction.atomic
def _apply(domain: Domain, answer: TxtAnswer, *, by: User | System, at: datetime) -> Domain:
    is_there = record_value(domain) in (record.strip() for record in answer.records)
    problem = "" if is_there else "other_value" if answer.records else "no_record" if answer.name_exists else "no_name"
    seen = {
        "checked_at": at,
        "found": [record[:SHOWN_LENGTH] for record in answer.records[:SHOWN_RECORDS]],
        "problem": problem,
    }
    Domain.objects.filter(pk=domain.pk).update(**seen)
    for field, value in seen.items():
        setattr(domain, field, value)
    if is_there:
        _found(domain, by=by, at=at)
    elif domain.status == "verified":
        _missing(domain, by=by, at=at)
    return domain


def _found(domain: Domain, *, by: User | System, at: datetime) -> None:
    if domain.status == "verified":
        if domain.missing_since is not None:
            Domain.objects.filter(pk=domain.pk).update(missing_since=None)
            domain.missing_since = None
            _record("members.domain_found_again", domain, by=by, at=at)
        return
    was = domain.status
    try:
        with transaction.atomic():
            DOMAIN.move(domain, "verified", verified_at=at, missing_since=None)
    except IntegrityError as error:
        domain.status = was
        raise DomainTaken(
            _("Another member has proven that this domain is its own. Write to the consortium if that is wrong.")
        ) from error
    _record("members.domain_verified", domain, by=by, at=at)


def _missing(domain: Domain, *, by: User | System, at: datetime) -> None:
    if domain.missing_since is None:
        Domain.objects.filter(pk=domain.pk).update(missing_since=at)
        domain.missing_since = at
        _record("members.domain_missing", domain, by=by, at=at, deliver_to=("members.mail_domain_missing",))
    elif at - domain.missing_since >= GRACE:
        DOMAIN.move(domain, "lost")
        _record("members.domain_lost", domain, by=by, at=at, deliver_to=("members.mail_domain_lost",))


def _record(action: str, domain: Domain, *, by: User | System, at: datetime, deliver_to: tuple[str, ...] = ()) -> None:
    audit.record(
        action,
        domain,
        by=by,
        at=at,
        institution_id=domain.institution_id,
        after={"domain": domain.name, "status": domain.status},
        deliver_to=deliver_to,
    )


def recheck_due(*, at: datetime) -> int:
    """Want a look at every verified domain not looked at for six hours; returns how many. Beat calls it."""
    with consortium_scope(Scope.JOB):
        stale = Q(checked_at=None) | Q(checked_at__lte=at - RECHECK_AFTER)
        due = list(Domain.objects.filter(stale, status="verified"))
        for domain in due:
            jobs.enqueue(
                "recheck_domain",
                key=f"{domain.pk}:{domain.checked_at.isoformat() if domain.checked_at else ''}",
                at=at,
                institution_id=domain.institution_id,
                arguments={"domain": str(domain.pk)},
            )
    return len(due)
