"""How the pages of money are grouped on the index of the admin site: by the work that they belong to, in its order."""

from consortium.kernel.admin_site import Group

GROUPS = (
    Group(
        name="Bills and costs",
        app="billing",
        models=(
            "BillImport", "CostRow", "ProviderTotal", "CloudAccount", "Commitment", "Pool", "MemberCharge", "Prepaid",
            "PrepaidUse",
        ),
    ),
    Group(
        name="Closing and invoices",
        app="billing",
        models=(
            "BillingRun", "BillingPeriod", "Invoice", "InvoiceDelivery", "MailBounce", "LinkShare", "PurchaseOrder",
            "InvoiceQuestion", "LineDispute", "CreditNote", "CreditProposal",
        ),
    ),
    Group(
        name="Getting paid",
        app="billing",
        models=(
            "Payment", "Refund", "CardDispute", "Reopening", "Payout", "ProviderEvent", "BankStatement", "BankLine",
            "MemberCredit", "MemberCreditUse", "Reminder", "PaymentPromise", "PaymentArrangement", "LapseStep",
            "HubStop", "WriteOff",
        ),
    ),
    Group(
        name="The ledger",
        app="billing",
        models=(
            "Report", "LedgerEntry", "LedgerAccount", "FiscalYear", "BooksCheck", "Accrual", "Deferral", "Revaluation",
            "SupplierBill", "SupplierPayment", "Fund", "FundMovement",
        ),
    ),
    Group(
        name="Reference",
        app="billing",
        models=(
            "BillingAccount", "BankAccount", "AllocationPolicy", "FxRate", "MatchingRule", "NumberSeries",
            "ReminderCalendar", "TaxCertificate",
        ),
    ),
)  # fmt: skip
