"""What staff do with costs: rules tried out, rows placed again, costs entered, accepted, policies adopted."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from billing import closing
from billing.bills import current_bills
from billing.manual_costs import Evidence, ManualCost, ManualCostInvalid, enter_manual_cost
from billing.matching import By, Destination, Kind, MatchRule, RuleInvalid
from billing.models import AllocationPolicy, BillImport, BillingPeriod, CostAcceptance, CostRow, MatchingRule
from billing.periods import PeriodClosed, open_period
from billing.placing import NothingMoves, place_again, try_on
from billing.policies import PolicyInvalid, Wanted, adopt_policy
from billing.pools import compute_pools, cost_sums
from billing.preflighting import preflight
from billing.rules import add_rule, move_rule
from billing.unattributed import AcceptanceInvalid, accept_unattributed, open_unattributed, unattributed_of
from consortium.kernel.documents import read
from consortium.kernel.errors import Forbidden
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Document
from tests.cast import Cast
from tests.integration.billing.stories import (
    CEDAR,
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    set_up,
    slugs,
    take_in,
    three_to_one,
)

SEPTEMBER = Month(2026, 9)
ATLANTIS = '{"university": "atlantis"}'
LOST = MatchRule(By.TAG, Destination(Kind.POOL, "legacy"), pattern="atlantis", tag_key="university", name="sunk")


@pytest.fixture
def period(cast: Cast, at: datetime) -> BillingPeriod:
    with consortium_scope(Scope.JOB):
        return set_up(cast, at)


# --- Rules and placing ------------------------------------------------------------------------------------------------


def first_rule(cast: Cast, rule: MatchRule, at: datetime) -> MatchingRule:
    row = add_rule(issuer=cast.issuer, rule=rule, by=RUN, at=at)
    move_rule(row, to=1, by=RUN, at=at)
    return row


def test_a_rule_is_tried_on_a_bill_before_it_counts(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, ("5.00", ATLANTIS), ("1.00", CEDAR)), cast, at)
        assert try_on(bill, slugs(cast)).rows == 0
        first_rule(cast, LOST, at)
        trial = try_on(bill, slugs(cast))
        assert (trial.rows, trial.total, trial.currency) == (1, Decimal("5.00"), "USD")
        ((row, placed),) = trial.examples
        assert (row.line, placed.pool_key) == (2, "legacy")
        assert placed.because == "Rule 1 (sunk): the tag university is 'atlantis', which fits 'atlantis'."


def test_rows_are_placed_again_as_the_next_version_and_the_file_stays_known(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        path = bill_file(tmp_path, ("5.00", ATLANTIS), *STORY_ROWS)
        bill = take_in(path, cast, at)
        assert {each.bill for each in open_unattributed(period)} == {bill}
        first_rule(cast, LOST, at)
        again = place_again(bill, slugs(cast), by=RUN, at=at)
        assert (again.version, again.rows, again.billed_total) == (2, bill.rows, bill.billed_total)
        assert not open_unattributed(period)
        assert {cost.pool_key: cost.total for cost in cost_sums(period) if cost.pool_key == "legacy"} == {
            "legacy": Decimal("5.00")
        }
        assert take_in(path, cast, at) == again
        with pytest.raises(NothingMoves):
            place_again(again, slugs(cast), by=RUN, at=at)


def test_what_a_closing_month_charges_is_not_placed_again(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        drafted(period, three_to_one(cast), at)
        first_rule(cast, replace(LOST, pattern="*"), at)
        with pytest.raises(PeriodClosed):
            place_again(bill, slugs(cast), by=RUN, at=at)


def test_rules_change_places_without_ever_sharing_one(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        row = add_rule(issuer=cast.issuer, rule=LOST, by=RUN, at=at)

        def names() -> list[str]:
            return list(
                MatchingRule.objects.filter(retired_at=None).order_by("position").values_list("name", flat=True)
            )

        for to, order in ((1, ["sunk", "tagged", "the rest"]), (2, ["tagged", "sunk", "the rest"]), (99, None)):
            move_rule(row, to=to, by=RUN, at=at)
            assert names() == (order or ["tagged", "the rest", "sunk"])
        assert list(MatchingRule.objects.order_by("position").values_list("position", flat=True)) == [1, 2, 3]
        with pytest.raises(Forbidden):
            move_rule(row, to=1, by=cast.finance, at=at)


def test_a_pool_s_name_fits_an_address(cast: Cast) -> None:
    with pytest.raises(RuleInvalid, match="lower-case"):
        MatchRule(By.EVERYTHING, Destination(Kind.POOL, "Shared/Cost"))


def test_a_provider_that_returns_to_an_older_content_makes_a_new_version(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        first, other = bill_file(tmp_path, ("1.00", "")), bill_file(tmp_path, ("2.00", ""), name="other.csv")
        assert [take_in(path, cast, at).version for path in (first, other, first, first)] == [1, 2, 3, 3]
        assert current_bills(period).get().billed_total == Decimal("1.00")


# --- Unattributed -----------------------------------------------------------------------------------------------------


def test_a_person_accepts_what_no_rule_claims_with_a_reason_and_its_total(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, ("1.25", ATLANTIS), ("1.00", CEDAR)), cast, at)
        words: dict[str, Any] = {"by": cast.staff, "at": at}
        for total, reason, field in (("1.24", "lost", "total"), ("1.25", "  ", "reason")):
            with pytest.raises(AcceptanceInvalid) as refused:
                accept_unattributed(bill, total=Decimal(total), reason=reason, **words)
            assert refused.value.field == field
        with pytest.raises(Forbidden):
            accept_unattributed(bill, total=Decimal("1.25"), reason="lost", by=cast.finance, at=at)
        accepted = accept_unattributed(bill, total=Decimal("1.25"), reason="A trial of 2025, written off", **words)
        assert accept_unattributed(bill, total=Decimal("1.25"), reason="again", **words) == accepted
        (shown,) = unattributed_of(period)
        assert (shown.rows, shown.total, shown.acceptance) == (1, Decimal("1.25"), accepted)
        assert not open_unattributed(period)
        event = AuditEvent.objects.get(action="billing.cost_accepted")
        assert event.after["total"] == "1.25"


def test_what_was_accepted_no_longer_stops_the_close(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, ("1.25", ATLANTIS)), cast, at)
        assert "unattributed" in {finding.code for finding in preflight(period, [], at=at)}
        accept_unattributed(bill, total=Decimal("1.25"), reason="lost", by=cast.staff, at=at)
        assert "unattributed" not in {finding.code for finding in preflight(period, [], at=at)}


def test_another_version_is_accepted_anew(cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        bill = take_in(bill_file(tmp_path, ("1.25", ATLANTIS)), cast, at)
        accept_unattributed(bill, total=Decimal("1.25"), reason="lost", by=cast.staff, at=at)
        take_in(bill_file(tmp_path, ("2.25", ATLANTIS), name="restated.csv"), cast, at)
        assert [each.total for each in open_unattributed(period)] == [Decimal("2.25")]


# --- Manual costs -----------------------------------------------------------------------------------------------------


def manual(**changes: Any) -> ManualCost:
    cost = ManualCost(
        name="Support staff",
        month=SEPTEMBER,
        charged_month=SEPTEMBER,
        amount=Decimal("1000.00"),
        currency="CAD",
        destination=Destination(Kind.POOL, "support"),
        note="Payroll summary of September",
        evidence=Evidence(name="payroll.pdf", media_type="application/pdf", content=b"%PDF-1.7 proof"),
    )
    return replace(cost, **changes)


def test_staff_cost_is_shared_like_any_other_and_keeps_its_evidence(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        bill = enter_manual_cost(manual(), issuer=cast.issuer, by=RUN, at=at)
        (pool,) = compute_pools(period, three_to_one(cast))
        assert (pool.key, pool.rule.method, [share.amount for share in pool.shares]) == (
            "support", "even", [Decimal("500.00"), Decimal("500.00")],
        )  # fmt: skip
        document = Document.objects.get(subject_id=str(bill.pk), kind="evidence")
        assert read(document) == b"%PDF-1.7 proof"
        assert CostRow.objects.get(bill=bill).because == "Entered by hand: Payroll summary of September"


def test_a_cost_entered_again_replaces_itself_and_after_the_close_is_taken_back(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        enter_manual_cost(manual(), issuer=cast.issuer, by=RUN, at=at)
        enter_manual_cost(manual(amount=Decimal("900.00")), issuer=cast.issuer, by=RUN, at=at)
        assert [cost.total for cost in cost_sums(period)] == [Decimal("900.00")]
        drafted(period, three_to_one(cast), at)
        closing.finish_closing(period, by=RUN, at=at)
        later = manual(amount=Decimal("800.00"), charged_month=Month(2026, 10))
        enter_manual_cost(later, issuer=cast.issuer, by=RUN, at=at)
        october = open_period(cast.issuer, "2026-10")
        assert [cost.total for cost in cost_sums(october)] == [Decimal("-900.00"), Decimal("800.00")]
        assert [pool.rounded_total for pool in compute_pools(october, three_to_one(cast))] == [
            Decimal("-900.00"), Decimal("800.00"),
        ]  # fmt: skip


def test_a_licence_of_one_member_goes_to_it_alone(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        licence = manual(name="MATLAB licence", destination=Destination(Kind.DIRECT, "maple"))
        enter_manual_cost(licence, issuer=cast.issuer, by=RUN, at=at)
        (cost,) = cost_sums(period)
        assert (cost.destination, cost.institution_id) == ("direct", cast.other_university.pk)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": " ! "}),
        ("amount", {"amount": Decimal(0)}),
        ("amount", {"amount": Decimal("0.001")}),
        ("note", {"note": " "}),
        ("evidence", {"evidence": Evidence(name="x", media_type="x/y", content=b"")}),
        ("destination", {"destination": Destination(Kind.DIRECT, "atlantis")}),
        ("destination", {"destination": Destination(Kind.UNATTRIBUTED)}),
    ],
)
def test_a_cost_without_its_facts_is_refused_by_name(
    field: str, changes: dict[str, Any], cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        with pytest.raises(ManualCostInvalid) as refused:
            enter_manual_cost(manual(**changes), issuer=cast.issuer, by=RUN, at=at)
        assert refused.value.field == field
        assert not BillImport.objects.exists()
        with pytest.raises(Forbidden):
            enter_manual_cost(manual(), issuer=cast.issuer, by=cast.finance, at=at)


# --- Policies ---------------------------------------------------------------------------------------------------------


def wanted(**changes: Any) -> Wanted:
    policy = Wanted(
        pool_key="shared",
        method="even",
        basis="",
        parameters={},
        month=SEPTEMBER,
        decision="Members' meeting of 3 September, item 4",
    )
    return replace(policy, **changes)


def shares(cast: Cast, month: str) -> list[Decimal]:
    pools = compute_pools(open_period(cast.issuer, month), three_to_one(cast))
    return [share.amount for pool in pools if pool.key == "shared" for share in pool.shares]


def test_each_month_is_split_by_the_policy_that_held_in_it(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, ("300.00", "")), cast, at)
        assert shares(cast, MONTH) == [Decimal("315.00"), Decimal("105.00")]
        first = adopt_policy(wanted(), issuer=cast.issuer, by=cast.staff, at=at)
        assert shares(cast, MONTH) == [Decimal("210.00"), Decimal("210.00")]
        fixed = wanted(
            method="fixed", parameters={"percentages": {"cedar": "90", "maple": "10"}}, month=Month(2026, 10)
        )
        second = adopt_policy(fixed, issuer=cast.issuer, by=cast.staff, at=at)
        assert shares(cast, MONTH) == [Decimal("210.00"), Decimal("210.00")]
        first.refresh_from_db()
        assert (first.version, first.valid.upper, second.version) == (1, date(2026, 10, 1), 2)
        assert (second.adopted_by, second.decision) == (cast.staff, "Members' meeting of 3 September, item 4")


@pytest.mark.parametrize(
    ("method", "parameters", "expected"),
    [
        ("idle_weighted", {"capacity": "14400000"}, ["315.00", "105.00"]),
        ("idle_even", {"capacity": "14400000"}, ["262.50", "157.50"]),
        ("direct", {"member": "maple"}, ["420.00"]),
        ("proportional", {"cap": "300.00"}, ["300.00", "120.00"]),
    ],
)
def test_every_method_can_be_a_policy(
    method: str, parameters: dict[str, str], expected: list[str], cast: Cast, period: BillingPeriod, at: datetime,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Half of the capacity is idle: 420.00 CAD are 210.00 of use, three to one, and 210.00 that nobody used."""
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, ("300.00", "")), cast, at)
        basis = "" if method == "direct" else "memory_gib_seconds"
        policy = wanted(method=method, basis=basis, parameters=parameters)
        adopt_policy(policy, issuer=cast.issuer, by=cast.staff, at=at)
        assert shares(cast, MONTH) == [Decimal(each) for each in expected]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("pool_key", {"pool_key": "Shared Cost"}),
        ("pool_key", {"pool_key": "unattributed"}),
        ("method", {"method": "fair"}),
        ("method", {"method": "recoverable"}),
        ("basis", {"method": "proportional", "basis": "weather"}),
        ("basis", {"method": "even", "basis": "active_users"}),
        ("parameters", {"method": "fixed", "parameters": {"percentages": {"cedar": "99.9"}}}),
        ("parameters", {"method": "tiered"}),
        ("parameters", {"method": "direct"}),
        ("parameters", {"method": "idle_even", "basis": "server_seconds", "parameters": {"capacity": "0"}}),
        ("parameters", {"parameters": {"flor": "1"}}),
        ("parameters", {"parameters": {"floor": "many"}}),
        ("decision", {"decision": " "}),
    ],
)
def test_a_policy_that_could_split_nothing_is_refused_by_field(
    field: str, changes: dict[str, Any], cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        with pytest.raises(PolicyInvalid) as refused:
            adopt_policy(wanted(**changes), issuer=cast.issuer, by=cast.staff, at=at)
        assert refused.value.field == field
        assert not AllocationPolicy.objects.exists()


def test_a_month_that_is_closing_keeps_its_policy(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        drafted(period, three_to_one(cast), at)
        with pytest.raises(PolicyInvalid, match="2026-10 or later"):
            adopt_policy(wanted(), issuer=cast.issuer, by=cast.staff, at=at)
        adopt_policy(wanted(month=Month(2026, 10)), issuer=cast.issuer, by=cast.staff, at=at)
        with pytest.raises(Forbidden):
            adopt_policy(wanted(month=Month(2026, 11)), issuer=cast.issuer, by=cast.finance, at=at)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_allocationpolicy SET method = 'even'",
        "UPDATE billing_allocationpolicy SET valid = '[2020-01-01,)'",
        "DELETE FROM billing_allocationpolicy",
        "UPDATE billing_costacceptance SET reason = 'another'",
        "DELETE FROM billing_costacceptance",
    ],
)
def test_postgresql_refuses_to_rewrite_decisions(
    statement: str, cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        proportional = wanted(method="proportional", basis="active_users")
        adopt_policy(proportional, issuer=cast.issuer, by=cast.staff, at=at)
        bill = take_in(bill_file(tmp_path, ("1.25", ATLANTIS)), cast, at)
        accept_unattributed(bill, total=Decimal("1.25"), reason="lost", by=cast.staff, at=at)
        refusal = r"may only end|append-only|permission denied"
        with pytest.raises(Exception, match=refusal), transaction.atomic():
            connection.cursor().execute(statement)
        assert CostAcceptance.objects.get().reason == "lost"
