"""What was written off and recovered, as the timeline of an invoice and the statement of account tell it. Read only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from billing.models import Recovery, WriteOff
from consortium.kernel.money import EXACT
from consortium.kernel.periods import local_date


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """One movement: `amount` below zero lowers what is owed; what is recovered is owed again."""

    at: datetime
    on: date
    title: str
    amount: Decimal
    currency: str
    invoice_id: UUID
    invoice_number: str


def of_institution(institution_id: UUID) -> Iterator[GivenUp]:
    """Return what was given up of an institution's invoices, and came of it after all. Needs its scope."""
    return _told(Q(institution_id=institution_id))


def of_invoice(invoice_id: UUID) -> Iterator[GivenUp]:
    """Return the same of one invoice. Needs its institution's scope."""
    return _told(Q(invoice_id=invoice_id))


def _told(which: Q) -> Iterator[GivenUp]:
    for row in WriteOff.objects.filter(which, status="approved").select_related("invoice__issuer"):
        assert row.decided_at is not None  # noqa: S101 - a constraint says so
        yield _one(row, row.decided_at, _("Written off"), EXACT.minus(row.amount))
        for came in Recovery.objects.filter(write_off=row):
            yield _one(row, came.recorded_at, _("Due again, since money came"), came.amount)


def _one(row: WriteOff, at: datetime, title: str, amount: Decimal) -> GivenUp:
    return GivenUp(
        at=at,
        on=local_date(at, row.invoice.issuer.zone),
        title=title,
        amount=amount,
        currency=row.currency,
        invoice_id=row.invoice_id,
        invoice_number=row.invoice.number or "",
    )
