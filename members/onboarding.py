"""Joining: an application from its first draft to the decision, and the conversation about it."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid, PortalError
from consortium.kernel.states import TransitionRefused
from members.access import AlreadyMember, member_of_hosts
from members.agreements import draft_agreement, offer_agreement
from members.answers import ANSWERS, missing_answers
from members.models import (
    Agreement,
    AgreementTemplate,
    Application,
    ApplicationNote,
    Institution,
    Membership,
    Seat,
    User,
)
from members.nominees import clean_nominees, invite_nominees, seat_nominees
from members.permissions import Permission, check_staff
from members.roles import Role
from members.schedule import ScheduleTemplate
from members.states import APPLICATION

OPEN: Final = ("draft", "submitted", "questioned")
OPEN_AT_MOST: Final = 3


class AlreadyApplying(PortalError):
    """Somebody else has an open application for the institution."""

    code = "already_applying"


class ApplicationIncomplete(Invalid):
    """An answer is missing; `missing` names all of them, `field` the first."""

    code = "application_incomplete"

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(_("Some answers are missing. Complete them, then submit."), field=missing[0])
        self.missing = missing


class InstitutionUnconfirmed(PortalError):
    """An applicant wrote the institution's entry of the directory, and nobody has confirmed it."""

    code = "institution_unconfirmed"


class NoTemplate(PortalError):
    """There is nothing to offer in the currency that was asked for."""

    code = "no_template"


@transaction.atomic
def start_application(*, institution: Institution, by: User, at: datetime) -> Application:
    """Begin a draft for the institution; the applicant's own open application is returned as it is.

    Needs Scope.APPLICANT. Raises AlreadyMember, AlreadyApplying.
    """
    refuse_member(institution)
    existing = Application.objects.filter(institution=institution, status__in=OPEN).first()
    if existing is None:
        try:
            with transaction.atomic():
                application = Application.objects.create(
                    institution=institution, applicant=by, language=by.language, created_at=at
                )
        except IntegrityError:  # somebody was faster
            existing = Application.objects.filter(institution=institution, status__in=OPEN).first()
        else:
            audit.record("members.application_started", application, by=by, at=at, institution_id=institution.pk)
            return application
    if existing is None or existing.applicant_id != by.pk:
        raise AlreadyApplying(
            _("A colleague of %(university)s has begun an application. Ask at your university, or write to us.")
            % {"university": institution.name}
        )
    return existing


def refuse_many_drafts(user: User) -> None:
    """Raise Invalid when the person has several open applications: each may put an entry into the directory."""
    if Application.objects.filter(applicant=user, status__in=OPEN).count() >= OPEN_AT_MOST:
        raise Invalid(_("You have several open applications. Finish or withdraw one first."))


def refuse_member(institution: Institution) -> None:
    """Raise AlreadyMember when the institution has a membership, whose owners are the ones to ask."""
    if Membership.objects.filter(institution=institution).exists():
        raise AlreadyMember(institution)


@transaction.atomic
def save_application(application: Application, *, values: Mapping[str, object], by: User, at: datetime) -> None:
    """Keep answers, complete or not, while the applicant may still change them. Raises Forbidden, Invalid."""
    _check_applicant(application, by)
    if unknown := set(values) - set(ANSWERS):
        raise Invalid(f"An application has no answer {min(unknown)!r}.")
    if application.status not in ("draft", "questioned"):
        raise Invalid(_("The application was submitted; its answers are fixed now."))
    changed = {name: value for name, value in values.items() if getattr(application, name) != value}
    _check_answers(application, changed)
    rows = Application.objects.filter(pk=application.pk, status=application.status)
    if changed and not rows.update(**{name: getattr(application, name) for name in changed}):
        raise Invalid(_("The application was submitted; its answers are fixed now."))
    if changed:
        audit.record(
            "members.application_saved",
            application,
            by=by,
            at=at,
            institution_id=application.institution_id,
            after={"answers": len(changed)},
        )


def _check_answers(application: Application, changed: Mapping[str, Any]) -> None:
    """Put the answers into the application. Raises Invalid, which names the first that cannot be one."""
    if "administrators" in changed:
        changed = {**changed, "administrators": clean_nominees(changed["administrators"])}
    if "email_domains" in changed and (member := member_of_hosts(map(str, changed["email_domains"]))):
        raise AlreadyMember(member, field="email_domains")
    kept = {name: getattr(application, name) for name in changed}
    _put(application, changed)
    try:
        application.clean_fields(exclude={field.name for field in Application._meta.fields} - set(changed))  # noqa: SLF001
    except ValidationError as error:
        _put(application, kept)
        name, messages = next(iter(error.message_dict.items()))
        raise Invalid(messages[0], field=name) from error


def _put(application: Application, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(application, name, value)


@transaction.atomic
def submit_application(application: Application, *, by: User, at: datetime) -> None:
    """Hand the application to the reviewers. Raises ApplicationIncomplete, AlreadyMember, TransitionRefused."""
    _check_applicant(application, by)
    refuse_member(application.institution)
    if missing := missing_answers(application):
        raise ApplicationIncomplete(missing)
    before = application.status
    APPLICATION.move(application, "submitted", submitted_at=at)
    _record(application, "submitted", before, by, at, deliver_to=("members.mail_received", "members.mail_review"))


@transaction.atomic
def withdraw_application(application: Application, *, by: User, at: datetime) -> None:
    """Take the application back."""
    _check_applicant(application, by)
    before = application.status
    APPLICATION.move(application, "withdrawn", decided_at=at)
    # Reviewers have never heard of a draft.
    receivers = () if before == "draft" else ("members.mail_withdrawn",)
    _record(application, "withdrawn", before, by, at, deliver_to=receivers)


@transaction.atomic
def ask_applicant(application: Application, *, text: str, by: User, at: datetime) -> ApplicationNote:
    """Put a question, or one more before the first is answered; the application waits for the answer."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    before = application.status
    if before == "questioned":
        # Locked, so that an answer on its way cannot leave a question that nobody waits for.
        if not Application.objects.select_for_update().filter(pk=application.pk, status=before).exists():
            raise TransitionRefused(_("The applicant has just answered. Reload, then ask again."))
    else:
        APPLICATION.move(application, "questioned")
    note = _add_note(application, "question", text, by, at)
    _record(application, "questioned", before, by, at, deliver_to=("members.mail_question",), note=note)
    return note


@transaction.atomic
def answer_question(application: Application, *, text: str, by: User, at: datetime) -> ApplicationNote:
    """Answer the reviewer's question; the application is back with the reviewers."""
    _check_applicant(application, by)
    note = _add_note(application, "answer", text, by, at)
    before = application.status
    if before != "questioned":
        raise Invalid(_("There is no open question."))
    refuse_member(application.institution)
    if missing := missing_answers(application):
        raise ApplicationIncomplete(missing)
    APPLICATION.move(application, "submitted")
    _record(application, "answered", before, by, at, deliver_to=("members.mail_review",))
    return note


@transaction.atomic
def add_internal_note(application: Application, *, text: str, by: User, at: datetime) -> ApplicationNote:
    """Keep a note that only staff read."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    note = _add_note(application, "internal", text, by, at)
    audit.record("members.application_noted", note, by=by, at=at, institution_id=application.institution_id)
    return note


@transaction.atomic
def decline_application(application: Application, *, reason: str, by: User, at: datetime) -> None:
    """Decline, with a reason that the applicant reads."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    if not reason.strip():
        raise Invalid(_("Write the reason: the applicant reads it."), field="reason")
    before = application.status
    APPLICATION.move(application, "declined", decided_at=at, decision_reason=reason.strip())
    _record(application, "declined", before, by, at, deliver_to=("members.mail_declined",), reason=reason)


@transaction.atomic
def approve_application(
    application: Application, *, starts_on: date, negotiate: bool = False, by: User | System, at: datetime
) -> Agreement:
    """Accept the institution: a joining membership, the applicant as its owner, an agreement offered for signature.

    The agreement comes from the newest template in the currency of the application; with `negotiate` it stays the
    consortium's draft. Named administrators whose address has a confirmed account get their seats, the others an
    invitation. Raises Forbidden, TransitionRefused, AlreadyMember, InstitutionUnconfirmed, NoTemplate.
    """
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    refuse_member(application.institution)
    if not Institution.objects.filter(pk=application.institution_id, confirmed=True).exists():
        raise InstitutionUnconfirmed(
            _("The applicant wrote this institution's entry. Check and confirm it first, then approve.")
        )
    if missing := missing_answers(application):
        raise ApplicationIncomplete(missing)
    template = newest_template(application.currency)
    before = application.status
    APPLICATION.move(application, "approved", decided_at=at)
    seat_nominees(application, by=by, at=at)
    _record(application, "approved", before, by, at, deliver_to=("members.mail_approved", "members.mail_nominees"))
    fte = _begin_membership(application, template, by, at)
    invite_nominees(application, at=at)
    agreement = draft_agreement(
        institution=application.institution,
        template=template,
        fte=fte,
        po_required=application.po_required,
        starts_on=starts_on,
        by=by,
        at=at,
    )
    if not negotiate:
        offer_agreement(agreement, by=by, at=at)
    return agreement


def _begin_membership(application: Application, template: AgreementTemplate, by: User | System, at: datetime) -> int:
    """Make the joining membership, with the tier of its size, and its first owner; returns the students (FTE)."""
    fte = application.fte or 0
    tier = ScheduleTemplate.parse(template.schedule).tier_for(fte)
    membership = Membership.objects.create(institution=application.institution, tier=tier.code, fte=fte)
    Seat.objects.create(
        institution=application.institution,
        user=application.applicant,
        role=Role.OWNER,
        source="application",
        created_at=at,
    )
    audit.record(
        "members.membership_begun",
        membership,
        by=by,
        at=at,
        institution_id=application.institution_id,
        after={"tier": tier.code},
    )
    return fte


def newest_template(currency: str) -> AgreementTemplate:
    """Return the newest agreement template whose prices are in the currency. Raises NoTemplate."""
    templates = AgreementTemplate.objects.filter(schedule__currency=currency).order_by("-created_at", "-version")
    template = templates.select_related("issuer").first()
    if template is None:
        raise NoTemplate(
            _("There is no agreement template with prices in %(currency)s. Publish one first.") % {"currency": currency}
        )
    return template


def _check_applicant(application: Application, by: User) -> None:
    if application.applicant_id != by.pk or not by.is_active:
        raise Forbidden(_("This application belongs to somebody else."))


def _add_note(application: Application, kind: str, text: str, by: User, at: datetime) -> ApplicationNote:
    if not text.strip():
        raise Invalid(_("Write something first."), field="text")
    return ApplicationNote.objects.create(
        institution_id=application.institution_id,
        application=application,
        author=by,
        kind=kind,
        text=text.strip(),
        at=at,
    )


def _record(
    application: Application,
    what: str,
    before: str,
    by: User | System,
    at: datetime,
    *,
    deliver_to: tuple[str, ...] = (),
    reason: str = "",
    note: ApplicationNote | None = None,
) -> None:
    after: dict[str, audit.Fact] = {"status": application.status}
    if note is not None:
        after["note"] = note.pk
    audit.record(
        f"members.application_{what}",
        application,
        by=by,
        at=at,
        institution_id=application.institution_id,
        before={"status": before},
        after=after,
        reason=reason,
        deliver_to=deliver_to,
    )
