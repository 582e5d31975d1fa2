"""Leaving: from notice to the last day, the last bill, the bundle, the deletion of data and its certificate.

Each step is taken when what it waits for is true, looked at again at every run: a run that dies, or comes late, goes on
where things stand. Money steps that need a person (crediting dues that were not earned, paying credit out) are never
taken here; the checklist says that they wait.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import structlog
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from billing.final_bill import credit_owed, is_billed, open_invoices, unearned_dues
from consortium.kernel import audit, documents
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.pdf import write_pdf
from consortium.kernel.periods import local_date
from consortium.kernel.spoken import spoken_day
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document, Job
from consortium.usecases.exit_bundle import CERTIFICATE, bundle_of, certificates_of, hub_exports, make_bundle
from members.agreements.ending import standing_notice
from members.models import Agreement, MemberExit, Membership
from members.schedule import Schedule
from members.schedule_terms import Exit
from members.states import MEMBERSHIP
from members.states_exit import ENDED, EXIT
from provisioning.leaving.snapshots import RELEASE
from provisioning.lifecycle import retire_hub
from provisioning.models import Hub

log = structlog.get_logger(__name__)

LEAVER: Final = System("exit")
MAIL: Final = "members.mail_exit"
GONE: Final = ("retired", "declined")
SHEET: Final = "documents/document.css"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of the checklist: what, whether it is done, and what it waits for."""

    what: str
    done: bool
    waits: str = ""


def advance_exits(*, at: datetime) -> int:
    """Will open exits for notices and take every step that is due; returns how many. Opens its own scopes."""
    with consortium_scope(Scope.JOB):
        keys = _open_new(at)
    done = len(keys)
    with consortium_scope(Scope.JOB):
        live = list(MemberExit.objects.exclude(status__in=ENDED).order_by("opened_at").values_list("pk", flat=True))
    for key in live:
        try:
            while _advance(key, at):
                done += 1
        except PortalError as refused:
            log.warning("exit.not_advanced", leaving=str(key), error=refused.message)
        except Exception:
            log.exception("exit.not_advanced", leaving=str(key))
    return done


def checklist(leaving: MemberExit) -> list[Item]:
    """Return what is done and what it waits for, in the active language. Needs a scope over the member."""
    where = {"institution_id": leaving.institution_id, "issuer_id": leaving.agreement.issuer_id}
    hubs = list(Hub.objects.filter(institution_id=leaving.institution_id).exclude(status__in=GONE))
    unearned = unearned_dues(**where, last_day=leaving.last_day)
    owed, opened = credit_owed(**where), open_invoices(**where)
    is_over = leaving.status not in {"open", "withdrawn"}
    return [
        Item(what=_("The last day is over"), done=is_over, waits="" if is_over else spoken_day(leaving.last_day)),
        Item(
            what=_("Every hub is exported, ended and certified"),
            done=is_over and not hubs,
            waits=", ".join(hub.name for hub in hubs),
        ),
        Item(
            what=_("The last month is billed"),
            done=is_over and is_billed(**where, last_day=leaving.last_day),
            waits=_("The consortium bills it after the month has ended."),
        ),
        Item(
            what=_("Dues for days after the last one are credited"),
            done=not unearned,
            waits=", ".join(f"{each.line.invoice.number}: {_money(each.net, each.line.currency)}" for each in unearned),
        ),
        Item(what=_("Every invoice is paid"), done=not opened, waits=", ".join(row.number or "" for row in opened)),
        Item(
            what=_("Credit is paid out"),
            done=not owed,
            waits=", ".join(_money(amount, currency) for currency, amount in owed.items()),
        ),
        Item(what=_("The bundle is ready"), done=bundle_of(leaving) is not None),
        Item(
            what=_("Data is deleted, and that is certified"),
            done=bool(certificates_of(leaving)),
            waits=spoken_day(leaving.delete_on),
        ),
    ]


def _open_new(at: datetime) -> list[UUID]:
    """Open an exit for each agreement that ends by notice, or has ended with nothing after it, and has none."""
    opened = []
    for agreement in _leaving().select_related("institution"):
        last_day = agreement.last_day
        if last_day is None or (agreement.status == "terminating" and standing_notice(agreement) is None):
            continue
        leaving = MemberExit.objects.create(
            institution_id=agreement.institution_id,
            agreement=agreement,
            last_day=last_day,
            delete_on=_delete_on(agreement, last_day),
            opened_at=at,
        )
        _record(leaving, "opened", at=at)
        opened.append(leaving.pk)
    return opened


def _leaving() -> QuerySet[Agreement]:
    known = MemberExit.objects.exclude(status="withdrawn").values("agreement")
    ending = Q(status="terminating") | Q(status="ended", institution__membership__status="leaving")
    return Agreement.objects.filter(ending).exclude(pk__in=known).order_by("pk")


def _advance(key: UUID, at: datetime) -> bool:
    """Take the next step of one exit if what it waits for is true; tell whether one was taken."""
    with consortium_scope(Scope.JOB):
        rows = MemberExit.objects.select_for_update(of=("self",)).select_related("agreement", "institution")
        leaving = rows.get(pk=key)
        today = local_date(at, leaving.agreement.zone)
        step = {
            "open": _close,
            "closing": _finish_billing,
            "settling": _settle,
            "keeping": _delete,
        }.get(leaving.status)
        return step is not None and step(leaving, today, at)


def _close(leaving: MemberExit, today: date, at: datetime) -> bool:
    agreement = leaving.agreement
    if agreement.status != "ended" and standing_notice(agreement) is None:
        EXIT.move(leaving, "withdrawn", ended_at=at)
        _record(leaving, "withdrawn", at=at)
        return True
    last_day = agreement.last_day
    if last_day is not None and last_day != leaving.last_day:  # taken back and given again for another day
        leaving.last_day, leaving.delete_on = last_day, _delete_on(agreement, last_day)
        leaving.save(update_fields=["last_day", "delete_on"])
    if today <= leaving.last_day or agreement.status != "ended":
        return False
    EXIT.move(leaving, "closing", closed_at=at)
    _record(leaving, "closing", at=at)
    return True


def _finish_billing(leaving: MemberExit, _today: date, at: datetime) -> bool:
    """Want every hub gone; go on when all are, the last month is billed and no unearned dues are left."""
    hubs = list(Hub.objects.filter(institution_id=leaving.institution_id).exclude(status__in=GONE))
    for hub in hubs:
        if hub.status in {"running", "degraded", "suspended", "failed"}:
            try:
                with transaction.atomic():
                    retire_hub(hub, reason=_("The agreement has ended."), by=LEAVER, at=at)
            except PortalError as refused:
                log.info("exit.hub_waits", hub=str(hub.pk), error=refused.message)
    where = {"institution_id": leaving.institution_id, "issuer_id": leaving.agreement.issuer_id}
    if hubs or not is_billed(**where, last_day=leaving.last_day):
        return False
    if unearned_dues(**where, last_day=leaving.last_day):
        return False
    EXIT.move(leaving, "settling", billed_at=at)
    _record(leaving, "settling", at=at)
    return True


def _settle(leaving: MemberExit, _today: date, at: datetime) -> bool:
    """Nothing is open either way: the bundle is made."""
    where = {"institution_id": leaving.institution_id, "issuer_id": leaving.agreement.issuer_id}
    if open_invoices(**where) or credit_owed(**where):
        return False
    make_bundle(leaving, at=at)
    crash_point("exit.bundled")
    EXIT.move(leaving, "keeping", settled_at=at)
    _record(leaving, "keeping", at=at)
    return True


def _delete(leaving: MemberExit, today: date, at: datetime) -> bool:
    """Delete what was exported of people's files, certify it, and end the membership."""
    kept = Job.objects.filter(kind=RELEASE, institution_id=leaving.institution_id)
    if today < leaving.delete_on or kept.exclude(state__in=["succeeded", "cancelled"]).exists():
        return False  # a cluster keeps snapshots of its volumes still, for the days that it says
    gone = hub_exports(leaving)
    for document in gone:
        default_storage.delete(document.storage_key)  # a second time it is gone already
    crash_point("exit.deleted")
    _certify(leaving, gone, at=at)
    membership = Membership.objects.filter(institution_id=leaving.institution_id, status="leaving").first()
    others = Agreement.objects.filter(institution_id=leaving.institution_id, status__in=["in_force", "suspended"])
    if membership is not None and not others.exists():
        MEMBERSHIP.move(membership, "ended", ended_at=at)
    EXIT.move(leaving, "certified", ended_at=at)
    _record(leaving, "certified", at=at)
    crash_point("exit.before_commit")
    return True


def _certify(leaving: MemberExit, gone: list[Document], *, at: datetime) -> None:
    for language in ("en", "fr"):
        with translation.override(language):
            context = {"leaving": leaving, "gone": gone, "language": language, "at": at}
            html = render_to_string("documents/deletion.html", context)
        documents.store(
            write_pdf(html, sheet=SHEET),
            kind=CERTIFICATE,
            name=f"{leaving.institution.slug}-deletion-{language}.pdf",
            media_type="application/pdf",
            subject=leaving,
            institution_id=leaving.institution_id,
            at=at,
            language=language,
        )


def _money(amount: Decimal, currency: str) -> str:
    return money_text(amount, currency, language=translation.get_language() or "en", code=True)


def _delete_on(agreement: Agreement, last_day: date) -> date:
    terms = Schedule.parse(agreement.schedule).exit or Exit()
    return last_day + timedelta(days=terms.deletion_days)


def _record(leaving: MemberExit, what: str, *, at: datetime) -> None:
    audit.record(
        f"members.exit_{what}",
        leaving,
        by=LEAVER,
        at=at,
        institution_id=leaving.institution_id,
        after={"status": leaving.status, "last_day": leaving.last_day},
        deliver_to=(MAIL,),
    )
