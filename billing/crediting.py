"""Credit notes: planned line by line and tax by tax, shown first, then issued once, numbered, posted and frozen.

Each line and each tax of the invoice is taken back at most as far as it was charged; the note that takes the last of a
line takes the last cent of its taxes too, whatever the roundings before it. An invoice is voided by credit notes over
all of it, and by nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from billing import prepaid, purchase_orders
from billing.credit_snapshot import credit_snapshot
from billing.invoicing import FourEyes
from billing.member_credit import hold
from billing.models import (
    CreditNote,
    CreditNoteLine,
    CreditNoteTax,
    Invoice,
    InvoiceBalance,
    InvoiceLine,
    InvoiceLineTax,
)
from billing.models.invoices import FOUR_EYES_FROM
from billing.numbering import take_number
from billing.postings_credit import post_credit_note
from billing.states import INVOICE
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid
from consortium.kernel.money import EXACT, exact_sum, exponent, from_minor, plain, round_money
from consortium.kernel.periods import local_date
from members.models import User
from members.permissions import Permission, check_staff

CREDITABLE: Final = ("issued", "partly_paid", "paid")
MAIL_RECEIVER: Final = "billing.mail_credit_note"


class CreditInvalid(Invalid):
    """The credit asks for more than is left of a line, for nothing, or is of an invoice that bears none."""

    code = "credit_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTax:
    """What is taken back of one tax of a line."""

    tax: InvoiceLineTax
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLine:
    """What is taken back of one line, before tax, and what was left of it before."""

    line: InvoiceLine
    net: Decimal
    left: Decimal
    taxes: tuple[PlannedTax, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditPlan:
    """A credit note before it is written: its lines sum to `net`, their taxes to `tax`, both to `total`."""

    lines: tuple[PlannedLine, ...]
    net: Decimal
    tax: Decimal
    total: Decimal


def left_of(invoice: Invoice) -> dict[UUID, Decimal]:
    """Return what may still be taken back of each line, before tax, by the line's key and in its order."""
    taken = dict(
        CreditNoteLine.objects.filter(credit_note__invoice=invoice)
        .values_list("invoice_line_id")
        .annotate(net=Sum("net"))
    )
    lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
    return {line.pk: EXACT.subtract(line.net, taken.get(line.pk, Decimal(0))) for line in lines}


def plan_credit(invoice: Invoice, nets: Mapping[UUID, Decimal]) -> CreditPlan:
    """Return the credit note over these amounts before tax, by line; nothing is written. Raises CreditInvalid."""
    if invoice.status not in CREDITABLE:
        raise CreditInvalid(
            _("Only an issued invoice can be credited; this one is %(state)s.") % {"state": invoice.status}
        )
    left, lines = left_of(invoice), []
    taken = dict(
        CreditNoteTax.objects.filter(credit_note__invoice=invoice)
        .values_list("line_tax_id")
        .annotate(sum=Sum("amount"))
    )
    rows = InvoiceLine.objects.filter(invoice=invoice, pk__in=[key for key, net in nets.items() if net])
    for line in rows.prefetch_related("taxes").order_by("position"):
        net = nets[line.pk]
        _check_line(line, net, left[line.pk])
        is_last = net == left[line.pk]
        taxes = tuple(
            PlannedTax(tax=tax, amount=_tax(tax, line, net, rest=rest, is_last=is_last))
            for tax in line.taxes.all()
            if (rest := EXACT.subtract(tax.amount, taken.get(tax.pk, Decimal(0)))) or tax.amount
        )
        lines.append(PlannedLine(line=line, net=net, left=left[line.pk], taxes=taxes))
    net = exact_sum(each.net for each in lines)
    tax = exact_sum(each.amount for line in lines for each in line.taxes)
    total = EXACT.add(net, tax)
    if not lines or total <= 0:
        raise CreditInvalid(_("Enter what is taken back: the credit must come to more than zero."), field="total")
    return CreditPlan(lines=tuple(lines), net=net, tax=tax, total=total)


def needs_second(invoice: Invoice, plan: CreditPlan) -> bool:
    """Tell whether the credit, with what was credited on the invoice before, is so large that two people must agree."""
    before = CreditNote.objects.filter(invoice=invoice).aggregate(sum=Sum("total"))["sum"] or Decimal(0)
    return EXACT.add(before, plan.total) >= FOUR_EYES_FROM


@transaction.atomic
def issue_credit_note(
    invoice: Invoice,
    *,
    nets: Mapping[UUID, Decimal],
    reason: str,
    by: User | System,
    at: datetime,
    approved_by: User | None = None,
) -> CreditNote:
    """Issue a credit note over these amounts before tax, by line of the invoice, with its reason for the member.

    It lowers what is due; what was paid already becomes the member's credit. A large one was approved by another person
    (`billing.credit_proposals`). Raises Forbidden, CreditInvalid, FourEyes.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    # The balance first, as every way of paying locks it: the other way round the two would wait for each other.
    balance = InvoiceBalance.objects.select_for_update().filter(pk=invoice.pk).first()
    invoice = Invoice.objects.select_for_update(of=("self",)).select_related("issuer", "institution").get(pk=invoice.pk)
    plan = plan_credit(invoice, nets)
    if not reason.strip() or balance is None:
        raise CreditInvalid(_("Say why: the member reads it on the credit note."), field="reason")
    if needs_second(invoice, plan) and (approved_by is None or approved_by.pk == _person(by)):
        raise FourEyes(_("A credit of this size is proposed by one person and approved by another one."))
    applied = min(plan.total, balance.due)
    note = _written(invoice, plan, applied, reason=reason.strip()[:300], by=by, approved_by=approved_by, at=at)
    crash_point("credit_note.numbered")
    _apply(invoice, balance, note)
    prepaid.give_back(note, by=by, at=at)
    purchase_orders.give_back(note)
    post_credit_note(note, at=at)
    _hold(note, at=at)
    audit.record(
        "billing.credit_note_issued",
        note,
        by=by,
        at=at,
        institution_id=invoice.institution_id,
        after={"number": note.number, "invoice": invoice.number, "total": note.total, "currency": note.currency},
        reason=reason,
        deliver_to=(MAIL_RECEIVER,),
    )
    crash_point("credit_note.before_commit")
    return note


def _person(by: User | System) -> UUID | None:
    return None if isinstance(by, System) else by.pk


def _written(
    invoice: Invoice,
    plan: CreditPlan,
    applied: Decimal,
    *,
    reason: str,
    by: User | System,
    approved_by: User | None,
    at: datetime,
) -> CreditNote:
    on = local_date(at, invoice.issuer.zone)
    number = take_number(invoice.issuer, on=on, kind="CN")
    lines = [(each.line.pk, each.net, {tax.tax.pk: tax.amount for tax in each.taxes}) for each in plan.lines]
    note = CreditNote.objects.create(
        institution_id=invoice.institution_id,
        issuer=invoice.issuer,
        invoice=invoice,
        number=number,
        reason=reason,
        currency=invoice.currency,
        net_total=plan.net,
        tax_total=plan.tax,
        total=plan.total,
        applied=applied,
        held=EXACT.subtract(plan.total, applied),
        issued_at=at,
        issued_on=on,
        prepared_by_id=_person(by),
        approved_by=approved_by,
        snapshot=credit_snapshot(invoice, lines, number=number, on=on, at=at).to_json(),
    )
    CreditNoteLine.objects.bulk_create(
        CreditNoteLine(institution_id=note.institution_id, credit_note=note, invoice_line=each.line, net=each.net)
        for each in plan.lines
    )
    CreditNoteTax.objects.bulk_create(
        CreditNoteTax(institution_id=note.institution_id, credit_note=note, line_tax=tax.tax, amount=tax.amount)
        for each in plan.lines
        for tax in each.taxes
        if tax.amount
    )
    return note


def _apply(invoice: Invoice, balance: InvoiceBalance, note: CreditNote) -> None:
    """Lower what is due, and move the invoice where that leads: void when nothing of it is left or was paid."""
    InvoiceBalance.objects.filter(pk=balance.pk).update(credited=F("credited") + note.applied)
    balance.credited = EXACT.add(balance.credited, note.applied)
    if balance.due:
        return
    if invoice.status == "issued" and balance.paid == 0:
        INVOICE.move(invoice, "void")
    elif invoice.status in {"issued", "partly_paid"}:
        INVOICE.move(invoice, "paid")


def _hold(note: CreditNote, *, at: datetime) -> None:
    """Keep what was credited after it was paid as the member's credit; it is in the books by the note's own entry."""
    if note.held > 0:
        about = f"Credit note {note.number}"
        hold(
            note, issuer=note.issuer, institution_id=note.institution_id, amount=note.held, currency=note.currency,
            about=about, received_on=note.issued_on, at=at,
        )  # fmt: skip


def _check_line(line: InvoiceLine, net: Decimal, left: Decimal) -> None:
    """A part of a line has its sign and is no larger than what is left of it."""
    if round_money(net, line.currency) != net or net * line.net < 0 or abs(net) > abs(left):
        raise CreditInvalid(
            _("Line %(line)s: at most %(left)s %(currency)s can be taken back, to the smallest unit.")
            % {"line": line.position, "left": plain(left), "currency": line.currency},
            field=f"line_{line.position}",
        )


def _tax(tax: InvoiceLineTax, line: InvoiceLine, net: Decimal, *, rest: Decimal, is_last: bool) -> Decimal:
    """The tax on a part of a line: its share, rounded once; with the last part all that is left of it."""
    if is_last:
        return rest
    minor = Fraction(tax.amount) * Fraction(net) / Fraction(line.net) * 10 ** exponent(line.currency)
    rounded = (2 * abs(minor.numerator) + minor.denominator) // (2 * minor.denominator)
    share = from_minor(rounded if minor >= 0 else -rounded, line.currency)
    return share if abs(share) <= abs(rest) else rest
