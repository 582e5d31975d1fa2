"""What members are expected to pay in thirteen weeks from a day, week by week, and what each amount rests on.

Pure: `billing.cash_forecast_rows` reads. An instalment is expected on its day, a promised amount on the promised one.
The rest of an invoice is expected when it is due, or as many days later as the member's own habit says; what is overdue
comes after that habit or has no date. What is disputed has none either. Nothing else is guessed, and nothing left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from statistics import median_high
from typing import Final

from consortium.kernel.money import EXACT, exact_sum

WEEKS: Final = 13
WEEK: Final = timedelta(days=7)
HABIT_OF: Final = 6  # the last paid invoices that a habit is read from
INSTALMENT, PROMISE, HABIT, DUE_DAY, NO_DATE = "Instalment", "Promise", "Habit", "Due day", "No date"
RESTS_ON: Final = (DUE_DAY, HABIT, PROMISE, INSTALMENT)
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAmount:
    """What is due on an invoice, what of it is disputed, what is promised of it, and its member's habit.

    `habit` are the days late of the member's last paid invoices, the newest first; empty for a member without any.
    """

    number: str
    member: str
    currency: str
    due_on: date
    amount: Decimal
    held: Decimal = _NONE
    promised: Decimal = _NONE
    promised_by: date | None = None
    habit: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instalment:
    """What is missing of a part of an arrangement: due by a day, on these invoices."""

    numbers: str
    member: str
    currency: str
    due_on: date
    amount: Decimal
    habit: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An amount with the day on which it is expected, None for no date; `why` says it in words."""

    number: str
    member: str
    currency: str
    due_on: date
    day: date | None
    amount: Decimal
    rests_on: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What is expected from its first to its last day, by RESTS_ON."""

    first_day: date
    last_day: date
    amounts: tuple[Decimal, ...]

    @property
    def total(self) -> Decimal:
        """All of it."""
        return exact_sum(self.amounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Thirteen weeks in one currency, what comes later, what has no date; together all that is due."""

    currency: str
    weeks: tuple[Week, ...]
    later: Decimal
    no_date: Decimal
    rows: tuple[Expected, ...] = field(repr=False)

    @property
    def total(self) -> Decimal:
        """All that is due in the currency."""
        return exact_sum(row.amount for row in self.rows)


def days_late(habit: Sequence[int]) -> int | None:
    """Return the median of the days, the later of two middle ones, never below zero; None for no habit."""
    return max(median_high(habit[:HABIT_OF]), 0) if habit else None


def expect(row: OpenAmount, *, on: date) -> list[Expected]:
    """Split what is due on an invoice into what is disputed, what is promised, and the rest; none of them is zero."""
    free = EXACT.subtract(row.amount, row.held)
    live = row.promised_by is not None and row.promised_by >= on
    promised = min(row.promised, free) if live else _NONE
    day, rests_on, why = _when(row.due_on, row.habit, on=on, otherwise=DUE_DAY)
    parts = [
        (row.held, None, NO_DATE, "It is disputed."),
        (promised, row.promised_by, PROMISE, f"It is promised by {row.promised_by}."),
        (EXACT.subtract(free, promised), day, rests_on, why),
    ]
    return [
        Expected(
            number=row.number, member=row.member, currency=row.currency, due_on=row.due_on,
            amount=amount, day=when, rests_on=basis, why=words,
        )
        for amount, when, basis, words in parts if amount > 0
    ]  # fmt: skip


def expect_part(row: Instalment, *, on: date) -> Expected:
    """Expect an instalment on its day; one that is missing comes after the member's habit, or has no date."""
    day, rests_on, why = (
        (row.due_on, INSTALMENT, "It is a part of an arrangement.")
        if row.due_on >= on
        else _when(row.due_on, row.habit, on=on, otherwise=INSTALMENT)
    )
    return Expected(
        number=row.numbers, member=row.member, currency=row.currency, due_on=row.due_on,
        amount=row.amount, day=day, rests_on=rests_on, why=why,
    )  # fmt: skip


def forecast(invoices: Iterable[OpenAmount], parts: Iterable[Instalment] = (), *, on: date) -> list[Forecast]:
    """Return the thirteen weeks that begin on a day, by currency: every amount stands in one place. Pure."""
    rows = [each for row in invoices for each in expect(row, on=on)] + [expect_part(row, on=on) for row in parts]
    return [
        _of_currency(currency, [row for row in rows if row.currency == currency], on=on)
        for currency in sorted({row.currency for row in rows})
    ]


def _when(due_on: date, habit: Sequence[int], *, on: date, otherwise: str) -> tuple[date | None, str, str]:
    """The day of what nobody promised, what it rests on, and that in words."""
    late = days_late(habit)
    if late and due_on + timedelta(days=late) >= on:
        count = len(habit[:HABIT_OF])
        return due_on + timedelta(days=late), HABIT, f"It pays {late} days late, the median of its last {count}."
    if due_on >= on:
        return due_on, otherwise, "It is due on that day."
    return None, NO_DATE, "It is overdue, and later than the member's habit." if late else "It is overdue."


def _of_currency(currency: str, rows: Sequence[Expected], *, on: date) -> Forecast:
    weeks = []
    for first in (on + WEEK * number for number in range(WEEKS)):
        within = [row for row in rows if row.day is not None and first <= row.day < first + WEEK]
        amounts = tuple(exact_sum(row.amount for row in within if row.rests_on == basis) for basis in RESTS_ON)
        weeks.append(Week(first_day=first, last_day=first + timedelta(days=6), amounts=amounts))
    end = on + WEEK * WEEKS
    return Forecast(
        currency=currency,
        weeks=tuple(weeks),
        later=exact_sum(row.amount for row in rows if row.day is not None and row.day >= end),
        no_date=exact_sum(row.amount for row in rows if row.day is None),
        rows=tuple(sorted(rows, key=lambda row: (row.day or date.max, row.member, row.number))),
    )
