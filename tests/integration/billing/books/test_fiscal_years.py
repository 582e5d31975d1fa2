"""A fiscal year: closed into net assets, locked for ever, and PostgreSQL refuses what comes after."""

import threading
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing import ledger
from billing.chart_of_accounts import Account, accounts_of
from billing.fiscal_years import YearInvalid, YearUnfinished, lock_year, open_year, result_of
from billing.ledger import Leg, YearLocked, post
from billing.models import BillingPeriod, FiscalYear, LedgerEntry
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Issuer
from tests.cast import Cast, make_cast

RUN = System("books")
AFTER = datetime(2027, 1, 4, 18, 0, tzinfo=UTC)
LAST = date(2026, 12, 31)


@pytest.fixture
def year(cast: Cast, at: datetime) -> FiscalYear:
    """The calendar year 2026."""
    with consortium_scope(Scope.JOB):
        return open_year(cast.issuer, since=date(2026, 1, 1), by=RUN, at=at)


def earn(issuer: Issuer, cast: Cast, amount: str, *, on: date, kind: str, at: datetime) -> LedgerEntry:
    """Money in the bank for dues."""
    legs = [Leg(Account.BANK, Decimal(amount), "CAD"), Leg(Account.DUES_INCOME, -Decimal(amount), "CAD")]
    return post(issuer=issuer, kind=kind, source=cast.university, on=on, narration=kind, legs=legs, at=at)


def test_locking_carries_the_result_to_net_assets(cast: Cast, year: FiscalYear, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        earn(cast.issuer, cast, "100.00", on=date(2026, 3, 1), kind="spring", at=at)
        earn(cast.issuer, cast, "7.00", on=date(2027, 1, 2), kind="next year", at=at)
        cost = [Leg(Account.CLOUD_COST, Decimal("60.00"), "USD"), Leg(Account.PAYABLES, Decimal("-60.00"), "USD")]
        post(issuer=cast.issuer, kind="cost", source=cast.university, on=LAST, narration="c", legs=cost, at=at)
        assert result_of(year) == {"CAD": Decimal("100.00"), "USD": Decimal("-60.00")}
        lock_year(year, by=RUN, at=AFTER)
        balances = {(row.code, row.currency): row.balance for row in ledger.trial_balance(cast.issuer, until=LAST)}
        assert {key: amount for key, amount in balances.items() if amount} == {
            ("1000", "CAD"): Decimal("100.00"),
            ("2000", "USD"): Decimal("-60.00"),
            ("3000", "CAD"): Decimal("-100.00"),
            ("3000", "USD"): Decimal("60.00"),
        }
        assert lock_year(year, by=RUN, at=AFTER).status == "locked"
        assert LedgerEntry.objects.filter(kind="year_end").count() == 1


def test_the_result_stays_readable_after_the_lock(cast: Cast, year: FiscalYear, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        earn(cast.issuer, cast, "100.00", on=date(2026, 3, 1), kind="spring", at=at)
        locked = lock_year(year, by=RUN, at=AFTER)
        assert result_of(locked) == {"CAD": Decimal("100.00")}
        moved = ledger.movements(cast.issuer, since=date(2026, 1, 1), until=date(2027, 1, 1), kinds=("income",))
        assert [(each.month, each.amount) for each in moved] == [("2026-03", Decimal("-100.00"))]


def test_nothing_is_posted_into_a_locked_year(cast: Cast, year: FiscalYear, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        lock_year(year, by=RUN, at=AFTER)
        with pytest.raises(YearLocked, match="31 December 2026"):
            earn(cast.issuer, cast, "1.00", on=LAST, kind="late", at=AFTER)
        earn(cast.issuer, cast, "1.00", on=date(2027, 1, 1), kind="in time", at=AFTER)


@pytest.mark.parametrize("day", [date(2026, 1, 1), LAST])
def test_postgresql_refuses_a_posting_into_a_locked_year(cast: Cast, year: FiscalYear, at: datetime, day: date) -> None:
    with consortium_scope(Scope.JOB):
        accounts_of(cast.issuer)
        lock_year(year, by=RUN, at=AFTER)
        with pytest.raises(DatabaseError, match="is locked"), transaction.atomic():
            LedgerEntry.objects.create(
                issuer=cast.issuer, kind="raw", source_type="x", source_id=cast.university.pk, on=day, posted_at=AFTER,
                narration="raw", leg_count=2,
            )  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_fiscalyear SET status = 'open', locked_at = NULL",
        "UPDATE billing_fiscalyear SET valid = '[2020-01-01,2021-01-01)'",
        "DELETE FROM billing_fiscalyear",
    ],
)
def test_postgresql_refuses_to_unlock(cast: Cast, year: FiscalYear, statement: str) -> None:
    with consortium_scope(Scope.JOB):
        lock_year(year, by=RUN, at=AFTER)
        with pytest.raises(IntegrityError), transaction.atomic():
            connection.cursor().execute(statement)


def test_years_do_not_overlap(cast: Cast, year: FiscalYear, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        assert open_year(cast.issuer, since=date(2026, 1, 1), by=RUN, at=at) == year
        with pytest.raises(YearInvalid):
            open_year(cast.issuer, since=date(2026, 7, 1), by=RUN, at=at)
        with pytest.raises(YearInvalid):
            open_year(cast.issuer, since=date(2027, 1, 2), by=RUN, at=at)
        with pytest.raises(IntegrityError), transaction.atomic():
            FiscalYear.objects.create(issuer=cast.issuer, valid=("2026-06-01", "2027-06-01"))


def test_a_year_with_open_ends_is_not_locked_and_says_what_they_are(cast: Cast, year: FiscalYear, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        BillingPeriod.objects.create(issuer=cast.issuer, month="2026-11")
        BillingPeriod.objects.create(issuer=cast.issuer, month="2027-01")
        with pytest.raises(YearUnfinished) as refused:
            lock_year(year, by=RUN, at=at)
        assert refused.value.unfinished == ("The year runs until 31 December 2026.", "Not closed yet: 2026-11.")
        open_year(cast.issuer, since=date(2025, 1, 1), by=RUN, at=at)
        with pytest.raises(YearUnfinished, match="An earlier year is open"):
            lock_year(year, by=RUN, at=AFTER)


def test_members_lock_no_year(cast: Cast, year: FiscalYear) -> None:
    with consortium_scope(Scope.STAFF), pytest.raises(Forbidden):
        lock_year(year, by=cast.owner, at=AFTER)


def test_a_posting_and_a_lock_at_once_never_both_win(committed_db: str, at: datetime) -> None:
    """Whoever comes second waits, and is refused or left out of nothing: the result holds every posting of the year."""
    cast = make_cast(at)
    with consortium_scope(Scope.JOB):
        year = open_year(cast.issuer, since=date(2026, 1, 1), by=RUN, at=at)
        accounts_of(cast.issuer)
    posted, locking = threading.Event(), threading.Event()

    def lock() -> None:
        posted.wait(5)
        locking.set()
        try:
            with consortium_scope(Scope.JOB):
                lock_year(year, by=RUN, at=AFTER)
        finally:
            connection.close()

    worker = threading.Thread(target=lock)
    worker.start()
    with consortium_scope(Scope.JOB):
        earn(cast.issuer, cast, "100.00", on=LAST, kind="last minute", at=AFTER)
        posted.set()
        locking.wait(5)
        worker.join(0.3)
        assert worker.is_alive(), "the lock must wait for the posting to commit"
    worker.join(10)
    with consortium_scope(Scope.JOB):
        balances = {row.code: row.balance for row in ledger.trial_balance(cast.issuer)}
        assert balances["3000"] == Decimal("-100.00")
        assert balances["4000"] == 0
