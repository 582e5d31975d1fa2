"""What there is to say of an imported bill: how much of it goes where, to the digit."""

from decimal import Decimal
from typing import Any

from django.db.models import F, Sum

from billing.focus import BillError
from billing.models import BillImport, CostRow
from billing.pool_rules import UNATTRIBUTED_POOL
from consortium.kernel.fields import AmountField
from consortium.kernel.money import EXACT, exact_sum, plain

PREPAID = "prepaid"


def parts_of(bill: BillImport) -> dict[str, Decimal]:
    """Return where a bill's money goes: "direct:<university>", pools by key, "prepaid". They sum to its total."""
    groups = (
        CostRow.objects.filter(bill=bill)
        .order_by("destination", "pool_key", "institution__slug")
        .values_list("destination", "pool_key", "institution__slug")
        .annotate(charged=Sum(F("billed_cost") - F("prepaid"), output_field=AmountField()), prepaid=Sum("prepaid"))
    )
    found: dict[str, Decimal] = {}
    prepaid = Decimal(0)
    for destination, pool_key, slug, charged, set_apart in groups:
        name = f"direct:{slug}" if destination == "direct" else pool_key or UNATTRIBUTED_POOL
        found[name] = EXACT.add(found.get(name, Decimal(0)), charged)
        prepaid = EXACT.add(prepaid, set_apart)
    if prepaid:
        found[PREPAID] = prepaid
    return found


def report_of(bill: BillImport) -> dict[str, Any]:
    """Return what `import_bill --json` prints of a bill that is in; amounts as exact decimal text.

    Of a file of several months the figures are those of all of them together, `bills` has each by itself.
    """
    bills = [bill, *bill.siblings]
    by_pool: dict[str, Decimal] = {}
    for each in bills:
        for name, amount in parts_of(each).items():
            by_pool[name] = EXACT.add(by_pool.get(name, Decimal(0)), amount)
    rows = sum(each.rows for each in bills)
    return {
        "rows": rows,
        "accepted": rows,
        "billed_total": plain(exact_sum(each.billed_total for each in bills)),
        "currency": bill.currency,
        "periods": [each.month for each in bills],
        "by_pool": {name: plain(amount) for name, amount in by_pool.items()},
        "version": bill.version,
        "already_imported": all(each.already_imported for each in bills),
        "errors": [],
        "account": bill.cloud_account.slug,
        "charged_in": bill.charged_month,
        "unknown_columns": list(bill.unknown_columns),
        "bills": [_told(each) for each in bills],
    }


def _told(bill: BillImport) -> dict[str, Any]:
    return {
        "period": bill.month,
        "version": bill.version,
        "rows": bill.rows,
        "billed_total": plain(bill.billed_total),
        "charged_in": bill.charged_month,
        "already_imported": bill.already_imported,
    }


def report_of_refusal(errors: list[BillError], *, rows: int = 0) -> dict[str, Any]:
    """Return the same document for a bill of which nothing was kept."""
    return {
        "rows": rows,
        "accepted": 0,
        "billed_total": "0",
        "currency": None,
        "periods": [],
        "by_pool": {},
        "version": None,
        "already_imported": False,
        "errors": [error.as_dict() for error in errors],
    }
