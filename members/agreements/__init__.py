"""Service agreements: published templates, drafts, offers, two signatures, and the life of what is in force.

What is signed is the SHA-256 of the agreement's content: clauses in both languages, schedule, parties, term. Both sides
must have signed the same content. PostgreSQL freezes the row from the first signature on.
"""

from members.agreements.content import content_sha256
from members.agreements.cover import TermsOverlap, agreement_in_force, months_later
from members.agreements.delegates import (
    InvitationOver,
    InvitationUnknown,
    WrongAddress,
    invite_delegate,
    open_invitation,
    revoke_invitation,
)
from members.agreements.drafting import (
    NotADraft,
    OpenVersion,
    draft_agreement,
    draft_change,
    edit_draft,
    publish_template,
)
from members.agreements.ending import give_notice, resume_agreement, suspend_agreement, withdraw_notice
from members.agreements.offering import comment, offer_agreement, request_changes, withdraw_agreement
from members.agreements.prices import announce_prices
from members.agreements.signing import (
    ConsentMissing,
    ContentChanged,
    FrenchFirst,
    consent_text,
    countersign_agreement,
    deliver_text,
    french_delivery,
    needs_french_first,
    sign_agreement,
    sign_as_delegate,
)

__all__ = [
    "ConsentMissing",
    "ContentChanged",
    "FrenchFirst",
    "InvitationOver",
    "InvitationUnknown",
    "NotADraft",
    "OpenVersion",
    "TermsOverlap",
    "WrongAddress",
    "agreement_in_force",
    "announce_prices",
    "comment",
    "consent_text",
    "content_sha256",
    "countersign_agreement",
    "deliver_text",
    "draft_agreement",
    "draft_change",
    "edit_draft",
    "french_delivery",
    "give_notice",
    "invite_delegate",
    "months_later",
    "needs_french_first",
    "offer_agreement",
    "open_invitation",
    "publish_template",
    "request_changes",
    "resume_agreement",
    "revoke_invitation",
    "sign_agreement",
    "sign_as_delegate",
    "suspend_agreement",
    "withdraw_agreement",
    "withdraw_notice",
]
