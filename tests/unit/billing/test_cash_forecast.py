"""Thirteen weeks of expected money, each amount in one place, with what it rests on."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.arrangements import arrange
from billing.cash_forecast import OpenAmount, days_late, expect, forecast
from billing.cash_forecast_rows import habits_of, read_forecast
from billing.promises import record_promise
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.issued import pay as arrive

TOTAL = Decimal("2367.90")
TODAY = date(2026, 11, 10)
DUE = date(2026, 11, 1)


def noon(day: date) -> datetime:
    """Midday in Vancouver, whose days count."""
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def owed(due_on: date, amount: str = "100.00", **more: object) -> OpenAmount:
    return OpenAmount(number="1", member="Cedar", currency="CAD", due_on=due_on, amount=Decimal(amount), **more)  # type: ignore[arg-type]


def test_the_habit_is_the_median_of_the_last_six_and_never_early() -> None:
    assert [days_late(each) for each in ((), (9,), (2, 8), (1, 3, 20), (-4, -9))] == [None, 9, 8, 3, 0]
    assert days_late((5, 5, 5, 5, 40, 40, 40, 40, 40)) == 5, "the oldest three do not count"


def test_each_amount_is_expected_on_a_day_that_it_can_name() -> None:
    ten_late = (10, 10, 10)
    said = {
        name: [(str(part.day), part.rests_on, str(part.amount)) for part in expect(row, on=TODAY)]
        for name, row in {
            "not due, no habit": owed(date(2026, 11, 30)),
            "not due, ten late": owed(date(2026, 11, 30), habit=ten_late),
            "overdue, no habit": owed(DUE),
            "overdue, ten late": owed(DUE, habit=ten_late),
            "overdue beyond the habit": owed(date(2026, 10, 1), habit=ten_late),
            "partly promised": owed(DUE, promised=Decimal("60.05"), promised_by=date(2026, 12, 1), habit=ten_late),
            "its promise is over": owed(DUE, promised=Decimal(60), promised_by=date(2026, 11, 9)),
            "partly disputed": owed(date(2026, 11, 30), held=Decimal("33.33")),
        }.items()
    }
    assert said == {
        "not due, no habit": [("2026-11-30", "Due day", "100.00")],
        "not due, ten late": [("2026-12-10", "Habit", "100.00")],
        "overdue, no habit": [("None", "No date", "100.00")],
        "overdue, ten late": [("2026-11-11", "Habit", "100.00")],
        "overdue beyond the habit": [("None", "No date", "100.00")],
        "partly promised": [("2026-12-01", "Promise", "60.05"), ("2026-11-11", "Habit", "39.95")],
        "its promise is over": [("None", "No date", "100.00")],
        "partly disputed": [("None", "No date", "33.33"), ("2026-11-30", "Due day", "66.67")],
    }


MONEY = st.decimals(Decimal("0.01"), Decimal(10**6), places=2)
ROWS = st.builds(
    lambda currency, due, amount, held, promised, by, habit: OpenAmount(
        number="1", member="Cedar", currency=currency, due_on=due, amount=amount, held=min(held, amount),
        promised=promised, promised_by=by, habit=tuple(habit),
    ),
    st.sampled_from(["CAD", "USD"]), st.dates(date(2026, 1, 1), date(2027, 12, 31)), MONEY, MONEY, MONEY,
    st.none() | st.dates(date(2026, 10, 1), date(2027, 6, 1)), st.lists(st.integers(-30, 200), max_size=8),
)  # fmt: skip


@given(st.lists(ROWS, max_size=12))
def test_whatever_is_owed_every_cent_stands_in_exactly_one_place(rows: list[OpenAmount]) -> None:
    for each in forecast(rows, on=TODAY):
        due = exact_sum(row.amount for row in rows if row.currency == each.currency)
        assert exact_sum([*(week.total for week in each.weeks), each.later, each.no_date]) == each.total == due
        assert all(row.amount > 0 and (row.day is None or row.day >= TODAY) for row in each.rows)


def test_two_members_story_to_the_cent(cast: Cast) -> None:
    """Cedar paid twice, 12 and 20 days late, and owes three invoices; Maple pays one in parts and owes one more."""
    paid, late, promised, open_one, rest = (make_invoice(cast, number=f"C-{number}") for number in range(5))
    parts, bare = (make_invoice(cast, number=f"M-{number}", institution=cast.other_university) for number in range(2))
    with consortium_scope(Scope.STAFF):
        arrive(paid, str(TOTAL), at=noon(DUE + timedelta(days=12)))
        arrive(late, str(TOTAL), at=noon(DUE + timedelta(days=20)))
        assert habits_of(cast.issuer) == {cast.university.pk: (20, 12)}
        record_promise(
            [promised, rest], said_by="Ada", amount=Decimal("3000.00"), by_day=date(2026, 12, 1), note="",
            by=cast.staff, at=noon(TODAY),
        )  # fmt: skip
        agreed = [(date(2026, 11, 16), Decimal("1000.00")), (date(2027, 3, 1), Decimal("1367.90"))]
        arrange([parts], agreed, reason="Budget year.", by=cast.staff, at=noon(TODAY))
        arrive(promised, "500.00", at=noon(TODAY) + timedelta(hours=1))
        arrive(parts, "250.25", at=noon(TODAY) + timedelta(hours=1))
        [found] = read_forecast(cast.issuer, on=TODAY)
    told = [(row.number, str(row.day), row.rests_on, str(row.amount)) for row in found.rows]
    assert told == [
        ("M-0", "2026-11-16", "Instalment", "749.75"),
        ("C-3", "2026-11-21", "Habit", "2367.90"),
        ("C-4", "2026-11-21", "Habit", "1735.80"),
        ("C-2", "2026-12-01", "Promise", "1867.90"),
        ("C-4", "2026-12-01", "Promise", "632.10"),
        ("M-0", "2027-03-01", "Instalment", "1367.90"),
        ("M-1", "None", "No date", "2367.90"),
    ]
    assert [str(week.total) for week in found.weeks[:4]] == ["749.75", "4103.70", "0", "2500.00"]
    assert (found.later, found.no_date) == (Decimal("1367.90"), TOTAL)
    assert found.total == exact_sum([*[TOTAL] * 5, Decimal("-750.25")])
    assert (open_one.status, bare.status) == ("issued", "issued")
    browser, page = signed_in(cast.staff), "/en/staff/billing/report/cash-forecast"
    asked = f"?issuer={cast.issuer.pk}&on=2026-11-10"
    html = text_of(browser.get(f"{page}/{asked}"))
    assert "4,103.70" in html
    assert "It pays 20 days late, the median of its last 2." in html
    assert "<svg" in html
    assert 'href="/en/staff/billing/report/cash-forecast/"' in text_of(browser.get("/en/staff/billing/report/"))
    sheet = browser.get(f"{page}.csv{asked}").content.decode("utf-8-sig")
    assert '"CAD","2026-11-17","2026-11-23","0.00","4103.70","0.00","0.00","4103.70"' in sheet.replace('"0"', '"0.00"')
    assert browser.get(f"{page}/?issuer={cast.issuer.pk}&on=soon").status_code == 422
    assert browser.get(f"{page}.csv?issuer={cast.issuer.pk}&on=soon").status_code == 404
    assert signed_in(cast.owner).get(f"{page}/").status_code == 302


def test_where_nothing_is_due_the_page_says_so(cast: Cast) -> None:
    assert "Nothing is due" in text_of(signed_in(cast.staff).get("/en/staff/billing/report/cash-forecast/"))
