"""A made-up FOCUS 1.0 bill with the oddities of real ones, for the demo and the tests.

The same month, account and hubs give the same bytes on every machine: figures come from a hash, not from a random
generator. In it, on purpose: `NULL` beside empty cells; `Usage-Based` beside `Usage-based`; times with and without T
and Z; tag keys with a leading blank; a cost in E notation and one that once was a double; a negative row of plain
Usage; a credit; a tax row; a row charged in the month before that sits in this month's period; rows without tags;
effective costs in whole dollars; columns that FOCUS does not know.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from consortium.kernel.money import EXACT, exact_sum, exponent, parse_amount, plain, round_money
from consortium.kernel.periods import Month

_HEADING: Final = """
    BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory
    ChargeClass ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost
    InvoiceIssuerName ListCost PricingQuantity PricingUnit ProviderName PublisherName RegionId RegionName ResourceId
    ServiceCategory ServiceName SubAccountId SubAccountName Tags Id x_Environment
"""
_COLUMNS: Final = tuple(_HEADING.split())

_PROVIDER: Final = "Demo Cloud"
_COST_DECIMALS: Final = 11

# Service, category, description, unit, and the daily cost of a middling hub in dollars.
_HUB_SERVICES: Final = (
    ("Elastic Compute", "Compute", "Virtual machines, on demand", "Hours", 9),
    ("Block Storage", "Storage", "Home directories", "GB-Months", 2),
    ("Load Balancing", "Networking", "Load balancer capacity", "LCU-Hours", 1),
)
_SHARED_SERVICES: Final = (
    ("Managed Kubernetes", "Compute", "Control plane", "Hours", 3),
    ("Network Gateway", "Networking", "Address translation", "GB", 2),
    ("Log Storage", "Management and Governance", "Log storage", "GB-Months", 1),
)


@dataclass(frozen=True, slots=True)
class SampleHub:
    """Whose use the bill shows: the tags `university` and `hub` carry these slugs."""

    university: str
    hub: str


@dataclass(frozen=True, slots=True)
class _Made:
    """What the rows of one bill have in common."""

    month: Month
    account: str
    currency: str

    @property
    def start(self) -> datetime:
        """The first instant of the billing period; cloud bills run on UTC."""
        return datetime(self.month.year, self.month.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant after it."""
        following = self.month.next()
        return datetime(following.year, following.number, 1, tzinfo=UTC)

    def draw(self, below: int, *path: object) -> int:
        """Return a number from 0 to below - 1 that depends on nothing but the bill and the path."""
        text = "\x1f".join(str(part) for part in (self.month, self.account, *path))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % below


type _Row = dict[str, str]


def sample_bill(
    month: Month,
    *,
    account: str,
    hubs: Sequence[SampleHub],
    currency: str = "USD",
    every_days: int = 3,
) -> bytes:
    """Will return the bill of a month as CSV in UTF-8: rows per hub and service every so many days, shared ones, traps.

    The period is the month in UTC, as providers bill it. Raises CurrencyUnknown, and ValueError for an interval below
    one day.
    """
    if every_days < 1:
        raise ValueError("A bill cannot have rows more than once a day here: every_days must be at least 1.")
    exponent(currency)
    made = _Made(month, account, currency)
    rows = [*_hub_rows(made, hubs, every_days), *_shared_rows(made, every_days), *_odd_rows(made, hubs)]
    rows.append(_tax_row(made, rows))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number, row in enumerate(rows, start=1):
        writer.writerow({**row, "Id": str(10_000 + number)})
    return text.getvalue().encode()


def _hub_rows(made: _Made, hubs: Sequence[SampleHub], every_days: int) -> Iterator[_Row]:
    """Write the tagged rows of each hub; every fourth has a blank before its tag keys."""
    for hub in hubs:
        size = 40 + made.draw(160, "size", hub.university, hub.hub)  # percent of a middling hub
        for service, category, description, unit, dollars in _HUB_SERVICES:
            for day in range(0, (made.end - made.start).days, every_days):
                key = (hub.university, hub.hub, service, day)
                cost = _cost(made.draw(dollars * size * every_days * 2_000_000_000, "cost", *key) + 1)
                row = _row(made, cost, made.start + timedelta(days=day), category=category, service=service)
                row |= {"ChargeDescription": description, "PricingUnit": unit}
                yield row | {"Tags": _tags(hub, blank=made.draw(4, "blank", *key) == 0)}


def _shared_rows(made: _Made, every_days: int) -> Iterator[_Row]:
    """Write the rows that nobody's tag claims."""
    for service, category, description, unit, dollars in _SHARED_SERVICES:
        for day in range(0, (made.end - made.start).days, every_days):
            cost = _cost(made.draw(dollars * every_days * 200_000_000_000, "shared", service, day) + 1)
            row = _row(made, cost, made.start + timedelta(days=day), category=category, service=service)
            empty = ("NULL", "", "{}")[made.draw(3, "empty", service, day)]
            yield row | {"ChargeDescription": description, "PricingUnit": unit, "Tags": empty, "ResourceId": "NULL"}


def _odd_rows(made: _Made, hubs: Sequence[SampleHub]) -> Iterator[_Row]:
    """Write one row for each oddity that is about money or time."""
    tags = _tags(hubs[0], blank=True) if hubs else "NULL"
    compute = {"category": "Compute", "service": "Elastic Compute"}
    start = made.start
    yield _row(made, "1.6E-7", start, **compute) | {"Tags": tags, "ChargeDescription": "Requests, in E notation"}
    yield _row(made, "0.30000000000000004", start, **compute) | {"ChargeDescription": "Once a double", "Tags": "NULL"}
    yield _row(made, "-1.25000000000", start + timedelta(days=1), **compute) | {
        "ChargeDescription": "Use of last week, corrected as plain Usage",
        "Tags": tags,
    }
    yield _row(made, "0.75000000000", start - timedelta(days=1), **compute) | {
        "ChargeDescription": "Use of the last day of the month before, billed in this period",
        "Tags": tags,
    }
    yield _row(made, "-5.00000000000", start + timedelta(days=2), **compute) | {
        "ChargeCategory": "Credit",
        "ChargeFrequency": "One-Time",
        "ChargeDescription": "Research credit",
        "Tags": "NULL",
    }


def _tax_row(made: _Made, rows: Sequence[_Row]) -> _Row:
    """Write the provider's tax: 5 % of all rows, as it stands on its invoice."""
    billed = exact_sum(parse_amount(row["BilledCost"], allow_exponent=True) for row in rows)
    tax = round_money(EXACT.multiply(billed, Decimal("0.05")), made.currency)
    row = _row(made, plain(tax), made.start, category="Other", service="Tax")
    row |= {"ChargeCategory": "Tax", "ChargeFrequency": "One-Time", "ChargeDescription": "Sales tax", "Tags": "NULL"}
    return row | {"ChargePeriodEnd": _time(made, made.end, "tax"), "ResourceId": "", "PricingUnit": "NULL"}


def _row(made: _Made, cost: str, day: datetime, *, category: str, service: str) -> _Row:
    """Write the columns that all rows share, one day long, with the provider's inconsistencies drawn for this row."""
    key = (cost, day, service)
    null = ("NULL", "")[made.draw(2, "null", *key)]
    zone = made.draw(3, "region", *key) + 1
    return {
        "BilledCost": cost,
        "BillingAccountId": made.account,
        "BillingAccountName": "Demonstration data",
        "BillingCurrency": made.currency,
        "BillingPeriodStart": _time(made, made.start, *key, "start"),
        "BillingPeriodEnd": _time(made, made.end, *key, "end"),
        "ChargeCategory": "Usage",
        "ChargeClass": null,
        "ChargeDescription": "",
        "ChargeFrequency": ("Usage-Based", "Usage-based")[made.draw(2, "frequency", *key)],
        "ChargePeriodStart": _time(made, day, *key, "from"),
        "ChargePeriodEnd": _time(made, day + timedelta(days=1), *key, "to"),
        "ContractedCost": cost,
        "EffectiveCost": plain(round_money(parse_amount(cost, allow_exponent=True), "JPY")),  # whole dollars
        "InvoiceIssuerName": _PROVIDER,
        "ListCost": cost,
        "PricingQuantity": "1.00000000000",
        "PricingUnit": "Units",
        "ProviderName": _PROVIDER,
        "PublisherName": _PROVIDER,
        "RegionId": f"ca-central-{zone}",
        "RegionName": "Canada (Central)",
        "ResourceId": f"demo:{service.lower().replace(' ', '-')}/{made.draw(10**9, 'resource', *key):09d}",
        "ServiceCategory": category,
        "ServiceName": service,
        "SubAccountId": f"{made.account}-{zone}",
        "SubAccountName": null,
        "Tags": "NULL",
        "x_Environment": "demo",
    }


def _cost(units: int) -> str:
    """Write a cost with eleven decimals, as the large providers do."""
    return plain(EXACT.scaleb(Decimal(units), -_COST_DECIMALS))


def _time(made: _Made, moment: datetime, *key: object) -> str:
    """Write a time in one of the ways seen in real bills; all mean UTC."""
    pattern = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")[made.draw(3, "time", *key)]
    return moment.strftime(pattern)


def _tags(hub: SampleHub, *, blank: bool) -> str:
    """Write the tags of a hub, with or without a blank before the keys."""
    before = " " if blank else ""
    return json.dumps({f"{before}university": hub.university, f"{before}hub": hub.hub})
