"""The service level, rule by rule: outages as intervals, what nobody saw, what is excluded, what is credited."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from consortium.kernel.periods import Month, Period, month_period
from provisioning.intervals import length
from provisioning.sla import Check, Exclusion, Promise, Result, Stream, judge, measure, outages_of, percent

MINUTE = timedelta(minutes=1)
START = datetime(2026, 10, 1, tzinfo=UTC)
PROMISE = Promise(
    availability=Decimal("0.995"),
    credits=((Decimal("0.995"), Decimal("0.10")), (Decimal("0.99"), Decimal("0.25")), (Decimal("0.95"), Decimal(1))),
    monthly_fee=Decimal("400.00"),
    currency="CAD",
)


def minutes(marks: str, *, start: datetime = START, proves: bool = True) -> Stream:
    """A stream of one check a minute: `+` good, `-` failed, a space is a check that never was."""
    checks = [Check(at=start + n * MINUTE, ok=mark == "+") for n, mark in enumerate(marks) if mark != " "]
    return Stream(name="work", checks=checks, interval=MINUTE, proves=proves)


def hour(marks: str) -> Period:
    return Period(START, START + (len(marks) - 1) * MINUTE)


def test_an_outage_runs_from_the_last_good_check_to_the_first_good_one() -> None:
    (outage,) = outages_of(minutes("+++---+++"))
    assert (outage.period.start, outage.period.end) == (START + 2 * MINUTE, START + 6 * MINUTE)
    assert outage.failed == 3


def test_one_failed_check_is_no_outage() -> None:
    assert outages_of(minutes("+++-+++-++")) == []


def test_a_silence_before_a_failure_is_not_called_down() -> None:
    (outage,) = outages_of(minutes("++    ---++"))
    assert outage.period.start == START + 6 * MINUTE


def test_a_silence_between_two_failures_is_part_of_the_outage() -> None:
    (outage,) = outages_of(minutes("+--    --+"))
    assert outage.period.length == 9 * MINUTE


def test_time_that_nobody_checked_is_unknown_and_never_good() -> None:
    marks = "+++++      +++++"
    measured = measure(hour(marks), streams=[minutes(marks)])
    assert measured.unknown == 7 * MINUTE
    assert measured.served == 8 * MINUTE


def test_a_probe_that_proves_nothing_shows_outages_but_makes_no_time_known() -> None:
    marks = "++++--++++"
    measured = measure(hour(marks), streams=[minutes(marks, proves=False)])
    assert measured.down == 3 * MINUTE
    assert measured.served == timedelta()


def test_what_is_excluded_is_neither_up_nor_down() -> None:
    marks = "+" * 20 + "-" * 10 + "+" * 31
    maintenance = Exclusion(period=Period(START + 15 * MINUTE, START + 35 * MINUTE), reason="maintenance")
    measured = measure(hour(marks), streams=[minutes(marks)], exclusions=[maintenance])
    assert (measured.down, measured.excluded, measured.promised) == (timedelta(), 20 * MINUTE, 40 * MINUTE)
    assert judge(measured, PROMISE).result is Result.MET


def test_a_month_that_was_hardly_checked_has_no_result() -> None:
    marks = "+" * 30 + " " * 30 + "+"
    verdict = judge(measure(hour(marks), streams=[minutes(marks)]), PROMISE)
    assert (verdict.result, verdict.availability, verdict.credit) == (Result.INSUFFICIENT, None, Decimal("0.00"))


def test_outages_that_break_the_promise_even_so_are_credited_although_much_is_unknown() -> None:
    marks = "+" * 20 + "-" * 10 + "+" + " " * 29 + "+"
    verdict = judge(measure(hour(marks), streams=[minutes(marks)]), PROMISE)
    assert verdict.result is Result.MISSED
    assert verdict.credit == Decimal("400.00")


def test_a_period_that_is_wholly_excluded_is_not_measured() -> None:
    marks = "-" * 61
    measured = measure(
        hour(marks), streams=[minutes(marks)], exclusions=[Exclusion(period=hour(marks), reason="suspended")]
    )
    assert judge(measured, PROMISE).result is Result.NOT_MEASURED


def test_exactly_the_promised_share_is_kept() -> None:
    month = month_period(Month(2026, 10), "America/Toronto")
    down = month.length * 5 / 1000
    measured = measure(month, streams=[_solid(month, down)])
    assert measured.down == down
    assert judge(measured, PROMISE).result is Result.MET


def _solid(month: Period, down: timedelta) -> Stream:
    """Checks so dense that the outage is exactly as long as wanted."""
    begin = month.start + timedelta(days=3)
    checks = [Check(at=month.start, ok=True), Check(at=begin, ok=True)]
    checks += [Check(at=begin + down * part / 4, ok=False) for part in (1, 2, 3)]
    checks += [Check(at=begin + down, ok=True), Check(at=month.end, ok=True)]
    return Stream(name="work", checks=checks, interval=timedelta(days=40))


marks = st.text(alphabet="+- ", min_size=2, max_size=120)
holes = st.lists(st.tuples(st.integers(0, 110), st.integers(1, 30)), max_size=3)


@given(marks, holes)
def test_the_parts_are_the_whole_and_an_outage_never_makes_it_better(marks: str, holes: list[tuple[int, int]]) -> None:
    period = Period(START, START + len(marks) * MINUTE)
    cuts = [Period(START + a * MINUTE, START + (a + n) * MINUTE) for a, n in holes]
    exclusions = [Exclusion(period=cut, reason="maintenance") for cut in cuts]
    measured = measure(period, streams=[minutes(marks)], exclusions=exclusions)
    assert measured.served + measured.down + measured.unknown + measured.excluded == period.length
    assert min(measured.served, measured.down, measured.unknown, measured.excluded) >= timedelta()
    worse = measure(period, streams=[minutes(marks.replace("+", "-"))], exclusions=exclusions)
    assert worse.served <= measured.served
    assert length(measured.unknown_periods) == measured.unknown


@given(marks)
def test_a_credit_never_exceeds_the_fee(marks: str) -> None:
    verdict = judge(measure(Period(START, START + len(marks) * MINUTE), streams=[minutes(marks)]), PROMISE)
    assert Decimal(0) <= verdict.credit <= PROMISE.monthly_fee


def test_a_share_is_shown_to_a_thousandth_of_a_percent() -> None:
    assert str(percent(Decimal("0.99953"))) == "99.953"
