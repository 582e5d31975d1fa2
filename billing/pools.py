"""Pools: what a bill leaves to share, converted once, rounded once, and split by the policy of the month's last day.

`compute_pools` says what a close would do, `allocate_pools` (in closing) keeps it: the same function, so that a preview
equals the result. An odd basis, an unknown key or a missing rate parks its pool with the reason: nobody is billed for
it, everybody else is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Sum

from billing import allocation
from billing.allocation import Conversion, Method, PoolParked, tier_weights
from billing.allocation.methods import converted
from billing.allocation.result import Share as SplitShare
from billing.bills import current_bills
from billing.facts import MemberFacts
from billing.fx import RateMissing, rate_on
from billing.models import (
    AllocationPolicy,
    BillImport,
    BillingPeriod,
    CostRow,
    FxRate,
    PeriodBasis,
    Pool,
    Share,
)
from billing.rules import TAX_POOL
from consortium.kernel.money import AmountInvalid, parse_amount, round_money
from consortium.kernel.periods import Month

UNATTRIBUTED_POOL: Final = "unattributed"
# A policy with this method says that the tax office gives the money back: it is no cost, so nobody shares it.
RECOVERABLE: Final = "recoverable"
_BASES: Final = frozenset({"memory_gib_seconds", "server_seconds", "active_users"})
_DEFAULT: Final = (Method.PROPORTIONAL, "memory_gib_seconds")
_DEFAULTS: Final = {"support": (Method.EVEN, "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSum:
    """The exact sum of a bill's rows that go to one place."""

    bill_id: UUID
    destination: str
    pool_key: str
    institution_id: UUID | None
    total: Decimal
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a pool is split, and the policy that says so (None: the default)."""

    policy: AllocationPolicy | None
    method: str
    basis: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberBasis:
    """What a member's weight may be made of."""

    institution_id: UUID
    slug: str
    tier: str
    server_seconds: int
    memory_gib_seconds: Decimal
    active_users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedPool:
    """A pool before it is kept. Parked when `parked_reason` says why; then it has no shares."""

    bill: BillImport
    key: str
    rule: Rule
    exact_total: Decimal
    fx: FxRate | None
    currency: str
    rounded_total: Decimal
    basis_month: str
    parked_reason: str = ""
    parked_message: str = ""
    shares: tuple[SplitShare, ...] = ()
    institutions: Mapping[str, UUID]
    weights: Mapping[str, Decimal]


def cost_sums(period: BillingPeriod) -> list[CostSum]:
    """Return where the money of the period's bills goes, exactly, in one query."""
    bills = current_bills(period)
    groups = (
        CostRow.objects.filter(bill__in=bills.values("pk"))
        .values("bill_id", "destination", "pool_key", "institution_id")
        .annotate(total=Sum("billed_cost"), number=Count("pk"))
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


def compute_pools(period: BillingPeriod, facts: Sequence[MemberFacts]) -> list[ComputedPool]:
    """Return every pool of the period as a close would make it now, in a fixed order."""
    bills = {bill.pk: bill for bill in current_bills(period)}
    rules = _Rules(period)
    computed = []
    for cost in cost_sums(period):
        if cost.destination == "direct":
            continue
        bill = bills[cost.bill_id]
        rule = rules.of(cost.pool_key)
        if rule.method != RECOVERABLE:
            key = cost.pool_key or UNATTRIBUTED_POOL
            found = _members(period, bill, facts)
            computed.append(_computed(cost, bill=bill, key=key, rule=rule, basis=found, period=period))
    return sorted(computed, key=lambda pool: (pool.bill.month, pool.bill.cloud_account.slug, pool.key))


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
    if _Rules(period).of(TAX_POOL).method != RECOVERABLE:
        return {}
    return {cost.bill_id: cost.total for cost in cost_sums(period) if cost.pool_key == TAX_POOL}


def last_day(period: BillingPeriod) -> date:
    """The last day of the period's month: policies and rates are those of that day."""
    return Month.parse(period.month).next().first_day - timedelta(days=1)


class _Rules:
    """The policies in force on the last day of a period."""

    def __init__(self, period: BillingPeriod) -> None:
        day = last_day(period)
        policies = AllocationPolicy.objects.filter(issuer=period.issuer, valid__contains=day)
        self._policies = {policy.pool_key: policy for policy in policies}

    def of(self, key: str) -> Rule:
        """Return how the pool of that key is split."""
        policy = self._policies.get(key)
        if policy is not None:
            return Rule(policy=policy, method=policy.method, basis=policy.basis, parameters=policy.parameters)
        method, basis = _DEFAULTS.get(key, _DEFAULT)
        return Rule(policy=None, method=str(method), basis=basis, parameters={})


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
            server_seconds=each.server_seconds,
            memory_gib_seconds=each.memory_gib_seconds,
            active_users=each.active_users,
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
            tier=tiers.get(row.institution_id, ""),
            server_seconds=row.server_seconds,
            memory_gib_seconds=row.memory_gib_seconds,
            active_users=row.active_users,
        )
        for row in rows
    }


def _computed(
    cost: CostSum,
    *,
    bill: BillImport,
    key: str,
    rule: Rule,
    basis: tuple[str, dict[str, MemberBasis]],
    period: BillingPeriod,
) -> ComputedPool:
    """Split one pool, or park it."""
    basis_month, members = basis
    target = period.issuer.currency
    fx, weights, split, parked = None, {}, None, None
    try:
        fx = rate_on(bill.currency, target, on=last_day(period))
        weights = _weights(key, rule, members)
        split = allocation.allocate(
            Method(rule.method),
            amount=cost.total,
            currency=bill.currency,
            members=weights,
            conversion=Conversion(fx.rate, target, fx.source) if fx else None,
            floor=_bound(rule, "floor"),
            cap=_bound(rule, "cap"),
        )
    except (PoolParked, RateMissing) as error:
        parked = error
    converts = fx is not None or bill.currency == target
    currency = target if converts else bill.currency
    rounded = split.pool if split else _total(cost.total, fx, currency)
    return ComputedPool(
        bill=bill,
        key=key,
        rule=rule,
        exact_total=cost.total,
        fx=fx,
        currency=currency,
        rounded_total=rounded,
        basis_month=basis_month,
        parked_reason=parked.code if parked else "",
        parked_message=parked.message if parked else "",
        shares=split.shares if split else (),
        institutions={slug: member.institution_id for slug, member in members.items()},
        weights=weights,
    )


def _total(exact: Decimal, fx: FxRate | None, currency: str) -> Decimal:
    """Return what a pool comes to, converted once and rounded once, also where nobody can share it."""
    amount, target = converted(exact, fx.base if fx else currency, Conversion(fx.rate, currency) if fx else None)
    return round_money(amount, target)


def _weights(key: str, rule: Rule, members: Mapping[str, MemberBasis]) -> dict[str, Decimal]:
    """Return the members' weights under the rule. Raises PoolParked."""
    if key == UNATTRIBUTED_POOL:
        raise PoolParked(UNATTRIBUTED_POOL, "No rule claims these rows. Add one, or accept that nobody is billed.")
    match rule.method:
        case Method.EVEN:
            return dict.fromkeys(members, Decimal(1))
        case Method.PROPORTIONAL if rule.basis in _BASES:
            return {slug: Decimal(getattr(member, rule.basis)) for slug, member in members.items()}
        case Method.FIXED:
            shares = _figures(rule, "percentages")
            if unknown := sorted(shares.keys() - members.keys()):
                raise PoolParked("member_invalid", f"The policy gives {unknown[0]} a share, but it is no member now.")
            return {slug: shares.get(slug, Decimal(0)) for slug in members}
        case Method.TIERED:
            return tier_weights({slug: member.tier for slug, member in members.items()}, _figures(rule, "tiers"))
        case _:
            raise PoolParked(
                "basis_unknown",
                f"The policy splits by {rule.method} of {rule.basis or 'nothing'}, which nobody measures.",
            )


def _figures(rule: Rule, name: str) -> dict[str, Decimal]:
    """Read exact figures, written as text, from the policy's parameters. Raises PoolParked."""
    figures = rule.parameters.get(name)
    if not isinstance(figures, Mapping) or not figures:
        raise PoolParked("parameters_missing", f"The policy splits by {rule.method}, but lacks its {name}.")
    return {str(each): _figure(figure, name) for each, figure in figures.items()}


def _bound(rule: Rule, name: str) -> Decimal | None:
    value = rule.parameters.get(name)
    return None if value is None else _figure(value, name)


def _figure(value: object, name: str) -> Decimal:
    try:
        return parse_amount(value)
    except AmountInvalid as error:
        raise PoolParked("parameters_invalid", f"The policy's {name}: {error.message}") from error
