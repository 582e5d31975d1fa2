"""Mails of an agreement's life: to owners, to staff, and to a delegate who has no account."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from consortium.kernel import mail
from consortium.kernel.language import bilingual
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.agreements.delegates import make_link
from members.agreements.ending import standing_notice
from members.agreements.history import offered_revisions
from members.models import Agreement, AgreementEvent, SigningInvitation, User
from members.permissions import Permission
from members.queries import owners_of, staff_with


@dataclass(frozen=True)
class Reader:
    """Somebody without an account to whom we write."""

    email: str
    name: str
    language: str

    def __str__(self) -> str:
        """The name, as the mail greets."""
        return self.name


def _agreement(event: AuditEvent) -> Agreement:
    return Agreement.objects.select_related("institution", "issuer", "follows").get(pk=UUID(event.object_id))


def _owners(event: AuditEvent, row: Agreement, template: str, **context: Any) -> None:
    _send(event, owners_of(row.institution_id), template, row, "agreement", row.institution.slug, row.pk, **context)


def _staff(event: AuditEvent, row: Agreement, template: str, **context: Any) -> None:
    people = staff_with(Permission.REVIEW_APPLICATIONS)
    _send(event, people, template, row, "admin:members_agreement_change", row.pk, **context)


def _send(
    event: AuditEvent,
    people: Iterable[User | Reader],
    template: str,
    row: Agreement,
    route: str,
    *args: Any,
    **context: Any,
) -> None:
    for person in people:
        with translation.override(person.language):
            url = settings.PUBLIC_URL + reverse(route, args=args)
        known = {
            **context,
            "person": person,
            "agreement": row,
            "university": bilingual(row.institution, "name", person.language),
            "url": url,
        }
        mail.compose(
            event, recipient=person.email, template=template, language=person.language, context=known, at=event.at
        )


@receiver("members.mail_offer")
def mail_offer(event: AuditEvent) -> None:
    """Tell the owners that an agreement, a renewal or a revised offer waits for their signature."""
    row = _agreement(event)
    again = len(offered_revisions(row)) > 1
    _owners(event, row, "members_offer", again=again)


@receiver("members.mail_change_requested")
def mail_change_requested(event: AuditEvent) -> None:
    """Tell staff what the institution wants changed."""
    row = _agreement(event)
    _staff(event, row, "members_change_requested", text=_text(row, event, "change_requested"))


@receiver("members.mail_comment")
def mail_comment(event: AuditEvent) -> None:
    """Bring a remark to the other side."""
    row = _agreement(event)
    write = _staff if event.after.get("side") == "member" else _owners
    write(event, row, "members_agreement_comment", text=_text(row, event, "commented"))


@receiver("members.mail_agreement_withdrawn")
def mail_agreement_withdrawn(event: AuditEvent) -> None:
    """Tell the owners that an offer or an announcement was taken back."""
    row = _agreement(event)
    _owners(event, row, "members_agreement_withdrawn", text=_text(row, event, "withdrawn"))


@receiver("members.mail_delegate")
def mail_delegate(event: AuditEvent) -> None:
    """Send the delegate the link, which is made here and nowhere kept."""
    invitation = SigningInvitation.objects.select_related("agreement__institution", "created_by").get(
        pk=UUID(event.object_id)
    )
    if invitation.revoked_at is not None or invitation.used_at is not None:
        return  # a newer one is on its way
    reader = Reader(invitation.email, invitation.name, invitation.language)
    token, row = make_link(invitation), invitation.agreement
    context = {"by": invitation.created_by, "expires_at": invitation.expires_at}
    _send(event, [reader], "members_delegate", row, "agreement_sign", token, **context)


# What happened to an agreement in force, and the mail that says so.
CHANGES = {
    "members.agreement_announced": "members_prices",
    "members.agreement_suspended": "members_suspended",
    "members.agreement_resumed": "members_resumed",
    "members.agreement_notice_given": "members_notice",
    "members.agreement_notice_withdrawn": "members_notice_withdrawn",
    "members.agreement_ended": "members_ended",
}


@receiver("members.mail_agreement_changed")
def mail_agreement_changed(event: AuditEvent) -> None:
    """Tell the owners, and staff, what changed in the life of an agreement in force."""
    row = _agreement(event)
    kind = event.action.removeprefix("members.agreement_")
    happened = _event(row, event, kind)
    context = {"text": happened.text if happened else "", "day": happened.day if happened else None}
    _owners(event, row, CHANGES[event.action], **context)
    if kind in ("notice_given", "notice_withdrawn", "ended"):
        _staff(event, row, CHANGES[event.action], **context)


@receiver("members.mail_agreement_ends")
def mail_agreement_ends(event: AuditEvent) -> None:
    """Remind the owners of the last day: of the renewal that waits, or of taking their data away."""
    row = _agreement(event)
    renewal = Agreement.objects.filter(follows=row, kind="renewal", status__in=["offered", "signed"]).first()
    _owners(
        event,
        renewal or row,
        "members_agreement_ends",
        renewal=renewal,
        notice=standing_notice(row),
        last_day=date.fromisoformat(str(event.after["last_day"])),
        days=event.after.get("days"),
    )


def _event(row: Agreement, event: AuditEvent, kind: str) -> AgreementEvent | None:
    rows = AgreementEvent.objects.filter(agreement=row, kind=kind, at__lte=event.at)
    return rows.order_by("at", "id").last()


def _text(row: Agreement, event: AuditEvent, kind: str) -> str:
    happened = _event(row, event, kind)
    return happened.text if happened else ""
