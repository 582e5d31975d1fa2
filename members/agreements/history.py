"""What was negotiated and what happened: revisions of the text, and events that both sides read."""

from datetime import date, datetime

from django.db.models import Max

from consortium.kernel.audit import System
from members.agreements.content import content_sha256
from members.models import Agreement, AgreementEvent, AgreementRevision, User


def add_revision(agreement: Agreement, *, note: str, by: User | System, at: datetime) -> AgreementRevision:
    """Keep the text and schedule as they are now."""
    newest = AgreementRevision.objects.filter(agreement=agreement).aggregate(newest=Max("number"))["newest"] or 0
    return AgreementRevision.objects.create(
        institution_id=agreement.institution_id,
        agreement=agreement,
        number=newest + 1,
        title_en=agreement.title_en,
        title_fr=agreement.title_fr,
        clauses_en=agreement.clauses_en,
        clauses_fr=agreement.clauses_fr,
        schedule=agreement.schedule,
        starts_on=agreement.starts_on,
        ends_on=agreement.ends_on,
        content_sha256=content_sha256(agreement),
        note=note,
        author=by if isinstance(by, User) else None,
        at=at,
    )


def add_event(
    agreement: Agreement,
    kind: str,
    *,
    side: str,
    by: User | System | None,
    at: datetime,
    text: str = "",
    day: date | None = None,
    key: str = "",
    revision: int | None = None,
) -> AgreementEvent:
    """Write one line of the agreement's history. IntegrityError when its key is there already."""
    return AgreementEvent.objects.create(
        institution_id=agreement.institution_id,
        agreement=agreement,
        kind=kind,
        side=side,
        author=by if isinstance(by, User) else None,
        revision=revision,
        day=day,
        text=text.strip(),
        key=key,
        at=at,
    )


def revision_number(agreement: Agreement) -> int | None:
    """The number of the newest revision; None for an agreement from before revisions were kept."""
    newest: int | None = AgreementRevision.objects.filter(agreement=agreement).aggregate(newest=Max("number"))["newest"]
    return newest


def offered_revisions(agreement: Agreement) -> list[AgreementRevision]:
    """The revisions that were offered to the institution, oldest first."""
    numbers = AgreementEvent.objects.filter(agreement=agreement, kind="offered").values_list("revision", flat=True)
    rows = AgreementRevision.objects.filter(agreement=agreement, number__in=list(numbers))
    return list(rows.select_related("agreement__issuer", "institution").order_by("number"))
