"""The column names of FOCUS, the FinOps Foundation's format of cloud bills, versions 1.0 to 1.3."""

from typing import Final

# What we cannot bill without. The provider is named by one of two columns, depending on the version.
MANDATORY: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "EffectiveCost",
    "ServiceCategory",
    "ServiceName",
)
PROVIDERS: Final = ("ServiceProviderName", "ProviderName")
OPTIONAL: Final = ("ChargeClass", "ChargeFrequency", "ResourceId", "SubAccountId", "SubAccountName", "Tags")

# Read into fields of their own; every other column is kept as it is written.
TYPED: Final = frozenset({*MANDATORY, *PROVIDERS, *OPTIONAL})

_KEPT: Final = """
    AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName AllocatedTags AvailabilityZone
    BillingAccountName BillingAccountType CapacityReservationId CapacityReservationStatus ChargeDescription
    CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName CommitmentDiscountQuantity
    CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit ContractApplied
    ContractedCost ContractedUnitPrice HostProviderName InvoiceId InvoiceIssuerName ListCost ListUnitPrice
    PricingCategory PricingCurrency PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost
    PricingCurrencyListUnitPrice PricingQuantity PricingUnit PublisherName RegionId RegionName ResourceName ResourceType
    ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountType
"""
KNOWN: Final = TYPED.union(_KEPT.split())

CHARGE_CATEGORIES: Final = {name.lower(): name for name in ("Usage", "Purchase", "Tax", "Credit", "Adjustment")}
CHARGE_CLASSES: Final = {"correction": "Correction"}
CHARGE_FREQUENCIES: Final = {name.lower(): name for name in ("One-Time", "Recurring", "Usage-Based")}
