"""Mail that comes back: the report of a mail server (RFC 3464) is read, matched to our mail, and becomes a task.

Our mails carry their key in the Message-ID, and servers return it. Only a report of a final failure counts, for the
very address that we wrote to; anything else, auto-replies among them, is nobody's bounce.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing.delivering import came_back
from billing.models import MailBounce
from billing.states_collecting import BOUNCE
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid
from consortium.models import OutgoingMail
from members.models import User
from members.permissions import Permission, check_staff

MAIL_SERVER: Final = System("mail server")
LONGEST: Final = 5_000_000  # bytes; a report returns at most the mail that we sent
OURS: Final = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@consortium\.portal>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a report says of one mail of ours: to whom it could not be given, and why."""

    mail_id: UUID
    recipient: str
    code: str
    diagnostic: str


def read_report(raw: bytes) -> Failure | None:
    """Will read a mail as a report about one of ours; None for everything else, however it is made. Pure."""
    if len(raw) > LONGEST:
        return None
    message = message_from_bytes(raw, policy=policy.default)
    if message.get_content_type() != "multipart/report":
        return None
    parts = list(message.walk())
    statuses = [
        field for part in parts if part.get_content_type() == "message/delivery-status" for field in _blocks(part)
    ]
    failed = next((block for block in statuses if str(block.get("Action", "")).strip().lower() == "failed"), None)
    found = OURS.search("\n".join(_returned(part) for part in parts))
    if failed is None or found is None:
        return None
    recipient = str(failed.get("Original-Recipient") or failed.get("Final-Recipient") or "").rpartition(";")[2].strip()
    return Failure(
        mail_id=UUID(found[1]),
        recipient=recipient.strip("<>"),
        code=" ".join(str(failed.get("Status", "")).split())[:12] or "5.0.0",
        diagnostic=" ".join(str(failed.get("Diagnostic-Code", "")).split())[:500],
    )


@transaction.atomic
def take_report(raw: bytes, *, at: datetime) -> MailBounce | None:
    """Will keep a bounce once, mark the delivery that it concerns, and tell owners and staff; None where it is none.

    Needs a consortium scope.
    """
    failure = read_report(raw)
    if failure is None:
        return None
    mail = OutgoingMail.objects.select_for_update().filter(pk=failure.mail_id).first()
    if mail is None or mail.recipient.casefold() != failure.recipient.casefold():
        return None
    bounce, made = MailBounce.objects.get_or_create(
        mail=mail,
        defaults={
            "institution_id": mail.institution_id,
            "recipient": mail.recipient,
            "code": failure.code,
            "diagnostic": failure.diagnostic,
            "at": at,
        },
    )
    if made:
        came_back(mail.pk, why=f"{failure.code} {failure.diagnostic}".strip(), at=at)
        audit.record(
            "billing.mail_bounced",
            bounce,
            by=MAIL_SERVER,
            at=at,
            institution_id=mail.institution_id,
            after={"template": mail.template, "code": failure.code, "to": audit.digest(mail.recipient)},
            deliver_to=("billing.mail_bounce",),
        )
    return bounce


@transaction.atomic
def handle_bounce(bounce: MailBounce, *, note: str, by: User | System, at: datetime) -> None:
    """Will close the task, with what was done. Raises Forbidden, Invalid, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    if not note.strip():
        raise Invalid(_("Write what was done."), field="note")
    handler = by if isinstance(by, User) else None
    BOUNCE.move(bounce, "handled", handled_by=handler, handled_at=at, note=note.strip()[:300])
    audit.record("billing.bounce_handled", bounce, by=by, at=at, institution_id=bounce.institution_id)


def _blocks(part: Message) -> list[Message]:
    """The blocks of a delivery status: one for the report, one for each recipient."""
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _returned(part: Message) -> str:
    """The Message-ID of the mail that came back, from its headers or as its text."""
    kind = part.get_content_type()
    if kind == "message/rfc822":
        return "".join(str(inner.get("Message-ID", "")) for inner in _blocks(part))
    if kind == "text/rfc822-headers" and isinstance(part, EmailMessage):
        text = part.get_payload(decode=True)
        return text.decode("ascii", "replace") if isinstance(text, bytes) else ""
    return ""
