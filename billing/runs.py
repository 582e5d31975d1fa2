"""Billing runs: one person prepares a month's drafts, another approves them, and only then anything goes out.

What is approved is the drafts themselves, frozen use and split pools included: what was seen is what is issued, to the
cent. From FOUR_EYES_FROM on, for any one invoice, preparer and approver are two people, and PostgreSQL says so too.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from billing import closing
from billing.invoicing import FourEyes
from billing.models import BillingPeriod, BillingRun, Invoice
from billing.models.invoices import FOUR_EYES_FROM
from billing.periods import open_period
from billing.states import RUN
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import EXACT, AmountInvalid, parse_amount, plain
from members.models import User
from members.permissions import Permission, check_staff


class RunNotReady(PortalError):
    """The run is not at the step that was asked for."""

    code = "run_not_ready"


class TotalsMismatch(Invalid):
    """What was typed is not what the run comes to."""

    code = "total_mismatch"


@transaction.atomic
def open_run(period: BillingPeriod, *, by: User | System, at: datetime, accepted: Sequence[str] = ()) -> BillingRun:
    """Return the run of the closing that has begun, made now if there is none yet. Raises Forbidden."""
    check_staff(by, Permission.CLOSE_MONTH)
    run, made = BillingRun.objects.get_or_create(
        period=period,
        number=period.run,
        defaults={
            "prepared_by": None if isinstance(by, System) else by,
            "prepared_at": at,
            "accepted": ",".join(sorted(accepted))[:300],
        },
    )
    if made:
        audit.record("billing.run_opened", run, by=by, at=at, institution_id=None, after={"month": period.month})
    return run


@transaction.atomic
def present_run(run: BillingRun, *, by: User | System, at: datetime, alone: bool = False) -> BillingRun:
    """Put the drafted run before its approver, with its totals; presented before, it stays.

    `alone` leaves out the invoices that need a second person: each stays a draft until one does. Raises Forbidden.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    run = locked(run)
    if run.status != "preparing":
        return run
    drafts = [draft for draft in drafts_of(run.period) if not alone or draft.total < FOUR_EYES_FROM]
    totals: dict[str, Decimal] = {}
    for draft in drafts:
        totals[draft.currency] = EXACT.add(totals.get(draft.currency, Decimal(0)), draft.total)
    shown = {currency: plain(total) for currency, total in sorted(totals.items())}
    needs_second = any(draft.total >= FOUR_EYES_FROM for draft in drafts)
    RUN.move(run, "prepared", invoices=len(drafts), totals=shown, needs_second=needs_second)
    after: dict[str, Fact] = {"invoices": len(drafts), "needs_second": needs_second, **shown}
    audit.record("billing.run_prepared", run, by=by, at=at, institution_id=None, after=after)
    return run


@transaction.atomic
def approve_run(run: BillingRun, *, by: User | System, at: datetime, totals: str | None = None) -> BillingRun:
    """Let the prepared invoices go out; `totals` is what a person typed of them. Approved before, it stays.

    Raises Forbidden, RunNotReady, FourEyes, TotalsMismatch.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    run = locked(run)
    if run.status in {"approved", "finished"}:
        return run
    if run.status != "prepared":
        raise RunNotReady(_("The run is %(state)s: prepare the month first.") % {"state": run.status})
    if totals is not None:
        check_totals(run, totals)
    if run.needs_second and isinstance(by, User) and by.pk == run.prepared_by_id:
        raise FourEyes(
            _("An invoice of this run is %(limit)s or more: another person than its preparer approves it.")
            % {"limit": plain(FOUR_EYES_FROM)}
        )
    if run.needs_second and isinstance(by, System):
        raise FourEyes(_("An invoice of this run is so large that a person must approve it."))
    RUN.move(run, "approved", approved_by=None if isinstance(by, System) else by, approved_at=at)
    audit.record("billing.run_approved", run, by=by, at=at, institution_id=None, after=dict(run.totals))
    return run


@transaction.atomic
def withdraw_run(run: BillingRun, *, by: User | System, at: datetime) -> BillingRun:
    """Give a run up before anything of it went out: its drafts are discarded, the month is open again.

    Raises Forbidden, TransitionRefused, PeriodClosed, PeriodNotClosing.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    run = locked(run)
    closing.reopen(run.period, by=by, at=at)
    RUN.move(run, "withdrawn")
    audit.record("billing.run_withdrawn", run, by=by, at=at, institution_id=None)
    return run


@transaction.atomic
def finish_run(run: BillingRun, *, by: User | System, at: datetime) -> BillingRun:
    """Lock the month after its invoices went out; finished before, it stays. Raises Forbidden, RunNotReady."""
    check_staff(by, Permission.CLOSE_MONTH)
    run = locked(run)
    if run.status == "finished":
        return run
    if run.status != "approved":
        raise RunNotReady(_("The run is %(state)s: approve it first.") % {"state": run.status})
    closing.finish_closing(run.period, by=by, at=at)
    RUN.move(run, "finished", finished_at=at)
    return run


def drafts_of(period: BillingPeriod) -> Sequence[Invoice]:
    """Return the month's invoices in the order in which they are numbered. Needs a consortium scope."""
    rows = Invoice.objects.filter(period=period, kind="regular").exclude(status="discarded")
    return list(rows.select_related("institution", "billing_account").order_by("institution__slug", "pk"))


def run_of(period: BillingPeriod) -> BillingRun | None:
    """Return the period's newest run, if its closing ever began."""
    return BillingRun.objects.filter(period=period).select_related("period__issuer").order_by("-number").first()


def check_totals(run: BillingRun, typed: str) -> None:
    """Raise TotalsMismatch unless every total was typed: "1234.50", or "1234.50 CAD, 20.00 USD" for several."""
    words = [part.split() for part in typed.split(",") if part.strip()]
    wanted = {currency: Decimal(total) for currency, total in run.totals.items()}
    try:
        said = {(pair[1].upper() if len(pair) > 1 else next(iter(wanted), "")): parse_amount(pair[0]) for pair in words}
    except AmountInvalid:
        said = {}
    if said != wanted:
        shown = ", ".join(f"{total} {currency}" for currency, total in run.totals.items())
        raise TotalsMismatch(_("The run comes to %(totals)s. Type exactly that.") % {"totals": shown}, field="total")


def locked(run: BillingRun) -> BillingRun:
    """Return the run as it is now, its month and its row locked until commit, in this order everywhere."""
    known = BillingRun.objects.select_related("period__issuer").get(pk=run.pk)
    period = open_period(known.period.issuer, known.period.month)
    row = BillingRun.objects.select_for_update().get(pk=run.pk)
    row.period = period
    return row
