"""Reads about money for screens: invoices, what is due and since when, what a month cost, why a share is what it is.

Members call these inside `institution_scope`, staff inside a consortium scope; nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, F, Min, QuerySet, Sum

from billing.models import BillingPeriod, CostRow, Invoice, InvoiceLine, Pool, Share
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope

NOT_MEMBERS_BUSINESS: Final = ("draft", "approved", "discarded")
OPEN: Final = ("issued", "partly_paid")
# What is still owed on an invoice, for queries over invoices; on a balance itself it is `InvoiceBalance.due`.
DUE: Final = F("balance__total") - F("balance__paid") - F("balance__credited") - F("balance__written_off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ageing:
    """What is open in one currency, by days past due: not yet due, 1 to 30, 31 to 60, 61 to 90, more."""

    currency: str
    not_due: Decimal
    to_30: Decimal
    to_60: Decimal
    to_90: Decimal
    over_90: Decimal
    total: Decimal

    @property
    def overdue(self) -> Decimal:
        """What should have been paid before."""
        return EXACT.subtract(self.total, self.not_due)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostOfMonth:
    """What a month cost an institution, without tax, by kind of line and pool ("" where there is none)."""

    month: str
    kind: str
    pool: str
    currency: str
    net: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCost:
    """What one service of the cloud's bill put into a pool, exactly, in the bill's currency."""

    service: str
    rows: int
    total: Decimal
    first_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareExplained:
    """A share on its way from the bill's rows: exact pool, rate, rounded pool, weight of all weights, amount."""

    share: Share
    pool: Pool
    total_weight: Decimal
    members: int
    services: Sequence[ServiceCost]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationSummary:
    """The shared cost of a period: every pool together, and what each institution (by slug) bears of it."""

    currency: str
    total: Decimal
    shares: dict[str, Decimal]
    rates: tuple[Decimal, ...]
    parked: tuple[str, ...]


def invoices_of(institution_id: UUID) -> QuerySet[Invoice]:
    """Return the institution's issued invoices, the newest first, with their balances."""
    return (
        Invoice.objects.filter(institution_id=institution_id)
        .exclude(status__in=NOT_MEMBERS_BUSINESS)
        .select_related("balance", "billing_account", "period")
        .order_by("-issued_at", "-number")
    )


def ageing(*, on: date, institution_id: UUID | None = None, issuer_id: UUID | None = None) -> list[Ageing]:
    """Return what is open by days past due on that day, per currency; of all whom the scope shows unless narrowed."""
    invoices = Invoice.objects.filter(status__in=OPEN)
    if institution_id is not None:
        invoices = invoices.filter(institution_id=institution_id)
    if issuer_id is not None:
        invoices = invoices.filter(issuer_id=issuer_id)
    found: dict[str, dict[int, Decimal]] = {}
    for currency, due_on, amount in invoices.annotate(rest=DUE).values_list("currency", "due_on", "rest"):
        buckets = found.setdefault(currency, dict.fromkeys(range(5), Decimal(0)))
        bucket = _bucket(on, due_on)
        buckets[bucket] = EXACT.add(buckets[bucket], amount)
    return [
        Ageing(
            currency=currency,
            not_due=buckets[0],
            to_30=buckets[1],
            to_60=buckets[2],
            to_90=buckets[3],
            over_90=buckets[4],
            total=exact_sum(buckets.values()),
        )
        for currency, buckets in sorted(found.items())
    ]


def costs_of(institution_id: UUID, *, months: Sequence[str] = ()) -> list[CostOfMonth]:
    """Return what was invoiced for each month by kind and pool, the newest month first; all months unless named."""
    lines = InvoiceLine.objects.filter(institution_id=institution_id).exclude(invoice__status__in=NOT_MEMBERS_BUSINESS)
    lines = lines.exclude(invoice__status="void")
    if months:
        lines = lines.filter(invoice__period__month__in=months)
    groups = (
        lines.annotate(month=F("invoice__period__month"), pool=F("evidence__share__pool"))
        .values("month", "kind", "pool", "currency")
        .annotate(sum=Sum("net"))
        .order_by("-month", "kind", "pool", "currency")
    )
    return [
        CostOfMonth(
            month=group["month"],
            kind=group["kind"],
            pool=group["pool"] or "",
            currency=group["currency"],
            net=group["sum"],
        )
        for group in groups
    ]


def shares_of(institution_id: UUID, *, month: str) -> list[Share]:
    """Return the institution's shares of the pools that were charged in the month's last closing."""
    shares = Share.objects.filter(institution_id=institution_id, pool__period__month=month)
    return list(
        shares.filter(pool__run=F("pool__period__run"))
        .select_related("pool__bill__cloud_account", "pool__fx_rate", "pool__policy")
        .order_by("pool__key")
    )


def explain_share(share: Share) -> ShareExplained:
    """Return how a share came about, down to the services of the bill and the first line of each.

    The rows of a pool belong to no institution, and the others' weights are shown only as their sum: so both are read
    in a wider scope, and nothing else is.
    """
    pool = Pool.objects.select_related("bill__cloud_account", "fx_rate", "policy").get(pk=share.pool_id)
    with consortium_scope(Scope.JOB):
        weights = list(Share.objects.filter(pool=pool).values_list("weight", flat=True))
        groups = list(
            _rows_of(pool)
            .values("service_name")
            .annotate(total=Sum("billed_cost"), number=Count("pk"), first=Min("line"))
            .order_by("-total", "service_name")
        )
    return ShareExplained(
        share=share,
        pool=pool,
        total_weight=exact_sum(weights),
        members=len(weights),
        services=tuple(
            ServiceCost(
                service=group["service_name"], rows=group["number"], total=group["total"], first_line=group["first"]
            )
            for group in groups
        ),
    )


def allocation_summary(period: BillingPeriod) -> AllocationSummary:
    """Return how the shared cost of a period was split, over all of its pools. Needs a consortium scope."""
    pools = list(Pool.objects.filter(period=period, run=period.run).select_related("fx_rate").order_by("key"))
    kept = [pool for pool in pools if not pool.parked_reason]
    sums: dict[str, Decimal] = {}
    shares = Share.objects.filter(pool__in=kept).select_related("institution").order_by("institution__slug")
    for share in shares:
        slug = share.institution.slug
        sums[slug] = EXACT.add(sums.get(slug, Decimal(0)), share.amount)
    return AllocationSummary(
        currency=period.issuer.currency,
        total=exact_sum(pool.rounded_total for pool in kept),
        shares=sums,
        rates=tuple(sorted({pool.fx_rate.rate for pool in kept if pool.fx_rate})),
        parked=tuple(f"{pool.key}: {pool.parked_reason}" for pool in pools if pool.parked_reason),
    )


def _rows_of(pool: Pool) -> QuerySet[CostRow]:
    """The bill's rows that make up a pool; never a row that belongs to one institution."""
    rows = CostRow.objects.filter(bill=pool.bill_id, institution=None)
    if pool.key == "unattributed":
        return rows.filter(destination="unattributed")
    return rows.filter(destination="pool", pool_key=pool.key)


def _bucket(on: date, due_on: date | None) -> int:
    """0 while not past due, then one for each thirty days, at most 4."""
    late = (on - (due_on or on)).days
    return 0 if late <= 0 else min((late - 1) // 30 + 1, 4)
