"""Closing a month: look first, freeze what was measured, split the pools, draft the invoices, post the bills, lock.

    preflight → begin_closing → allocate_pools → draft_invoices → (approve, issue) → finish_closing

Each step may be started over at any point: it finds what it did before. Nothing here reads agreements or meters; the
use case hands them over as `MemberFacts`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from billing import preflighting
from billing.bills import current_bills
from billing.charges import charges_of, kept_pools, view_of_computed
from billing.deferrals import recognise
from billing.drafting import Draft, NothingDue, compose
from billing.facts import MEASURES, Finding, MemberFacts
from billing.invoice_drafts import live_regular, write_draft
from billing.ledger import post_supplier_bill
from billing.models import BillingPeriod, Invoice, PeriodBasis, Pool
from billing.periods import PeriodClosed, open_period
from billing.pools import compute_pools, keep_pool, last_day, recoverable_tax
from billing.preflighting import AccountUnfit, account_for, month_is_over, preflight
from billing.states import INVOICE, PERIOD
from billing.tax import TaxUndecided
from billing.tax_facts import tax_facts
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, month_period
from members.models import User
from members.permissions import Permission, check_staff


class CloseBlocked(PortalError):
    """The preflight found what staff must mend or accept first; `findings` says what."""

    code = "close_blocked"

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(" ".join(finding.message for finding in findings))
        self.findings = tuple(findings)


class MonthNotOver(PortalError):
    """The month still runs; closing it early is a decision that must be said."""

    code = "month_not_over"


class PeriodNotClosing(PortalError):
    """The step belongs to a closing that has not begun, or is over."""

    code = "period_not_closing"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a close would invoice, to the cent, and whom it would leave out, and why."""

    drafts: tuple[Draft, ...]
    parked: tuple[Finding, ...]


@transaction.atomic
def begin_closing(
    period: BillingPeriod,
    facts: Sequence[MemberFacts],
    *,
    by: User | System,
    at: datetime,
    early: bool = False,
    accepted: Collection[str] = (),
) -> BillingPeriod:
    """Take no more bills for the month and freeze each member's use. Begun or done before, it changes nothing.

    `early` closes a month that still runs: later facts become adjustments. `accepted` names codes of blocking findings
    that staff take responsibility for. Raises Forbidden, MonthNotOver, CloseBlocked.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    period = open_period(period.issuer, period.month)
    if period.status != "open":
        return period
    is_early = not month_is_over(period, facts, at=at)
    if is_early and not early:
        raise MonthNotOver(_("%(month)s is not over yet. Close it early only on purpose.") % {"month": period.month})
    findings = [each for each in preflight(period, facts, at=at) if _stops(each, accepted)]
    if findings:
        raise CloseBlocked(findings)
    PERIOD.move(period, "closing", run=period.run + 1, closed_early=is_early)
    _freeze_use(period, facts)
    after: dict[str, Fact] = {"run": period.run, "early": is_early, "accepted": ",".join(sorted(accepted))}
    audit.record("billing.closing_begun", period, by=by, at=at, institution_id=None, after=after)
    crash_point("closing.begun")
    return period


@transaction.atomic
def allocate_pools(period: BillingPeriod, facts: Sequence[MemberFacts], *, at: datetime) -> list[Pool]:
    """Split every pool of the closing month once, or park it with its reason; done before, it returns those pools.

    Raises PeriodNotClosing.
    """
    period = _begun(period)
    held = list(Pool.objects.filter(period=period, run=period.run).order_by("key"))
    if held or period.status == "closed":
        return held
    pools = [keep_pool(period, computed) for computed in compute_pools(period, frozen(period, facts))]
    after = {"pools": len(pools), "parked": sum(bool(pool.parked_reason) for pool in pools)}
    by = System("billing run")
    audit.record("billing.pools_allocated", period, by=by, at=at, institution_id=None, after=after)
    crash_point("closing.pools_allocated")
    return pools


@transaction.atomic
def draft_invoices(
    period: BillingPeriod, facts: Sequence[MemberFacts], *, by: User | System, at: datetime
) -> list[Invoice]:
    """Draft one invoice for each billing account that owes something, and return them all, older ones included.

    Whoever cannot be drafted is left out and listed by `parked`. Raises Forbidden, PeriodNotClosing.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    period = _begun(period)
    if period.status == "closed":
        return list(Invoice.objects.filter(period=period).exclude(status="discarded").order_by("institution__slug"))
    facts = frozen(period, facts)
    found = _outcome(period, facts, at=at, kept=True)
    accounts = preflighting.accounts(period)
    invoices = []
    for draft in found.drafts:
        account = accounts[draft.institution_id]
        invoice = live_regular(account, draft.period) or write_draft(period, account, draft, by=by, at=at)
        invoices.append(invoice)
    crash_point("closing.drafted")
    return invoices


def preview(period: BillingPeriod, facts: Sequence[MemberFacts], *, at: datetime) -> Preview:
    """Return what a close would invoice now, without writing anything; afterwards, what it did invoice."""
    period.refresh_from_db()
    return _outcome(period, frozen(period, facts), at=at, kept=period.status != "open")


def parked(period: BillingPeriod, facts: Sequence[MemberFacts], *, at: datetime) -> list[Finding]:
    """Return what was left out and waits: pools with their reason, members that cannot be drafted, invoices on hold."""
    period.refresh_from_db()
    pools = Pool.objects.filter(period=period, run=period.run).exclude(parked_reason="").order_by("key")
    waiting = [
        Finding(code=pool.parked_reason, blocking=False, message=f"{pool.key}: {pool.parked_message}") for pool in pools
    ]
    found = preview(period, facts, at=at)
    totals = {draft.institution_id: draft.total for draft in found.drafts}
    gone = set(Invoice.objects.filter(period=period, number__isnull=False).values_list("institution_id", flat=True))
    members = [each for each in facts if each.institution_id in totals and each.institution_id not in gone]
    return [*waiting, *found.parked, *preflighting.purchase_orders(period, members, at=at, totals=totals)]


@transaction.atomic
def finish_closing(period: BillingPeriod, *, by: User | System, at: datetime) -> BillingPeriod:
    """Post the month's cloud bills, make income of the dues it earned, and lock the month for ever.

    Closed before, it returns the period. A month that is closed while it runs has earned nothing yet: a later one makes
    up for it. Drafts that wait for a purchase order or an approval stay, and may be issued later. Raises Forbidden,
    PeriodNotClosing.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    period = _begun(period)
    if period.status == "closed":
        return period
    taxes = recoverable_tax(period)
    for bill in current_bills(period):
        tax = taxes.get(bill.pk, Decimal(0))
        post_supplier_bill(bill, issuer=period.issuer, input_tax=tax, on=last_day(period), at=at)
    crash_point("closing.bills_posted")
    month = Month.parse(period.month)
    if at >= month_period(month, period.issuer.zone).end:
        recognise(period.issuer, month, by=by, at=at)
    PERIOD.move(period, "closed", closed_at=at)
    invoices = Invoice.objects.filter(period=period).exclude(status="discarded").count()
    after = {"run": period.run, "early": period.closed_early, "invoices": invoices}
    audit.record("billing.period_closed", period, by=by, at=at, institution_id=None, after=after)
    crash_point("closing.before_commit")
    return period


@transaction.atomic
def reopen(period: BillingPeriod, *, by: User | System, at: datetime) -> BillingPeriod:
    """Give up a closing of which nothing was issued: its drafts are discarded, the month takes bills again.

    Raises Forbidden, PeriodNotClosing, PeriodClosed.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    period = _begun(period)
    if period.status == "closed":
        raise PeriodClosed(period, what=_("a new start"))
    invoices = list(Invoice.objects.select_for_update().filter(period=period).exclude(status="discarded"))
    if any(invoice.number for invoice in invoices):
        raise PeriodClosed(period, what=_("a new start, after invoices were issued,"))
    for invoice in invoices:
        INVOICE.move(invoice, "discarded")
    PERIOD.move(period, "open", closed_early=False)
    audit.record("billing.closing_given_up", period, by=by, at=at, institution_id=None, after={"run": period.run})
    return period


def frozen(period: BillingPeriod, facts: Sequence[MemberFacts]) -> list[MemberFacts]:
    """Return the facts with the use that was frozen when the closing began; before that, as they are."""
    if period.status == "open":
        return list(facts)
    rows = {row.institution_id: row for row in PeriodBasis.objects.filter(period=period, run=period.run)}
    return [
        replace(each, **{name: getattr(rows[each.institution_id], name) for name in (*MEASURES, "gap_seconds")})
        for each in facts
        if each.institution_id in rows
    ]


def after_acceptance(findings: Sequence[Finding], accepted: Collection[str]) -> list[Finding]:
    """Return the findings as they stand after staff took responsibility for some codes: those block no more."""
    return [replace(each, blocking=_stops(each, accepted)) for each in findings]


def _stops(finding: Finding, accepted: Collection[str]) -> bool:
    """Tell whether a finding stops the close, after what staff accepted."""
    return finding.blocking and (finding.code not in accepted or finding.code in preflighting.NEVER_ACCEPTED)


def _freeze_use(period: BillingPeriod, facts: Sequence[MemberFacts]) -> None:
    PeriodBasis.objects.bulk_create(
        PeriodBasis(
            period=period,
            run=period.run,
            institution_id=each.institution_id,
            tier=each.schedule.tier,
            **{name: getattr(each, name) for name in (*MEASURES, "gap_seconds")},
        )
        for each in facts
    )


def _begun(period: BillingPeriod) -> BillingPeriod:
    """Return the period locked, if its closing runs or is done. Raises PeriodNotClosing."""
    period = open_period(period.issuer, period.month)
    if period.status == "open":
        raise PeriodNotClosing(_("%(month)s is open: begin its closing first.") % {"month": period.month})
    return period


def _outcome(period: BillingPeriod, facts: Sequence[MemberFacts], *, at: datetime, kept: bool) -> Preview:
    """Compose every member's invoice from pools that are kept, or from those that would be."""
    pools = kept_pools(period) if kept else [view_of_computed(pool) for pool in compute_pools(period, facts)]
    drafts, left_out = [], []
    accounts = preflighting.accounts(period)
    registrations = tax_facts(period.issuer, at=at)
    for charges in charges_of(period, facts, pools):
        try:
            account = account_for(charges.facts, accounts)
            draft = compose(charges, tax_facts=registrations.of(account))
        except (AccountUnfit, TaxUndecided, NothingDue) as error:
            message = f"{charges.facts.slug}: {error.message}"
            key = charges.facts.institution_id
            left_out.append(Finding(code=error.code, blocking=False, message=message, institution_id=key))
            continue
        if draft is not None:
            drafts.append(draft)
    return Preview(drafts=tuple(drafts), parked=tuple(left_out))


__all__ = [
    "CloseBlocked",
    "Finding",
    "MemberFacts",
    "MonthNotOver",
    "PeriodClosed",
    "PeriodNotClosing",
    "Preview",
    "after_acceptance",
    "allocate_pools",
    "begin_closing",
    "draft_invoices",
    "finish_closing",
    "open_period",
    "parked",
    "preflight",
    "preview",
    "reopen",
]
