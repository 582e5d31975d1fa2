"""Promise 20: whatever is odd in a month parks, with its reason, and everybody is billed for all the rest."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from billing import closing, ledger
from billing.matching import By, Destination, Kind, MatchRule
from billing.models import AllocationPolicy, BillingAccount, Pool, Share
from billing.periods import open_period
from billing.rules import add_rule
from consortium.kernel.dated import since
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast, make_institution
from tests.integration.billing.stories import (
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    facts,
    issued,
    open_account,
    set_up,
    take_in,
    three_to_one,
)

# pool, method, basis, parameters of its policy, and why nobody is billed for it
ODD: tuple[tuple[str, str, str, dict[str, object], str], ...] = (
    ("no-measure", "proportional", "phase of the moon", {}, "basis_unknown"),
    ("no-method", "by lot", "", {}, "basis_unknown"),
    ("no-use", "proportional", "gpu_seconds", {}, "basis_all_zero"),
    ("no-shares", "fixed", "", {}, "parameters_missing"),
    ("too-little", "fixed", "", {"percentages": {"cedar": "60", "maple": "39"}}, "percentages_not_100"),
    ("negative", "fixed", "", {"percentages": {"cedar": "160", "maple": "-60"}}, "weight_negative"),
    ("stranger", "fixed", "", {"percentages": {"atlantis": "100"}}, "member_invalid"),
    ("nobody", "direct", "", {"member": "atlantis"}, "member_invalid"),
    ("no-tier", "tiered", "", {"tiers": {"small": "1"}}, "tier_unknown"),
    ("no-number", "tiered", "", {"tiers": {"medium": "NaN"}}, "parameters_invalid"),
    ("high-floor", "even", "", {"floor": "1000.00"}, "floor_infeasible"),
    ("low-cap", "even", "", {"cap": "0.01"}, "cap_infeasible"),
    ("words", "even", "", {"floor": "much"}, "parameters_invalid"),
    ("no-room", "idle_weighted", "memory_gib_seconds", {"capacity": "1"}, "used_above_total"),
    ("no-capacity", "idle_own", "memory_gib_seconds", {}, "parameters_missing"),
    ("circle-a", "step_down", "memory_gib_seconds", {"feeds": {"circle-b": "5"}}, "pool_order"),
    ("circle-b", "step_down", "memory_gib_seconds", {"feeds": {"circle-a": "5"}}, "pool_order"),
    ("too-much", "step_down", "memory_gib_seconds", {"feeds": {"shared": "101"}}, "percentages_not_100"),
)


def test_a_month_full_of_odd_things_bills_everything_else(cast: Cast, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
        rules = [(name, Destination(Kind.POOL, name)) for name, *_rest in ODD]
        for place, (name, destination) in enumerate(rules):
            rule = MatchRule(By.TAG, destination, pattern=name, tag_key="odd", name=name)
            add_rule(issuer=cast.issuer, rule=rule, by=RUN, at=at)
            _first(cast, place, at)
        for name, method, basis, parameters, _why in ODD:
            AllocationPolicy.objects.create(
                issuer=cast.issuer, pool_key=name, method=method, basis=basis, parameters=parameters,
                valid=since(date(2026, 1, 1)),
            )  # fmt: skip
        odd_rows = [("10.00", f'{{"odd": "{name}"}}') for name, *_rest in ODD]
        take_in(bill_file(tmp_path, *STORY_ROWS, *odd_rows), cast, at)
        without_tax_facts = make_institution("aspen", province="AB")
        open_account(without_tax_facts, cast.issuer, province="", at=at)
        without_account = make_institution("birch")
        members = [
            *three_to_one(cast),
            *(facts(each, dues="12.00", joined=date(2025, 1, 1), memory="0", users=0)
              for each in (without_tax_facts, without_account)),
        ]  # fmt: skip
        period = open_period(cast.issuer, MONTH)
        blocking = {found.code for found in closing.preflight(period, members, at=at) if found.blocking}
        closing.begin_closing(period, members, by=RUN, at=at, accepted=blocking)
        closing.allocate_pools(period, members, at=at)
        invoices = issued(closing.draft_invoices(period, members, by=RUN, at=at), at)

        pools = {pool.key: pool for pool in Pool.objects.all()}
        assert {key: pool.parked_reason for key, pool in pools.items() if pool.parked_reason} == {
            name: why for name, _method, _basis, _parameters, why in ODD
        }
        assert all(pools[name].parked_message.endswith(".") for name, *_rest in ODD)
        assert all(
            pools[name].rounded_total == Decimal("14.00") for name, *_rest in ODD
        )  # said, though nobody bears it
        assert not Share.objects.filter(pool__parked_reason__gt="").exists()
        # the others come out as the month's story says, to the cent
        assert [invoice.total for invoice in invoices] == [Decimal("2602.57"), Decimal("788.59")]
        parked = closing.parked(period, members, at=at)
        assert sorted(found.code for found in parked) == sorted(
            [*(why for *_rest, why in ODD), "account_missing", *_taxes(parked)]
        )
        assert BillingAccount.objects.count() == 3
        closing.finish_closing(period, by=RUN, at=at)
        assert ledger.receivables_agree(cast.issuer)


def _first(cast: Cast, place: int, at: datetime) -> None:
    """Try the newest rule before those that take everything."""
    from billing.models import MatchingRule  # noqa: PLC0415
    from billing.rules import move_rule  # noqa: PLC0415

    newest = MatchingRule.objects.filter(issuer=cast.issuer).order_by("-position")[0]
    move_rule(newest, to=place + 1, by=RUN, at=at)


def _taxes(parked: list[closing.Finding]) -> list[str]:
    """What the tax decision of a payer without a province says: one reason of its own."""
    found = [each.code for each in parked if each.code.startswith("tax_") or each.code == "place_unknown"]
    assert len(found) == 1
    return found
