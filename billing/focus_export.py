"""A member's cost of a month as FOCUS 1.3, for its own cost tools: one row for each line, with how it was allocated.

`BilledCost` is what the member is charged, in its own currency, so that the rows sum to its lines to the cent; the
provider's currency and exact cost stand in the PricingCurrency columns. Dues and fees are charges of the consortium.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from consortium.kernel.exports import safe_cell
from consortium.kernel.money import plain
from consortium.kernel.periods import Period

COLUMNS: Final = (
    "AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags",
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "HostProviderName", "InvoiceId", "InvoiceIssuerName",
    "ListCost", "PricingCurrency", "PricingCurrencyEffectiveCost", "ServiceCategory", "ServiceName",
    "ServiceProviderName", "SubAccountId", "SubAccountName", "Tags",
)  # fmt: skip
_CATEGORIES: Final = {"dues": "Purchase", "credit": "Credit", "adjustment": "Adjustment"}
_FREQUENCIES: Final = {"dues": "Recurring"}
_SERVICES: Final = {
    "dues": ("Membership dues", "Other"),
    "active_users": ("Active users", "Other"),
    "direct_cost": ("Cloud cost of own hubs", "Compute"),
    "shared_cost": ("Shared cloud cost", "Compute"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusLine:
    """A line as the export needs it; `share` is the line's evidence where it is a share of a pool."""

    kind: str
    description: str
    net: Decimal
    invoice_number: str
    share: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusMember:
    """Whose export it is: the member's key and name, who invoices, the month's instants, the currency."""

    slug: str
    name: str
    issuer: str
    period: Period
    currency: str


def focus_csv(member: FocusMember, lines: Iterable[FocusLine]) -> str:
    """Will write the lines as FOCUS 1.3 in CSV. Text that a spreadsheet would run gets an apostrophe before it."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\r\n", restval="")
    writer.writeheader()
    for line in lines:
        writer.writerow(_row(member, line))
    return file.getvalue()


def _row(member: FocusMember, line: FocusLine) -> dict[str, str]:
    start, end = _instant(member.period.start), _instant(member.period.end)
    service, category = _SERVICES.get(line.kind, ("Other charges", "Other"))
    cost = plain(line.net)
    return {
        **_allocated(member, line.share),
        "BilledCost": cost,
        "BillingAccountId": member.slug,
        "BillingAccountName": safe_cell(member.name),
        "BillingCurrency": member.currency,
        "BillingPeriodEnd": end,
        "BillingPeriodStart": start,
        "ChargeCategory": _CATEGORIES.get(line.kind, "Usage"),
        "ChargeDescription": safe_cell(line.description),
        "ChargeFrequency": _FREQUENCIES.get(line.kind, "Usage-Based"),
        "ChargePeriodEnd": end,
        "ChargePeriodStart": start,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceId": line.invoice_number,
        "InvoiceIssuerName": safe_cell(member.issuer),
        "ListCost": cost,
        "ServiceCategory": category,
        "ServiceName": service,
        "ServiceProviderName": safe_cell(member.issuer),
        "SubAccountId": member.slug,
        "SubAccountName": safe_cell(member.name),
        "Tags": json.dumps({"university": member.slug}),
    }


def _allocated(member: FocusMember, share: Mapping[str, Any] | None) -> dict[str, str]:
    """The columns of a split cost: method, ratio, the measure, and whose it became."""
    if share is None:
        return {}
    weight, total = Fraction(str(share["weight"])), Fraction(str(share["total_weight"]))
    element: dict[str, str] = {"AllocatedRatio": f"{weight / total:.12f}" if total else "0"}
    if share.get("basis"):
        element |= {"UsageUnit": str(share["basis"]), "UsageQuantity": str(share["weight"])}
    return {
        "AllocatedMethodDetails": json.dumps({"Elements": [element]}),
        "AllocatedMethodId": ":".join(filter(None, [str(share["method"]), str(share.get("basis", ""))])),
        "AllocatedResourceId": safe_cell(f"{share['pool']}/{share['bill_month']}/{member.slug}"),
        "AllocatedResourceName": safe_cell(str(share["pool"])),
        "AllocatedTags": json.dumps({"university": member.slug, "pool": str(share["pool"])}),
        "PricingCurrency": str(share["bill_currency"]),
        "PricingCurrencyEffectiveCost": _in_bill_currency(share),
    }


def _in_bill_currency(share: Mapping[str, Any]) -> str:
    """The member's part of the exact pool, in the provider's currency, to twelve decimals."""
    rounded = Fraction(str(share["rounded_total"]))
    if not rounded:
        return "0"
    return f"{Fraction(str(share['exact_total'])) * Fraction(str(share['amount'])) / rounded:.12f}"


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
