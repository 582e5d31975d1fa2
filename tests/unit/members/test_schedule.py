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
