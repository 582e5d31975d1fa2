"""Mails of joining and people: receivers of the outbox, each to the right people in their own language."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from consortium.kernel import mail
from consortium.kernel.formats import instant_text
from consortium.kernel.language import bilingual
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import (
    AccessDecision,
    AccessRequest,
    Agreement,
    Application,
    Institution,
    OwnershipOffer,
    Seat,
    User,
)
from members.nominees import Nominee, account_of, nominees_of
from members.permissions import Permission
from members.queries import owners_of, role_words, staff_with


def _send(event: AuditEvent, people: Iterable[User], template: str, route: str, *args: Any, **context: Any) -> None:
    """Compose the mail for each person; `institution` among the context is named in the person's language."""
    institution = context.pop("institution")
    for person in people:
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse(route, args=args)
        mail.compose(
            event,
            recipient=person.email,
            template=template,
            language=person.language,
            context={
                **context,
                "person": person,
                "university": bilingual(institution, "name", person.language),
                "url": url,
            },
            at=event.at,
        )


def _application(event: AuditEvent) -> Application:
    return Application.objects.select_related("institution", "applicant").get(pk=UUID(event.object_id))


def _agreement(event: AuditEvent) -> Agreement:
    return Agreement.objects.select_related("institution").get(pk=UUID(event.object_id))


@receiver("members.mail_received")
def mail_received(event: AuditEvent) -> None:
    """Tell the applicant that the application arrived."""
    row = _application(event)
    _send(event, [row.applicant], "members_received", "application", row.pk, institution=row.institution)


@receiver("members.mail_review")
def mail_review(event: AuditEvent) -> None:
    """Tell the reviewers that an application waits for them."""
    row = _application(event)
    _send(
        event,
        staff_with(Permission.REVIEW_APPLICATIONS),
        "members_review",
        "admin:members_application_change",
        row.pk,
        institution=row.institution,
        answered=event.action == "members.application_answered",
    )


@receiver("members.mail_question")
def mail_question(event: AuditEvent) -> None:
    """Tell the applicant what the reviewer asks."""
    row = _application(event)
    question = row.notes.filter(pk=event.after["note"]).first()
    text = question.text if question else ""
    _send(event, [row.applicant], "members_question", "application", row.pk, institution=row.institution, text=text)


@receiver("members.mail_declined")
def mail_declined(event: AuditEvent) -> None:
    """Tell the applicant that it was declined, and why."""
    row = _application(event)
    _send(
        event,
        [row.applicant],
        "members_declined",
        "application",
        row.pk,
        institution=row.institution,
        reason=row.decision_reason,
    )


@receiver("members.mail_approved")
def mail_approved(event: AuditEvent) -> None:
    """Tell the applicant that the university is accepted, and what comes next."""
    row = _application(event)
    _send(event, [row.applicant], "members_approved", "application", row.pk, institution=row.institution)


@receiver("members.mail_nominees")
def mail_nominees(event: AuditEvent) -> None:
    """Tell every named administrator who got a seat; the others get an invitation, the applicant knows."""
    row = _application(event)
    for nominee in nominees_of(row):
        account = account_of(nominee)
        if account is not None and account.pk != row.applicant_id:
            _tell_nominee(event, row, nominee, account)


def _tell_nominee(event: AuditEvent, row: Application, nominee: Nominee, account: User) -> None:
    with translation.override(account.language):
        route = reverse("institution", args=[row.institution.slug])
        role = role_words(nominee.role)
    mail.compose(
        event,
        recipient=nominee.email,
        template="members_nominee",
        language=account.language,
        context={
            "name": nominee.name,
            "role": role,
            "university": bilingual(row.institution, "name", account.language),
            "applicant": str(row.applicant),
            "url": settings.PUBLIC_URL + route,
        },
        at=event.at,
    )


@receiver("members.mail_withdrawn")
def mail_withdrawn(event: AuditEvent) -> None:
    """Tell the reviewers that they need not read on."""
    row = _application(event)
    people = staff_with(Permission.REVIEW_APPLICATIONS)
    _send(event, people, "members_withdrawn", "admin:members_application_change", row.pk, institution=row.institution)


@receiver("members.mail_access")
def mail_access(event: AuditEvent) -> None:
    """Tell a member's owners who asks for a seat; the asker never learns who they are."""
    row = AccessRequest.objects.select_related("institution", "user").get(pk=UUID(event.object_id))
    _send(
        event,
        owners_of(row.institution_id),
        "members_access",
        "people",
        row.institution.slug,
        institution=row.institution,
        asker=str(row.user),
        email=row.user.email,
    )


@receiver("members.mail_access_declined")
def mail_access_declined(event: AuditEvent) -> None:
    """Tell who asked for a seat that the owners said no, without saying who they are."""
    row = AccessDecision.objects.select_related("institution", "request__user").get(pk=UUID(event.object_id))
    _send(event, [row.request.user], "members_access_declined", "apply", institution=row.institution)


@receiver("members.mail_offer")
def mail_offer(event: AuditEvent) -> None:
    """Tell the owners that an agreement waits for their signature."""
    row = _agreement(event)
    people = owners_of(row.institution_id)
    _send(event, people, "members_offer", "agreement", row.institution.slug, row.pk, institution=row.institution)


@receiver("members.mail_signed")
def mail_signed(event: AuditEvent) -> None:
    """Tell staff that an agreement waits for their signature."""
    row = _agreement(event)
    people = staff_with(Permission.COUNTERSIGN_AGREEMENT)
    _send(event, people, "members_signed", "admin:members_agreement_change", row.pk, institution=row.institution)


@receiver("members.mail_in_force")
def mail_in_force(event: AuditEvent) -> None:
    """Tell the owners that the agreement is in force."""
    row = _agreement(event)
    people = owners_of(row.institution_id)
    _send(event, people, "members_in_force", "agreement", row.institution.slug, row.pk, institution=row.institution)


@receiver("members.mail_seat")
def mail_seat(event: AuditEvent) -> None:
    """Tell a person which role they were given."""
    seat = Seat.objects.select_related("institution", "user").get(pk=UUID(event.object_id))
    with translation.override(seat.user.language):
        role = role_words(seat.role)
    _send(
        event,
        [seat.user],
        "members_seat",
        "institution",
        seat.institution.slug,
        institution=seat.institution,
        role=role,
    )


@receiver("members.mail_review_due")
def mail_review_due(event: AuditEvent) -> None:
    """Ask the owners to say of each seat that is due whether it is still needed."""
    institution = Institution.objects.get(pk=UUID(event.object_id))
    people = owners_of(institution.pk)
    count = int(event.after["seats"])
    _send(event, people, "members_review_due", "people", institution.slug, institution=institution, count=count)


@receiver("members.mail_ownership_offered")
def mail_ownership_offered(event: AuditEvent) -> None:
    """Tell the successor that the ownership waits for an answer."""
    row = _offer(event)
    _send(
        event,
        [row.offered_to],
        "members_ownership_offered",
        "ownership_offer",
        row.institution.slug,
        row.pk,
        institution=row.institution,
        giver=row.offered_by,
        until=instant_text(row.expires_at, row.institution.zone, language=row.offered_to.language),
    )


@receiver("members.mail_ownership_decided")
def mail_ownership_decided(event: AuditEvent) -> None:
    """Tell both sides who is the owner now."""
    row = _offer(event)
    _send(
        event,
        [row.offered_by, row.offered_to],
        "members_ownership_decided",
        "institution",
        row.institution.slug,
        institution=row.institution,
        successor=row.offered_to,
        accepted=row.status == "accepted",
    )


def _offer(event: AuditEvent) -> OwnershipOffer:
    return OwnershipOffer.objects.select_related("institution", "offered_by", "offered_to").get(
        pk=UUID(event.object_id)
    )
