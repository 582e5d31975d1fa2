"""How invoices, payments and cloud bills are posted."""

from datetime import date, datetime
from decimal import Decimal

from billing.chart_of_accounts import INCOME_OF_LINE, PAYABLE_OF_TAX, Account
from billing.commitments import prepaid_posting
from billing.deferral_plan import keep_plan
from billing.ledger.posting import Leg, post
from billing.models import BillImport, Invoice, InvoiceLine, InvoiceLineTax, LedgerEntry, Payment
from consortium.kernel.money import EXACT, round_money
from consortium.kernel.periods import local_date
from members.models import Issuer


def post_invoice(invoice: Invoice, *, at: datetime) -> LedgerEntry:
    """Post an issued invoice: receivables against income by kind of line and each tax payable.

    A line that covers several months is income of those months: it goes to deferred dues first, with the plan of what
    is recognised when (`billing.deferrals`).
    """
    on = local_date(at, invoice.issuer.zone)
    deferred = keep_plan(invoice, on=on, at=at)
    lines = InvoiceLine.objects.filter(invoice=invoice).values_list("pk", "kind", "net")
    taxes = InvoiceLineTax.objects.filter(invoice=invoice).values_list("tax", "amount")
    currency = invoice.currency
    return post(
        issuer=invoice.issuer,
        kind="invoice",
        source=invoice,
        on=on,
        narration=f"Invoice {invoice.number}",
        legs=[
            Leg(Account.RECEIVABLES, invoice.total, currency),
            *(
                Leg(Account.DEFERRED_DUES if key in deferred else INCOME_OF_LINE[kind], -net, currency)
                for key, kind, net in lines
            ),
            *(Leg(PAYABLE_OF_TAX[tax], -amount, currency) for tax, amount in taxes),
        ],
        at=at,
        institution_id=invoice.institution_id,
    )


def post_payment(*, payment: Payment, at: datetime) -> LedgerEntry:
    """Post a payment that succeeded: the bank, or the provider's clearing account, against receivables."""
    invoice = payment.invoice
    arrives = Account.BANK if payment.provider == "manual" else Account.CLEARING
    return post(
        issuer=invoice.issuer,
        kind="payment",
        source=payment,
        on=local_date(at, invoice.issuer.zone),
        narration=f"Payment of invoice {invoice.number}",
        legs=[
            Leg(arrives, payment.amount, payment.currency),
            Leg(Account.RECEIVABLES, -payment.amount, payment.currency),
        ],
        at=at,
        institution_id=payment.institution_id,
    )


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
