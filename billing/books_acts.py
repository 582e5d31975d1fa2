"""What staff do to the books by hand: each act is a form and one function of the domain."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from django import forms

from billing import accruals, books_forms, deferrals, fiscal_years, restricted_funds, revaluation, supplier_bills
from billing.supplier_bills import Bill, Paid
from members.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksAct:
    """One act: `run` is called with what the form asked, `by` and `at`, and returns what to say."""

    name: str
    label: str
    explain: str
    form: type[forms.Form]
    run: Callable[..., str]


def _bill(*, issuer: Any, key: str, by: User, at: datetime, **said: Any) -> str:
    row = supplier_bills.record_supplier_bill(issuer, Bill(**said), key=key, by=by, at=at)
    return f"{row} is recorded: {row.total} {row.currency}."


def _pay(*, supplier_bill: Any, cloud_bill: Any, key: str, by: User, at: datetime, **said: Any) -> str:
    row = supplier_bills.pay_bill(supplier_bill or cloud_bill, Paid(**said), key=key, by=by, at=at)
    return f"{row} is recorded."


def _accrue(*, issuer: Any, key: str, by: User, at: datetime, **said: Any) -> str:
    row = accruals.accrue(issuer, key=key, by=by, at=at, **said)
    return f"{row} is posted, and taken back on the next day."


def _missing(*, issuer: Any, month: Any, by: User, at: datetime, **_key: str) -> str:
    rows = accruals.accrue_missing_bills(issuer, month, by=by, at=at)
    return f"{len(rows)} cloud bills were missing for {month} and are accrued."


def _recognise(*, issuer: Any, month: Any, by: User, at: datetime, **_key: str) -> str:
    entries = deferrals.recognise(issuer, month, by=by, at=at)
    return f"{len(entries)} parts of deferred dues up to {month} became income."


def _revalue(*, issuer: Any, on: Any, by: User, at: datetime, **_key: str) -> str:
    rows = revaluation.revalue(issuer, on=on, by=by, at=at)
    return "; ".join(str(row) for row in rows) or f"There is no foreign balance on {on}."


def _year(*, issuer: Any, since: Any, by: User, at: datetime, **_key: str) -> str:
    return f"{fiscal_years.open_year(issuer, since=since, by=by, at=at)}."


def _fund(*, issuer: Any, by: User, at: datetime, key: str, **said: Any) -> str:  # noqa: ARG001 - its code is its key
    return f"{restricted_funds.open_fund(issuer, by=by, at=at, **said)} is open."


def _fund_in(*, fund: Any, by: User, at: datetime, **said: Any) -> str:
    return f"{restricted_funds.receive(fund, by=by, at=at, **said)} is in {fund}."


def _fund_out(*, fund: Any, by: User, at: datetime, **said: Any) -> str:
    return f"{restricted_funds.spend(fund, by=by, at=at, **said)} is out of {fund}."


_ALL: Final = (
    BooksAct(
        name="supplier-bill",
        label="Record a supplier’s bill",
        explain="It is posted on its own date: cost, tax that comes back, and what is owed.",
        form=books_forms.SupplierBillForm,
        run=_bill,
    ),
    BooksAct(
        name="pay-bill",
        label="Record the payment of a bill",
        explain="What left the bank settles a supplier’s or a cloud’s bill, in full or in part; never more than it.",
        form=books_forms.PaymentForm,
        run=_pay,
    ),
    BooksAct(
        name="accrue",
        label="Accrue a cost or an income",
        explain="It is posted on the month’s last day and taken back on the next one.",
        form=books_forms.AccrualForm,
        run=_accrue,
    ),
    BooksAct(
        name="missing-bills",
        label="Accrue cloud bills that have not come",
        explain="Each account that had a bill last month and has none for this one is accrued at last month’s amount.",
        form=books_forms.MonthForm,
        run=_missing,
    ),
    BooksAct(
        name="recognise",
        label="Recognise deferred dues",
        explain="Every part of the month, and earlier ones that were left, becomes income. Doing it twice is harmless.",
        form=books_forms.MonthForm,
        run=_recognise,
    ),
    BooksAct(
        name="revalue",
        label="Revalue foreign balances",
        explain="Balances in other currencies are valued at the rate of the day; the difference is gain or loss.",
        form=books_forms.DayForm,
        run=_revalue,
    ),
    BooksAct(
        name="open-year",
        label="Open a fiscal year",
        explain="Twelve months that are locked together, on the fiscal year’s own page, when all of them are done.",
        form=books_forms.YearForm,
        run=_year,
    ),
    BooksAct(
        name="open-fund",
        label="Open a fund",
        explain="For a grant that its giver restricts, or a reserve that the members set aside.",
        form=books_forms.FundForm,
        run=_fund,
    ),
    BooksAct(
        name="fund-in",
        label="Put money into a fund",
        explain="A grant arrives at the bank; a reserve is set aside from net assets.",
        form=books_forms.FundMovementForm,
        run=_fund_in,
    ),
    BooksAct(
        name="fund-out",
        label="Spend from a fund",
        explain="A grant becomes income beside its cost; a reserve returns to net assets. Never more than it holds.",
        form=books_forms.FundMovementForm,
        run=_fund_out,
    ),
)
BOOKS_ACTS: Final = MappingProxyType({act.name: act for act in _ALL})
