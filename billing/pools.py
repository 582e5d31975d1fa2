"""Pools: what a bill leaves to share, converted once, rounded once, and split by the policy of the month's last day.

`compute_pools` says what a close would do, `allocate_pools` (in closing) keeps it: the same function, so that a preview
equals the result. An odd basis, an unknown key or a missing rate parks its pool with the reason: nobody is billed for
it, everybody else is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, F, Sum

from billing.allocation import Conversion, PoolParked
from billing.allocation.methods import converted
from billing.bills import current_bills
from billing.computed import ComputedPool
from billing.facts import MEASURES, MemberFacts
from billing.fx import RateMissing, rate_on
from billing.mirrors import mirrors_of
from billing.models import (
    BillImport,
    BillingPeriod,
    CostRow,
    FxRate,
    PeriodBasis,
    Pool,
    Share,
)
from billing.pool_rules import (
    RECOVERABLE,
    UNATTRIBUTED_POOL,
    MemberBasis,
    PoolRules,
    Rule,
)
from billing.pool_splits import split_pool
from billing.provider_totals import PARKED, Difference, differences
from billing.reversals import is_restated
from billing.rules import TAX_POOL
from consortium.kernel.fields import AmountField
from consortium.kernel.money import round_money
from consortium.kernel.periods import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSum:
    """The exact sum of a bill's rows that go to one place, without what they put into or take from prepayments."""

    bill_id: UUID
    destination: str
    pool_key: str
    institution_id: UUID | None
    total: Decimal
    rows: int


def cost_sums(period: BillingPeriod) -> list[CostSum]:
    """Return where the money of the period's bills goes, exactly, in one query."""
    bills = current_bills(period)
    groups = (
        CostRow.objects.filter(bill__in=bills.values("pk"))
        .values("bill_id", "destination", "pool_key", "institution_id")
        .annotate(total=Sum(F("billed_cost") - F("prepaid"), output_field=AmountField()), number=Count("pk"))
        .order_by("bill_id", "destination", "pool_key", "institution_id")
    )
    return [
        CostSum(
            bill_id=group["bill_id"],
            destination=group["destination"],
            pool_key=group["pool_key"],
            institution_id=group["institution_id"],
            total=group["total"],
            rows=group["number"],
        )
        for group in groups
    ]


def compute_pools(
    period: BillingPeriod, facts: Sequence[MemberFacts], *, instead: Mapping[str, Rule] | None = None
) -> list[ComputedPool]:
    """Return every pool of the period as a close would make it now, in a fixed order.

    `instead` splits the pools of its keys by other rules, for a what-if.
    """
    bills = {bill.pk: bill for bill in current_bills(period)}
    differing = differences(bills.values())
    sources = {bill.pk: _Source(period, bill, instead or {}) for bill in bills.values()}
    computed = []
    for cost in cost_sums(period):
        if cost.destination == "direct" or bills[cost.bill_id].kind == "reversal":
            continue
        source = sources[cost.bill_id]
        rule = source.rule(cost.pool_key)
        if rule.method != RECOVERABLE:
            wrong = differing.get(cost.bill_id)
            computed.append(_computed(cost, source=source, rule=rule, facts=facts, wrong=wrong))
    computed += [mirror for bill in bills.values() if bill.kind == "reversal" for mirror in mirrors_of(bill)]
    return sorted(
        computed, key=lambda pool: (pool.bill.month, pool.bill.cloud_account.slug, pool.bill.version, pool.key)
    )


def keep_pool(period: BillingPeriod, computed: ComputedPool) -> Pool:
    """Write one pool with its shares."""
    pool = Pool.objects.create(
        period=period,
        run=period.run,
        bill=computed.bill,
        policy=computed.rule.policy,
        key=computed.key,
        bill_currency=computed.bill.currency,
        exact_total=computed.exact_total,
        fx_rate=computed.fx,
        currency=computed.currency,
        rounded_total=computed.rounded_total,
        method=computed.rule.method,
        basis=computed.rule.basis,
        basis_month=computed.basis_month,
        own_amount=computed.own,
        own_weight=computed.own_weight,
        parked_reason=computed.parked_reason,
        parked_message=computed.parked_message,
    )
    Share.objects.bulk_create(
        Share(
            pool=pool,
            institution_id=computed.institutions[share.member],
            weight=computed.weights[share.member],
            exact=str(share.quotient),
            amount=share.amount,
            currency=computed.currency,
        )
        for share in computed.shares
    )
    return pool


def recoverable_tax(period: BillingPeriod) -> dict[UUID, Decimal]:
    """Return the exact tax of each bill that the tax office gives back, by the policy of the pool "tax"."""
    bills = {bill.pk: _Source(period, bill, {}) for bill in current_bills(period)}
    return {
        cost.bill_id: cost.total
        for cost in cost_sums(period)
        if cost.pool_key == TAX_POOL and bills[cost.bill_id].rule(TAX_POOL).method == RECOVERABLE
    }


def last_day(period: BillingPeriod) -> date:
    """The last day of the period's month: policies and rates are those of that day."""
    return last_day_of(period.month)


def rate_day(period: BillingPeriod, bill: BillImport) -> date:
    """The day whose rate converts a bill: the last of the month that charges it.

    What a closed month charged is taken back, and its correction charged, at the rate of that month: so the two differ
    by what the provider corrected and by nothing else.
    """
    if bill.kind == "reversal" and bill.reverses is not None:
        return last_day_of(bill.reverses.charged_month)
    first = _first_charged(bill)
    return last_day_of(first) if first else last_day(period)


def last_day_of(month: str) -> date:
    """The last day of a month, YYYY-MM."""
    return Month.parse(month).next().first_day - timedelta(days=1)


def _first_charged(bill: BillImport) -> str:
    """The closed month that charged the version which this bill corrects, or the empty string."""
    if not is_restated(bill):
        return ""
    taken = BillImport.objects.filter(cloud_account=bill.cloud_account_id, month=bill.month, kind="reversal")
    first = taken.order_by("version").select_related("reverses").first()
    return first.reverses.charged_month if first and first.reverses else ""


class _Source:
    """A bill as a source of pools: the day whose policies and rate hold for it, read once."""

    def __init__(self, period: BillingPeriod, bill: BillImport, instead: Mapping[str, Rule]) -> None:
        self.period, self.bill = period, bill
        self.day = rate_day(period, bill)
        self.rules = PoolRules(period.issuer, self.day, instead)

    def rule(self, key: str) -> Rule:
        """How a pool of the bill is split."""
        return self.rules.of(key)


def _members(
    period: BillingPeriod, bill: BillImport, facts: Sequence[MemberFacts]
) -> tuple[str, dict[str, MemberBasis]]:
    """Return the month whose use is the basis, and that use by member.

    A bill of a month that was closed is split by that month's frozen use. A bill of a month that never was closed here
    has none, and takes that of the month it is charged in.
    """
    if bill.month != period.month:
        closed = BillingPeriod.objects.filter(issuer=period.issuer, month=bill.month, status="closed").first()
        if closed is not None and (frozen := _frozen(closed, facts)):
            return bill.month, frozen
    month = Month.parse(period.month)
    return period.month, {
        each.slug: MemberBasis(
            institution_id=each.institution_id,
            slug=each.slug,
            tier=each.schedule.tier,
            **{name: getattr(each, name) for name in MEASURES},
        )
        for each in facts
        if each.billed_period(month)
    }


def _frozen(closed: BillingPeriod, facts: Sequence[MemberFacts]) -> dict[str, MemberBasis]:
    tiers = {each.institution_id: each.schedule.tier for each in facts}
    rows = PeriodBasis.objects.filter(period=closed, run=closed.run).select_related("institution")
    return {
        row.institution.slug: MemberBasis(
            institution_id=row.institution_id,
            slug=row.institution.slug,
            tier=row.tier or tiers.get(row.institution_id, ""),
            **{name: getattr(row, name) for name in MEASURES},
        )
        for row in rows
    }


def _computed(
    cost: CostSum, *, source: _Source, rule: Rule, facts: Sequence[MemberFacts], wrong: Difference | None
) -> ComputedPool:
    """Split one pool, or park it."""
    bill, period, key = source.bill, source.period, cost.pool_key or UNATTRIBUTED_POOL
    basis_month, members = _members(period, bill, facts)
    target = period.issuer.currency
    fx, split, parked = None, None, None
    try:
        fx = rate_on(bill.currency, target, on=source.day)
        _check_total(wrong)
        split = split_pool(
            key,
            rule,
            amount=cost.total,
            currency=bill.currency,
            conversion=Conversion(fx.rate, target, fx.source) if fx else None,
            members=members,
            rules=source.rules,
        )
    except (PoolParked, RateMissing) as error:
        parked = error
    converts = fx is not None or bill.currency == target
    currency = target if converts else bill.currency
    return ComputedPool(
        bill=bill,
        key=key,
        rule=rule,
        exact_total=cost.total,
        fx=fx,
        currency=currency,
        rounded_total=split.pool if split else _total(cost.total, fx, currency),
        basis_month=basis_month,
        parked_reason=parked.code if parked else "",
        parked_message=parked.message if parked else "",
        shares=split.shares if split else (),
        institutions={slug: member.institution_id for slug, member in members.items()},
        weights=split.weights if split else {},
        own=split.own if split else Decimal(0),
        own_weight=split.own_weight if split else Decimal(0),
    )


def _check_total(wrong: Difference | None) -> None:
    """Park what belongs to a bill that its provider's invoice contradicts."""
    if wrong is not None:
        raise PoolParked(PARKED, wrong.message)


def _total(exact: Decimal, fx: FxRate | None, currency: str) -> Decimal:
    """Return what a pool comes to, converted once and rounded once, also where nobody can share it."""
    amount, target = converted(exact, fx.base if fx else currency, Conversion(fx.rate, currency) if fx else None)
    return round_money(amount, target)


__all__ = [
    "RECOVERABLE",
    "UNATTRIBUTED_POOL",
    "ComputedPool",
    "CostSum",
    "compute_pools",
    "cost_sums",
    "keep_pool",
    "last_day",
    "last_day_of",
    "rate_day",
    "recoverable_tax",
]
