"""Why is my bill this? From a member's share back to the pool, the key, the rate, and the rows of the provider's bill.

The rows of a shared pool belong to no institution and the other members' weights to them alone: both are read in a
wider scope, and shown as what everybody shares and as a sum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db.models import Count, F, Min, QuerySet, Sum

from billing.charges import PoolView, pools_of
from billing.facts import MemberFacts
from billing.models import BillImport, BillingPeriod, CostRow
from billing.pool_rules import UNATTRIBUTED_POOL
from billing.queries import ServiceCost
from consortium.kernel.errors import Missing
from consortium.kernel.fields import AmountField
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope

MAX_ROWS = 50_000


class ShareMissing(Missing):
    """The institution bears nothing of such a pool in that month."""

    code = "share_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """A share with every figure on its way. `exact` is the quotient before rounding, `row_count` the pool's rows."""

    bill: BillImport
    pool: PoolView
    weight: Decimal
    total_weight: Decimal
    members: int
    exact: Fraction
    amount: Decimal
    services: Sequence[ServiceCost]
    row_count: int


def why(
    period: BillingPeriod, facts: Sequence[MemberFacts], *, institution_id: UUID, bill_id: UUID, pool_key: str
) -> Why:
    """Return how the institution's share of a pool came about. Needs a consortium scope. Raises ShareMissing."""
    pool = next((each for each in pools_of(period, facts) if (each.bill_id, each.key) == (bill_id, pool_key)), None)
    if pool is None or institution_id not in pool.parts:
        raise ShareMissing(f"There is no share of {pool_key} in {period.month}.")
    weight, exact, amount = pool.parts[institution_id]
    services = services_of(rows_of_pool(bill_id, pool_key))
    return Why(
        bill=BillImport.objects.select_related("cloud_account").get(pk=bill_id),
        pool=pool,
        weight=weight,
        total_weight=exact_sum([pool.own_weight, *(each for each, _, _ in pool.parts.values())]),
        members=len(pool.parts),
        exact=Fraction(exact),
        amount=amount,
        services=services,
        row_count=sum(service.rows for service in services),
    )


def rows_of_pool(bill_id: UUID, pool_key: str) -> QuerySet[CostRow]:
    """Return the rows that make up a pool; never a row that belongs to one institution."""
    rows = CostRow.objects.filter(bill=bill_id, institution=None)
    if pool_key == UNATTRIBUTED_POOL:
        return rows.filter(destination="unattributed")
    return rows.filter(destination="pool", pool_key=pool_key)


def rows_of_member(bill_id: UUID, institution_id: UUID) -> QuerySet[CostRow]:
    """Return the rows of a bill that are the institution's own."""
    return CostRow.objects.filter(bill=bill_id, institution=institution_id)


def services_of(rows: QuerySet[CostRow]) -> tuple[ServiceCost, ...]:
    """Return what each service put in, the largest first; what was set apart as prepaid does not count."""
    groups = (
        rows.order_by()
        .values("service_name")
        .annotate(
            total=Sum(F("billed_cost") - F("prepaid"), output_field=AmountField()),
            number=Count("pk"),
            first=Min("line"),
        )
        .order_by("-total", "service_name")
    )
    return tuple(
        ServiceCost(
            service=group["service_name"], rows=group["number"], total=group["total"], first_line=group["first"]
        )
        for group in groups
    )


def read_rows(rows: QuerySet[CostRow]) -> Iterator[CostRow]:
    """Give out the rows in the order of the bill, at most 50,000 of them, without holding them all."""
    with consortium_scope(Scope.JOB):
        yield from rows.order_by("line")[:MAX_ROWS].iterator(chunk_size=2_000)
