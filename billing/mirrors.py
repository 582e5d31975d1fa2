"""The pools of a reversal: what a closed month kept, with the other sign, share by share."""

from decimal import Decimal
from fractions import Fraction

from billing.allocation.result import Share as SplitShare
from billing.computed import ComputedPool
from billing.models import BillImport, BillingPeriod, Pool, Share
from billing.pool_rules import Rule
from consortium.kernel.money import EXACT


def mirrors_of(bill: BillImport) -> list[ComputedPool]:
    """Will return the pools of a reversal; a pool that was parked stays parked."""
    original = bill.reverses
    assert original is not None  # noqa: S101 - a constraint of the table
    run = BillingPeriod.objects.filter(issuer=bill.cloud_account.issuer, month=original.charged_month).values("run")
    pools = Pool.objects.filter(bill=original, run__in=run).select_related("policy", "fx_rate")
    return [_mirror(bill, pool) for pool in pools.prefetch_related("shares__institution")]


def _mirror(bill: BillImport, pool: Pool) -> ComputedPool:
    rule = Rule(policy=pool.policy, method=pool.method, basis=pool.basis, parameters={})
    shares = list(pool.shares.all())
    return ComputedPool(
        bill=bill,
        key=pool.key,
        rule=rule,
        exact_total=_turned(pool.exact_total),
        fx=pool.fx_rate,
        currency=pool.currency,
        rounded_total=_turned(pool.rounded_total),
        basis_month=pool.basis_month,
        parked_reason=pool.parked_reason,
        parked_message=pool.parked_message,
        shares=tuple(_mirrored(share) for share in shares),
        institutions={share.institution.slug: share.institution_id for share in shares},
        weights={share.institution.slug: share.weight for share in shares},
        own=_turned(pool.own_amount),
        own_weight=pool.own_weight,
    )


def _mirrored(share: Share) -> SplitShare:
    amount = _turned(share.amount)
    return SplitShare(
        member=share.institution.slug,
        weight=Fraction(share.weight),
        quotient=-Fraction(share.exact),
        rounded_down=amount,
        unit=Decimal(0),
        amount=amount,
        bound="",
    )


def _turned(amount: Decimal) -> Decimal:
    return EXACT.subtract(Decimal(0), amount)
