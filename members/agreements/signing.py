"""Two signatures over one content: the member's, by an owner or a delegate, then the consortium's.

From the first signature on PostgreSQL freezes the row. Where Quebec's law asks for it, the French text is handed over,
and that is recorded, before anybody may consent to the English one.
"""

from datetime import date, datetime

from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from consortium.kernel import audit, jobs
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Forbidden, Invalid, PortalError
from consortium.kernel.language import LANGUAGES
from consortium.kernel.periods import local_date
from members.agreements.content import content_sha256
from members.agreements.cover import LIVE, TermsOverlap, binding_versions, check_term
from members.agreements.delegates import DELEGATE, revoke_open_invitations, use_invitation
from members.agreements.history import add_event
from members.keys import make_member_key
from members.models import Agreement, Institution, Membership, Signature, SigningInvitation, TextDelivery, User
from members.permissions import Permission, check_at, check_staff
from members.states import AGREEMENT, MEMBERSHIP


class ConsentMissing(Invalid):
    """Somebody pressed the button without consenting."""

    code = "consent_missing"


class ContentChanged(PortalError):
    """The agreement is not the one that was read, or not the one the other side signed."""

    code = "content_changed"


class FrenchFirst(PortalError):
    """In Quebec the French text comes before consent to the English one."""

    code = "french_first"


def needs_french_first(institution: Institution) -> bool:
    """Tell whether the law of the institution's place wants the French text before consent to another one."""
    return institution.country == "CA" and institution.province == "QC"


def french_delivery(
    agreement: Agreement, *, reader: User | None = None, invitation: SigningInvitation | None = None
) -> TextDelivery | None:
    """The evidence that this reader had the French text of the content as it is now; None when there is none."""
    rows = TextDelivery.objects.filter(agreement=agreement, language="fr", content_sha256=content_sha256(agreement))
    return rows.filter(reader=reader, invitation=invitation).order_by("at").first()


@transaction.atomic
def deliver_text(
    agreement: Agreement,
    *,
    language: str,
    at: datetime,
    by: User | None = None,
    invitation: SigningInvitation | None = None,
) -> TextDelivery:
    """Record that a reader, an owner or a delegate, was handed the text in a language; the first time counts.

    Raises Forbidden, Invalid for another language or an agreement that is not offered.
    """
    if by is not None:
        check_at(by, Permission.SIGN_AGREEMENT, agreement.institution_id)
    elif invitation is None or invitation.agreement_id != agreement.pk:
        raise Forbidden(_("This agreement was not offered to you."))
    _lock(agreement)
    if agreement.status != "offered" or language not in LANGUAGES:
        raise Invalid(_("The agreement does not wait for a signature now."))
    sha256 = content_sha256(agreement)
    about = {"agreement": agreement, "language": language, "content_sha256": sha256}
    known = TextDelivery.objects.filter(**about, reader=by, invitation=invitation).first()
    if known is not None:
        return known
    delivery = TextDelivery.objects.create(
        **about, reader=by, invitation=invitation, institution_id=agreement.institution_id, at=at
    )
    audit.record(
        "members.agreement_delivered",
        agreement,
        by=by or DELEGATE,
        at=at,
        institution_id=agreement.institution_id,
        after={"language": language, "content_sha256": sha256},
    )
    return delivery


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
    or title, ContentChanged when the text changed since it was read, FrenchFirst, TransitionRefused when it is not
    offered.
    """
    check_at(by, Permission.SIGN_AGREEMENT, agreement.institution_id)
    _check_consent(agreement, consent, seen_sha256)
    _check_language(agreement, language, french_delivery(agreement, reader=by))
    signature = _add_signature(agreement, "member", name=name, title=title, language=language, by=by, at=at)
    _signed_by_member(agreement, signature, by=by, at=at)
    return signature


@transaction.atomic
def sign_as_delegate(
    invitation: SigningInvitation,
    *,
    email: str,
    name: str,
    title: str,
    language: str,
    consent: bool,
    seen_sha256: str,
    at: datetime,
) -> Signature:
    """Sign for the member by a delegate's link, which is used up by it. Needs the institution's scope.

    Raises what `sign_agreement` raises, and WrongAddress and InvitationOver.
    """
    agreement = Agreement.objects.select_related("institution", "issuer").get(pk=invitation.agreement_id)
    _check_consent(agreement, consent, seen_sha256)
    _check_language(agreement, language, french_delivery(agreement, invitation=invitation))
    _check_signature(agreement, "member", name=name, title=title, language=language)
    use_invitation(invitation, email=email, at=at)
    signature = _add_signature(
        agreement, "member", name=name, title=title, language=language, invitation=invitation, at=at
    )
    _signed_by_member(agreement, signature, by=DELEGATE, at=at)
    return signature


@transaction.atomic
def countersign_agreement(agreement: Agreement, *, name: str, title: str, by: User, at: datetime) -> Signature:
    """Sign for the issuer: the agreement is in force, the membership active, the member's key made.

    A version that covers its first day ends then; when that day has come it is superseded at once, else the daily run
    does it. The PDFs in both languages follow as a job. Raises Forbidden (for the member's own signer too), Invalid,
    TermsOverlap, ContentChanged when the content is not what the member signed, TransitionRefused when the member has
    not signed.
    """
    check_staff(by, Permission.COUNTERSIGN_AGREEMENT)
    _lock(agreement)
    theirs = Signature.objects.filter(agreement=agreement, side="member").first()
    if theirs is not None and theirs.content_sha256 != content_sha256(agreement):
        raise ContentChanged(_("The content is not the one the member signed. Do not countersign; find out why."))
    if theirs is not None and theirs.signer_id == by.pk:
        raise Forbidden(_("You signed for the member. Somebody else signs for the consortium."))
    check_term(agreement)
    signature = _add_signature(agreement, "consortium", name=name, title=title, language=by.language, by=by, at=at)
    put_in_force(agreement, by=by, at=at)
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
    want_documents(agreement, at=at)
    crash_point("agreement.countersigned")
    return signature


def put_in_force(agreement: Agreement, *, by: User | System, at: datetime) -> None:
    """Let a version bind, and the one whose days it takes end. Raises TermsOverlap; the caller holds the lock."""
    today = local_date(at, agreement.zone)
    earlier = binding_versions(agreement).filter(status__in=LIVE, starts_on__lte=agreement.starts_on)
    for other in earlier.select_for_update():
        if other.covers_until is None or other.covers_until > agreement.starts_on:
            cut_short(other, first_day=agreement.starts_on, today=today, by=by, at=at)
    try:
        with transaction.atomic():
            AGREEMENT.move(agreement, "in_force")
    except IntegrityError as error:
        raise TermsOverlap(_("Another version covers some of the same days. Choose other days.")) from error


def cut_short(agreement: Agreement, *, first_day: date, today: date, by: User | System, at: datetime) -> None:
    """Let a live version cover only the days before `first_day`, superseded at once where that day has come."""
    if first_day > today:
        Agreement.objects.filter(pk=agreement.pk, status=agreement.status).update(covered_until=first_day)
        agreement.covered_until = first_day
        return
    before = agreement.status
    AGREEMENT.move(agreement, "superseded", covered_until=max(first_day, agreement.starts_on))
    supersede_event(agreement, before=before, by=by, at=at)


def supersede_event(agreement: Agreement, *, before: str, by: User | System, at: datetime) -> None:
    """Write down that a newer version took over."""
    add_event(agreement, "superseded", side="portal", by=None, at=at, day=agreement.covered_until)
    audit.record(
        "members.agreement_superseded",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": before},
        after={"status": "superseded"},
    )


def want_documents(agreement: Agreement, *, at: datetime) -> None:
    """Ask for the signed PDFs in every language."""
    jobs.enqueue(
        "render_agreement",
        key=str(agreement.pk),
        at=at,
        institution_id=agreement.institution_id,
        arguments={"agreement_id": str(agreement.pk)},
        total=len(LANGUAGES),
    )


def consent_text(language: str, *, after_french: bool = False) -> str:
    """Return the sentence a signatory agrees to, which is kept with the signature.

    `after_french`: the wish to be bound by the English text, after the French one was handed over.
    """
    with translation.override(language):
        text = _("I have read this agreement, I agree to it, and I may sign it for the party named above.")
        if after_french:
            wish = _("The French text was handed to me first, and I expressly wish to be bound by the English one.")
            text = f"{text} {wish}"
        return text


def add_consortium_signature(
    agreement: Agreement, *, wanted: str, name: str, title: str, by: User, at: datetime
) -> Signature:
    """Sign for the issuer on the way to the state `wanted`. Raises Invalid, TransitionRefused."""
    return _add_signature(
        agreement, "consortium", name=name, title=title, language=by.language, by=by, at=at, wanted=wanted
    )


def _lock(agreement: Agreement) -> None:
    """Hold the row until the end of the transaction, and read it as it is now."""
    Agreement.objects.select_for_update().filter(pk=agreement.pk).first()
    agreement.refresh_from_db()


def _check_consent(agreement: Agreement, consent: bool, seen_sha256: str | None) -> None:
    if not consent:
        raise ConsentMissing(
            _("Tick the box to say that you agree and may sign for your institution."), field="consent"
        )
    _lock(agreement)
    if seen_sha256 is not None and seen_sha256 != content_sha256(agreement):
        raise ContentChanged(_("The agreement has changed since you opened this page. Read it again, then sign."))


def _check_language(agreement: Agreement, language: str, french: TextDelivery | None) -> None:
    if language != "fr" and needs_french_first(agreement.institution) and french is None:
        raise FrenchFirst(
            _("In Quebec the French text comes first. Receive it, then you may choose to be bound by the English one.")
        )


def _check_signature(
    agreement: Agreement, side: str, *, name: str, title: str, language: str, wanted: str = ""
) -> None:
    wanted = wanted or {"member": "signed", "consortium": "in_force"}[side]
    if not AGREEMENT.allows(agreement.status, wanted):
        AGREEMENT.move(agreement, wanted)  # says why it cannot
    for field, value in (("name", name), ("title", title)):
        if not value.strip() or len(value) > 200:
            raise Invalid(_("Write your name and title as they should stand under the agreement."), field=field)
    if language not in LANGUAGES:
        raise Invalid(_("The agreement is in English and French. Choose one."), field="language")


def _add_signature(
    agreement: Agreement,
    side: str,
    *,
    name: str,
    title: str,
    language: str,
    at: datetime,
    by: User | None = None,
    invitation: SigningInvitation | None = None,
    wanted: str = "",
) -> Signature:
    _check_signature(agreement, side, name=name, title=title, language=language, wanted=wanted)
    after_french = side == "member" and language != "fr" and needs_french_first(agreement.institution)
    return Signature.objects.create(
        institution_id=agreement.institution_id,
        agreement=agreement,
        side=side,
        signer=by,
        invitation=invitation,
        name=name.strip(),
        title=title.strip(),
        language=language,
        consent=consent_text(language, after_french=after_french),
        content_sha256=content_sha256(agreement),
        at=at,
    )


def _signed_by_member(agreement: Agreement, signature: Signature, *, by: User | System, at: datetime) -> None:
    AGREEMENT.move(agreement, "signed")
    revoke_open_invitations(agreement, at=at)
    audit.record(
        "members.agreement_signed",
        agreement,
        by=by,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": "offered"},
        after={
            "status": "signed",
            "content_sha256": signature.content_sha256,
            "name": audit.digest(signature.name),
            "language": signature.language,
        },
        deliver_to=("members.mail_signed",),
    )


def _activate_membership(institution: Institution, at: datetime) -> None:
    membership = Membership.objects.filter(institution=institution, status__in=["joining", "leaving"]).first()
    if membership is not None:
        MEMBERSHIP.move(membership, "active", joined_at=membership.joined_at or at)
