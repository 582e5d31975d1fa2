"""Dues that are invoiced for a year are income month by month, to the cent."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from billing import ledger
from billing.deferral_plan import CoverageInvalid, spread
from billing.deferrals import MonthRuns, recognise, schedule
from billing.drafting import Draft, DraftLine
from billing.invoice_drafts import write_draft
from billing.models import BillingAccount, BillingPeriod, Deferral, DeferralPart, Invoice, LedgerEntry
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import RUN, issued, set_up

NEXT_YEAR = datetime(2027, 1, 5, 18, 0, tzinfo=UTC)


def yearly_invoice(cast: Cast, at: datetime, *, amount: str = "1000.00", since: str, until: str) -> Invoice:
    """An issued invoice of Maple whose one line covers those days; Québec's taxes are charged on all of it."""
    with consortium_scope(Scope.JOB):
        period = BillingPeriod.objects.filter(issuer=cast.issuer).first() or set_up(cast, at)
        account = BillingAccount.objects.get(institution=cast.other_university)
        net = Decimal(amount)
        line = DraftLine(
            kind="dues", description_en="Dues", description_fr="Cotisation", quantity=Decimal(1), unit_price=net,
            net=net, evidence={"covers": {"from": since, "until": until}},
        )  # fmt: skip
        draft = Draft(
            institution_id=cast.other_university.pk, slug="maple", currency="CAD", zone="America/Toronto",
            period=month_period(Month.parse(period.month), "America/Toronto"), lines=(line,), net=net, tax=Decimal(0),
            total=net,
        )  # fmt: skip
        account.country, account.province, account.tax_evidence = "US", "", "Affidavit of non-residence"
        account.save()
        return issued([write_draft(period, account, draft, by=RUN, at=at)], at)[0]


@pytest.fixture(autouse=True)
def _without_taxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """These drafts are written by hand, without the tax lines that composing adds."""
    monkeypatch.setattr("billing.invoicing._check_taxes", lambda *_args: None)


def balance(cast: Cast, code: str, *, until: date | None = None) -> Decimal:
    """What an account holds."""
    rows = ledger.trial_balance(cast.issuer, until=until)
    return exact_sum(row.balance for row in rows if row.code == code)


def test_a_year_of_dues_waits_on_its_own_account(cast: Cast, at: datetime) -> None:
    yearly_invoice(cast, at, since="2026-10-01", until="2027-10-01")
    with consortium_scope(Scope.JOB):
        assert [balance(cast, code) for code in ("1100", "2300", "4000")] == [1000, -1000, 0]
        parts = list(DeferralPart.objects.order_by("month").values_list("month", "amount"))
        assert parts[0] == ("2026-10", Decimal("83.34"))
        assert parts[3:5] == [("2027-01", Decimal("83.34")), ("2027-02", Decimal("83.33"))]
        assert (len(parts), exact_sum(amount for _, amount in parts)) == (12, Decimal("1000.00"))


def test_each_month_is_recognised_once_on_its_last_day(cast: Cast, at: datetime) -> None:
    yearly_invoice(cast, at, since="2026-10-01", until="2027-10-01")
    with consortium_scope(Scope.JOB):
        assert len(recognise(cast.issuer, Month(2026, 12), by=RUN, at=NEXT_YEAR)) == 3
        assert recognise(cast.issuer, Month(2026, 12), by=RUN, at=NEXT_YEAR) == []
        assert balance(cast, "4000", until=date(2026, 10, 30)) == 0
        assert balance(cast, "4000", until=date(2026, 10, 31)) == Decimal("-83.34")
        assert balance(cast, "4000") == Decimal("-250.02")
        assert balance(cast, "2300") == Decimal("-749.98")
        rows = schedule(cast.issuer)
        assert [(row.month, row.rest) for row in rows[2:4]] == [("2026-12", Decimal(0)), ("2027-01", Decimal("83.34"))]


def test_nothing_is_recognised_before_its_invoice(cast: Cast, at: datetime) -> None:
    yearly_invoice(cast, at, since="2026-08-01", until="2026-12-01")
    with consortium_scope(Scope.JOB):
        recognise(cast.issuer, Month(2026, 9), by=RUN, at=at)
        days = LedgerEntry.objects.filter(kind="recognition").values_list("on", flat=True)
        assert list(days) == [date(2026, 10, 15)] * 2


def test_a_month_that_runs_is_not_earned(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        end = month_period(Month(2026, 10), cast.issuer.zone).end
        with pytest.raises(MonthRuns):
            recognise(cast.issuer, Month(2026, 10), by=RUN, at=end - timedelta(seconds=1))
        recognise(cast.issuer, Month(2026, 10), by=RUN, at=end)


def test_a_line_of_one_month_is_income_at_once(cast: Cast, at: datetime) -> None:
    yearly_invoice(cast, at, since="2026-10-01", until="2026-11-01")
    with consortium_scope(Scope.JOB):
        assert [balance(cast, code) for code in ("2300", "4000")] == [0, -1000]
        assert not Deferral.objects.exists()


def test_a_joiner_pays_for_its_part_of_the_first_month(cast: Cast) -> None:
    parts = spread(Decimal("300.00"), "CAD", since=date(2026, 11, 16), until=date(2027, 2, 1))
    assert parts == {
        Month(2026, 11): Decimal("60.00"),
        Month(2026, 12): Decimal("120.00"),
        Month(2027, 1): Decimal("120.00"),
    }


@pytest.mark.parametrize("until", ["2026-10-01", "2026-09-30"])
def test_days_that_are_no_period_are_refused(cast: Cast, at: datetime, until: str) -> None:
    with pytest.raises(CoverageInvalid):
        yearly_invoice(cast, at, since="2026-10-01", until=until)


@given(
    minor=st.integers(-10_000_000, 10_000_000),
    currency=st.sampled_from(["CAD", "JPY", "KWD"]),
    first=st.dates(date(2024, 1, 1), date(2030, 1, 1)),
    days=st.integers(1, 800),
)
def test_parts_always_sum_to_the_whole(minor: int, currency: str, first: date, days: int) -> None:
    exponent = {"CAD": 2, "JPY": 0, "KWD": 3}[currency]
    amount = Decimal(minor).scaleb(-exponent)
    parts = spread(amount, currency, since=first, until=first + timedelta(days=days))
    assert exact_sum(parts.values()) == amount
    whole = [part for month, part in list(parts.items())[1:-1]]
    assert not whole or max(whole) - min(whole) <= Decimal(1).scaleb(-exponent)
    assert spread(-amount, currency, since=first, until=first + timedelta(days=days)) == {
        month: -part for month, part in parts.items()
    }


def _one_part_more(deferral: Deferral) -> None:
    DeferralPart.objects.create(
        institution_id=deferral.institution_id, deferral=deferral, month="2027-12", amount=Decimal("0.01"),
        currency="CAD",
    )  # fmt: skip
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_postgresql_refuses_a_plan_that_does_not_sum(cast: Cast, at: datetime) -> None:
    yearly_invoice(cast, at, since="2026-10-01", until="2027-10-01")
    with consortium_scope(Scope.JOB):
        deferral = Deferral.objects.get()
        with pytest.raises(IntegrityError, match="not to 1000"), transaction.atomic():
            _one_part_more(deferral)
        for table in ("billing_deferral", "billing_deferralpart"):
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                connection.cursor().execute(f"UPDATE {table} SET amount = 1")
