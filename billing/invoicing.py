"""An invoice's way from draft to issue: approved by who may, numbered and frozen in one transaction.

One or a hundred are the same work: each statement is over all of them, and one that cannot go keeps no other back. At
issue the number, the frozen copy of both parties, lines, taxes and rates, the balance row, the ledger entry, what of
the member's credit pays for it and the outbox event are written together or not at all. Issuing once more returns the
first result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Case, CharField, Value, When
from django.utils.translation import gettext as _

from billing.credit_at_issue import Purse, open_credit, use_at_issue
from billing.invoice_snapshot import Frozen, Issue, build_snapshot
from billing.ledger import post_invoices
from billing.line_taxes import kept_decisions, tax_lines
from billing.models import (
    Invoice,
    InvoiceBalance,
    InvoiceLine,
    InvoiceLineTax,
    MemberCredit,
    PrepaidUse,
    PurchaseOrderUse,
)
from billing.models.invoices import FOUR_EYES_FROM
from billing.numbering import take_numbers
from billing.order_taking import Orders, order_uses
from billing.prepaid import prepaid_uses
from billing.states import INVOICE
from billing.tax_facts import tax_facts
from consortium.kernel import audit
from consortium.kernel.audit import Happened, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import local_date
from consortium.kernel.states import TransitionRefused
from members.models import Issuer, User
from members.permissions import Permission, check_staff

MAIL_RECEIVER: Final = "billing.mail_invoice"


class FourEyes(PortalError):
    """A large invoice is approved by another person than the one who drafted it."""

    code = "four_eyes"


class TaxesChanged(PortalError):
    """A rate or registration changed between draft and issue, so the draft would be wrong."""

    code = "taxes_changed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of several invoices: those that are done, in their order, and why each of the others is not."""

    done: tuple[Invoice, ...]
    refused: Mapping[UUID, PortalError]


def approve_invoice(invoice: Invoice, *, by: User | System, at: datetime) -> Invoice:
    """Approve a draft; an invoice that is approved or issued stays as it is.

    It will take its total from the purchase order that holds on the day and has enough left, if the payer gave one.
    From FOUR_EYES_FROM on a person approves it, another one than who drafted it. Raises Forbidden,
    PurchaseOrderMissing, PurchaseOrderShort, FourEyes, TransitionRefused.
    """
    return _only(approve_invoices([invoice], by=by, at=at))


def issue_invoice(invoice: Invoice, *, by: User | System, at: datetime) -> Invoice:
    """Issue an approved invoice; issued before, it is returned as it was.

    Due on the day of issue in the issuer's zone plus the account's days to pay. Raises Forbidden, TransitionRefused for
    one that is not approved, TaxesChanged, PurchaseOrderMissing, PurchaseOrderShort, PrepaidChanged, SnapshotError.
    """
    return _only(issue_invoices([invoice], by=by, at=at))


@transaction.atomic
def approve_invoices(invoices: Sequence[Invoice], *, by: User | System, at: datetime) -> Outcome:
    """Approve drafts as `approve_invoice` approves one; one that cannot be keeps no other back. Raises Forbidden.

    The number of queries does not grow with the invoices.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    rows = locked_all(invoices)
    orders = Orders(row.billing_account for row in rows)
    refused: dict[UUID, PortalError] = {}
    ready, renamed = [], []
    for row in rows:
        if row.status not in {"draft", "discarded"}:
            continue
        try:
            number = _order_number(row, orders, by=by, at=at)
        except PortalError as error:
            refused[row.pk] = error
            continue
        renamed += [row] if number != row.po_number else []
        row.po_number, row.approved_at = number, at
        row.approved_by = None if isinstance(by, System) else by
        ready.append(row)
    if renamed:
        cases = [When(invoice=row.pk, then=Value(row.po_number)) for row in renamed]
        InvoiceLine.objects.filter(invoice__in=renamed).update(po_number=Case(*cases, output_field=CharField()))
    INVOICE.move_all(ready, "approved", ["po_number", "approved_by", "approved_at"])
    happened = [
        Happened(row, institution_id=row.institution_id, after={"status": "approved", "total": row.total})
        for row in ready
    ]
    audit.record_all("billing.invoice_approved", happened, by=by, at=at)
    crash_point("invoice.approved")
    return Outcome(tuple(row for row in rows if row.pk not in refused), refused)


@transaction.atomic
def issue_invoices(invoices: Sequence[Invoice], *, by: User | System, at: datetime) -> Outcome:
    """Issue approved invoices as `issue_invoice` issues one, numbered in their order, all in one transaction.

    One that cannot be issued keeps no other back and takes no number. The number of queries does not grow with the
    invoices; the lock on the series is held until commit, so hand over some hundred at a time. Raises Forbidden,
    SnapshotError.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    credit = open_credit(invoices)
    rows = locked_all(invoices)
    refused: dict[UUID, PortalError] = {}
    for issuer in dict.fromkeys(row.issuer for row in rows):
        of = [row for row in rows if row.issuer_id == issuer.pk and not row.number]
        _issue(of, issuer, refused, credit, by=by, at=at)
    return Outcome(tuple(row for row in rows if row.pk not in refused), refused)


def _issue(
    rows: Sequence[Invoice],
    issuer: Issuer,
    refused: dict[UUID, PortalError],
    credit: Mapping[Purse, Sequence[MemberCredit]],
    *,
    by: User | System,
    at: datetime,
) -> None:
    """Number, freeze, post and tell what can be issued of one issuer's invoices."""
    for row in rows:
        try:
            INVOICE.require(row, "issued")
        except TransitionRefused as error:
            refused[row.pk] = error
    issued_on = local_date(at, issuer.zone)
    _check_taxes(_left(rows, refused), issuer, at, refused)
    orders = order_uses(_left(rows, refused), on=issued_on, refused=refused)
    prepaid = prepaid_uses(_left(rows, refused), refused=refused)
    ready = _left(rows, refused)
    if not ready:
        return
    PurchaseOrderUse.objects.bulk_create(use for use in orders if use.invoice_id not in refused)
    PrepaidUse.objects.bulk_create(use for use in prepaid if use.invoice_id not in refused)
    crash_point("invoice.ordered")
    frozen = Frozen(ready, on=issued_on)
    for row, number in zip(ready, take_numbers(issuer, len(ready), on=issued_on), strict=True):
        due_on = issued_on + timedelta(days=row.billing_account.payment_days)
        issue = Issue(number=number, at=at, issued_on=issued_on, due_on=due_on)
        row.snapshot = build_snapshot(row, issue, frozen).to_json()
        row.number, row.issued_at, row.due_on = number, at, due_on
    crash_point("invoice.numbered")
    INVOICE.move_all(ready, "issued", ["number", "issued_at", "due_on", "snapshot"])
    crash_point("invoice.frozen")
    balances = InvoiceBalance.objects.bulk_create(
        InvoiceBalance(invoice=row, institution_id=row.institution_id, total=row.total, currency=row.currency)
        for row in ready
    )
    post_invoices(ready, at=at)
    INVOICE.move_all([row for row in ready if row.total == 0], "paid")  # prepaid credit covers it: nobody is asked
    use_at_issue(ready, {each.pk: each for each in balances}, credit, by=by, at=at)
    crash_point("invoice.posted")
    audit.record_all(
        "billing.invoice_issued",
        [_issued(row) for row in ready],
        by=by,
        at=at,
        deliver_to=(MAIL_RECEIVER,),
    )
    crash_point("invoice.before_commit")


@transaction.atomic
def discard_invoice(invoice: Invoice, *, by: User | System, at: datetime) -> Invoice:
    """Throw away a draft, so that it can be drafted again. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    invoice = locked(invoice)
    was = invoice.status
    INVOICE.move(invoice, "discarded")
    audit.record(
        "billing.invoice_discarded",
        invoice,
        by=by,
        at=at,
        institution_id=invoice.institution_id,
        before={"status": was},
        after={"status": "discarded"},
    )
    return invoice


def locked(invoice: Invoice) -> Invoice:
    """Return the invoice as it is now, its row locked until commit, with what belongs to it."""
    return locked_all([invoice])[0]


def locked_all(invoices: Sequence[Invoice]) -> list[Invoice]:
    """Return the invoices as they are now, in their order, locked until commit, with what belongs to them."""
    rows = Invoice.objects.select_for_update(of=("self",)).order_by("pk")
    rows = rows.select_related("issuer", "billing_account", "institution", "period")
    found = {row.pk: row for row in rows.filter(pk__in=[invoice.pk for invoice in invoices])}
    return [found[key] for key in dict.fromkeys(invoice.pk for invoice in invoices)]


def _only(outcome: Outcome) -> Invoice:
    for error in outcome.refused.values():
        raise error
    return outcome.done[0]


def _left(rows: Sequence[Invoice], refused: Mapping[UUID, PortalError]) -> list[Invoice]:
    return [row for row in rows if row.pk not in refused]


def _order_number(row: Invoice, orders: Orders, *, by: User | System, at: datetime) -> str:
    """The purchase order's number on a draft that may be approved. Raises TransitionRefused, FourEyes, as Orders."""
    INVOICE.require(row, "approved")
    order = orders.fitting(row.billing_account, total=row.total, on=local_date(at, row.issuer.zone))
    if row.total >= FOUR_EYES_FROM and (isinstance(by, System) or row.drafted_by_id == by.pk):
        raise FourEyes(_("An invoice of this size is approved by another person than the one who drafted it."))
    return order.number if order else row.billing_account.po_number


def _issued(row: Invoice) -> Happened:
    return Happened(
        row,
        institution_id=row.institution_id,
        before={"status": "approved"},
        after={"status": "issued", "number": row.number, "total": row.total, "currency": row.currency},
    )


def _check_taxes(rows: Sequence[Invoice], issuer: Issuer, at: datetime, refused: dict[UUID, PortalError]) -> None:
    """Refuse those whose taxes on the day of issue are not those of the draft, to the cent and the decision."""
    facts = tax_facts(issuer, at=at)
    lines: dict[UUID, list[InvoiceLine]] = {row.pk: [] for row in rows}
    drafted: dict[UUID, set[tuple[object, ...]]] = {row.pk: set() for row in rows}
    for line in InvoiceLine.objects.filter(invoice__in=rows).order_by("position"):
        lines[line.invoice_id].append(line)
    for tax in InvoiceLineTax.objects.filter(invoice__in=rows):
        drafted[tax.invoice_id].add((tax.line_id, tax.tax, tax.rate, tax.reason, tax.amount))
    for row in rows:
        own = lines[row.pk]
        of = facts.of(row.billing_account)
        kept = kept_decisions([line.evidence for line in own])
        taxed = tax_lines([(line.kind, line.net) for line in own], facts=of, currency=row.currency, kept=kept)
        now: set[tuple[object, ...]] = {
            (line.pk, str(tax.decision.tax), tax.decision.rate, tax.decision.code, tax.amount)
            for line, taxes in zip(own, taxed.lines, strict=True)
            for tax in taxes
        }
        if now != drafted[row.pk]:
            refused[row.pk] = TaxesChanged(
                _(
                    "A tax rate, a registration or the payer's address changed since the draft. Discard it and draft "
                    "again."
                )
            )
