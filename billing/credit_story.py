"""What of a member's credit is on its invoices, as mails, pages and the statement tell it. Read only."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils import translation
from django.utils.translation import gettext as _

from billing.member_credit import credit_held
from billing.models import BillingAccount, Invoice, MemberCreditUse
from consortium.kernel.formats import money_text


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTold:
    """One use of credit, or its undoing: the sum in words, because it moves no balance of the member."""

    at: datetime
    on: date
    title: str
    amount: str
    currency: str
    invoice_id: UUID
    invoice_number: str


def credit_on(invoice: Invoice) -> Decimal:
    """Return how much of an invoice is paid from the member's credit, in its currency. Needs its scope."""
    sum_ = MemberCreditUse.objects.filter(invoice=invoice, kind="applied").aggregate(sum=Sum("amount"))["sum"]
    return Decimal(sum_ or 0)


def credit_to_ask_about(invoice: Invoice) -> Decimal:
    """Return the credit that waits for the payer's word, in the invoice's currency; zero where it is used by itself."""
    if not BillingAccount.objects.filter(pk=invoice.billing_account_id, ask_before_credit=True).exists():
        return Decimal(0)
    return credit_held(invoice.institution_id, issuer=invoice.issuer).get(invoice.currency, Decimal(0))


def of_invoice(invoice: Invoice) -> Iterator[CreditTold]:
    """Return the credit that was put on an invoice, or taken off it again. Needs its scope."""
    return (_told(row) for row in _rows().filter(invoice=invoice))


def of_institution(institution_id: UUID) -> Iterator[CreditTold]:
    """Return all credit that was put on the institution's invoices, or taken off them again. Needs its scope."""
    return (_told(row) for row in _rows().filter(institution_id=institution_id))


def _rows() -> QuerySet[MemberCreditUse]:
    return MemberCreditUse.objects.filter(kind="applied").select_related("invoice").order_by("used_at", "pk")


def _told(row: MemberCreditUse) -> CreditTold:
    assert row.invoice is not None  # noqa: S101 - a constraint of the table says so
    language = translation.get_language() or "en"
    return CreditTold(
        at=row.used_at,
        on=row.used_on,
        title=_("Your credit was used") if row.amount > 0 else _("Your credit was taken off again"),
        amount=money_text(abs(row.amount), row.currency, language=language, code=True),
        currency=row.currency,
        invoice_id=row.invoice.pk,
        invoice_number=row.invoice.number or "",
    )
