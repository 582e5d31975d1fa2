"""What a billing run looks like to staff: findings, each invoice beside last month's, and how far the job is."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing import closing, runs
from billing.drafting import Draft
from billing.facts import Finding, MemberFacts
from billing.models import BillingPeriod, BillingRun, Invoice
from billing.models.invoices import FOUR_EYES_FROM
from billing.preflighting import month_is_over
from consortium.kernel.errors import PortalError
from consortium.kernel.formats import money_text
from consortium.kernel.jobs import stalled
from consortium.kernel.money import EXACT
from consortium.kernel.periods import Month, local_month, month_period
from consortium.models import Job
from consortium.usecases.close_period import KIND
from consortium.usecases.month_facts import member_facts
from members.models import Issuer

WORDS = {
    "draft": "Drafted",
    "approved": "Approved",
    "issued": "Issued",
    "partly_paid": "Issued",
    "paid": "Paid",
    "void": "Void",
}


@dataclass(frozen=True, kw_only=True)
class RowView:
    """One member's invoice of the month: amounts as text, `change` against last month, why it waits if it does."""

    member: str
    invoice_id: UUID | None
    number: str
    state: str
    net: str
    tax: str
    total: str
    last: str
    change: str
    is_odd: bool
    is_large: bool
    waits: str = ""


@dataclass(frozen=True, kw_only=True)
class JobView:
    """The job as templates/components/progress.html shows it."""

    pk: UUID
    title: str
    state: str
    done: int
    total: int
    step: str
    elapsed: int
    message: str
    reference: str
    log: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether anything may still change by itself."""
        return self.state in {"queued", "running", "stalled"}


@dataclass(frozen=True, kw_only=True)
class RunView:
    """The page of a month."""

    issuer: str
    month: str
    label: str
    status: str
    is_over: bool
    findings: tuple[Finding, ...]
    rows: tuple[RowView, ...]
    parked: tuple[Finding, ...]
    totals: tuple[str, ...]
    run: BillingRun | None
    job: JobView | None

    @property
    def blocking(self) -> int:
        """How many findings stop the month."""
        return sum(each.blocking for each in self.findings)


@dataclass(frozen=True, kw_only=True)
class MonthView:
    """A month that waits to be closed, or is being closed."""

    issuer: str
    month: str
    label: str
    status: str


ODD_CHANGE = Decimal("0.25")


def months_to_close(*, at: datetime) -> list[MonthView]:
    """Return each issuer's months that are not closed, the running one last. Needs a consortium scope."""
    found = []
    for issuer in Issuer.objects.order_by("slug"):
        closed = set(BillingPeriod.objects.filter(issuer=issuer, status="closed").values_list("month", flat=True))
        known = dict(BillingPeriod.objects.filter(issuer=issuer).values_list("month", "status"))
        this = local_month(at, issuer.zone)
        first = Month.parse(min(known)) if known else this
        while first <= this:
            if str(first) not in closed:
                status = known.get(str(first), "open")
                found.append(MonthView(issuer=issuer.slug, month=str(first), label=first.label("en"), status=status))
            first = first.next()
    return found


def overdue_months(*, at: datetime) -> int:
    """Return how many months are over and not closed: what waits for finance staff. Needs a consortium scope."""
    zones = dict(Issuer.objects.values_list("slug", "zone"))
    return sum(month_period(Month.parse(each.month), zones[each.issuer]).end <= at for each in months_to_close(at=at))


def run_view(period: BillingPeriod, *, at: datetime) -> RunView:
    """Gather the page of a month. Needs a consortium scope."""
    month = Month.parse(period.month)
    facts = member_facts(period.issuer, month, at=at)
    run = runs.run_of(period)
    findings, preview = _looked(period, facts, at)
    job = _job(period, at)
    held = _held(period)
    rows = _rows_of_invoices(period, held) if period.status != "open" else _rows_of_drafts(period, preview)
    sums: dict[str, Decimal] = {}
    for currency, total in _amounts(period, preview):
        sums[currency] = EXACT.add(sums.get(currency, Decimal(0)), total)
    return RunView(
        issuer=period.issuer.slug,
        month=period.month,
        label=month.label("en"),
        status=period.status,
        is_over=month_is_over(period, facts, at=at),
        findings=tuple(findings),
        rows=tuple(rows),
        parked=preview.parked if period.status == "open" else tuple(closing.parked(period, facts, at=at)),
        totals=tuple(_money(total, currency) for currency, total in sorted(sums.items())),
        run=run,
        job=job,
    )


def _looked(period: BillingPeriod, facts: list[MemberFacts], at: datetime) -> tuple[list[Finding], closing.Preview]:
    """What the preflight finds and the preview shows; a missing rate leaves the preview empty."""
    findings = [] if period.status == "closed" else closing.preflight(period, facts, at=at)
    try:
        return findings, closing.preview(period, facts, at=at)
    except PortalError as error:
        odd = Finding(code=error.code, blocking=True, message=error.message)
        return findings, closing.Preview(drafts=(), parked=(odd,))


def _amounts(period: BillingPeriod, preview: closing.Preview) -> list[tuple[str, Decimal]]:
    if period.status == "open":
        return [(draft.currency, draft.total) for draft in preview.drafts]
    return [(invoice.currency, invoice.total) for invoice in runs.drafts_of(period)]


def _rows_of_drafts(period: BillingPeriod, preview: closing.Preview) -> list[RowView]:
    last = _last_totals(period)
    return [_row(draft, last.get(draft.institution_id)) for draft in preview.drafts]


def _rows_of_invoices(period: BillingPeriod, held: dict[str, str]) -> list[RowView]:
    last = _last_totals(period)
    return [
        _row(invoice, last.get(invoice.institution_id), waits=held.get(str(invoice.pk), ""))
        for invoice in runs.drafts_of(period)
    ]


def _row(of: Draft | Invoice, last: tuple[str, Decimal] | None, *, waits: str = "") -> RowView:
    """A row of a draft that is only computed, or of an invoice that is written."""
    is_written = isinstance(of, Invoice)
    net, tax = (of.net_total, of.tax_total) if isinstance(of, Invoice) else (of.net, of.tax)
    change, is_odd = _change(of.currency, of.total, last)
    return RowView(
        member=of.institution.slug if isinstance(of, Invoice) else of.slug,
        invoice_id=of.pk if isinstance(of, Invoice) else None,
        number=(of.number or "") if isinstance(of, Invoice) else "",
        state=WORDS.get(of.status, of.status) if isinstance(of, Invoice) else "Preview",
        net=_money(net, of.currency),
        tax=_money(tax, of.currency),
        total=_money(of.total, of.currency),
        last=_money(last[1], last[0]) if last else "–",
        change=change,
        is_odd=is_odd,
        is_large=of.total >= FOUR_EYES_FROM,
        waits="" if is_written and isinstance(of, Invoice) and of.number else waits,
    )


def _change(currency: str, total: Decimal, last: tuple[str, Decimal] | None) -> tuple[str, bool]:
    """The variance against last month in percent, and whether somebody should look why."""
    if last is None:
        return "new", True
    if last[0] != currency or last[1] == 0:
        return "–", True
    share = (total - last[1]) / last[1]
    return f"{share * 100:+.1f} %", abs(share) > ODD_CHANGE


def _last_totals(period: BillingPeriod) -> dict[UUID, tuple[str, Decimal]]:
    before = str(Month.parse(period.month).previous())
    rows = Invoice.objects.filter(issuer=period.issuer_id, period__month=before, kind="regular", number__isnull=False)
    return {row.institution_id: (row.currency, row.total) for row in rows}


def _jobs_of(period: BillingPeriod) -> list[Job]:
    key = f"{period.issuer.slug}:{period.month}"
    return list(Job.objects.filter(kind=KIND, unique_key__startswith=key).order_by("-created_at"))


def _held(period: BillingPeriod) -> dict[str, str]:
    """Why invoices of the last issue wait, by invoice."""
    for job in _jobs_of(period):
        if "held" in job.result:
            return {each["invoice"]: each["message"] for each in job.result["held"]}
    return {}


def _job(period: BillingPeriod, at: datetime) -> JobView | None:
    job = next(iter(_jobs_of(period)), None)
    if job is None:
        return None
    state = "stalled" if stalled(job, at=at) else job.state
    ended = job.finished_at or at
    words: list[Any] = job.log
    return JobView(
        pk=job.pk,
        title="Issuing the invoices" if job.arguments.get("go_on", True) else "Preparing the drafts",
        state="failed" if state == "needs_operator" else state,
        done=job.done,
        total=job.total,
        step=job.step,
        elapsed=int((ended - (job.started_at or job.created_at)).total_seconds()),
        message=job.error,
        reference=str(job.pk),
        log=tuple(f"{line['at'][:19]}  {line['step']}  {line['message']}" for line in words),
    )


def _money(amount: Decimal, currency: str) -> str:
    return money_text(amount, currency, language="en", code=True)
