"""What an institution owes, as its invoice pages show it: one row per invoice, and what happened to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _

from billing import credit_story, money_back_story, writing_off_story
from billing.models import CreditNote, Invoice, Payment, Reminder
from billing.queries import OPEN, invoices_of
from billing.settlement import amount_due
from consortium.kernel.periods import Month


@dataclass(frozen=True, kw_only=True)
class InvoiceRow:
    """An issued invoice with what is left to pay on it, and how that is said."""

    invoice: Invoice
    due: Decimal
    label: str
    tone: str

    @property
    def is_open(self) -> bool:
        """Tell whether money is still expected."""
        return self.invoice.status in OPEN and self.due > 0

    @property
    def month(self) -> date:
        """The first day of the month that is invoiced."""
        return Month.parse(self.invoice.period.month).first_day


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One entry of a timeline."""

    at: datetime
    title: str
    body: str = ""
    tone: str = "neutral"


def rows_of(institution_id: UUID, *, today: date) -> list[InvoiceRow]:
    """Return the institution's issued invoices, the newest first. Needs its scope."""
    return [row_of(invoice, today=today) for invoice in invoices_of(institution_id)]


def row_of(invoice: Invoice, *, today: date) -> InvoiceRow:
    """Say how an issued invoice stands on a day."""
    due = amount_due(invoice.balance)
    overdue = invoice.status in OPEN and due > 0 and invoice.due_on is not None and invoice.due_on < today
    words = {
        "issued": (_("Due"), "info"),
        "partly_paid": (_("Partly paid"), "info"),
        "paid": (_("Paid"), "success"),
        "void": (_("Void"), "neutral"),
        "written_off": (_("Written off"), "neutral"),
    }
    label, tone = (_("Overdue"), "danger") if overdue else words.get(invoice.status, (invoice.status, "neutral"))
    return InvoiceRow(invoice=invoice, due=due, label=label, tone=tone)


def next_invoice_on(*, today: date) -> date:
    """The day from which the month that runs now can be invoiced."""
    return Month.of(today).next().first_day


def happenings(invoice: Invoice) -> list[Happening]:
    """What happened to an issued invoice, the newest first. Needs its scope."""
    payments = Payment.objects.filter(invoice=invoice)
    found = [event for payment in payments for event in _of_payment(payment)]
    found += [
        Happening(at=note.issued_at, title=_("Credited"), body=f"{note.number}: {note.reason}")
        for note in CreditNote.objects.filter(invoice=invoice)
    ]
    found += [
        Happening(at=each.at, title=each.title, body=each.body, tone=each.tone)
        for each in money_back_story.of_invoice(invoice)
    ]
    found += [
        Happening(at=each.at, title=each.title, body=each.amount, tone="info")
        for each in credit_story.of_invoice(invoice)
    ]
    found += [Happening(at=each.at, title=each.title) for each in writing_off_story.of_invoice(invoice.pk)]
    found += [
        Happening(at=row.at, title=_("Reminder sent"))
        for row in Reminder.objects.filter(invoice=invoice, status="written")
    ]
    if invoice.issued_at:
        found.append(Happening(at=invoice.issued_at, title=_("Issued"), body=invoice.number or ""))
    return sorted(found, key=lambda event: event.at, reverse=True)


def _of_payment(payment: Payment) -> Iterator[Happening]:
    if payment.succeeded_at:
        yield Happening(at=payment.succeeded_at, title=_("Payment received"), tone="success")
    elif payment.status == "pending":
        title, body = _("Payment on its way"), _("A bank debit settles within a few days.")
        yield Happening(at=payment.created_at, title=title, body=body, tone="info")
    elif payment.status == "failed" and payment.method:
        yield Happening(at=payment.created_at, title=_("Payment failed"), body=payment.failure, tone="danger")
