"""Reads of the app: what the pages, mails and the admin site show. None of them writes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from consortium.kernel.language import bilingual
from members.mfa import FACTORS
from members.models import (
    Agreement,
    AgreementEvent,
    Application,
    ApplicationNote,
    Institution,
    Invitation,
    Membership,
    OwnershipOffer,
    Seat,
    Signature,
    User,
)
from members.permissions import MFA_ROLES, ROLES, STAFF_ROLES, Permission
from members.roles import REVIEW_AFTER, Role
from members.states import AGREEMENT, APPLICATION


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a timeline."""

    at: datetime
    title: str
    actor: str = ""
    body: str = ""
    tone: str = "neutral"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where something stands, in words: the state, its tone, whose turn it is, and what they do next."""

    label: str
    tone: str
    owner: str
    next_step: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """A seat on the people page: how it came to be, the person's second factor, when its review is due."""

    seat: Seat
    role: str
    source: str
    has_mfa: bool
    needs_mfa: bool
    is_me: bool
    review_due: datetime


TONES = {
    "draft": "neutral",
    "submitted": "info",
    "questioned": "warning",
    "approved": "success",
    "declined": "danger",
    "withdrawn": "neutral",
    "offered": "warning",
    "signed": "info",
    "in_force": "success",
    "announced": "info",
    "suspended": "danger",
    "terminating": "warning",
    "superseded": "neutral",
    "ended": "neutral",
}


def state_words(value: str) -> str:
    """A state of an application or agreement, as people read it."""
    return {
        "draft": _("Draft"),
        "submitted": _("In review"),
        "questioned": _("Question asked"),
        "approved": _("Approved"),
        "declined": _("Declined"),
        "withdrawn": _("Withdrawn"),
        "offered": _("To be signed"),
        "signed": _("Signed, to be countersigned"),
        "in_force": _("In force"),
        "announced": _("Announced"),
        "suspended": _("Suspended"),
        "terminating": _("Under notice"),
        "superseded": _("Superseded"),
        "ended": _("Ended"),
    }.get(value, value)


def _owner_words(owner: str) -> str:
    return {
        "applicant": _("You"),
        "reviewer": _("The consortium"),
        "signatory": _("Your signatory"),
        "owner": _("An owner"),
        "nobody": _("Nobody"),
    }.get(owner, owner)


def role_words(role: str) -> str:
    """A role, as people read it."""
    return {
        Role.OWNER.value: _("Owner"),
        Role.FINANCE.value: _("Finance"),
        Role.TECHNICAL.value: _("Technical"),
        Role.VIEWER.value: _("Viewer"),
    }.get(role, role)


def standing(row: Application | Agreement) -> Standing:
    """Return where an application or agreement stands and whose turn it is."""
    machine = APPLICATION if isinstance(row, Application) else AGREEMENT
    state = machine.state(row.status)
    return Standing(
        label=state_words(row.status),
        tone=TONES.get(row.status, "neutral"),
        owner=_owner_words(state.owner),
        next_step=bilingual(state, "next"),
    )


def search_institutions(text: str, *, limit: int = 50) -> list[Institution]:
    """Find universities by name in either language, city, domain or ROR id; each has `is_member`.

    Those that no reviewer has confirmed are not found. Needs a consortium scope.
    """
    found = Institution.objects.filter(confirmed=True)
    for word in text.split()[:8]:
        found = found.filter(
            Q(name_en__icontains=word)
            | Q(name_fr__icontains=word)
            | Q(city__icontains=word)
            | Q(domain__icontains=word)
            | Q(slug__iexact=word)
            | Q(ror=word.lower().rstrip("/").rpartition("/")[2], ror__gt="")
        )
    return list(found.annotate(is_member=Exists(Membership.objects.filter(institution=OuterRef("pk"))))[:limit])


def has_seat(user: User, institution: Institution) -> bool:
    """Tell whether the person has a seat there. Needs a scope that sees the person's seats."""
    return Seat.objects.filter(user=user, institution=institution, ended_at=None).exists()


def own_applications(user: User) -> "QuerySet[Application]":
    """The person's applications, newest first. Needs Scope.APPLICANT."""
    return Application.objects.filter(applicant=user).select_related("institution", "applicant")


def timeline(application: Application, *, internal: bool = False) -> list[Event]:
    """What happened to an application, oldest first; notes of staff among themselves only with `internal`."""
    events = [Event(at=application.created_at, title=_("Application begun"), actor=str(application.applicant))]
    if application.submitted_at:
        events.append(
            Event(at=application.submitted_at, title=_("Submitted"), actor=str(application.applicant), tone="info")
        )
    notes = application.notes.select_related("author")
    for note in notes if internal else notes.exclude(kind="internal"):
        title, tone = {
            "question": (_("The consortium asks"), "warning"),
            "answer": (_("Answer"), "info"),
            "internal": (_("Note among staff"), "neutral"),
        }[note.kind]
        # An applicant writes with the consortium, not with one of its people.
        actor = _("The consortium") if note.kind == "question" and not internal else str(note.author)
        events.append(Event(at=note.at, title=title, actor=actor, body=note.text, tone=tone))
    events += _signed(application)
    if application.decided_at:
        tone = TONES.get(application.status, "neutral")
        body = application.decision_reason
        events.append(Event(at=application.decided_at, title=state_words(application.status), body=body, tone=tone))
    return sorted(events, key=lambda event: event.at)


def open_questions(application: Application) -> list[ApplicationNote]:
    """What the consortium has asked since the applicant's last answer, oldest first; empty when nothing is open."""
    if application.status != "questioned":
        return []
    asked: list[ApplicationNote] = []
    for note in application.notes.filter(kind__in=["question", "answer"]).order_by("at"):
        asked = [*asked, note] if note.kind == "question" else []
    return asked


def _signed(application: Application) -> list[Event]:
    """The signatures that followed an approval."""
    if application.status != "approved":
        return []
    names = {"member": _("Your university signed"), "consortium": _("The consortium signed")}
    signatures = Signature.objects.filter(institution_id=application.institution_id).order_by("at")
    return [Event(at=row.at, title=names[row.side], actor=row.name, tone="success") for row in signatures]


def source_words(source: str) -> str:
    """How a seat came to be, as people read it."""
    return {
        "application": _("Applied for membership"),
        "owner": _("Given by an owner"),
        "invitation": _("Invited"),
        "request": _("Asked for it"),
        "consortium": _("Named by the consortium"),
        "ownership": _("Took over"),
        "sign_on": _("Joined by sign-on"),
    }.get(source, source)


def people_at(institution: Institution, *, me: User) -> list[Person]:
    """The seats that have not ended, owners first. Needs a scope that sees the institution."""
    seats = list(
        Seat.objects.filter(institution=institution, ended_at=None)
        .select_related("user")
        .annotate(has_mfa=Exists(Authenticator.objects.filter(user=OuterRef("user_id"), type__in=FACTORS)))
    )
    order = {role: index for index, role in enumerate(Role.values)}
    seats.sort(key=lambda seat: (order[seat.role], str(seat.user).casefold()))
    return [
        Person(
            seat=seat,
            role=role_words(seat.role),
            source=source_words(seat.source),
            has_mfa=bool(seat.has_mfa),
            needs_mfa=seat.role in MFA_ROLES,
            is_me=seat.user_id == me.pk,
            review_due=(seat.reviewed_at or seat.created_at) + REVIEW_AFTER,
        )
        for seat in seats
    ]


@dataclass(frozen=True, kw_only=True)
class Invited:
    """An invitation on the people page; `is_expired` when its link is good no more."""

    row: Invitation
    role: str
    is_expired: bool


def invitations_of(institution: Institution, *, at: datetime) -> list[Invited]:
    """The invitations that nobody has accepted or withdrawn, the newest first; expired ones too."""
    rows = Invitation.objects.filter(institution=institution, status="open").select_related("invited_by")
    return [
        Invited(row=row, role=role_words(row.role), is_expired=row.expires_at <= at)
        for row in rows.order_by("-created_at")
    ]


def ownership_offers_of(institution: Institution) -> "QuerySet[OwnershipOffer]":
    """The offers of ownership that wait for an answer."""
    rows = OwnershipOffer.objects.filter(institution=institution, status="offered")
    return rows.select_related("institution", "offered_by", "offered_to")


def owners_of(institution_id: UUID) -> list[User]:
    """The active owners of an institution."""
    return _people(
        Seat.objects.filter(institution_id=institution_id, role=Role.OWNER, ended_at=None).values_list(
            "user_id", flat=True
        )
    )


def people_with(institution_id: UUID, permission: Permission) -> list[User]:
    """The active people of an institution who hold a permission there."""
    roles = [role for role, held in ROLES.items() if permission in held]
    seats = Seat.objects.filter(institution_id=institution_id, role__in=roles, ended_at=None)
    return _people(seats.values_list("user_id", flat=True))


def staff_with(permission: Permission) -> list[User]:
    """The active consortium staff who hold a permission."""
    roles = [role for role, held in STAFF_ROLES.items() if permission in held]
    return list(
        User.objects.filter(
            is_active=True, is_staff=True, staff_seats__role__in=roles, staff_seats__ended_at=None
        ).distinct()
    )


def _people(keys: Iterable[UUID]) -> list[User]:
    return list(User.objects.filter(pk__in=list(keys), is_active=True).order_by("email"))


def agreements_of(institution: Institution) -> "QuerySet[Agreement]":
    """Every version that the institution may see, newest first: drafts only once they were offered."""
    was_offered = Exists(AgreementEvent.objects.filter(agreement=OuterRef("pk"), kind="offered"))
    rows = Agreement.objects.filter(~Q(status__in=["draft", "withdrawn"]) | was_offered, institution=institution)
    return rows.select_related("issuer", "institution", "follows")
