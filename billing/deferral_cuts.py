"""What credit notes take back of income that is not earned yet: the plan stays, so much less of it is recognised."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final
from uuid import UUID

from billing.models import CreditNote, CreditNoteLine, DeferralCut, DeferralPart, LedgerEntry
from consortium.kernel.money import EXACT, exact_sum
from members.models import Issuer

KIND: Final = "recognition"  # of ledger entries


def rest_of(part: DeferralPart) -> Decimal:
    """Return what of a part is recognised in the end, after what was taken back of it."""
    return EXACT.subtract(part.amount, exact_sum(each.amount for each in part.cuts.all()))


def cut(note: CreditNote) -> dict[UUID, Decimal]:
    """Take what the note takes back from the months that are not recognised, the latest first; once.

    Returns the sum by line of the invoice; what a line gives back beyond it was income already.
    """
    lines = dict(
        CreditNoteLine.objects.filter(credit_note=note, invoice_line__deferral__isnull=False).values_list(
            "invoice_line_id", "net"
        )
    )
    if not lines:
        return {}
    Issuer.objects.select_for_update(no_key=True).get(pk=note.issuer_id)  # nobody recognises meanwhile
    if not DeferralCut.objects.filter(credit_note=note).exists():
        DeferralCut.objects.bulk_create(
            row for line, net in lines.items() for row in _cuts(note, net, _open_parts(line))
        )
    taken: dict[UUID, Decimal] = {}
    for line, amount in DeferralCut.objects.filter(credit_note=note).values_list("part__deferral__line_id", "amount"):
        taken[line] = EXACT.add(taken.get(line, Decimal(0)), amount)
    return taken


def _open_parts(line: UUID) -> Iterable[DeferralPart]:
    done = LedgerEntry.objects.filter(kind=KIND, source_type="billing.DeferralPart").values("source_id")
    parts = DeferralPart.objects.filter(deferral__line_id=line).exclude(pk__in=done)
    return parts.prefetch_related("cuts").order_by("-month")


def _cuts(note: CreditNote, net: Decimal, parts: Iterable[DeferralPart]) -> Iterable[DeferralCut]:
    """Of each part as much as is left of it and of the note; a line below zero is taken back below zero."""
    left = net
    for part in parts:
        rest = rest_of(part)
        amount = min(left, rest) if net > 0 else max(left, rest)
        if amount:
            left = EXACT.subtract(left, amount)
            yield DeferralCut(
                institution_id=note.institution_id,
                part=part,
                credit_note=note,
                amount=amount,
                currency=part.currency,
            )


__all__ = ["KIND", "cut", "rest_of"]
