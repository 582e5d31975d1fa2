"""Rules tried out, and rows placed again: what came in before a rule was written can follow it, as a new version."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from billing import staging
from billing.bills import next_version
from billing.matching import MatchRule
from billing.models import BillImport, CostRow
from billing.periods import PeriodClosed, open_period
from billing.rules import Placed, Placer
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.errors import PortalError
from consortium.kernel.money import EXACT
from consortium.kernel.periods import Month
from members.models import User
from members.permissions import Permission, check_staff

_SHOWN = 20


class NothingMoves(PortalError):
    """The rules place every row where it is already."""

    code = "nothing_moves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a bill's rows would do under today's rules and a candidate: how many move, how much cost, examples."""

    rows: int
    total: Decimal
    currency: str
    examples: tuple[tuple[CostRow, Placed], ...]


def try_on(bill: BillImport, slugs: Mapping[str, UUID], *, candidate: MatchRule | None = None) -> Trial:
    """Return which rows of a bill would go elsewhere. Reads only. Raises RuleInvalid."""
    placer = Placer(bill.cloud_account.issuer, slugs, candidate=candidate)
    total, moving = Decimal(0), 0
    examples: list[tuple[CostRow, Placed]] = []
    for row in CostRow.objects.filter(bill=bill).order_by("line").iterator():
        placed = placer.place(row)
        if not _is_there(row, placed):
            moving += 1
            total = EXACT.add(total, row.billed_cost)
            if len(examples) < _SHOWN:
                examples.append((row, placed))
    return Trial(rows=moving, total=total, currency=bill.currency, examples=tuple(examples))


@transaction.atomic
def place_again(bill: BillImport, slugs: Mapping[str, UUID], *, by: User | System, at: datetime) -> BillImport:
    """Make the next version of a bill from the same rows, placed by the rules of today.

    Raises Forbidden, PeriodClosed (a charged bill stays where it is), NothingMoves.
    """
    check_staff(by, Permission.IMPORT_BILLS)
    period = open_period(bill.cloud_account.issuer, bill.charged_month)
    if period.status != "open":
        raise PeriodClosed(period, what=_("another placing of its bill"))
    if bill.kind == "reversal" or not try_on(bill, slugs).rows:
        raise NothingMoves(_("Today's rules place every row of this bill where it is already."))
    version, _wrong = next_version(bill.cloud_account, Month.parse(bill.month), bill.charged_month)
    placer = Placer(bill.cloud_account.issuer, slugs)
    staging.stage(_again(bill, placer))
    again = BillImport.objects.create(
        kind=bill.kind,
        note=bill.note,
        cloud_account=bill.cloud_account,
        month=bill.month,
        charged_month=bill.charged_month,
        version=version,
        file_name=bill.file_name,
        content_sha256=bill.content_sha256,
        rows=bill.rows,
        billed_total=bill.billed_total,
        currency=bill.currency,
        imported_at=at,
    )
    staging.keep(again)
    staging.discard()
    after: dict[str, Fact] = {"version": version, "of_version": bill.version}
    audit.record("billing.bill_placed_again", again, by=by, at=at, institution_id=None, after=after)
    return again


def _again(bill: BillImport, placer: Placer) -> Iterator[tuple[Any, ...]]:
    """The bill's rows as the staging table takes them; read before COPY begins, which holds the connection."""
    rows = list(CostRow.objects.filter(bill=bill).order_by("line"))
    return (staging.staged_again(bill.month, row, placer.place(row)) for row in rows)


def _is_there(row: CostRow, placed: Placed) -> bool:
    return (row.destination, row.institution_id, row.pool_key, row.hub_slug) == (
        placed.destination, placed.institution_id, placed.pool_key, placed.hub_slug,
    )  # fmt: skip
