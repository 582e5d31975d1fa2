"""A provider corrects a bill after its month was closed: the closed month stands, the next one puts it right."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from billing import closing
from billing.bills import current_bills
from billing.closing import Preview
from billing.facts import MemberFacts
from billing.fx import record_rate
from billing.models import BillImport, BillingPeriod, CostRow, InvoiceLine, Pool, Share
from billing.periods import open_period
from billing.pools import compute_pools, cost_sums
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import (
    CEDAR,
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    issued,
    set_up,
    take_in,
    three_to_one,
)

OCTOBER = "2026-10"


@pytest.fixture
def closed(cast: Cast, at: datetime, tmp_path: Path) -> BillingPeriod:
    """September, closed and invoiced; in October the dollar is dearer and everybody used the same."""
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        issued(drafted(period, three_to_one(cast), at), at)
        closing.finish_closing(period, by=RUN, at=at)
        record_rate(
            base="USD", quote="CAD", on=date(2026, 10, 14), rate=Decimal("1.50"), source="Bank of Canada", by=RUN, at=at
        )
        return period


def october_facts(cast: Cast) -> list[MemberFacts]:
    return [type(each)(**{**each.__dict__, "memory_gib_seconds": Decimal(1)}) for each in three_to_one(cast)]


def restate(cast: Cast, at: datetime, folder: Path, *rows: tuple[str, str]) -> BillImport:
    return take_in(bill_file(folder, *rows, name="restated.csv"), cast, at, charged=OCTOBER)


def cloud_lines(preview: Preview) -> list[tuple[str, str, Decimal]]:
    return [
        (draft.slug, line.kind, line.net) for draft in preview.drafts for line in draft.lines if "cost" in line.kind
    ]


def test_the_closed_month_is_the_same_to_the_byte_and_knows_its_bill(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        before = (
            list(Pool.objects.order_by("pk").values()),
            list(Share.objects.order_by("pk").values()),
            list(InvoiceLine.objects.order_by("pk").values()),
            cost_sums(closed),
        )
        first = current_bills(closed).get()
        restate(cast, at, tmp_path, ("10.00", CEDAR), ("100.00", ""))
        assert list(current_bills(closed)) == [first]
        assert before == (
            list(Pool.objects.order_by("pk").values()),
            list(Share.objects.order_by("pk").values()),
            list(InvoiceLine.objects.order_by("pk").values()),
            cost_sums(closed),
        )


def test_the_next_month_takes_the_old_version_back_and_charges_the_new_one(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    """Cedar's own cost falls from 100.005 to 60.005 dollars: at September's 1.40 that is 56.00 CAD, not 60.00."""
    with consortium_scope(Scope.JOB):
        second = restate(cast, at, tmp_path, *[("20.00000000000", CEDAR), *STORY_ROWS[1:]])
        october = open_period(cast.issuer, OCTOBER)
        reversal, newest = current_bills(october)
        assert (reversal.kind, reversal.version, newest) == ("reversal", 1, second)
        assert exact_sum([reversal.billed_total, newest.billed_total]) == Decimal(-40)
        lines = cloud_lines(closing.preview(october, october_facts(cast), at=at))
        assert [line for line in lines if line[1] == "direct_cost"] == [
            ("cedar", "direct_cost", Decimal("-140.01")),
            ("cedar", "direct_cost", Decimal("84.01")),
            ("maple", "direct_cost", Decimal("-70.00")),
            ("maple", "direct_cost", Decimal("70.00")),
        ]


def test_what_was_shared_is_shared_again_by_the_use_and_rate_of_its_own_month(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    """300.00 dollars were 315.00 and 105.00 CAD by September's three to one; 400.00 are 420.00 and 140.00."""
    with consortium_scope(Scope.JOB):
        restate(cast, at, tmp_path, ("400.00", ""))
        pools = compute_pools(open_period(cast.issuer, OCTOBER), october_facts(cast))
        amounts = {
            (pool.bill.kind, pool.key): [share.amount for share in pool.shares]
            for pool in pools
            if pool.key == "shared"
        }
        assert amounts == {
            ("reversal", "shared"): [Decimal("-315.00"), Decimal("-105.00")],
            ("bill", "shared"): [Decimal("420.00"), Decimal("140.00")],
        }
        assert {(pool.basis_month, pool.fx.rate if pool.fx else None) for pool in pools} == {(MONTH, Decimal("1.40"))}


def test_a_restatement_that_changes_nothing_costs_nobody_a_cent(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        restate(cast, at, tmp_path, *reversed(STORY_ROWS))
        lines = cloud_lines(closing.preview(open_period(cast.issuer, OCTOBER), october_facts(cast), at=at))
        for slug in ("cedar", "maple"):
            assert exact_sum(net for who, _, net in lines if who == slug) == 0


def test_a_second_restatement_replaces_the_first_and_takes_nothing_back_twice(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        restate(cast, at, tmp_path, ("10.00", ""))
        third = restate(cast, at, tmp_path, ("20.00", ""))
        reversal, newest = current_bills(open_period(cast.issuer, OCTOBER))
        assert (reversal.kind, newest, third.version) == ("reversal", third, 3)
        assert BillImport.objects.filter(kind="reversal").count() == 1


def test_the_correction_closes_like_any_month_and_can_be_corrected_again(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        restate(cast, at, tmp_path, ("400.00", ""))
        october = open_period(cast.issuer, OCTOBER)
        closing.begin_closing(october, october_facts(cast), by=RUN, at=at, early=True)
        pools = closing.allocate_pools(october, october_facts(cast), at=at)
        assert sorted((pool.bill.kind, pool.rounded_total) for pool in pools if pool.key == "shared") == [
            ("bill", Decimal("560.00")),
            ("reversal", Decimal("-420.00")),
        ]
        closing.finish_closing(october, by=RUN, at=at)
        path = bill_file(tmp_path, ("300.00", ""), name="third.csv")
        third = take_in(path, cast, at, charged="2026-11")
        november = current_bills(open_period(cast.issuer, "2026-11"))
        assert [(bill.kind, bill.version) for bill in november] == [("reversal", 2), ("bill", 3)]
        assert third.version == 3


def test_each_row_of_the_reversal_names_the_row_it_takes_back(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        restate(cast, at, tmp_path, ("10.00", ""))
        row = CostRow.objects.filter(bill__kind="reversal").earliest("line")
        assert row.because.startswith("Takes back line 2 of version 1. Rule 1 (tagged)")
        assert str(row.billed_cost) == "-60.00000000000"


def test_postgresql_refuses_a_reversal_of_nothing_and_a_second_one(
    cast: Cast, closed: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        restate(cast, at, tmp_path, ("10.00", ""))
        reversal = BillImport.objects.get(kind="reversal")
        values = {
            field.attname: getattr(reversal, field.attname)
            for field in BillImport._meta.concrete_fields
            if field.attname != "id"
        } | {"version": 9}
        for wrong in ({"reverses_id": None}, {"content_sha256": "again"}, {"kind": "bill", "content_sha256": "other"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                BillImport.objects.create(**{**values, **wrong})
