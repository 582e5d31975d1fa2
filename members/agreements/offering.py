"""Between draft and signature: offers, wishes for change, remarks, and taking an offer back."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid
from members.agreements.content import content_sha256
from members.agreements.cover import check_term
from members.agreements.delegates import revoke_open_invitations
from members.agreements.history import add_event, revision_number
from members.models import Agreement, AgreementEvent, User
from members.permissions import Permission, check_at, check_staff
from members.states import AGREEMENT


@transaction.atomic
def offer_agreement(agreement: Agreement, *, by: User | System, at: datetime) -> None:
    """Let the institution read and sign it, and tell its owners; after negotiation they are told what changed.

    Raises Forbidden, TermsOverlap, TransitionRefused.
    """
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    if agreement.kind == "prices":
        raise Invalid(_("New prices by notice are announced, not offered."))
    check_term(agreement)
    AGREEMENT.move(agreement, "offered")
    add_event(agreement, "offered", side="consortium", by=by, at=at, revision=revision_number(agreement))
    audit.record(
        "members.agreement_offered",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        after={"content_sha256": content_sha256(agreement)},
        deliver_to=("members.mail_offer",),
    )


@transaction.atomic
def request_changes(agreement: Agreement, *, reason: str, by: User, at: datetime) -> AgreementEvent:
    """Send an offer back to the consortium with what should change. Raises Forbidden, Invalid, TransitionRefused."""
    check_at(by, Permission.SIGN_AGREEMENT, agreement.institution_id)
    _check_words(reason, "reason")
    AGREEMENT.move(agreement, "draft")
    event = add_event(agreement, "change_requested", side="member", by=by, at=at, text=reason)
    audit.record(
        "members.agreement_change_requested",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": "offered"},
        after={"status": "draft"},
        reason=reason,
        deliver_to=("members.mail_change_requested",),
    )
    return event


@transaction.atomic
def comment(agreement: Agreement, *, side: str, text: str, by: User, at: datetime) -> AgreementEvent:
    """Write a remark that both sides read, and mail it to the other side ("member" or "consortium" writes)."""
    if side == "member":
        check_at(by, Permission.SIGN_AGREEMENT, agreement.institution_id)
    else:
        check_staff(by, Permission.REVIEW_APPLICATIONS)
    _check_words(text, "text")
    event = add_event(agreement, "commented", side=side, by=by, at=at, text=text)
    audit.record(
        "members.agreement_commented",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        after={"side": side},
        reason=text,
        deliver_to=("members.mail_comment",),
    )
    return event


@transaction.atomic
def withdraw_agreement(agreement: Agreement, *, reason: str, by: User | System, at: datetime) -> None:
    """Take an agreement back that is not in force yet; whoever could sign it cannot any more."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    before = agreement.status
    AGREEMENT.move(agreement, "withdrawn")
    revoke_open_invitations(agreement, at=at)
    add_event(agreement, "withdrawn", side="consortium", by=by, at=at, text=reason)
    audit.record(
        "members.agreement_withdrawn",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": before},
        after={"status": "withdrawn"},
        reason=reason,
        deliver_to=("members.mail_agreement_withdrawn",) if before in ("offered", "signed", "announced") else (),
    )


def _check_words(text: str, field: str) -> None:
    if not text.strip():
        raise Invalid(_("Write something first."), field=field)
    if len(text) > 5_000:
        raise Invalid(_("Write less than 5,000 characters."), field=field)
