"""Which months an invoice asks dues for: by the month, the quarter or the year, for joiners and for leavers."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing.dues import MONTHS, Every, Instalment, instalment_of
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month

LONG_AGO = date(2020, 1, 1)


def asked(month: int, every: Every, *, joined: date = LONG_AGO, **more: date | None) -> Instalment | None:
    """What the invoice of a month of 2026 asks for, of 1,200.00 a year."""
    found: Instalment | None = instalment_of(
        Month(2026, month), yearly=Decimal("1200.00"), currency="CAD", joined=joined, every=every, **more
    )
    return found


def year_of(every: Every, *, joined: date, ends_on: date | None, yearly: str = "1200.00") -> list[Instalment]:
    """The instalments of 2026, as twelve closes would ask for them one after the other."""
    found: list[Instalment] = []
    for number in range(1, 13):
        until = found[-1].until if found else None
        part = instalment_of(
            Month(2026, number), yearly=Decimal(yearly), currency="CAD", joined=joined, ends_on=ends_on, every=every,
            covered_until=until,
        )  # fmt: skip
        found += [part] if part else []
    return found


def test_a_month_asks_for_itself() -> None:
    part = asked(3, "month")
    assert part is not None
    assert (part.amount, part.number, part.count) == (Decimal("100.00"), 3, 12)
    assert part.covers == {"from": "2026-03-01", "until": "2026-04-01"}


def test_a_quarter_asks_in_its_first_month_for_three() -> None:
    part = asked(4, "quarter", covered_until=date(2026, 4, 1))
    assert part is not None
    assert (part.amount, part.number, part.count) == (Decimal("300.00"), 2, 4)
    assert part.covers == {"from": "2026-04-01", "until": "2026-07-01"}
    assert asked(5, "quarter", covered_until=part.until) is None


def test_who_leaves_pays_as_far_as_it_stays() -> None:
    part = asked(1, "year", ends_on=date(2026, 9, 1))
    assert part is not None
    assert (part.amount, part.covers) == (Decimal("800.00"), {"from": "2026-01-01", "until": "2026-09-01"})


def test_who_joins_pays_from_its_first_day_on() -> None:
    part = asked(5, "year", joined=date(2026, 5, 16))
    assert part is not None
    assert part.amount == Decimal("756.16")  # 230 of 365 days
    assert part.covers == {"from": "2026-05-16", "until": "2027-01-01"}


def test_a_new_agreement_does_not_ask_for_what_was_paid() -> None:
    """A member that paid until the end of September goes over to the month: October is the next it pays."""
    paid = date(2026, 10, 1)
    assert [asked(number, "month", covered_until=paid) is None for number in (8, 9, 10)] == [True, True, False]


@given(
    yearly=st.integers(0, 10_000_000).map(lambda cents: f"{Decimal(cents).scaleb(-2)}"),
    joined=st.dates(date(2025, 1, 1), date(2026, 12, 31)),
)
def test_a_year_comes_to_the_same_however_it_is_cut(yearly: str, joined: date) -> None:
    sums = set()
    for every in ("month", "quarter", "year"):
        parts = year_of(every, joined=joined, ends_on=None, yearly=yearly)
        sums.add(exact_sum(part.amount for part in parts))
        assert all(one.until == two.since for one, two in pairwise(parts))
        assert (parts[0].since, parts[-1].until) == (max(joined, date(2026, 1, 1)), date(2027, 1, 1))
        assert len(parts) <= 12 // MONTHS[every]
    assert len(sums) == 1
