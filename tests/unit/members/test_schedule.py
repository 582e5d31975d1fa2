"""Schedules: exact amounts in JSON, and contradictions refused."""

import json
from decimal import Decimal
from typing import Any

import pytest

from billing.prices import PriceSchedule, user_charge
from members.schedule import Schedule, ScheduleInvalid, ScheduleTemplate
from tests.unit.members.story import TERMS


def schedule() -> Schedule:
    return TERMS.for_institution(fte=9_000, po_required=False)


def test_a_schedule_survives_json_with_every_amount_as_text() -> None:
    stored = json.loads(json.dumps(schedule().as_json()))
    assert stored["dues"] == "6000.00"
    assert stored["slabs"][0] == {"up_to": 10, "unit_price": "10.00"}
    assert Schedule.parse(stored) == schedule()


@pytest.mark.parametrize(("fte", "tier"), [(0, "small"), (10_000, "small"), (10_001, "large"), (90_000, "large")])
def test_the_size_of_the_institution_decides_its_tier_and_dues(fte: int, tier: str) -> None:
    agreed = TERMS.for_institution(fte=fte, po_required=True)
    assert agreed.tier == tier
    assert agreed.dues == {"small": Decimal("6000.00"), "large": Decimal("18000.00")}[tier]
    assert agreed.po_required


def test_billing_reads_the_same_prices() -> None:
    prices = PriceSchedule.model_validate(schedule().price_terms())
    assert prices.tier.yearly_dues == schedule().dues
    assert user_charge(12, slabs=prices.slabs, currency=prices.currency).total == Decimal("105.00")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dues": 6000.0}, "dues"),
        ({"dues": "6000.001"}, None),
        ({"dues": "-1.00"}, "dues"),
        ({"dues": "1E+400"}, "dues"),
        ({"currency": "XXX"}, "currency"),
        ({"slabs": []}, None),
        ({"slabs": [{"up_to": 10, "unit_price": "1.00"}]}, None),
        ({"surprise": 1}, "surprise"),
        ({"payment_days": 0}, "payment_days"),
        ({"payment_days": "30"}, "payment_days"),
    ],
)
def test_a_schedule_at_fault_is_refused_and_names_the_term(change: dict[str, Any], field: str | None) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        Schedule.parse(schedule().as_json() | change)
    if field:
        assert refused.value.field == field


def test_a_template_whose_tiers_leave_a_size_out_is_refused() -> None:
    offered = TERMS.as_json()
    offered["tiers"][-1]["fte_up_to"] = 20_000
    with pytest.raises(ScheduleInvalid):
        ScheduleTemplate.parse(offered)


def test_service_credits_that_begin_above_the_promise_are_refused() -> None:
    offered = TERMS.as_json()
    offered["service_level"]["credits"] = [{"below": "0.999", "credit": "0.10"}]
    with pytest.raises(ScheduleInvalid):
        ScheduleTemplate.parse(offered)


# As the first release stored it: terms that came later have defaults, and what is stored is never rewritten.
OLD = {
    "version": 1, "currency": "CAD", "slabs": [{"up_to": None, "unit_price": "2.50"}], "included_support_hours": "4",
    "support_hourly_rate": "120.00", "creditable_monthly_fee": "500.00", "term_months": None, "payment_days": 30,
    "po_required": False, "notice_days": 90, "tier": "small", "tier_name_en": "small", "tier_name_fr": "petite",
    "dues": "6000.00",
    "entitlements": {
        "hubs": 2, "environments": ["standard"], "memory_limit_bytes": 4294967296, "max_servers": 100,
        "regions": ["local"],
    },
    "service_level": {
        "availability": "0.995", "credits": [{"below": "0.99", "credit": "0.10"}], "urgent_response_hours": 4,
        "response_hours": 16,
    },
}  # fmt: skip


def test_a_schedule_of_the_first_release_still_reads_and_agrees_to_nothing_new() -> None:
    schedule = Schedule.parse(OLD)
    assert (schedule.dues, schedule.entitlements.hubs) == (Decimal("6000.00"), 2)
    assert (schedule.recovery, schedule.data_protection, schedule.responsibilities, schedule.exit) == (
        None,
        None,
        (),
        None,
    )
    assert schedule.fee_of("any-hub") == Decimal("500.00")


def test_a_hub_may_have_a_creditable_fee_of_its_own_and_only_one() -> None:
    changed = OLD | {"creditable_fees": [{"hub": "birch-lab", "fee": "800.00"}]}
    schedule = Schedule.parse(changed)
    assert (schedule.fee_of("birch-lab"), schedule.fee_of("other")) == (Decimal("800.00"), Decimal("500.00"))
    twice = OLD | {"creditable_fees": changed["creditable_fees"] * 2}  # type: ignore[operator] # a list
    with pytest.raises(ScheduleInvalid) as refused:
        Schedule.parse(twice)
    assert refused.value.field == "creditable_fees"
