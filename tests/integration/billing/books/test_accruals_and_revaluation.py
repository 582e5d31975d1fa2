"""The end of a period: what no document shows yet, and what foreign balances are worth."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing import ledger
from billing.accruals import AccrualInvalid, accrue, accrue_missing_bills, missing_bills
from billing.chart_of_accounts import Account
from billing.commands import KeyReused
from billing.fx import RateMissing, record_rate
from billing.ledger import EntryConflict, Leg, post
from billing.models import Accrual, LedgerEntry, Revaluation
from billing.revaluation import revalue
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import RUN, bill_file, set_up, take_in

END = date(2026, 10, 31)
AT = datetime(2026, 11, 4, 17, 0, tzinfo=UTC)


def booked(cast: Cast, until: date) -> dict[tuple[str, str], Decimal]:
    """Every account that holds something at the end of a day."""
    rows = ledger.trial_balance(cast.issuer, until=until)
    return {(row.code, row.currency): row.balance for row in rows if row.balance}


def some(cast: Cast, **changes: Any) -> Accrual:
    """An accrual of 80 dollars."""
    words: dict[str, Any] = {
        "kind": "cost", "account": Account.CLOUD_COST, "amount": Decimal("80.00"), "currency": "USD", "on": END,
        "grounds": "as in September", "key": "a1", "by": RUN, "at": AT, **changes,
    }  # fmt: skip
    return accrue(cast.issuer, **words)


def test_an_accrual_is_cost_of_its_month_and_is_gone_on_the_next_day(cast: Cast) -> None:
    with consortium_scope(Scope.JOB):
        first = some(cast)
        assert some(cast) == first
        assert booked(cast, END) == {("2050", "USD"): Decimal("-80.00"), ("5000", "USD"): Decimal("80.00")}
        assert booked(cast, date(2026, 11, 1)) == {}
        assert list(LedgerEntry.objects.order_by("on").values_list("kind", flat=True)) == [
            "accrual",
            "accrual_reversal",
        ]
        with pytest.raises(KeyReused):
            some(cast, amount=Decimal("81.00"))


def test_income_is_accrued_the_other_way_round(cast: Cast) -> None:
    with consortium_scope(Scope.JOB):
        some(cast, kind="income", account=Account.USAGE_INCOME, currency="CAD")
        assert booked(cast, END) == {("1150", "CAD"): Decimal("80.00"), ("4100", "CAD"): Decimal("-80.00")}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"account": Account.DUES_INCOME}, "account"),
        ({"kind": "wish"}, "account"),
        ({"amount": Decimal("0.00")}, "amount"),
        ({"amount": Decimal("0.001")}, "amount"),
        ({"on": date(2026, 10, 30)}, "on"),
        ({"grounds": ""}, "grounds"),
    ],
)
def test_what_cannot_be_accrued_is_refused_by_field(cast: Cast, changes: dict[str, Any], field: str) -> None:
    with consortium_scope(Scope.JOB), pytest.raises(AccrualInvalid) as refused:
        some(cast, **changes)
    assert refused.value.field == field


def test_a_cloud_bill_that_has_not_come_is_accrued_as_the_month_before(
    cast: Cast, at: datetime, tmp_path: Path
) -> None:
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
        take_in(bill_file(tmp_path, ("75.005", "")), cast, at)
        (row,) = accrue_missing_bills(cast.issuer, Month(2026, 10), by=RUN, at=AT)
        assert (row.amount, row.currency, row.on) == (Decimal("75.01"), "USD", END)
        assert accrue_missing_bills(cast.issuer, Month(2026, 10), by=RUN, at=AT) == [row]
        assert missing_bills(cast.issuer, Month(2026, 9)) == []


def test_an_object_is_not_posted_again_with_other_figures(cast: Cast) -> None:
    """The first result stands for ever; a second one that differs is told, not passed off as done."""
    with consortium_scope(Scope.JOB):
        row = some(cast)
        legs = [Leg(Account.CLOUD_COST, Decimal("80.01"), "USD"), Leg(Account.ACCRUED_COST, Decimal("-80.01"), "USD")]
        with pytest.raises(EntryConflict) as refused:
            post(issuer=cast.issuer, kind="accrual", source=row, on=END, narration="again", legs=legs, at=AT)
        assert refused.value.status == 409


# --- Revaluation: USD 100.00 are owed to the cloud since 1 October at 1.40, USD 250.00 lie in the bank since 20 October
#     at 1.38. At the end of October a dollar is 1.42: the debt is -142.00 against -140.00, the bank 355.00 against
#     345.00.


def dollars(cast: Cast) -> None:
    """Book the debt and the bank balance, and record the rates of their days."""
    for day, rate in ((date(2026, 10, 1), "1.40"), (date(2026, 10, 20), "1.38"), (END, "1.42")):
        record_rate(base="USD", quote="CAD", on=day, rate=Decimal(rate), source="Bank of Canada", by=RUN, at=AT)
    move(cast, "owed", date(2026, 10, 1), Account.CLOUD_COST, Account.PAYABLES, "100.00")
    move(cast, "bank", date(2026, 10, 20), Account.BANK, Account.DUES_INCOME, "250.00")


def move(cast: Cast, kind: str, on: date, debit: Account, credit: Account, amount: str) -> None:
    legs = [Leg(debit, Decimal(amount), "USD"), Leg(credit, -Decimal(amount), "USD")]
    post(issuer=cast.issuer, kind=kind, source=cast.university, on=on, narration=kind, legs=legs, at=AT)


def test_foreign_balances_are_valued_at_the_periods_last_rate(cast: Cast) -> None:
    with consortium_scope(Scope.JOB):
        dollars(cast)
        (row,) = revalue(cast.issuer, on=END, by=RUN, at=AT)
        assert (row.carried, row.value, row.difference) == (Decimal("205.00"), Decimal("213.00"), Decimal("8.00"))
        assert [(part["account"], part["value"]) for part in row.detail] == [
            ("1000", "355.0000"),
            ("2000", "-142.0000"),
        ]
        own = {key: amount for key, amount in booked(cast, END).items() if key[1] == "CAD"}
        assert own == {("1900", "CAD"): Decimal("8.00"), ("5900", "CAD"): Decimal("-8.00")}
        assert not [key for key in booked(cast, date(2026, 11, 1)) if key[1] == "CAD"]
        assert revalue(cast.issuer, on=END, by=RUN, at=AT) == [row]
        assert Revaluation.objects.count() == 1


def test_what_was_realised_stays_in_later_results(cast: Cast) -> None:
    with consortium_scope(Scope.JOB):
        dollars(cast)
        revalue(cast.issuer, on=END, by=RUN, at=AT)
        day = date(2026, 11, 30)
        record_rate(base="USD", quote="CAD", on=day, rate=Decimal("1.35"), source="Bank of Canada", by=RUN, at=AT)
        move(cast, "paid", day, Account.PAYABLES, Account.BANK, "100.00")
        (row,) = revalue(cast.issuer, on=day, by=RUN, at=AT)
        # debt: settled at 135.00 that was carried at 140.00, a gain of 5.00;
        # bank: 150.00 at 1.35 is 202.50, carried at 345.00 - 135.00 = 210.00, a loss of 7.50
        assert row.difference == Decimal("-2.50")


def test_a_movement_without_a_rate_is_named_and_nothing_is_posted(cast: Cast) -> None:
    with consortium_scope(Scope.JOB):
        dollars(cast)
        move(cast, "old", date(2026, 8, 1), Account.BANK, Account.DUES_INCOME, "1.00")
        with pytest.raises(RateMissing, match="1 August 2026"):
            revalue(cast.issuer, on=END, by=RUN, at=AT)
        assert not Revaluation.objects.exists()
