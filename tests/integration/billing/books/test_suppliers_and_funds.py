"""What the consortium owes and holds in trust: bills with their taxes, payments, commitments, grants and reserves."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing import ledger
from billing.chart_of_accounts import Account
from billing.commands import KeyReused
from billing.commitments import commitments_of, prepaid_balance
from billing.models import Fund, FundMovement, LedgerEntry, SupplierBill, SupplierPayment
from billing.restricted_funds import FundInvalid, FundOverdrawn, balances, held, open_fund, receive, spend
from billing.supplier_bills import (
    Bill,
    Overpaid,
    Paid,
    SupplierBillInvalid,
    SupplierBillTwice,
    owed,
    pay_bill,
    record_supplier_bill,
)
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.money import exact_sum
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.stories import RUN, bill_file, set_up, take_in
from tests.unit.billing.bills import GOOD, bill_bytes

LICENCE = Bill(
    supplier="Example Software Inc.",
    number="2026-771",
    billed_on=date(2026, 9, 12),
    due_on=date(2026, 10, 12),
    expense=Account.OPERATING_COST,
    description="Monitoring, one year",
    net=Decimal("1000.00"),
    gst=Decimal("50.00"),
    gst_recovered=Decimal("50.00"),
    qst=Decimal("99.75"),
    qst_recovered=Decimal("49.87"),
    currency="CAD",
)


def changed(**changes: Any) -> Bill:
    """The licence's bill with other figures."""
    return Bill(**{**{name: getattr(LICENCE, name) for name in LICENCE.__dataclass_fields__}, **changes})


def record(cast: Cast, at: datetime, bill: Bill = LICENCE, key: str = "bill-1") -> SupplierBill:
    """Record a bill as the program."""
    return record_supplier_bill(cast.issuer, bill, key=key, by=RUN, at=at)


def booked(cast: Cast) -> dict[tuple[str, str], Decimal]:
    """Every account that holds something."""
    rows = ledger.trial_balance(cast.issuer)
    return {(row.code, row.currency): row.balance for row in rows if row.balance}


def test_tax_that_comes_back_is_an_asset_and_the_rest_is_cost(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        row = record(cast, at)
        assert (row.total, owed(row)) == (Decimal("1149.75"), Decimal("1149.75"))
        assert booked(cast) == {
            ("1210", "CAD"): Decimal("50.00"),
            ("1220", "CAD"): Decimal("49.87"),
            ("2000", "CAD"): Decimal("-1149.75"),
            ("5200", "CAD"): Decimal("1000.00"),
            ("5400", "CAD"): Decimal("49.88"),
        }


def test_sending_a_bill_again_returns_the_first_and_another_body_is_refused(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        first = record(cast, at)
        assert record(cast, at, changed(net=Decimal("1000.0"))) == first
        with pytest.raises(KeyReused) as refused:
            record(cast, at, changed(net=Decimal("1000.01")))
        assert refused.value.status == 409
        with pytest.raises(SupplierBillTwice):
            record(cast, at, changed(net=Decimal("1000.01")), key="bill-2")
        with pytest.raises(Invalid):
            record(cast, at, key=" ")
        assert (SupplierBill.objects.count(), LedgerEntry.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"number": " "}, "number"),
        ({"expense": Account.BANK}, "expense"),
        ({"net": Decimal("1.001")}, "net"),
        ({"net": Decimal("NaN")}, "net"),
        ({"net": Decimal("-149.75")}, "net"),
        ({"gst_recovered": Decimal("50.01")}, "gst_recovered"),
        ({"qst_recovered": Decimal("-1.00")}, "qst_recovered"),
        ({"due_on": date(2026, 9, 11)}, "due_on"),
    ],
)
def test_a_bill_that_cannot_be_right_is_refused_by_field(
    cast: Cast, at: datetime, changes: dict[str, Any], field: str
) -> None:
    with consortium_scope(Scope.JOB):
        with pytest.raises(SupplierBillInvalid) as refused:
            record(cast, at, changed(**changes))
        assert refused.value.field == field
        assert not LedgerEntry.objects.exists()


def test_a_suppliers_credit_note_takes_back_cost_and_tax(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        record(cast, at)
        figures = ("net", "gst", "gst_recovered", "qst", "qst_recovered")
        back = {name: -getattr(LICENCE, name) for name in figures}
        record(cast, at, changed(number="CN-1", **back), key="bill-2")
        assert booked(cast) == {}


def test_only_finance_staff_record_and_pay(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Forbidden):
            record_supplier_bill(cast.issuer, LICENCE, key="k", by=cast.owner, at=at)
        record_supplier_bill(cast.issuer, LICENCE, key="k", by=cast.staff, at=at)


def paid(amount: str, bank: str = "", currency: str = "CAD") -> Paid:
    """A transfer on 1 October."""
    return Paid(
        on=date(2026, 10, 1), amount=Decimal(amount), bank_amount=Decimal(bank or amount), bank_currency=currency,
        reference="wire 7",
    )  # fmt: skip


def test_a_bill_is_paid_in_parts_and_never_beyond(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        row = record(cast, at)
        first = pay_bill(row, paid("149.75"), key="p1", by=RUN, at=at)
        assert pay_bill(row, paid("149.75"), key="p1", by=RUN, at=at) == first
        with pytest.raises(Overpaid, match=r"1000\.00 CAD"):
            pay_bill(row, paid("1000.01"), key="p2", by=RUN, at=at)
        pay_bill(row, paid("1000.00"), key="p3", by=RUN, at=at)
        assert owed(row) == 0
        assert ("2000", "CAD") not in booked(cast)
        assert booked(cast)[("1000", "CAD")] == Decimal("-1149.75")


def test_a_bill_in_dollars_is_paid_from_the_canadian_account(cast: Cast, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
        bill = take_in(bill_file(tmp_path, ("100.004", ""), name="usd.csv"), cast, at)
        with pytest.raises(Overpaid):
            pay_bill(bill, paid("100.00", "139.00"), key="early", by=RUN, at=at)
        ledger.post_supplier_bill(bill, issuer=cast.issuer, input_tax=Decimal(0), on=date(2026, 9, 30), at=at)
        pay_bill(bill, paid("100.00", "139.00"), key="wire", by=RUN, at=at)
        assert owed(bill) == 0
        assert booked(cast) == {
            ("1000", "CAD"): Decimal("-139.00"),
            ("1950", "CAD"): Decimal("139.00"),
            ("1950", "USD"): Decimal("-100.00"),
            ("5000", "USD"): Decimal("100.00"),
        }


def test_postgresql_refuses_to_pay_more_than_is_owed_or_in_another_currency(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        row = record(cast, at)
        for amount, currency in (("1149.76", "CAD"), ("1.00", "USD")):
            with pytest.raises(IntegrityError, match="does not fit"), transaction.atomic():
                SupplierPayment.objects.create(
                    bill=row, paid_on=date(2026, 10, 1), amount=Decimal(amount), currency=currency,
                    bank_amount=Decimal(amount), bank_currency=currency, reference="x", created_at=at,
                    command_key=amount, command_digest="",
                )  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_supplierbill SET net = 1",
        "DELETE FROM billing_supplierbill",
        "UPDATE billing_fund SET purpose = 'anything'",
        "TRUNCATE billing_supplierbill CASCADE",
    ],
)
def test_postgresql_refuses_to_change_what_was_recorded(cast: Cast, at: datetime, statement: str) -> None:
    with consortium_scope(Scope.JOB):
        record(cast, at)
        grant(cast, at)
        with pytest.raises(DatabaseError, match=r"append-only|permission denied"), transaction.atomic():
            connection.cursor().execute(statement)


# --- Commitments ----------------------------------------------------------------------------------------------------


def commitment_bill(folder: Path, name: str, month: int, *rows: dict[str, str]) -> Path:
    """A bill whose rows say what they bought or used of a commitment."""
    start, end = f"2026-{month:02d}-01T00:00:00Z", f"2026-{month + 1:02d}-01T00:00:00Z"
    path = folder / name
    base = {"BillingPeriodStart": start, "BillingPeriodEnd": end, "Tags": ""}
    columns = [*GOOD, "CommitmentDiscountId"]
    path.write_bytes(bill_bytes(*({**base, **row} for row in rows), columns=columns))
    return path


def test_a_commitment_is_an_asset_that_its_months_use_up(cast: Cast, at: datetime, tmp_path: Path) -> None:
    """1,000.00 are bought and used in three months by thirds: the books never keep a cent of it, nor lack one."""
    plan = {"CommitmentDiscountId": "plan-1"}
    bought = {
        **plan,
        "ChargeCategory": "Purchase",
        "ChargeFrequency": "One-Time",
        "BilledCost": "1000.00",
        "EffectiveCost": "0",
    }
    used = {**plan, "BilledCost": "0", "EffectiveCost": "333.333"}
    rest = {**plan, "BilledCost": "0", "EffectiveCost": "333.334"}
    plain_use = {"BilledCost": "10.00", "EffectiveCost": "10.00"}
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
        cost = []
        for month, rows in ((6, [bought, used, plain_use]), (7, [used]), (8, [rest])):
            path = commitment_bill(tmp_path, f"{month}.csv", month, *rows)
            bill = take_in(path, cast, at, charged=f"2026-{month:02d}")
            day = date(2026, month, 28)
            ledger.post_supplier_bill(bill, issuer=cast.issuer, input_tax=Decimal(0), on=day, at=at)
            ledger.post_supplier_bill(bill, issuer=cast.issuer, input_tax=Decimal(0), on=day, at=at)
            cost.append((booked(cast)[("5000", "USD")], prepaid_balance(cast.issuer, "USD")))
        assert cost == [
            (Decimal("343.33"), Decimal("666.67")),
            (Decimal("676.67"), Decimal("333.33")),
            (Decimal("1010.00"), Decimal("0.00")),
        ]
        assert booked(cast)[("2000", "USD")] == Decimal("-1010.00")
        (stand,) = commitments_of(cast.issuer)
        assert (stand.paid, stand.used, stand.left) == (Decimal("1000.00"), Decimal("1000.000"), Decimal("0.000"))


# --- Funds ----------------------------------------------------------------------------------------------------------


def grant(cast: Cast, at: datetime, kind: str = "grant") -> Fund:
    """A grant for students' servers."""
    return open_fund(
        cast.issuer, code=f"a-{kind}", kind=kind, name_en="Open science", name_fr="Science ouverte",
        purpose="Servers for first-year students", giver="Example Foundation", currency="CAD", by=RUN, at=at,
    )  # fmt: skip


def test_a_grant_is_income_only_as_it_is_spent(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        fund = grant(cast, at)
        receive(fund, amount=Decimal("5000.00"), on=date(2026, 9, 1), grounds="letter", key="g1", by=RUN, at=at)
        assert booked(cast) == {("1000", "CAD"): Decimal("5000.00"), ("2400", "CAD"): Decimal("-5000.00")}
        spent = spend(fund, amount=Decimal("1200.00"), on=date(2026, 9, 30), grounds="hubs", key="g2", by=RUN, at=at)
        assert spend(fund, amount=Decimal(1200), on=date(2026, 9, 30), grounds="hubs", key="g2", by=RUN, at=at) == spent
        assert booked(cast) == {
            ("1000", "CAD"): Decimal("5000.00"),
            ("2400", "CAD"): Decimal("-3800.00"),
            ("4300", "CAD"): Decimal("-1200.00"),
        }
        assert held(fund, until=date(2026, 9, 29)) == Decimal("5000.00")
        (row,) = balances(cast.issuer, since=date(2026, 9, 2), until=date(2026, 10, 1))
        assert [row.opening, row.received, row.spent, row.closing] == [5000, 0, 1200, 3800]


def test_a_reserve_is_set_aside_and_is_no_income(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        fund = grant(cast, at, "reserve")
        receive(fund, amount=Decimal("900.00"), on=date(2026, 9, 1), grounds="vote", key="r1", by=RUN, at=at)
        spend(fund, amount=Decimal("300.00"), on=date(2026, 9, 2), grounds="vote", key="r2", by=RUN, at=at)
        assert booked(cast) == {("3000", "CAD"): Decimal("600.00"), ("3100", "CAD"): Decimal("-600.00")}


def test_a_fund_is_never_overdrawn_whoever_asks(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        fund = grant(cast, at)
        receive(fund, amount=Decimal("10.00"), on=date(2026, 9, 1), grounds="letter", key="g1", by=RUN, at=at)
        with pytest.raises(FundOverdrawn, match=r"10\.00 CAD"):
            spend(fund, amount=Decimal("10.01"), on=date(2026, 9, 1), grounds="x", key="g2", by=RUN, at=at)
        with pytest.raises(FundInvalid):
            spend(fund, amount=Decimal("0.00"), on=date(2026, 9, 1), grounds="x", key="g3", by=RUN, at=at)
        with pytest.raises(IntegrityError, match="cannot leave it"), transaction.atomic():
            FundMovement.objects.create(
                fund=fund, on=date(2026, 9, 1), amount=Decimal("-10.01"), currency="CAD", grounds="x", created_at=at,
                command_key="raw", command_digest="",
            )  # fmt: skip
        assert exact_sum(fund.movements.values_list("amount", flat=True)) == Decimal("10.00")
