"""A statement of account: what was open, every invoice, credit note and payment since, what is open now. Read only."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from billing import credit_story, money_back_story, writing_off_story
from billing.models import CreditNote, Invoice, MemberCredit, MemberCreditUse, Payment
from billing.queries import NOT_MEMBERS_BUSINESS
from billing.snapshot import InvoiceSnapshot
from billing.ways_of_paying import method_name
from consortium.kernel.exports import safe_cell
from consortium.kernel.money import EXACT, exact_sum, plain
from consortium.kernel.periods import Month, local_date

COLUMNS: Final = ("date", "document", "kind", "about", "charged", "credited", "balance", "currency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One line: what raised the balance (`charged`) or lowered it (`credited`), and the balance after it."""

    on: date
    document: str
    kind: str
    about: str
    charged: Decimal
    credited: Decimal
    balance: Decimal
    invoice_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The movements of a span of days in one currency. A balance below zero is the member's credit."""

    currency: str
    first_day: date
    last_day: date
    opening: Decimal
    movements: tuple[Movement, ...]
    closing: Decimal


@dataclass(frozen=True, slots=True)
class _Event:
    """A movement before its balance is known."""

    on: date
    order: int
    document: str
    kind: str
    about: str
    amount: Decimal
    currency: str
    invoice_id: UUID | None


def statements(institution_id: UUID, *, first_day: date, last_day: date, zone: str) -> list[Statement]:
    """Return one statement per currency over the days from `first_day` to `last_day`, both included, in that zone.

    Needs the institution's scope.
    """
    events = sorted(_events(institution_id, zone), key=lambda each: (each.on, each.order, each.document))
    found = []
    for currency in sorted({each.currency for each in events}):
        mine = [each for each in events if each.currency == currency and each.on <= last_day]
        opening = exact_sum(each.amount for each in mine if each.on < first_day)
        movements = tuple(_with_balances((each for each in mine if each.on >= first_day), opening))
        found.append(
            Statement(
                currency=currency,
                first_day=first_day,
                last_day=last_day,
                opening=opening,
                movements=movements,
                closing=movements[-1].balance if movements else opening,
            )
        )
    return found


def statement_csv(found: Iterable[Statement]) -> str:
    """Will write the statements as CSV, amounts with a decimal point, UTF-8 with a mark for Excel."""
    file = io.StringIO()
    file.write("\N{BYTE ORDER MARK}")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for each in found:
        writer.writerow([each.first_day.isoformat(), "", "opening", "", "", "", plain(each.opening), each.currency])
        for row in each.movements:
            words = [row.on.isoformat(), row.document, row.kind, row.about]
            figures = [plain(row.charged), plain(row.credited), plain(row.balance)]
            writer.writerow([*map(safe_cell, words), *figures, each.currency])
        writer.writerow([each.last_day.isoformat(), "", "closing", "", "", "", plain(each.closing), each.currency])
    return file.getvalue()


def _events(institution_id: UUID, zone: str) -> Iterator[_Event]:
    invoices = Invoice.objects.filter(institution_id=institution_id).exclude(status__in=NOT_MEMBERS_BUSINESS)
    for row in invoices.select_related("period"):
        snapshot = InvoiceSnapshot.from_json(row.snapshot)
        about = _("Services of %(month)s") % {
            "month": Month.parse(row.period.month).label((get_language() or "en")[:2])
        }
        yield _Event(snapshot.issued_on, 0, row.number or "", "invoice", about, row.total, row.currency, row.pk)
    for note in CreditNote.objects.filter(institution_id=institution_id).select_related("invoice"):
        about = _("On invoice %(number)s") % {"number": note.invoice.number}
        amount = EXACT.minus(note.total)
        yield _Event(note.issued_on, 1, note.number, "credit_note", about, amount, note.currency, note.invoice_id)
    paid = Payment.objects.filter(institution_id=institution_id, status="succeeded", succeeded_at__isnull=False)
    for payment in paid.select_related("invoice"):
        assert payment.succeeded_at is not None  # noqa: S101 - the query says so
        about = _("%(what)s, invoice %(number)s") % {"what": method_name(payment), "number": payment.invoice.number}
        reference, on = payment.intent_id or str(payment.pk), local_date(payment.succeeded_at, zone)
        amount = EXACT.minus(payment.amount)
        yield _Event(on, 2, reference, "payment", about, amount, payment.currency, payment.invoice_id)
    for back in money_back_story.of_institution(institution_id):
        about = _("%(what)s, invoice %(number)s") % {"what": back.title, "number": back.invoice_number}
        on = local_date(back.at, zone)
        yield _Event(on, 3, back.reference, "money_back", about, back.amount, back.currency, back.invoice_id)
    for given in writing_off_story.of_institution(institution_id):
        about, number = _("%(what)s, invoice %(number)s"), given.invoice_number
        about %= {"what": given.title, "number": number}
        yield _Event(given.on, 4, number, "write_off", about, given.amount, given.currency, given.invoice_id)
    yield from _of_credit(institution_id)


def _of_credit(institution_id: UUID) -> Iterator[_Event]:
    """Money that is on no invoice: received as credit, paid out again, or taken back with its match.

    What is put on an invoice moves no balance, the credit was counted when it came: it is told with its sum in words.
    """
    for each in credit_story.of_institution(institution_id):
        about = _("%(what)s, invoice %(number)s") % {"what": each.title, "number": each.invoice_number}
        about = f"{about} ({each.amount})"
        yield _Event(each.on, 5, each.invoice_number, "credit_used", about, Decimal(0), each.currency, each.invoice_id)
    for_no_invoice = {"source_type__in": ["billing.BankLine", "billing.BankMatch"]}
    for credit in MemberCredit.objects.filter(institution_id=institution_id, **for_no_invoice):
        amount, about = EXACT.minus(credit.amount), _("Received for no invoice")
        yield _Event(credit.received_on, 2, str(credit.pk)[-12:], "credit", about, amount, credit.currency, None)
    left = Q(kind="refunded") | Q(kind="taken_back", credit__source_type__in=for_no_invoice["source_type__in"])
    for use in MemberCreditUse.objects.filter(left, institution_id=institution_id):
        about = _("Credit paid out") if use.kind == "refunded" else _("Received for no invoice, taken back")
        document = use.reference if use.kind == "refunded" else str(use.credit_id)[-12:]
        yield _Event(use.used_on, 3, document, "credit", about, use.amount, use.currency, None)


def _with_balances(events: Iterable[_Event], opening: Decimal) -> Iterator[Movement]:
    balance = opening
    for each in events:
        balance = EXACT.add(balance, each.amount)
        yield Movement(
            on=each.on,
            document=each.document,
            kind=each.kind,
            about=each.about,
            charged=max(each.amount, Decimal(0)),
            credited=max(EXACT.minus(each.amount), Decimal(0)),
            balance=balance,
            invoice_id=each.invoice_id,
        )
