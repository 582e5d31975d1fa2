"""A million rows of FOCUS from the file to the members' shares, against reading the same file and doing nothing."""

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.facts import MemberFacts
    from members.models import Institution

ROWS = 1_000_000
MONTH = "2026-09"
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "EffectiveCost", "ProviderName",
    "RegionId", "ResourceId", "ServiceCategory", "ServiceName", "SubAccountId", "SubAccountName", "Tags", "x_Note",
)  # fmt: skip


def measure(rows: int = ROWS) -> None:
    """Write the file, read it plainly in another process, import and allocate it in a third; print both."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bill.csv"
        total = _write(path, rows)
        floor, ours = _run("floor", path), _run("ours", path)
        if Decimal(ours["total"]) != total:
            raise SystemExit(f"{ours['total']} came out where {total} went in")
        size = path.stat().st_size / 2**20
    sys.stdout.write(
        f"import {rows:,} FOCUS rows ({size:.0f} MB), to allocated: read {ours['import']:.1f} s, split "
        f"{ours['allocate']:.2f} s, {ours['megabytes']:.0f} MB\n"
        f"  csv.reader over the same file {floor['seconds']:.1f} s, {floor['megabytes']:.0f} MB"
        f"   × {(ours['import'] + ours['allocate']) / floor['seconds']:.1f}\n"
    )


def _write(path: Path, rows: int) -> Decimal:
    """A bill of four universities' hubs and a shared rest; returns its exact total."""
    total = 0
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            units = number * 7919 % 10**9
            total += units
            university = number % 5
            tags = f'{{"university": "u{university}", "hub": "u{university}-lab", "node": "n{number % 97}"}}'
            day = number % 28 + 1
            writer.writerow(
                (
                    f"0.{units:011d}", "bench", "USD", "2026-10-01T00:00:00Z", "2026-09-01T00:00:00Z", "Usage", "",
                    "Usage-Based", f"2026-09-{day + 1:02d}T00:00:00Z", f"2026-09-{day:02d}T00:00:00Z",
                    f"0.{units:011d}", "Bench Cloud", "ca-central-1", f"vm-{number % 5000}", "Compute",
                    f"Service {number % 12}", f"sub-{university}", "", tags if university else "", "kept",
                )
            )  # fmt: skip
    return Decimal(total).scaleb(-11)


def _run(what: str, path: Path) -> dict[str, float]:
    """One of the two in a process of its own, so that its memory is its own."""
    words = [sys.executable, "-m", "bench.bills", what, str(path)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _floor(path: Path) -> dict[str, object]:
    started = time.perf_counter()
    with path.open(newline="", encoding="utf-8") as file:
        for _row in csv.reader(file):
            pass
    return {"seconds": time.perf_counter() - started, "megabytes": _megabytes()}


def _ours(path: Path) -> dict[str, object]:
    import django

    django.setup()
    from django.db import transaction

    from billing.bills import import_bill
    from billing.closing import open_period
    from billing.matching import MATCHED_VALUE, By, Destination, Kind, MatchRule
    from billing.pools import compute_pools
    from billing.rules import add_rule
    from consortium.kernel.audit import System
    from consortium.kernel.money import exact_sum
    from consortium.kernel.tenancy import Scope, consortium_scope
    from members.models import Issuer
    from tests.cast import make_institution

    at, by = datetime(2026, 10, 15, tzinfo=UTC), System("bench")
    with consortium_scope(Scope.COMMAND):
        members = [make_institution(f"u{number}") for number in range(1, 5)]
        issuer = Issuer.objects.create(
            slug="bench",
            name_en="Bench",
            name_fr="Banc",
            address="-",
            email="b@example.org",
            zone="UTC",
            currency="USD",
        )
        own, rest = Destination(Kind.DIRECT, MATCHED_VALUE), Destination(Kind.POOL, "shared")
        add_rule(issuer=issuer, rule=MatchRule(By.TAG, own, tag_key="university"), by=by, at=at)
        add_rule(issuer=issuer, rule=MatchRule(By.EVERYTHING, rest), by=by, at=at)
        started = time.perf_counter()
        slugs = {member.slug: member.pk for member in members}
        bill = import_bill(path, issuer=issuer, charged_month=MONTH, by=by, at=at, slugs=slugs, create_account=True)
        imported = time.perf_counter()
        facts = [_facts(member) for member in members]
        (pool,) = compute_pools(open_period(issuer, MONTH), facts)
        if exact_sum(share.amount for share in pool.shares) != pool.rounded_total:
            raise SystemExit("the shares do not sum to the pool")
        done = time.perf_counter()
        transaction.set_rollback(True)
    return {
        "import": imported - started,
        "allocate": done - imported,
        "megabytes": _megabytes(),
        "total": str(bill.billed_total),
    }


def _facts(member: "Institution") -> "MemberFacts":
    from datetime import date
    from uuid import uuid4

    from billing.facts import MemberFacts
    from tests.integration.billing.stories import schedule

    return MemberFacts(
        institution_id=member.pk,
        slug=member.slug,
        zone="UTC",
        agreement_id=uuid4(),
        currency="USD",
        schedule=schedule("0.00", currency="USD"),
        starts_on=date(2025, 1, 1),
        memory_gib_seconds=Decimal(len(member.slug)),
    )


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    work = {"floor": _floor, "ours": _ours}[sys.argv[1]]
    sys.stdout.write(json.dumps(work(Path(sys.argv[2]))) + "\n")
