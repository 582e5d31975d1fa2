"""The accounts of an issuer's books, in English and French. An accountant may read this page."""

from enum import StrEnum
from typing import Final

from billing.models import LedgerAccount
from members.models import Issuer


class Account(StrEnum):
    """The codes that postings name."""

    BANK = "1000"
    CLEARING = "1050"
    RECEIVABLES = "1100"
    INPUT_TAX = "1200"
    PAYABLES = "2000"
    GST_PAYABLE = "2110"
    HST_PAYABLE = "2120"
    QST_PAYABLE = "2130"
    PST_PAYABLE = "2140"
    RST_PAYABLE = "2150"
    MEMBER_CREDIT = "2200"
    NET_ASSETS = "3000"
    DUES_INCOME = "4000"
    USAGE_INCOME = "4100"
    RECOVERY_INCOME = "4200"
    ADJUSTMENTS = "4900"
    CLOUD_COST = "5000"
    PAYMENT_FEES = "5100"
    FX_DIFFERENCE = "5900"


CHART: Final[dict[Account, tuple[str, str, str]]] = {
    Account.BANK: ("asset", "Bank", "Banque"),
    Account.CLEARING: ("asset", "Payments in transit", "Paiements en transit"),
    Account.RECEIVABLES: ("asset", "Receivables from members", "Comptes débiteurs des membres"),
    Account.INPUT_TAX: ("asset", "Input tax recoverable", "Taxes sur les intrants à recouvrer"),
    Account.PAYABLES: ("liability", "Accounts payable", "Comptes fournisseurs"),
    Account.GST_PAYABLE: ("liability", "GST payable", "TPS à payer"),
    Account.HST_PAYABLE: ("liability", "HST payable", "TVH à payer"),
    Account.QST_PAYABLE: ("liability", "QST payable", "TVQ à payer"),
    Account.PST_PAYABLE: ("liability", "PST payable", "TVP à payer"),
    Account.RST_PAYABLE: ("liability", "RST payable", "TVD à payer"),
    Account.MEMBER_CREDIT: ("liability", "Credit held for members", "Crédits dus aux membres"),
    Account.NET_ASSETS: ("equity", "Net assets", "Actif net"),
    Account.DUES_INCOME: ("income", "Membership dues", "Cotisations"),
    Account.USAGE_INCOME: ("income", "Usage fees", "Frais d’utilisation"),
    Account.RECOVERY_INCOME: ("income", "Recovery of cloud cost", "Recouvrement des coûts infonuagiques"),
    Account.ADJUSTMENTS: ("income", "Adjustments and credits", "Ajustements et crédits"),
    Account.CLOUD_COST: ("expense", "Cloud cost", "Coûts infonuagiques"),
    Account.PAYMENT_FEES: ("expense", "Payment fees", "Frais de paiement"),
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
