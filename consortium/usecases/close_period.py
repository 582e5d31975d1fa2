"""A month is closed: what members used (provisioning) and agreed (members) becomes what they owe (billing).

The only place where use and money meet; they meet as values. Every step can be started over: a killed run goes on
from what the database says.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing import closing
from billing.documents import render_invoice
from billing.facts import MemberFacts
from billing.invoicing import approve_invoice, issue_invoice
from billing.models import BillingPeriod, Invoice
from billing.periods import open_period
from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from members.entitlements import Entitlements, entitlements_between
from members.models import Issuer, User
from members.permissions import Permission, check_staff
from provisioning.queries import month_use
from provisioning.rollups import roll_recent

KIND = "close_period"
Report = Callable[..., None]


def _silent(step: str, **_progress: Any) -> None:
    """Report to nobody."""


@transaction.atomic
def request_close(*, issuer: Issuer, month: Month, early: bool, by: User, at: datetime) -> Job:
    """Want the month closed; the job does it. `early` closes a month that still runs: later facts become adjustments.

    Raises Forbidden and MonthNotOver.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    if not early and at < month_period(month, issuer.zone).end:
        raise closing.MonthNotOver(_("%(month)s is not over yet. Wait, or close it early.") % {"month": month})
    period = open_period(issuer, str(month))
    wanted = {"period": str(period.pk), "by": str(by.pk), "early": early}
    job = jobs.enqueue(KIND, key=f"{issuer.slug}:{month}", at=at, institution_id=None, arguments=wanted)
    if job.state in {"failed", "needs_operator"}:  # asked again, after somebody mended the cause
        Job.objects.filter(pk=job.pk).update(arguments=wanted)
        jobs.retry(job, at=at)
    return job


def member_facts(issuer: Issuer, month: Month) -> list[MemberFacts]:
    """Each member's agreement and use of the month, in the zone of its agreement. Needs a consortium scope."""
    use = month_use(month=month)
    facts = []
    for agreed in _in_the_month(issuer, month):
        used = use.get(agreed.institution_id)
        values: Mapping[str, Any] = (
            {
                "server_seconds": used.server_seconds,
                "memory_gib_seconds": used.memory_gib_seconds,
                "active_users": used.active_users,
                "gap_seconds": used.gap_seconds,
            }
            if used
            else {}
        )
        facts.append(
            MemberFacts(
                institution_id=agreed.institution_id,
                slug=agreed.institution_slug,
                zone=agreed.zone,
                agreement_id=agreed.agreement_id,
                currency=agreed.currency,
                schedule=agreed.schedule,
                starts_on=agreed.starts_on,
                ends_on=agreed.ends_on,
                **values,
            )
        )
    return facts


def _in_the_month(issuer: Issuer, month: Month) -> list[Entitlements]:
    """What covers some of the month.

    Raises NeedsOperator where one member changed its agreement within the month: one invoice cannot follow two.
    """
    covering = entitlements_between(issuer_id=issuer.pk, first_day=month.first_day, next_day=month.next().first_day)
    for one, two in pairwise(covering):
        if one.institution_id == two.institution_id:
            raise jobs.NeedsOperator(
                f"{one.institution_slug} changed its agreement within {month}. Let the new version begin with a month."
            )
    return covering


def close_period(period_id: UUID, *, by: User, early: bool, at: datetime, report: Report = _silent) -> dict[str, Any]:
    """Check, split, draft, approve, issue, render and close; returns what was issued.

    Runs outside a transaction: each step is one. Raises NeedsOperator when the check finds something that blocks.
    """
    report("Checking the month")
    with consortium_scope(Scope.JOB):
        period = BillingPeriod.objects.select_related("issuer").get(pk=period_id)
        facts = member_facts(period.issuer, Month.parse(period.month))
        try:
            closing.begin_closing(period, facts, by=by, at=at, early=early)
        except closing.CloseBlocked as blocked:
            raise jobs.NeedsOperator(blocked.message) from blocked
    crash_point("close.began")
    report("Splitting shared cost")
    with consortium_scope(Scope.JOB):
        closing.allocate_pools(period, facts, at=at)
    crash_point("close.allocated")
    report("Drafting invoices")
    with consortium_scope(Scope.JOB):
        drafts = closing.draft_invoices(period, facts, by=by, at=at)
    crash_point("close.drafted")
    with consortium_scope(Scope.JOB):
        parked = [{"code": each.code, "message": each.message} for each in closing.parked(period, facts, at=at)]
    issued, held = _issue(drafts, by=by, at=at, report=report)
    with consortium_scope(Scope.JOB):
        closing.finish_closing(period, by=by, at=at)
    crash_point("close.finished")
    return {"invoices": [invoice.number for invoice in issued], "held": held, "parked": parked}


def _issue(
    drafts: list[Invoice], *, by: User, at: datetime, report: Report
) -> tuple[list[Invoice], list[dict[str, str]]]:
    """Issue and render what can be; what waits for a person (purchase order, second approver) is held and named."""
    issued, held = [], []
    for done, draft in enumerate(drafts):
        report("Issuing invoices", done=done, total=len(drafts))
        try:
            with consortium_scope(Scope.JOB):
                invoice = Invoice.objects.get(pk=draft.pk)
                if invoice.status == "draft":
                    approve_invoice(invoice, by=by, at=at)
                invoice = issue_invoice(invoice, by=by, at=at)
        except PortalError as refused:
            held.append({"invoice": str(draft.pk), "code": refused.code, "message": refused.message})
            continue
        crash_point("close.issued")
        with consortium_scope(Scope.JOB):
            render_invoice(invoice, at=at)
        crash_point("close.rendered")
        issued.append(invoice)
    report("Issuing invoices", done=len(drafts), total=len(drafts))
    return issued, held


@jobs.job_kind(KIND)
def work(run: jobs.Run) -> dict[str, Any]:
    """The job: roll the newest samples up, then close."""
    run.report("Reading the meters")
    with consortium_scope(Scope.JOB):
        roll_recent(at=now())
        by = User.objects.get(pk=run.arguments["by"])
    return close_period(
        UUID(run.arguments["period"]), by=by, early=bool(run.arguments["early"]), at=now(), report=run.report
    )
