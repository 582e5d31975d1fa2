"""How invoices and cloud bills are posted."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from billing.chart_of_accounts import INCOME_OF_LINE, PAYABLE_OF_TAX, Account
from billing.commitments import prepaid_posting
from billing.deferral_plan import keep_plans
from billing.ledger.posting import Entry, Leg, post, post_all
from billing.models import BillImport, Invoice, InvoiceLine, LedgerEntry
from consortium.kernel.money import EXACT, round_money
from consortium.kernel.periods import local_date
from members.models import Issuer


def post_invoices(invoices: Sequence[Invoice], *, at: datetime) -> list[LedgerEntry]:
    """Post issued invoices of one issuer: receivables against income by kind of line and each tax payable.

    A line that covers several months is income of those months: it goes to deferred dues first, with the plan of what
    is recognised when (`billing.deferrals`). Their number of queries does not grow with the invoices.
    """
    if not invoices:
        return []
    on = local_date(at, invoices[0].issuer.zone)
    lines: dict[UUID, list[InvoiceLine]] = defaultdict(list)
    for line in InvoiceLine.objects.filter(invoice__in=invoices).prefetch_related("taxes").order_by("position"):
        lines[line.invoice_id].append(line)
    deferred = keep_plans(invoices, lines, on=on, at=at)
    entries = [
        Entry(
            kind="invoice",
            source=invoice,
            on=on,
            narration=f"Invoice {invoice.number}",
            legs=_legs_of(invoice, lines[invoice.pk], deferred),
            institution_id=invoice.institution_id,
        )
        for invoice in invoices
    ]
    return post_all(entries, issuer=invoices[0].issuer, at=at)


def post_invoice(invoice: Invoice, *, at: datetime) -> LedgerEntry:
    """Post one issued invoice."""
    return post_invoices([invoice], at=at)[0]


def _legs_of(invoice: Invoice, lines: Sequence[InvoiceLine], deferred: frozenset[UUID]) -> list[Leg]:
    currency = invoice.currency
    return [
        Leg(Account.RECEIVABLES, invoice.total, currency),
        *(
            Leg(Account.DEFERRED_DUES if line.pk in deferred else INCOME_OF_LINE[line.kind], -line.net, currency)
            for line in lines
        ),
        *(Leg(PAYABLE_OF_TAX[tax.tax], -tax.amount, currency) for line in lines for tax in line.taxes.all()),
    ]


def post_supplier_bill(
    bill: BillImport, *, issuer: Issuer, input_tax: Decimal, on: date, at: datetime
) -> LedgerEntry | None:
    """Post a cloud bill as it is owed: its exact total rounded once; None when there is nothing to owe.

    `input_tax` is the exact part of it that the tax office gives back. What was paid ahead for a commitment, or is used
    up of one, moves through the prepaid asset. Cost is what remains, so that the entry balances whatever the roundings.
    """
    owed = round_money(bill.billed_total, bill.currency)
    tax = round_money(input_tax, bill.currency)
    ahead = prepaid_posting(bill, issuer=issuer)
    if owed == 0 and tax == 0 and ahead == 0:
        return None
    return post(
        issuer=issuer,
        kind="supplier_bill",
        source=bill,
        on=on,
        narration=f"Cloud bill {bill.cloud_account} {bill.month} v{bill.version}",
        legs=[
            Leg(Account.CLOUD_COST, EXACT.subtract(owed, EXACT.add(tax, ahead)), bill.currency),
            Leg(Account.INPUT_TAX, tax, bill.currency),
            Leg(Account.PREPAID, ahead, bill.currency),
            Leg(Account.PAYABLES, -owed, bill.currency),
        ],
        at=at,
    )
