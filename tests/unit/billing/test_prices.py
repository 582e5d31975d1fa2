"""Dues, active users and support hours come out exactly, and a price schedule is stored as text."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from billing.prices import (
    STANDARD_SLABS,
    PriceInvalid,
    PriceList,
    PriceSchedule,
    Slab,
    Support,
    Tier,
    dues_by_month,
    instalments,
    prorated_dues,
    support_charge,
    user_charge,
)
from consortium.kernel.money import exact_sum, from_minor, plain
from consortium.kernel.periods import Month


def price_list(**changes: Any) -> PriceList:
    """The list of a small consortium."""
    base: dict[str, Any] = {
        "currency": "CAD",
        "tiers": (
            Tier(code="small", name_en="Small", name_fr="Petite", yearly_dues=Decimal("5000.00")),
            Tier(code="large", name_en="Large", name_fr="Grande", yearly_dues=Decimal("20000.00")),
        ),
        "slabs": STANDARD_SLABS,
        "support": Support(included_hours=Decimal(4), hourly_rate=Decimal("120.00")),
        "creditable_fee": Decimal("400.00"),
    }
    return PriceList(**(base | changes))


@pytest.mark.parametrize(
    ("users", "total"),
    [
        (0, "0.00"),
        (1, "10.00"),
        (10, "100.00"),
        (11, "105.00"),
        (100, "550.00"),
        (280, "1000.00"),
        (1_000, "2800.00"),
        (9_999, "14048.75"),
        (10_000, "14050.00"),
        (10_001, "14050.00"),
        (1_000_000, "14050.00"),
    ],
)
def test_active_users_are_priced_slab_by_slab(users: int, total: str) -> None:
    charge = user_charge(users, slabs=STANDARD_SLABS, currency="CAD")
    assert plain(charge.total) == total
    assert exact_sum(line.amount for line in charge.lines) == charge.total
    assert sum(line.users for line in charge.lines) == users


@given(st.integers(0, 20_000))
def test_one_more_user_costs_the_price_of_the_slab_they_fall_into(users: int) -> None:
    before = user_charge(users, slabs=STANDARD_SLABS, currency="CAD").total
    after = user_charge(users + 1, slabs=STANDARD_SLABS, currency="CAD")
    assert after.total - before == after.lines[-1].unit_price


@pytest.mark.parametrize("users", [-1, True, 1.5, "10"])
def test_a_number_of_users_is_a_whole_number(users: Any) -> None:
    with pytest.raises(PriceInvalid):
        user_charge(users, slabs=STANDARD_SLABS, currency="CAD")


@pytest.mark.parametrize("ends", [[], [10], [10, 10, None], [100, 10, None], [None, 10], [None, None]])
def test_slabs_rise_and_leave_nobody_without_a_price(ends: list[int | None]) -> None:
    slabs = tuple(Slab(up_to=end, unit_price=Decimal(1)) for end in ends)
    with pytest.raises(ValidationError, match="slab"):
        price_list(slabs=slabs)
    with pytest.raises(PriceInvalid):
        user_charge(5, slabs=slabs, currency="CAD")


@given(st.integers(-(10**9), 10**9), st.sampled_from(["CAD", "JPY", "KWD"]), st.integers(1, 36))
def test_instalments_sum_exactly_and_differ_by_one_unit_at_most(minor: int, currency: str, count: int) -> None:
    total = from_minor(minor, currency)
    parts = instalments(total, currency=currency, count=count)
    assert len(parts) == count
    assert exact_sum(parts) == total
    assert max(parts) - min(parts) <= from_minor(1, currency)


def test_twelve_instalments_of_a_thousand_dollars() -> None:
    assert [plain(part) for part in instalments(Decimal("1000.00"), currency="CAD")] == ["83.34"] * 4 + ["83.33"] * 8


@pytest.mark.parametrize(
    ("joined", "dues"),
    [
        (date(2026, 4, 1), "12000.00"),
        (date(2020, 1, 1), "12000.00"),
        (date(2026, 4, 2), "11967.12"),
        (date(2026, 10, 15), "5523.29"),  # 168 of 365 days: 5523.2876...
        (date(2027, 3, 31), "32.88"),
    ],
)
def test_who_joins_within_the_year_owes_the_days_that_are_left(joined: date, dues: str) -> None:
    owed = prorated_dues(Decimal("12000.00"), currency="CAD", joined=joined, year_start=date(2026, 4, 1))
    assert plain(owed) == dues


def test_a_leap_year_has_one_day_more() -> None:
    owed = prorated_dues(Decimal("366.00"), currency="CAD", joined=date(2028, 2, 29), year_start=date(2028, 1, 1))
    assert plain(owed) == "307.00"
    whole = prorated_dues(Decimal("366.00"), currency="CAD", joined=date(2028, 2, 29), year_start=date(2028, 2, 29))
    assert plain(whole) == "366.00"


def test_who_joins_after_the_year_owes_nothing_of_it_and_is_told_so() -> None:
    with pytest.raises(PriceInvalid, match="2027-04-01"):
        prorated_dues(Decimal(1), currency="CAD", joined=date(2027, 4, 1), year_start=date(2026, 4, 1))


@given(st.integers(0, 10**8), st.dates(date(2026, 1, 1), date(2026, 12, 31)))
def test_the_months_of_a_joiner_sum_to_the_prorated_dues(minor: int, joined: date) -> None:
    yearly = from_minor(minor, "CAD")
    months = dues_by_month(yearly, currency="CAD", joined=joined, year_start=date(2026, 1, 1))
    assert next(iter(months)) == Month.of(joined)
    assert list(months)[-1] == Month(2026, 12)
    assert exact_sum(months.values()) == prorated_dues(
        yearly, currency="CAD", joined=joined, year_start=date(2026, 1, 1)
    )


def test_a_member_of_old_pays_twelve_instalments() -> None:
    months = dues_by_month(Decimal("1000.00"), currency="CAD", joined=date(2020, 5, 5), year_start=date(2026, 9, 1))
    assert (len(months), list(months)[-1]) == (12, Month(2027, 8))


def test_support_hours_beyond_the_included_ones_are_charged() -> None:
    support = Support(included_hours=Decimal(4), hourly_rate=Decimal("120.00"))
    assert plain(support_charge(Decimal("3.5"), support=support, currency="CAD").total) == "0.00"
    charge = support_charge(Decimal("4.333"), support=support, currency="CAD")
    assert (plain(charge.billable_hours), plain(charge.total)) == ("0.333", "39.96")


def test_a_schedule_survives_storage_with_its_amounts_as_text() -> None:
    schedule = price_list().schedule("large")
    stored = schedule.model_dump_json()
    assert PriceSchedule.model_validate_json(stored) == schedule
    assert PriceSchedule.model_validate(schedule.model_dump(mode="json")) == schedule
    fields = json.loads(stored)
    assert fields["tier"]["yearly_dues"] == "20000.00"
    assert fields["slabs"][2] == {"up_to": 1000, "unit_price": "2.50"}


@pytest.mark.parametrize(
    "change",
    [
        {"creditable_fee": 400.0},
        {"creditable_fee": "-1.00"},
        {"creditable_fee": "400.001"},
        {"creditable_fee": "NaN"},
        {"currency": "XXX"},
        {"currency": 7},
        {"currency": "JPY"},
        {"tiers": ()},
        {"tiers": (price_list().tiers[0],) * 2},
        {"version": 0},
        {"discount": "1.00"},
    ],
)
def test_a_price_list_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        price_list(**change)


def test_an_unknown_tier_is_named_with_the_known_ones() -> None:
    with pytest.raises(PriceInvalid, match="small, large"):
        price_list().schedule("huge")
