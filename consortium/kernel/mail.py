"""Mail: composed once per (event, recipient, template), in the recipient's language, sent by the sweeper."""

import email.message
import email.policy
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation

from consortium.kernel.crash import crash_point
from consortium.kernel.documents import read
from consortium.kernel.secret_links import without_secret_links
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Document, OutgoingMail

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 8


def compose(
    event: AuditEvent,
    *,
    recipient: str,
    template: str,
    language: str,
    context: Mapping[str, Any],
    at: datetime,
    attachments: Sequence[UUID] = (),
    headers: Mapping[str, str] | None = None,
) -> OutgoingMail:
    """Queue one mail; a second call for the same event, recipient and template returns the first.

    templates/emails/<template>.txt: the first line is the subject, the rest the body.
    """
    with translation.override(language):
        text = render_to_string(f"emails/{template}.txt", {**context, "language": language})
    subject, _, body = text.strip().partition("\n")
    mail, _made = OutgoingMail.objects.get_or_create(
        event=event,
        recipient=recipient,
        template=template,
        defaults={
            "institution_id": event.institution_id,
            "language": language,
            "subject": " ".join(subject.split())[:300],
            "body": body.strip() + "\n",
            "next_at": at,
            "attachment_ids": list(attachments),
            "headers": dict(headers or {}),
        },
    )
    return mail


def send_due(*, at: datetime, limit: int = 50) -> int:
    """Send queued mail that is due; returns how many went out.

    The row is locked while its mail is handed over, so that two sweepers never send one mail twice; a crash between
    hand-over and commit may repeat one, which a mail server's own queue may do as well.
    """
    sent = 0
    for _ in range(limit):
        with consortium_scope(Scope.JOB):
            due = OutgoingMail.objects.filter(state="queued", next_at__lte=at)
            mail = due.select_for_update(skip_locked=True).order_by("next_at").first()
            if mail is None:
                break
            if not _send(mail, at):
                break  # a server that refused one will refuse the next; the sweeper has other duties
        sent += 1
    return sent


class _Message(EmailMessage):
    """A mail whose header lines are as long as mail allows: to break an address the library would disguise it."""

    def message(self, *, policy: Any = email.policy.default) -> email.message.EmailMessage:
        """Build it with lines of at most 998 signs."""
        return super().message(policy=policy.clone(max_line_length=998))


def _send(mail: OutgoingMail, at: datetime) -> bool:
    headers = {**mail.headers, "Message-ID": f"<{mail.pk}@consortium.portal>"}
    message = _Message(mail.subject, mail.body, to=[mail.recipient], headers=headers)
    rows = OutgoingMail.objects.filter(pk=mail.pk, state="queued")
    try:
        for document in Document.objects.filter(pk__in=mail.attachment_ids):
            message.attach(document.name, read(document), document.media_type)
        message.send()
    except Exception as error:  # noqa: BLE001 - whatever the backend raises, the mail stays and is tried again
        log.warning("mail.failed", mail=str(mail.pk), error=str(error))
        over = mail.attempts + 1 >= MAX_ATTEMPTS
        rows.update(
            attempts=mail.attempts + 1,
            error=str(error)[:500],
            next_at=at + timedelta(seconds=min(2**mail.attempts * 10, 3600)),
            state="failed" if over else "queued",
        )
        return False
    crash_point("mail.handed_over")
    # Once it is out only the hashes of its links stay; but the demonstration's one mailbox is this table.
    body = mail.body if settings.DEMO else without_secret_links(mail.body)
    rows.update(state="sent", sent_at=at, attempts=mail.attempts + 1, error="", body=body, headers={})
    return True
