"""Service agreements: published templates, drafts, offers, two signatures, and from then on in force.

What is signed is the SHA-256 of the agreement's content: clauses in both languages, schedule, parties, term. Both sides
must have signed the same content. PostgreSQL freezes the row from the first signature on.
"""

import hashlib
import json
from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q
from django.utils import translation
from django.utils.translation import gettext as _

from consortium.kernel import audit, jobs
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.language import LANGUAGES
from consortium.kernel.periods import local_date
from members.keys import make_member_key
from members.models import Agreement, AgreementTemplate, Institution, Issuer, Membership, Signature, User
from members.permissions import Permission, check_at, check_staff
from members.schedule import ScheduleTemplate
from members.states import AGREEMENT, MEMBERSHIP


class ConsentMissing(Invalid):
    """Somebody pressed the button without consenting."""

    code = "consent_missing"


class ContentChanged(PortalError):
    """The agreement is not the one that was read, or not the one the other side signed."""

    code = "content_changed"


@transaction.atomic
def publish_template(
    *,
    issuer: Issuer,
    title_en: str,
    title_fr: str,
    clauses_en: str,
    clauses_fr: str,
    schedule: ScheduleTemplate,
    by: User | System,
    at: datetime,
) -> AgreementTemplate:
    """Add the issuer's next template version; the newest one of a currency is what new members are offered."""
    check_staff(by, Permission.COUNTERSIGN_AGREEMENT)
    Issuer.objects.select_for_update().get(pk=issuer.pk)
    newest = AgreementTemplate.objects.filter(issuer=issuer).aggregate(newest=Max("version"))["newest"] or 0
    template = AgreementTemplate.objects.create(
        issuer=issuer,
        version=newest + 1,
        title_en=title_en,
        title_fr=title_fr,
        clauses_en=clauses_en,
        clauses_fr=clauses_fr,
        schedule=schedule.model_copy(update={"version": newest + 1}).as_json(),
        created_at=at,
    )
    audit.record(
        "members.template_published", template, by=by, at=at, institution_id=None, after={"version": newest + 1}
    )
    return template


@transaction.atomic
def draft_agreement(
    *,
    institution: Institution,
    template: AgreementTemplate,
    fte: int,
    po_required: bool,
    starts_on: date,
    by: User | System,
    at: datetime,
) -> Agreement:
    """Write the institution's next version from a template, in its time zone, with the tier of its size.

    `ends_on` is the first day that is no longer covered.
    """
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    schedule = ScheduleTemplate.parse(template.schedule).for_institution(fte=fte, po_required=po_required)
    earlier = Agreement.objects.filter(institution=institution, issuer=template.issuer)
    agreement = Agreement.objects.create(
        institution=institution,
        issuer=template.issuer,
        template=template,
        version=(earlier.aggregate(newest=Max("version"))["newest"] or 0) + 1,
        title_en=template.title_en,
        title_fr=template.title_fr,
        clauses_en=template.clauses_en,
        clauses_fr=template.clauses_fr,
        schedule=schedule.as_json(),
        currency=schedule.currency,
        zone=institution.zone,
        starts_on=starts_on,
        ends_on=months_later(starts_on, schedule.term_months) if schedule.term_months else None,
        created_at=at,
    )
    audit.record(
        "members.agreement_drafted",
        agreement,
        by=by,
        at=at,
        institution_id=institution.pk,
        after={"tier": schedule.tier},
    )
    return agreement


@transaction.atomic
def offer_agreement(agreement: Agreement, *, by: User | System, at: datetime) -> None:
    """Let the institution read and sign it, and tell its owners."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    AGREEMENT.move(agreement, "offered")
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
def sign_agreement(
    agreement: Agreement,
    *,
    name: str,
    title: str,
    language: str,
    consent: bool,
    by: User,
    at: datetime,
    seen_sha256: str | None = None,
) -> Signature:
    """Sign for the member, who read the text in `language`; from now on nothing in it can change.

    `seen_sha256` is the content the reader had before them. Raises Forbidden, ConsentMissing, Invalid for an empty name
    or title, ContentChanged when the text changed since it was read, TransitionRefused when it is not offered.
    """
    check_at(by, Permission.SIGN_AGREEMENT, agreement.institution_id)
    if not consent:
        raise ConsentMissing(
            _("Tick the box to say that you agree and may sign for your institution."), field="consent"
        )
    _lock(agreement)
    if seen_sha256 is not None and seen_sha256 != content_sha256(agreement):
        raise ContentChanged(_("The agreement has changed since you opened this page. Read it again, then sign."))
    signature = _add_signature(agreement, "member", name=name, title=title, language=language, by=by, at=at)
    AGREEMENT.move(agreement, "signed")
    audit.record(
        "members.agreement_signed",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": "offered"},
        after={"status": "signed", "content_sha256": signature.content_sha256, "name": audit.digest(name)},
        deliver_to=("members.mail_signed",),
    )
    return signature


@transaction.atomic
def countersign_agreement(agreement: Agreement, *, name: str, title: str, by: User, at: datetime) -> Signature:
    """Sign for the issuer: the agreement is in force, the membership active, the member's key made.

    An earlier version in force is superseded. The PDFs in both languages follow as a job. Raises Forbidden, Invalid,
    ContentChanged when the content is not what the member signed, TransitionRefused when the member has not signed.
    """
    check_staff(by, Permission.COUNTERSIGN_AGREEMENT)
    _lock(agreement)
    theirs = Signature.objects.filter(agreement=agreement, side="member").first()
    if theirs is not None and theirs.content_sha256 != content_sha256(agreement):
        raise ContentChanged(_("The content is not the one the member signed. Do not countersign; find out why."))
    signature = _add_signature(agreement, "consortium", name=name, title=title, language=by.language, by=by, at=at)
    same_parties = Agreement.objects.filter(institution_id=agreement.institution_id, issuer_id=agreement.issuer_id)
    for earlier in same_parties.filter(status="in_force"):
        AGREEMENT.move(earlier, "superseded")
    AGREEMENT.move(agreement, "in_force")
    _activate_membership(agreement.institution, at)
    make_member_key(agreement.institution, at=at)
    audit.record(
        "members.agreement_countersigned",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": "signed"},
        after={"status": "in_force", "content_sha256": signature.content_sha256},
        deliver_to=("members.mail_in_force",),
    )
    jobs.enqueue(
        "render_agreement",
        key=str(agreement.pk),
        at=at,
        institution_id=agreement.institution_id,
        arguments={"agreement_id": str(agreement.pk)},
        total=len(LANGUAGES),
    )
    crash_point("agreement.countersigned")
    return signature


@transaction.atomic
def withdraw_agreement(agreement: Agreement, *, reason: str, by: User | System, at: datetime) -> None:
    """Take an agreement back that is not in force yet."""
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    before = agreement.status
    AGREEMENT.move(agreement, "withdrawn")
    audit.record(
        "members.agreement_withdrawn",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": before},
        after={"status": "withdrawn"},
        reason=reason,
    )


def agreement_in_force(institution_id: UUID, *, at: datetime) -> Agreement | None:
    """Return the agreement that binds at that instant, by the days of its own zone; None when there is none."""
    in_force = Agreement.objects.filter(institution_id=institution_id, status="in_force").order_by("-starts_on")
    for agreement in in_force:
        today = local_date(at, agreement.zone)
        if agreement.starts_on <= today and (agreement.ends_on is None or today < agreement.ends_on):
            return agreement
    return None


def content_sha256(agreement: Agreement) -> str:
    """Return the hash, as hex, of everything the two sides agree on, in canonical JSON."""
    content = {
        "institution": str(agreement.institution_id),
        "issuer": str(agreement.issuer_id),
        "version": agreement.version,
        "title": [agreement.title_en, agreement.title_fr],
        "clauses": [agreement.clauses_en, agreement.clauses_fr],
        "schedule": agreement.schedule,
        "currency": agreement.currency,
        "zone": agreement.zone,
        "starts_on": agreement.starts_on.isoformat(),
        "ends_on": agreement.ends_on.isoformat() if agreement.ends_on else None,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def consent_text(language: str) -> str:
    """Return the sentence a signatory agrees to, which is kept with the signature."""
    with translation.override(language):
        return _("I have read this agreement, I agree to it, and I may sign it for the party named above.")


def months_later(day: date, months: int) -> date:
    """Return the same day so many months later, or the last day of that month where it is shorter."""
    years, index = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in range(day.day, 27, -1):
        try:
            return date(years, index + 1, last)
        except ValueError:
            continue
    return date(years, index + 1, day.day)


def _lock(agreement: Agreement) -> None:
    """Hold the row until the end of the transaction, and read it as it is now."""
    Agreement.objects.select_for_update().filter(Q(pk=agreement.pk)).first()
    agreement.refresh_from_db()


def _add_signature(
    agreement: Agreement, side: str, *, name: str, title: str, language: str, by: User, at: datetime
) -> Signature:
    wanted = {"member": "signed", "consortium": "in_force"}[side]
    if not AGREEMENT.allows(agreement.status, wanted):
        AGREEMENT.move(agreement, wanted)  # says why it cannot
    for field, value in (("name", name), ("title", title)):
        if not value.strip() or len(value) > 200:
            raise Invalid(_("Write your name and title as they should stand under the agreement."), field=field)
    if language not in LANGUAGES:
        raise Invalid(_("The agreement is in English and French. Choose one."), field="language")
    return Signature.objects.create(
        institution_id=agreement.institution_id,
        agreement=agreement,
        side=side,
        signer=by,
        name=name.strip(),
        title=title.strip(),
        language=language,
        consent=consent_text(language),
        content_sha256=content_sha256(agreement),
        at=at,
    )


def _activate_membership(institution: Institution, at: datetime) -> None:
    membership = Membership.objects.filter(institution=institution, status="joining").first()
    if membership is not None:
        MEMBERSHIP.move(membership, "active", joined_at=at)
