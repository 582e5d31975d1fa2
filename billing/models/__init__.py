"""Money: bills and their rows, pools and shares, invoices, the ledger, payments."""

from billing.models.accounts import BillingAccount, FxRate, NumberSeries
from billing.models.books import (
    Accrual,
    BooksCheck,
    Deferral,
    DeferralPart,
    FiscalYear,
    Report,
    Revaluation,
)
from billing.models.cost_control import Budget, BudgetAlert, Commitment, CostAcceptance, ProviderTotal
from billing.models.costs import (
    AllocationPolicy,
    BillImport,
    BillingPeriod,
    CloudAccount,
    CostRow,
    MatchingRule,
    PeriodBasis,
    Pool,
    Share,
)
from billing.models.invoices import Invoice, InvoiceBalance, InvoiceLine, InvoiceLineTax
from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerLeg
from billing.models.payments import PayLink, Payment, ProviderEvent
from billing.models.suppliers import Fund, FundMovement, SupplierBill, SupplierPayment

__all__ = [
    "Accrual",
    "AllocationPolicy",
    "BillImport",
    "BillingAccount",
    "BillingPeriod",
    "BooksCheck",
    "Budget",
    "BudgetAlert",
    "CloudAccount",
    "Commitment",
    "CostAcceptance",
    "CostRow",
    "Deferral",
    "DeferralPart",
    "FiscalYear",
    "Fund",
    "FundMovement",
    "FxRate",
    "Invoice",
    "InvoiceBalance",
    "InvoiceLine",
    "InvoiceLineTax",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerLeg",
    "MatchingRule",
    "NumberSeries",
    "PayLink",
    "Payment",
    "PeriodBasis",
    "Pool",
    "ProviderEvent",
    "ProviderTotal",
    "Report",
    "Revaluation",
    "Share",
    "SupplierBill",
    "SupplierPayment",
]
