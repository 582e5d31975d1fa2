"""Money: bills and their rows, pools and shares, invoices, the ledger, payments."""

from billing.models.accounts import BillingAccount, FxRate, NumberSeries
from billing.models.arrangements import ArrangementInvoice, ArrangementPart, PaymentArrangement
from billing.models.bank import BankAccount, BankLine, BankMatch, BankStatement
from billing.models.books import (
    Accrual,
    BooksCheck,
    Deferral,
    DeferralCut,
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
from billing.models.credit_notes import CreditNote, CreditNoteLine, CreditNoteTax
from billing.models.credit_proposals import CreditProposal
from billing.models.deliveries import InvoiceDelivery, MailBounce
from billing.models.disputes import DisputeEntry, InvoiceQuestion, LineDispute, LinkShare
from billing.models.invoices import Invoice, InvoiceBalance, InvoiceLine, InvoiceLineTax
from billing.models.ledger import LedgerAccount, LedgerEntry, LedgerLeg
from billing.models.member_charges import MemberCharge, Prepaid, PrepaidUse, TaxCertificate
from billing.models.payments import PayLink, Payment, ProviderEvent
from billing.models.processor import (
    CardDispute,
    CardDisputeAnswer,
    ClearingMovement,
    Payout,
    PayoutArrival,
    PayoutLine,
    Refund,
    Reopening,
    TakenBack,
)
from billing.models.promises import PaymentPromise, PromiseInvoice
from billing.models.purchase_orders import PurchaseOrder, PurchaseOrderLine, PurchaseOrderUse
from billing.models.receiving import Application, MemberCredit, MemberCreditUse
from billing.models.reminders import Reminder, ReminderCalendar
from billing.models.runs import BillingRun
from billing.models.standing import HubStop, LapseStep
from billing.models.suppliers import Fund, FundMovement, SupplierBill, SupplierPayment
from billing.models.write_offs import Recovery, WriteOff

__all__ = [
    "Accrual",
    "AllocationPolicy",
    "Application",
    "ArrangementInvoice",
    "ArrangementPart",
    "BankAccount",
    "BankLine",
    "BankMatch",
    "BankStatement",
    "BillImport",
    "BillingAccount",
    "BillingPeriod",
    "BillingRun",
    "BooksCheck",
    "Budget",
    "BudgetAlert",
    "CardDispute",
    "CardDisputeAnswer",
    "ClearingMovement",
    "CloudAccount",
    "Commitment",
    "CostAcceptance",
    "CostRow",
    "CreditNote",
    "CreditNoteLine",
    "CreditNoteTax",
    "CreditProposal",
    "Deferral",
    "DeferralCut",
    "DeferralPart",
    "DisputeEntry",
    "FiscalYear",
    "Fund",
    "FundMovement",
    "FxRate",
    "HubStop",
    "Invoice",
    "InvoiceBalance",
    "InvoiceDelivery",
    "InvoiceLine",
    "InvoiceLineTax",
    "InvoiceQuestion",
    "LapseStep",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerLeg",
    "LineDispute",
    "LinkShare",
    "MailBounce",
    "MatchingRule",
    "MemberCharge",
    "MemberCredit",
    "MemberCreditUse",
    "NumberSeries",
    "PayLink",
    "Payment",
    "PaymentArrangement",
    "PaymentPromise",
    "Payout",
    "PayoutArrival",
    "PayoutLine",
    "PeriodBasis",
    "Pool",
    "Prepaid",
    "PrepaidUse",
    "PromiseInvoice",
    "ProviderEvent",
    "ProviderTotal",
    "PurchaseOrder",
    "PurchaseOrderLine",
    "PurchaseOrderUse",
    "Recovery",
    "Refund",
    "Reminder",
    "ReminderCalendar",
    "Reopening",
    "Report",
    "Revaluation",
    "Share",
    "SupplierBill",
    "SupplierPayment",
    "TakenBack",
    "TaxCertificate",
    "WriteOff",
]
