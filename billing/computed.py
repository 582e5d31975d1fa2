"""A pool as a close would make it, before anything of it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from billing.allocation.result import Share as SplitShare
from billing.models import BillImport, FxRate
from billing.pool_rules import Rule


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
    own: Decimal = Decimal(0)  # what the consortium bears itself, and what nobody used
    own_weight: Decimal = Decimal(0)
