"""An invoice's way from draft to issue: approved by who may, numbered and frozen in one transaction.

At issue the number, the frozen copy of both parties, lines, taxes and rates, the balance row, the ledger entry and the
outbox event are written together or not at all. Issuing once more returns the first result.
"""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from billing.invoice_snapshot import Issue, build_snapshot
from billing.ledger import post_invoice
from billing.line_taxes import kept_decisions, tax_lines
from billing.models import Invoice, InvoiceBalance, InvoiceLine, InvoiceLineTax
from billing.models.invoices import FOUR_EYES_FROM
from billing.numbering import take_number
from billing.prepaid import use_prepaid
from billing.purchase_orders import order_for, use_order
from billing.states import INVOICE
from billing.tax_facts import tax_facts
from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import local_date
from members.models import User
from members.permissions import Permission, check_staff

MAIL_RECEIVER: Final = "billing.mail_invoice"


class FourEyes(PortalError):
    """A large invoice is approved by another person than the one who drafted it."""

    code = "four_eyes"


class TaxesChanged(PortalError):
    """A rate or registration changed between draft and issue, so the draft would be wrong."""

    code = "taxes_changed"


@transaction.atomic
def approve_invoice(invoice: Invoice, *, by: User | System, at: datetime) -> Invoice:
    """Approve a draft; an invoice that is approved or issued stays as it is.

    It will take its total from the purchase order that holds on the day and has enough left, if the payer gave one.
    From FOUR_EYES_FROM on a person approves it, another one than who drafted it. Raises Forbidden,
    PurchaseOrderMissing, PurchaseOrderShort, FourEyes, TransitionRefused.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    invoice = locked(invoice)
    if invoice.status not in {"draft", "discarded"}:
        return invoice
    order = order_for(invoice.billing_account, total=invoice.total, on=local_date(at, invoice.issuer.zone))
    if invoice.total >= FOUR_EYES_FROM and (isinstance(by, System) or invoice.drafted_by_id == by.pk):
        raise FourEyes(_("An invoice of this size is approved by another person than the one who drafted it."))
    number = order.number if order else invoice.billing_account.po_number
    if number != invoice.po_number:
        InvoiceLine.objects.filter(invoice=invoice).update(po_number=number)
    approver = None if isinstance(by, System) else by
    INVOICE.move(invoice, "approved", po_number=number, approved_by=approver, approved_at=at)
    after: dict[str, Fact] = {"status": "approved", "total": invoice.total}
    audit.record("billing.invoice_approved", invoice, by=by, at=at, institution_id=invoice.institution_id, after=after)
    crash_point("invoice.approved")
    return invoice


@transaction.atomic
def issue_invoice(invoice: Invoice, *, by: User | System, at: datetime) -> Invoice:
    """Issue an approved invoice; issued before, it is returned as it was.

    Due on the day of issue in the issuer's zone plus the account's days to pay. Raises Forbidden, TransitionRefused for
    one that is not approved, TaxesChanged, PurchaseOrderMissing, PurchaseOrderShort, PrepaidChanged, SnapshotError.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    invoice = locked(invoice)
    if invoice.number:
        return invoice
    if invoice.status == "approved":
        _check_taxes(invoice, at)
    issued_on = local_date(at, invoice.issuer.zone)
    issue = Issue(
        number=take_number(invoice.issuer, on=issued_on),
        at=at,
        issued_on=issued_on,
        due_on=issued_on + timedelta(days=invoice.billing_account.payment_days),
    )
    crash_point("invoice.numbered")
    use_order(invoice, on=issued_on)
    use_prepaid(invoice)
    snapshot = build_snapshot(invoice, issue)
    INVOICE.move(invoice, "issued", number=issue.number, issued_at=at, due_on=issue.due_on, snapshot=snapshot.to_json())
    crash_point("invoice.frozen")
    InvoiceBalance.objects.create(
        invoice=invoice, institution_id=invoice.institution_id, total=invoice.total, currency=invoice.currency
    )
    post_invoice(invoice, at=at)
    if invoice.total == 0:  # prepaid credit covers it: nobody is asked for anything
        INVOICE.move(invoice, "paid")
    crash_point("invoice.posted")
    audit.record(
        "billing.invoice_issued",
        invoice,
        by=by,
        at=at,
        institution_id=invoice.institution_id,
        before={"status": "approved"},
        after={"status": "issued", "number": issue.number, "total": invoice.total, "currency": invoice.currency},
        deliver_to=(MAIL_RECEIVER,),
    )
    crash_point("invoice.before_commit")
    return invoice


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
    rows = Invoice.objects.select_for_update(of=("self",))
    return rows.select_related("issuer", "billing_account", "institution", "period").get(pk=invoice.pk)


def _check_taxes(invoice: Invoice, at: datetime) -> None:
    """Refuse when the taxes of the day of issue are not those of the draft, to the cent and the decision."""
    lines = list(InvoiceLine.objects.filter(invoice=invoice).order_by("position"))
    facts = tax_facts(invoice.issuer, at=at).of(invoice.billing_account)
    kept = kept_decisions([line.evidence for line in lines])
    taxed = tax_lines([(line.kind, line.net) for line in lines], facts=facts, currency=invoice.currency, kept=kept)
    now = {
        (line.pk, str(tax.decision.tax), tax.decision.rate, tax.decision.code, tax.amount)
        for line, taxes in zip(lines, taxed.lines, strict=True)
        for tax in taxes
    }
    drafted = InvoiceLineTax.objects.filter(invoice=invoice)
    if now != set(drafted.values_list("line_id", "tax", "rate", "reason", "amount")):
        raise TaxesChanged(
            _("A tax rate, a registration or the payer's address changed since the draft. Discard it and draft again.")
        )
