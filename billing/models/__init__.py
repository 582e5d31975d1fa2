"""Money: bills and their rows, pools and shares, invoices, the ledger, payments."""

from billing.models.accounts import BillingAccount, FxRate, NumberSeries
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
from billing.models.credit_notes import CreditNote, CreditNoteLine, CreditNoteTax
from billing.models.invoices import Invoice, InvoiceBalance, InvoiceLine, InvoiceLineTax
from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerLeg
from billing.models.member_charges import MemberCharge, Prepaid, PrepaidUse, TaxCertificate
from billing.models.payments import PayLink, Payment, ProviderEvent
from billing.models.purchase_orders import PurchaseOrder, PurchaseOrderLine, PurchaseOrderUse
from billing.models.runs import BillingRun

__all__ = [
    "AllocationPolicy",
    "BillImport",
    "BillingAccount",
    "BillingPeriod",
    "BillingRun",
    "CloudAccount",
    "CostRow",
    "CreditNote",
    "CreditNoteLine",
    "CreditNoteTax",
    "FxRate",
    "Invoice",
    "InvoiceBalance",
    "InvoiceLine",
    "InvoiceLineTax",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerLeg",
    "MatchingRule",
    "MemberCharge",
    "NumberSeries",
    "PayLink",
    "Payment",
    "PeriodBasis",
    "Pool",
    "Prepaid",
    "PrepaidUse",
    "ProviderEvent",
    "PurchaseOrder",
    "PurchaseOrderLine",
    "PurchaseOrderUse",
    "Share",
    "TaxCertificate",
]
