"""The accounts of an issuer's books, in English and French. An accountant may read this page."""

from enum import StrEnum
from typing import Final

from billing.models import LedgerAccount
from members.models import Issuer


class Account(StrEnum):
    """The codes that postings name."""

    BANK = "1000"
    CLEARING = "1050"
    IN_TRANSIT = "1060"
    RECEIVABLES = "1100"
    TAKEN_BACK = "1110"
    ACCRUED_INCOME = "1150"
    INPUT_TAX = "1200"
    GST_RECOVERABLE = "1210"
    QST_RECOVERABLE = "1220"
    PREPAID = "1300"
    VALUATION = "1900"
    EXCHANGE = "1950"
    PAYABLES = "2000"
    ACCRUED_COST = "2050"
    GST_PAYABLE = "2110"
    HST_PAYABLE = "2120"
    QST_PAYABLE = "2130"
    PST_PAYABLE = "2140"
    RST_PAYABLE = "2150"
    MEMBER_CREDIT = "2200"
    DEFERRED_DUES = "2300"
    RESTRICTED = "2400"
    UNEXPLAINED = "2900"
    NET_ASSETS = "3000"
    RESERVE = "3100"
    DUES_INCOME = "4000"
    USAGE_INCOME = "4100"
    RECOVERY_INCOME = "4200"
    GRANT_INCOME = "4300"
    BAD_DEBT_RECOVERIES = "4800"
    ADJUSTMENTS = "4900"
    CLOUD_COST = "5000"
    PAYMENT_FEES = "5100"
    OPERATING_COST = "5200"
    STAFF_COST = "5300"
    TAX_COST = "5400"
    BAD_DEBTS = "5500"
    FX_DIFFERENCE = "5900"


CHART: Final[dict[Account, tuple[str, str, str]]] = {
    Account.BANK: ("asset", "Bank", "Banque"),
    Account.CLEARING: ("asset", "Payments in transit", "Paiements en transit"),
    Account.IN_TRANSIT: ("asset", "Payouts on their way to the bank", "Versements en route vers la banque"),
    Account.TAKEN_BACK: ("asset", "Payments taken back, to be recovered", "Paiements repris, à recouvrer"),
    Account.RECEIVABLES: ("asset", "Receivables from members", "Comptes débiteurs des membres"),
    Account.INPUT_TAX: ("asset", "Input tax recoverable", "Taxes sur les intrants à recouvrer"),
    Account.ACCRUED_INCOME: ("asset", "Accrued income", "Produits à recevoir"),
    Account.GST_RECOVERABLE: ("asset", "GST and HST recoverable", "TPS et TVH à recouvrer"),
    Account.QST_RECOVERABLE: ("asset", "QST recoverable", "TVQ à recouvrer"),
    Account.PREPAID: ("asset", "Prepaid cloud commitments", "Engagements infonuagiques payés d’avance"),
    Account.VALUATION: ("asset", "Valuation of foreign balances", "Réévaluation des soldes en devises"),
    Account.EXCHANGE: ("asset", "Currency exchanged", "Devises échangées"),
    Account.PAYABLES: ("liability", "Accounts payable", "Comptes fournisseurs"),
    Account.ACCRUED_COST: ("liability", "Accrued cost", "Charges à payer"),
    Account.GST_PAYABLE: ("liability", "GST payable", "TPS à payer"),
    Account.HST_PAYABLE: ("liability", "HST payable", "TVH à payer"),
    Account.QST_PAYABLE: ("liability", "QST payable", "TVQ à payer"),
    Account.PST_PAYABLE: ("liability", "PST payable", "TVP à payer"),
    Account.RST_PAYABLE: ("liability", "RST payable", "TVD à payer"),
    Account.MEMBER_CREDIT: ("liability", "Credit held for members", "Crédits dus aux membres"),
    Account.DEFERRED_DUES: ("liability", "Deferred dues", "Cotisations reportées"),
    Account.RESTRICTED: ("liability", "Restricted grants", "Subventions affectées"),
    Account.UNEXPLAINED: ("liability", "Receipts to be explained", "Encaissements à expliquer"),
    Account.NET_ASSETS: ("equity", "Net assets", "Actif net"),
    Account.RESERVE: ("equity", "Reserve", "Réserve"),
    Account.DUES_INCOME: ("income", "Membership dues", "Cotisations"),
    Account.USAGE_INCOME: ("income", "Usage fees", "Frais d’utilisation"),
    Account.RECOVERY_INCOME: ("income", "Recovery of cloud cost", "Recouvrement des coûts infonuagiques"),
    Account.GRANT_INCOME: ("income", "Grants recognised", "Subventions constatées"),
    Account.BAD_DEBT_RECOVERIES: ("income", "Bad debts recovered", "Créances irrécouvrables recouvrées"),
    Account.ADJUSTMENTS: ("income", "Adjustments and credits", "Ajustements et crédits"),
    Account.CLOUD_COST: ("expense", "Cloud cost", "Coûts infonuagiques"),
    Account.PAYMENT_FEES: ("expense", "Payment fees", "Frais de paiement"),
    Account.OPERATING_COST: ("expense", "Operating cost", "Frais d’exploitation"),
    Account.STAFF_COST: ("expense", "Staff cost", "Frais de personnel"),
    Account.TAX_COST: ("expense", "Tax not recovered", "Taxes non recouvrées"),
    Account.BAD_DEBTS: ("expense", "Bad debts", "Créances irrécouvrables"),
    Account.FX_DIFFERENCE: ("expense", "Exchange differences", "Écarts de change"),
}

INCOME_OF_LINE: Final[dict[str, Account]] = {
    "dues": Account.DUES_INCOME,
    "active_users": Account.USAGE_INCOME,
    "direct_cost": Account.RECOVERY_INCOME,
    "shared_cost": Account.RECOVERY_INCOME,
    "adjustment": Account.ADJUSTMENTS,
    "credit": Account.ADJUSTMENTS,
    "support": Account.USAGE_INCOME,
    "event": Account.USAGE_INCOME,
    "commitment": Account.USAGE_INCOME,
    "sla_credit": Account.ADJUSTMENTS,
    "prepaid": Account.MEMBER_CREDIT,
}

PAYABLE_OF_TAX: Final[dict[str, Account]] = {
    "GST": Account.GST_PAYABLE,
    "HST": Account.HST_PAYABLE,
    "QST": Account.QST_PAYABLE,
    "PST": Account.PST_PAYABLE,
    "RST": Account.RST_PAYABLE,
}


def accounts_of(issuer: Issuer) -> dict[str, LedgerAccount]:
    """Return the issuer's accounts by code, after adding those that its books lack."""
    held = {row.code: row for row in LedgerAccount.objects.filter(issuer=issuer)}
    if CHART.keys() <= held.keys():
        return held
    LedgerAccount.objects.bulk_create(
        (
            LedgerAccount(issuer=issuer, code=code, kind=kind, name_en=english, name_fr=french)
            for code, (kind, english, french) in CHART.items()
            if code not in held
        ),
        ignore_conflicts=True,
    )
    return {row.code: row for row in LedgerAccount.objects.filter(issuer=issuer)}
