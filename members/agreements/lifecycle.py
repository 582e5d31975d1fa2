"""What the calendar does to agreements: renewals are offered, reminders go out, new prices begin, terms end.

`run_due` looks at what the database says and may run at any time, twice, or late: each step is taken once.
"""

from datetime import date, datetime, timedelta
from uuid import UUID

import structlog

from consortium.kernel import audit
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from members.agreements.cover import LIVE, binding_versions
from members.agreements.drafting import OpenVersion, draft_change
from members.agreements.ending import PORTAL, end_agreement
from members.agreements.history import add_event
from members.agreements.offering import offer_agreement, withdraw_agreement
from members.agreements.signing import put_in_force, supersede_event, want_documents
from members.models import Agreement, AgreementEvent
from members.schedule import Schedule
from members.states import AGREEMENT

log = structlog.get_logger(__name__)


def run_due(*, at: datetime) -> int:
    """Do whatever is due at that instant, in each agreement's own zone; returns how many steps were taken.

    Each agreement is a transaction of its own: one that cannot go on does not hold the others up.
    """
    with consortium_scope(Scope.JOB):
        # New prices begin before the version that they replace is looked at.
        keys = list(Agreement.objects.filter(status="announced").order_by("starts_on").values_list("pk", flat=True))
        keys += list(Agreement.objects.filter(status__in=LIVE).order_by("starts_on").values_list("pk", flat=True))
    done = 0
    for key in keys:
        try:
            with consortium_scope(Scope.JOB):
                done += _advance(key, at)
        except PortalError as refused:
            log.warning("agreement.not_advanced", agreement=str(key), error=refused.message)
        except Exception:
            log.exception("agreement.not_advanced", agreement=str(key))
    return done


def _advance(key: UUID, at: datetime) -> int:
    agreement = Agreement.objects.select_for_update(of=("self",)).select_related("institution", "issuer").get(pk=key)
    today = local_date(at, agreement.zone)
    if agreement.status == "announced":
        return _begin(agreement, today, at)
    if agreement.status not in LIVE:
        return 0
    end = agreement.covers_until
    if end is None:
        return 0
    if end <= today:
        return _close(agreement, end, at)
    return _offer_renewal(agreement, today, at) + _remind(agreement, end, today, at)


def _begin(agreement: Agreement, today: date, at: datetime) -> int:
    """Let announced prices hold from their first day; without a version that they change they are withdrawn."""
    if agreement.starts_on > today:
        return 0
    before = agreement.follows
    if before is None or before.status not in LIVE or (before.covers_until or date.max) <= agreement.starts_on:
        withdraw_agreement(agreement, reason="The version whose prices change has ended.", by=PORTAL, at=at)
        return 1
    put_in_force(agreement, by=PORTAL, at=at)
    add_event(agreement, "began", side="portal", by=None, at=at, day=agreement.starts_on)
    audit.record(
        "members.agreement_began",
        agreement,
        by=PORTAL,
        at=at,
        institution_id=agreement.institution_id,
        before={"status": "announced"},
        after={"status": "in_force"},
    )
    want_documents(agreement, at=at)
    return 1


def _close(agreement: Agreement, end: date, at: datetime) -> int:
    """The last day is over: a newer version took over, or the agreement has ended."""
    if binding_versions(agreement).filter(status__in=LIVE, starts_on=end).exists():
        before = agreement.status
        AGREEMENT.move(agreement, "superseded")
        supersede_event(agreement, before=before, by=PORTAL, at=at)
    else:
        end_agreement(agreement, at=at)
    return 1


def _offer_renewal(agreement: Agreement, today: date, at: datetime) -> int:
    renewal = Schedule.parse(agreement.schedule).renewal
    ends_on = agreement.ends_on
    if agreement.status != "in_force" or ends_on is None or agreement.covered_until is not None:
        return 0
    if renewal.mode != "offered" or today < ends_on - timedelta(days=renewal.offer_days):
        return 0
    if _has(agreement, "renewal_offered", ends_on.isoformat()):
        return 0
    try:
        draft = draft_change(agreement, kind="renewal", by=PORTAL, at=at)
    except OpenVersion:
        return 0  # staff negotiate one already
    add_event(agreement, "renewal_offered", side="portal", by=None, at=at, day=ends_on, key=ends_on.isoformat())
    offer_agreement(draft, by=PORTAL, at=at)
    return 1


def _remind(agreement: Agreement, end: date, today: date, at: datetime) -> int:
    """Remind of the end, once for each day that the schedule names; after a pause only the nearest one is sent."""
    if binding_versions(agreement).filter(status__in=LIVE, starts_on=end).exists():
        return 0  # somebody has signed what follows
    days = Schedule.parse(agreement.schedule).renewal.reminder_days
    keys = {count: f"{end:%Y%m%d}-{count}" for count in days if today >= end - timedelta(days=count)}
    known = set(AgreementEvent.objects.filter(agreement=agreement, kind="reminded").values_list("key", flat=True))
    due = {count: key for count, key in keys.items() if key not in known}
    if not due:
        return 0
    for key in due.values():
        add_event(agreement, "reminded", side="portal", by=None, at=at, day=end - timedelta(days=1), key=key)
    if min(due) > min(keys):  # a nearer one went out before
        return 0
    audit.record(
        "members.agreement_reminded",
        agreement,
        by=PORTAL,
        at=at,
        institution_id=agreement.institution_id,
        after={"last_day": end - timedelta(days=1), "days": min(due)},
        deliver_to=("members.mail_agreement_ends",),
    )
    return 1


def _has(agreement: Agreement, kind: str, key: str) -> bool:
    return AgreementEvent.objects.filter(agreement=agreement, kind=kind, key=key).exists()
