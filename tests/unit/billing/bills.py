"""Small FOCUS bills for tests: a good one, changed cell by cell."""

import csv
import io
from collections.abc import Mapping, Sequence

from billing.focus import Bill, BillError, BillRefused, CostRecord, read_bill

GOOD: dict[str, str] = {
    "BilledCost": "1.50000000000",
    "BillingAccountId": "0042",
    "BillingCurrency": "USD",
    "BillingPeriodEnd": "2026-12-01T00:00:00Z",
    "BillingPeriodStart": "2026-11-01T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeClass": "",
    "ChargeFrequency": "Usage-Based",
    "ChargePeriodEnd": "2026-11-03T00:00:00Z",
    "ChargePeriodStart": "2026-11-02T00:00:00Z",
    "EffectiveCost": "1.5",
    "ProviderName": "Demo Cloud",
    "ResourceId": "vm-1",
    "ServiceCategory": "Compute",
    "ServiceName": "Virtual Machines",
    "SubAccountId": "sub-1",
    "SubAccountName": "NULL",
    "Tags": '{"university": "ubc"}',
    "RegionId": "ca-central-1",
    "x_Note": "kept",
}


def bill_bytes(*changes: Mapping[str, str], columns: Sequence[str] = tuple(GOOD)) -> bytes:
    """Write a bill with one row for each set of changed cells; without any, one good row."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**GOOD, **change} for change in changes or [{}])
    return text.getvalue().encode()


def opened(data: bytes) -> Bill:
    """Open a bill."""
    return read_bill(io.BytesIO(data), "bill.csv")


def records(*changes: Mapping[str, str]) -> list[CostRecord]:
    """Read a bill that must be clean."""
    bill = opened(bill_bytes(*changes))
    found = list(bill)
    bill.require_clean()
    return found


def errors(data: bytes) -> list[BillError]:
    """Read a bill to its end, or to where it is refused, and return what is wrong with it."""
    try:
        bill = opened(data)
        list(bill)
    except BillRefused as refusal:
        return list(refusal.errors)
    return bill.errors
