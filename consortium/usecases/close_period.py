"""A month is closed: what members used (provisioning) and agreed (members) becomes what they owe (billing).

The only place where use and money meet; they meet as values. A person prepares the month (freeze use, split pools,
draft invoices), a person approves what was drafted, a job issues it. Every step can be started over: a killed run goes
on from what the database says.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import batched
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing import closing, runs
from billing.documents import render_invoice
from billing.invoicing import approve_invoices, issue_invoices
from billing.models import BillingPeriod, BillingRun, Invoice
from billing.periods import open_period
from consortium.kernel import jobs
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from consortium.usecases.late_use import adjust_late_use
from consortium.usecases.month_facts import member_facts
from consortium.usecases.service_credits import credit_services
from members.models import Issuer, User
from members.permissions import Permission, check_staff
from provisioning.rollups import roll_recent
from provisioning.service_level.statements import make_due_statements

KIND = "close_period"
BATCH = 100  # invoices issued in one transaction
RUN = System("billing run")
Report = Callable[..., None]


def _silent(step: str, **_progress: Any) -> None:
    """Report to nobody."""


@transaction.atomic
def request_close(
    *,
    issuer: Issuer,
    month: Month,
    early: bool,
    by: User | System,
    at: datetime,
    approver: User | None = None,
    accepted: Sequence[str] = (),
) -> Job:
    """Want the month closed in one go: prepared by one person, let out by another; the job does it.

    `early` closes a month that still runs: later facts become adjustments. Without an `approver` the invoices that
    need a second person stay drafts and wait for one; all others go out. Raises Forbidden and MonthNotOver.
    """
    _check(issuer, month, early=early, by=by, at=at)
    period = open_period(issuer, str(month))
    wanted = {
        "period": str(period.pk),
        "by": _key(by),
        "approver": _key(approver),
        "early": early,
        "accepted": list(accepted),
        "go_on": True,
    }
    return _enqueue(f"{issuer.slug}:{month}", wanted, at=at)


@transaction.atomic
def request_preparation(
    *, issuer: Issuer, month: Month, early: bool, by: User | System, at: datetime, accepted: Sequence[str] = ()
) -> Job:
    """Want the month's drafts, for another person to approve; the job makes them. Raises Forbidden and MonthNotOver."""
    _check(issuer, month, early=early, by=by, at=at)
    period = open_period(issuer, str(month))
    wanted = {"period": str(period.pk), "by": _key(by), "early": early, "accepted": list(accepted), "go_on": False}
    number = period.run + (1 if period.status == "open" else 0)
    return _enqueue(f"{issuer.slug}:{month}:prepare:{number}", wanted, at=at)


@transaction.atomic
def approve_and_issue(run: BillingRun, *, totals: str, by: User, at: datetime) -> Job:
    """Approve a prepared run, after typing its totals, and want its invoices issued.

    Raises Forbidden, RunNotReady, FourEyes, TotalsMismatch.
    """
    run = runs.approve_run(run, by=by, at=at, totals=totals)
    wanted = {
        "period": str(run.period_id),
        "by": _key(run.prepared_by),
        "approver": _key(by),
        "early": run.period.closed_early,
        "accepted": [],
        "go_on": True,
    }
    return _enqueue(f"{run.period.issuer.slug}:{run.period.month}:issue:{run.number}", wanted, at=at)


def prepare_period(
    period_id: UUID,
    *,
    by: User | System,
    early: bool,
    at: datetime,
    accepted: Sequence[str] = (),
    alone: bool = False,
    report: Report = _silent,
) -> BillingRun:
    """Credit missed service, check, freeze the use, split and draft; returns the run that waits for its approver.

    `alone` says that no second person will come: invoices that need one are left out of the run and stay drafts.

    Runs outside a transaction: each step is one. Raises NeedsOperator when the check finds something that blocks.
    """
    report("Reading the service level and what came late")
    make_due_statements(at=at)
    with consortium_scope(Scope.JOB):
        period = BillingPeriod.objects.select_related("issuer").get(pk=period_id)
        credit_services(period, member_facts(period.issuer, Month.parse(period.month)), by=by, at=at)
        adjust_late_use(period, by=by, at=at)
    crash_point("close.credited")
    report("Checking the month")
    with consortium_scope(Scope.JOB):
        period = BillingPeriod.objects.select_related("issuer").get(pk=period_id)
        facts = member_facts(period.issuer, Month.parse(period.month), at=at)
        try:
            period = closing.begin_closing(period, facts, by=by, at=at, early=early, accepted=accepted)
        except closing.CloseBlocked as blocked:
            raise jobs.NeedsOperator(blocked.message) from blocked
        run = runs.open_run(period, by=by, at=at, accepted=accepted)
    crash_point("close.began")
    report("Splitting shared cost")
    with consortium_scope(Scope.JOB):
        closing.allocate_pools(period, facts, at=at)
    crash_point("close.allocated")
    report("Drafting invoices")
    with consortium_scope(Scope.JOB):
        closing.draft_invoices(period, facts, by=by, at=at)
        run = runs.present_run(run, by=by, at=at, alone=alone)
    crash_point("close.drafted")
    return run


def close_period(
    period_id: UUID,
    *,
    by: User | System,
    early: bool,
    at: datetime,
    approver: User | None = None,
    accepted: Sequence[str] = (),
    report: Report = _silent,
) -> dict[str, Any]:
    """Prepare, approve, issue, render and close; returns what was issued, held and parked.

    What needs a second person is held where no `approver` other than the preparer is given. Runs outside a
    transaction: each step is one. Raises NeedsOperator when the check finds something that blocks.
    """
    alone = approver is None or approver.pk == by.pk
    run = prepare_period(period_id, by=by, early=early, at=at, accepted=accepted, alone=alone, report=report)
    return issue_run(run, by=by, approver=approver or by, at=at, report=report)


def issue_run(
    run: BillingRun, *, by: User | System, approver: User | System, at: datetime, report: Report = _silent
) -> dict[str, Any]:
    """Issue and render the drafts of a run and close its month; what waits for a person is held and named.

    Runs outside a transaction: each step is one, so that it can be started over at any point. Raises FourEyes.
    """
    with consortium_scope(Scope.JOB):
        run = runs.approve_run(run, by=approver, at=at)
        period = BillingPeriod.objects.select_related("issuer").get(pk=run.period_id)
        drafts = runs.drafts_of(period)
        facts = member_facts(period.issuer, Month.parse(period.month))
    issued, held = _issue(drafts, approver=approver, at=at, report=report)
    with consortium_scope(Scope.JOB):
        waiting = {each.institution_id for each in drafts} - {each.institution_id for each in issued}
        parked = [
            {"code": each.code, "message": each.message}
            for each in closing.parked(period, facts, at=at)
            if each.institution_id not in waiting
        ]
        runs.finish_run(run, by=by, at=at)
    crash_point("close.finished")
    return {"invoices": [invoice.number for invoice in issued], "held": held, "parked": parked}


def _issue(
    drafts: Sequence[Invoice], *, approver: User | System, at: datetime, report: Report
) -> tuple[list[Invoice], list[dict[str, str]]]:
    """Issue and render what can be; what waits for a person (purchase order, second approver) is held and named.

    Issued a hundred at a time, each hundred in one transaction: their numbers are taken together or not at all, so that
    a kill leaves no gap, and the series is locked for a moment only. Rendered one by one, which takes the time.
    """
    issued: list[Invoice] = []
    held: list[dict[str, str]] = []
    for batch in batched(drafts, BATCH):
        report("Issuing invoices", done=len(issued) + len(held), total=len(drafts))
        with consortium_scope(Scope.JOB):
            approved = approve_invoices(batch, by=approver, at=at)
            outcome = issue_invoices(approved.done, by=approver, at=at)
        crash_point("close.issued")
        refused = {**approved.refused, **outcome.refused}
        held += [_held(draft, refused[draft.pk]) for draft in batch if draft.pk in refused]
        issued += outcome.done
    written = []
    for done, invoice in enumerate(issued):
        report("Writing the documents", done=done, total=len(issued))
        try:
            with consortium_scope(Scope.JOB):
                render_invoice(invoice, at=at)
            crash_point("close.rendered")
        except PortalError as error:
            held.append(_held(invoice, error))
        else:
            written.append(invoice)
    report("Writing the documents", done=len(issued), total=len(issued))
    return written, held


def _held(draft: Invoice, refused: PortalError) -> dict[str, str]:
    return {
        "invoice": str(draft.pk),
        "institution": draft.institution.slug,
        "code": refused.code,
        "message": refused.message,
    }


@jobs.job_kind(KIND)
def work(run: jobs.Run) -> dict[str, Any]:
    """The job: roll the newest samples up, prepare, and go on where that is wanted."""
    run.report("Reading the meters")
    with consortium_scope(Scope.JOB):
        roll_recent(at=now())
        by, approver = _person(run.arguments["by"]), _person(run.arguments.get("approver", ""))
    period_id, early, at = UUID(run.arguments["period"]), bool(run.arguments["early"]), now()
    accepted = tuple(run.arguments.get("accepted", ()))
    if not run.arguments.get("go_on", True):
        prepared = prepare_period(period_id, by=by, early=early, at=at, accepted=accepted, report=run.report)
        return {"run": str(prepared.pk), "invoices": prepared.invoices, "totals": prepared.totals}
    second = approver if isinstance(approver, User) else None
    return close_period(period_id, by=by, early=early, at=at, approver=second, accepted=accepted, report=run.report)


def _check(issuer: Issuer, month: Month, *, early: bool, by: User | System, at: datetime) -> None:
    check_staff(by, Permission.CLOSE_MONTH)
    if not early and at < month_period(month, issuer.zone).end:
        raise closing.MonthNotOver(_("%(month)s is not over yet. Wait, or close it early.") % {"month": month})


def _enqueue(key: str, wanted: dict[str, Any], *, at: datetime) -> Job:
    job = jobs.enqueue(KIND, key=key, at=at, institution_id=None, arguments=wanted)
    if job.state in {"failed", "needs_operator"}:  # asked again, after somebody mended the cause
        Job.objects.filter(pk=job.pk).update(arguments=wanted)
        jobs.retry(job, at=at)
    return job


def _key(person: User | System | None) -> str:
    return str(person.pk) if isinstance(person, User) else ""


def _person(key: str) -> User | System:
    return User.objects.get(pk=key) if key else RUN
