"""What credit notes and prepaid credit do to the books; the entries themselves are written by billing.ledger."""

from datetime import datetime
from decimal import Decimal

from billing.chart_of_accounts import INCOME_OF_LINE, PAYABLE_OF_TAX, Account
from billing.deferral_cuts import cut
from billing.ledger import Leg, post
from billing.models import CreditNote, CreditNoteLine, CreditNoteTax, LedgerEntry, Prepaid
from consortium.kernel.money import EXACT


def post_credit_note(note: CreditNote, *, at: datetime) -> LedgerEntry:
    """Post a credit note: income and taxes back, against what is due and, where it was paid, the member's credit.

    Of a line that covers months to come, what is not earned yet is taken back first, from the latest month on.
    """
    deferred = cut(note)
    income = CreditNoteLine.objects.filter(credit_note=note).values_list("invoice_line_id", "invoice_line__kind", "net")
    taxes = CreditNoteTax.objects.filter(credit_note=note).values_list("line_tax__tax", "amount")
    currency = note.currency
    return post(
        issuer=note.issuer,
        kind="credit_note",
        source=note,
        on=note.issued_on,
        narration=f"Credit note {note.number} on invoice {note.invoice.number}",
        legs=[
            *(
                Leg(INCOME_OF_LINE[kind], EXACT.subtract(net, deferred.get(line, Decimal(0))), currency)
                for line, kind, net in income
            ),
            *(Leg(Account.DEFERRED_DUES, amount, currency) for amount in deferred.values()),
            *(Leg(PAYABLE_OF_TAX[tax], amount, currency) for tax, amount in taxes),
            Leg(Account.RECEIVABLES, EXACT.minus(note.applied), currency),
            Leg(Account.MEMBER_CREDIT, EXACT.minus(note.held), currency),
        ],
        at=at,
        institution_id=note.institution_id,
    )


def post_prepaid(prepaid: Prepaid, *, at: datetime) -> LedgerEntry:
    """Post money that a payer paid in advance: the bank against what is held for members."""
    return post(
        issuer=prepaid.billing_account.issuer,
        kind="prepaid",
        source=prepaid,
        on=prepaid.received_on,
        narration=f"Prepaid credit, {prepaid.reference}",
        legs=[
            Leg(Account.BANK, prepaid.amount, prepaid.currency),
            Leg(Account.MEMBER_CREDIT, EXACT.minus(prepaid.amount), prepaid.currency),
        ],
        at=at,
        institution_id=prepaid.institution_id,
    )
