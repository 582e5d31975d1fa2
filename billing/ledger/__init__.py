"""The books: double entry, append-only, balanced per currency. The only package that writes ledger rows.

Debits are above zero, credits below. Each object is posted once per kind of entry, however often it is asked for;
PostgreSQL refuses an entry whose legs do not sum to zero in every currency, one in a locked fiscal year, and every
change afterwards.
"""

from billing.ledger.posting import Entry, EntryConflict, EntryUnbalanced, Leg, YearLocked, post, post_all
from billing.ledger.reading import (
    CreditCheck,
    HeldCredit,
    PaymentsCheck,
    ReceivablesCheck,
    TrialRow,
    credit_checks,
    entry_count,
    held_credit,
    is_balanced,
    movements,
    payments_checks,
    receivables,
    receivables_agree,
    trial_balance,
)
from billing.ledger.standard import post_invoice, post_invoices, post_supplier_bill

__all__ = [
    "CreditCheck",
    "Entry",
    "EntryConflict",
    "EntryUnbalanced",
    "HeldCredit",
    "Leg",
    "PaymentsCheck",
    "ReceivablesCheck",
    "TrialRow",
    "YearLocked",
    "credit_checks",
    "entry_count",
    "held_credit",
    "is_balanced",
    "movements",
    "payments_checks",
    "post",
    "post_all",
    "post_invoice",
    "post_invoices",
    "post_supplier_bill",
    "receivables",
    "receivables_agree",
    "trial_balance",
]
