"""Writing agreements: published templates, drafts from them, changes of what is in force, and negotiation."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.errors import Invalid, PortalError
from members.agreements.cover import LIVE, OPEN, check_term, months_later
from members.agreements.history import add_revision
from members.models import Agreement, AgreementTemplate, Institution, Issuer, User
from members.permissions import Permission, check_staff
from members.schedule import Schedule, ScheduleTemplate

TEXTS: Final = ("title_en", "title_fr", "clauses_en", "clauses_fr")
LONGEST: Final = 200_000


class NotADraft(PortalError):
    """Only a draft can be edited."""

    code = "not_a_draft"


class OpenVersion(PortalError):
    """Another version of the same kind is under way."""

    code = "open_version"


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
    texts = {"title_en": title_en, "title_fr": title_fr, "clauses_en": clauses_en, "clauses_fr": clauses_fr}
    _check_texts(texts)
    Issuer.objects.select_for_update().get(pk=issuer.pk)
    newest = AgreementTemplate.objects.filter(issuer=issuer).aggregate(newest=Max("version"))["newest"] or 0
    template = AgreementTemplate.objects.create(
        issuer=issuer,
        version=newest + 1,
        **texts,
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
    live = _versions(institution, template.issuer).filter(status__in=LIVE).order_by("starts_on").last()
    agreement = Agreement(
        template=template,
        kind="amendment" if live else "first",
        follows=live,
        schedule=schedule.as_json(),
        currency=schedule.currency,
        zone=institution.zone,
        starts_on=starts_on,
        ends_on=months_later(starts_on, schedule.term_months) if schedule.term_months else None,
        **{name: getattr(template, name) for name in TEXTS},
    )
    return _write(agreement, institution, template.issuer, note="", by=by, at=at)


@transaction.atomic
def draft_change(
    agreement: Agreement, *, kind: str, starts_on: date | None = None, by: User | System, at: datetime
) -> Agreement:
    """Copy a live agreement as a draft of its amendment, its renewal, or new prices by notice ("prices").

    A renewal begins when the agreement ends, unless `starts_on` says otherwise. Raises Forbidden, Invalid,
    OpenVersion when one of that kind is under way, TermsOverlap.
    """
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    if agreement.status not in LIVE:
        raise Invalid(_("Only an agreement in force can be changed or renewed."))
    if Agreement.objects.filter(follows=agreement, kind=kind, status__in=OPEN).exists():
        raise OpenVersion(_("A version of this kind is under way already. Finish it, or withdraw it first."))
    schedule, ends_on = Schedule.parse(agreement.schedule), agreement.ends_on
    if kind == "renewal":
        starts_on = starts_on or agreement.covers_until
        if starts_on is None:
            raise Invalid(_("An agreement without an end needs no renewal."))
        ends_on = months_later(starts_on, schedule.renewal.months or schedule.term_months or 12)
    if starts_on is None:
        raise Invalid(_("Say on which day the change begins."), field="starts_on")
    copied = {name: getattr(agreement, name) for name in (*TEXTS, "schedule", "currency", "zone", "template")}
    draft = Agreement(kind=kind, follows=agreement, starts_on=starts_on, ends_on=ends_on, **copied)
    return _write(draft, agreement.institution, agreement.issuer, note="", by=by, at=at)


@transaction.atomic
def edit_draft(
    agreement: Agreement,
    *,
    texts: Mapping[str, str],
    schedule: object,
    starts_on: date,
    ends_on: date | None,
    note: str,
    by: User | System,
    at: datetime,
) -> Agreement:
    """Change a draft and keep the new state as a revision; `ends_on` is the first day that is not covered.

    `schedule` is stored JSON or a Schedule. Raises Forbidden, NotADraft, Invalid, ScheduleInvalid, TermsOverlap.
    """
    check_staff(by, Permission.REVIEW_APPLICATIONS)
    row = Agreement.objects.select_for_update().get(pk=agreement.pk)
    if row.status != "draft":
        raise NotADraft(_("Only a draft can be edited. Ask the institution to send its offer back first."))
    parsed = schedule if isinstance(schedule, Schedule) else Schedule.parse(schedule)
    _check_texts(texts)
    was = [getattr(row, name) for name in (*TEXTS, "schedule", "starts_on", "ends_on")]
    for name in TEXTS:
        typed = texts[name].replace("\r\n", "\n").strip()
        if typed != getattr(row, name).strip():  # a browser's blanks at the ends are no change
            setattr(row, name, typed)
    row.schedule, row.currency = parsed.as_json(), parsed.currency
    row.starts_on, row.ends_on = starts_on, ends_on
    if was == [getattr(row, name) for name in (*TEXTS, "schedule", "starts_on", "ends_on")]:
        raise Invalid(_("Nothing was changed."))
    check_term(row)
    row.save(update_fields=[*TEXTS, "schedule", "currency", "starts_on", "ends_on"])
    revision = add_revision(row, note=note.strip()[:500], by=by, at=at)
    audit.record(
        "members.agreement_revised",
        row,
        by=by,
        at=at,
        institution_id=row.institution_id,
        after={"revision": revision.number, "content_sha256": revision.content_sha256},
    )
    agreement.refresh_from_db()
    return agreement


def _versions(institution: Institution, issuer: Issuer) -> Any:
    return Agreement.objects.filter(institution=institution, issuer=issuer)


def _write(
    agreement: Agreement, institution: Institution, issuer: Issuer, *, note: str, by: User | System, at: datetime
) -> Agreement:
    agreement.institution, agreement.issuer = institution, issuer
    # Two drafts at once: the second waits for the first, and gets the next number.
    Institution.objects.select_for_update(no_key=True).get(pk=institution.pk)
    newest = _versions(institution, issuer).aggregate(newest=Max("version"))["newest"] or 0
    agreement.version, agreement.created_at = newest + 1, at
    check_term(agreement)
    agreement.save(force_insert=True)
    add_revision(agreement, note=note, by=by, at=at)
    audit.record(
        "members.agreement_drafted",
        agreement,
        by=by,
        at=at,
        institution_id=institution.pk,
        after={"tier": agreement.schedule["tier"], "kind": agreement.kind, "version": agreement.version},
    )
    return agreement


def _check_texts(texts: Mapping[str, str]) -> None:
    for name in TEXTS:
        text = texts.get(name, "")
        if not text.strip():
            raise Invalid(_("Write the title and the clauses in both languages."), field=name)
        if len(text) > (200 if name.startswith("title") else LONGEST):
            raise Invalid(_("This text is too long."), field=name)
