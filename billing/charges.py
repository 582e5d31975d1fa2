"""What each member owes for a period, gathered in a few queries: its own cost on each bill, its shares of the pools."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from billing.accounts import accounts_by_institution
from billing.bills import current_bills
from billing.deferral_plan import dues_until
from billing.drafting import Charges, Conversion, DirectCost, ExtraCharge, SharedCost
from billing.facts import MemberFacts, covered
from billing.fx import converted, rate_on
from billing.models import BillImport, BillingPeriod, FxRate, InvoiceLine, MemberCharge, Pool
from billing.pools import ComputedPool, compute_pools, cost_sums, last_day, rate_day
from billing.prepaid import left_by_account
from billing.provider_totals import differences
from billing.snapshot import SharePart
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A pool, kept or only computed, as drafting sees it. Parts are (weight, exact quotient, amount) by institution."""

    pool_id: UUID | None
    bill_id: UUID
    provider: str
    key: str
    bill_month: str
    bill_currency: str
    exact_total: Decimal
    rounded_total: Decimal
    currency: str
    fx: Conversion | None
    method: str
    basis: str
    basis_month: str
    parts: Mapping[UUID, tuple[Decimal, str, Decimal]]
    own_weight: Decimal = Decimal(0)  # of what nobody used, where the consortium bears that


def view_of_computed(pool: ComputedPool) -> PoolView:
    """See a pool that is not kept."""
    return PoolView(
        pool_id=None,
        bill_id=pool.bill.pk,
        provider=pool.bill.cloud_account.provider,
        key=pool.key,
        bill_month=pool.bill.month,
        bill_currency=pool.bill.currency,
        exact_total=pool.exact_total,
        rounded_total=pool.rounded_total,
        currency=pool.currency,
        fx=_conversion(pool.fx),
        method=pool.rule.method,
        basis=pool.rule.basis,
        basis_month=pool.basis_month,
        parts={
            pool.institutions[share.member]: (pool.weights[share.member], str(share.quotient), share.amount)
            for share in pool.shares
        },
        own_weight=pool.own_weight,
    )


def kept_pools(period: BillingPeriod) -> list[PoolView]:
    """See the pools that the period's running or finished closing kept."""
    bills = set(current_bills(period).values_list("pk", flat=True))
    pools = (
        Pool.objects.filter(period=period, run=period.run)
        .select_related("bill__cloud_account", "fx_rate")
        .prefetch_related("shares")
    )
    kept = [pool for pool in pools if pool.bill_id in bills]
    return [
        PoolView(
            pool_id=pool.pk,
            bill_id=pool.bill_id,
            provider=pool.bill.cloud_account.provider,
            key=pool.key,
            bill_month=pool.bill.month,
            bill_currency=pool.bill_currency,
            exact_total=pool.exact_total,
            rounded_total=pool.rounded_total,
            currency=pool.currency,
            fx=_conversion(pool.fx_rate),
            method=pool.method,
            basis=pool.basis,
            basis_month=pool.basis_month,
            parts={share.institution_id: (share.weight, share.exact, share.amount) for share in pool.shares.all()},
            own_weight=pool.own_weight,
        )
        for pool in sorted(kept, key=lambda pool: (*_order(pool.bill), pool.key))
    ]


def pools_of(period: BillingPeriod, facts: Sequence[MemberFacts]) -> list[PoolView]:
    """Return the pools of a period: those that its closing kept, or those that a close would make now."""
    if period.status != "open":
        return kept_pools(period)
    return [view_of_computed(pool) for pool in compute_pools(period, facts)]


def charges_of(period: BillingPeriod, facts: Sequence[MemberFacts], pools: Iterable[PoolView]) -> list[Charges]:
    """Return what every covered member owes for the period, by slug. Raises RateMissing."""
    month = Month.parse(period.month)
    members = covered(facts, month)
    currencies = {member.institution_id: member.currency for member in members}
    direct = _direct(period, currencies)
    shared = _shared(period, currencies, pools)
    extra = _extra(period, currencies)
    held, left = accounts_by_institution(period.issuer), left_by_account(period.issuer, before=period)
    prepaid = {key: left.get(account.pk, Decimal(0)) for key, account in held.items()}
    dues = dues_until(period.issuer, before=period.month)
    return [
        Charges(
            month=month,
            period=billed,
            facts=member,
            direct=tuple(direct[member.institution_id]),
            shared=tuple(shared[member.institution_id]),
            extra=tuple(extra[member.institution_id]),
            prepaid=prepaid.get(member.institution_id, Decimal(0)),
            dues_until=dues.get(member.institution_id),
        )
        for member in members
        if (billed := member.billed_period(month))
    ]


def strangers(period: BillingPeriod, facts: Sequence[MemberFacts], pools: Iterable[PoolView]) -> set[UUID]:
    """Return the institutions that bear a cost of the period although no agreement of theirs covers it."""
    members = {member.institution_id for member in covered(facts, Month.parse(period.month))}
    bearers = {cost.institution_id for cost in cost_sums(period) if cost.institution_id and cost.total}
    bearers |= {key for pool in pools for key, (_, _, amount) in pool.parts.items() if amount}
    return bearers - members


def _direct(period: BillingPeriod, currencies: Mapping[UUID, str]) -> dict[UUID, list[DirectCost]]:
    """Each member's own cost on each bill: summed exactly, converted once, rounded once, as a line of its own."""
    bills = {bill.pk: bill for bill in current_bills(period)}
    for key in differences(bills.values()):
        bills.pop(key)  # it waits for a person: nobody is billed for it
    sums = [
        cost
        for cost in cost_sums(period)
        if cost.destination == "direct" and cost.bill_id in bills and cost.institution_id in currencies
    ]
    found: dict[UUID, list[DirectCost]] = defaultdict(list)
    for cost in sorted(sums, key=lambda cost: _order(bills[cost.bill_id])):
        bill, institution = bills[cost.bill_id], cost.institution_id
        assert institution is not None  # noqa: S101 - only those of `currencies` are left
        currency = currencies[institution]
        rate = rate_on(bill.currency, currency, on=rate_day(period, bill))
        found[institution].append(
            DirectCost(
                bill_id=bill.pk,
                bill_month=bill.month,
                provider=bill.cloud_account.provider,
                rows=cost.rows,
                exact_total=cost.total,
                bill_currency=bill.currency,
                fx=_conversion(rate),
                amount=converted(cost.total, rate, currency),
            )
        )
    return found


def _order(bill: BillImport) -> tuple[str, str, int, str]:
    return (bill.month, bill.cloud_account.slug, bill.version, bill.kind)


def _shared(
    period: BillingPeriod, currencies: Mapping[UUID, str], pools: Iterable[PoolView]
) -> dict[UUID, list[SharedCost]]:
    found: dict[UUID, list[SharedCost]] = defaultdict(list)
    for pool in pools:
        total = exact_sum([pool.own_weight, *(weight for weight, _, _ in pool.parts.values())])
        for institution, (weight, exact, amount) in pool.parts.items():
            if institution not in currencies:
                continue
            own = rate_on(pool.currency, currencies[institution], on=last_day(period))
            found[institution].append(
                SharedCost(
                    pool_id=pool.pool_id,
                    provider=pool.provider,
                    share=_share_part(pool, weight, total, exact, amount),
                    fx=_conversion(own) or pool.fx,
                    amount=converted(amount, own, currencies[institution]),
                )
            )
    return found


def _extra(period: BillingPeriod, currencies: Mapping[UUID, str]) -> dict[UUID, list[ExtraCharge]]:
    """The recorded charges and credits of the month, in the order in which they were recorded.

    Those of closed months that no invoice took come along: a credit that was larger than its month's charges.
    """
    found: dict[UUID, list[ExtraCharge]] = defaultdict(list)
    elsewhere = InvoiceLine.objects.filter(source_type="billing.MemberCharge").exclude(invoice__period=period)
    closed = BillingPeriod.objects.filter(issuer=period.issuer, month__lt=period.month, status="closed")
    rows = MemberCharge.objects.filter(
        Q(month=period.month) | Q(month__in=closed.values("month")), issuer=period.issuer, cancelled_at=None
    ).exclude(pk__in=elsewhere.exclude(invoice__status="discarded").values("source_id"))
    for row in rows.order_by("recorded_at", "pk"):
        if currencies.get(row.institution_id) == row.currency:
            found[row.institution_id].append(
                ExtraCharge(
                    charge_id=row.pk,
                    kind=row.kind,
                    description_en=row.description_en,
                    description_fr=row.description_fr,
                    quantity=row.quantity,
                    unit=row.unit,
                    unit_price=row.unit_price,
                    net=row.net,
                    evidence=row.evidence,
                )
            )
    return found


def _share_part(pool: PoolView, weight: Decimal, total: Decimal, exact: str, amount: Decimal) -> SharePart:
    return SharePart(
        pool=pool.key,
        bill_month=pool.bill_month,
        bill_currency=pool.bill_currency,
        exact_total=pool.exact_total,
        rounded_total=pool.rounded_total,
        currency=pool.currency,
        fx_rate=pool.fx.rate if pool.fx else None,
        fx_source=pool.fx.source if pool.fx else "",
        fx_on=pool.fx.on if pool.fx else None,
        method=pool.method,
        basis=pool.basis,
        basis_month=pool.basis_month,
        weight=weight,
        total_weight=total,
        members=len(pool.parts),
        exact=exact,
        amount=amount,
    )


def _conversion(rate: FxRate | None) -> Conversion | None:
    if rate is None:
        return None
    return Conversion(rate=rate.rate, currency=rate.base, source=rate.source, on=rate.on)
