"""Every report by its name, with what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from billing.reports import balances, open_items, tax_return
from billing.reports.tables import Filters, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report: `build` reads the books for some days. Needs a consortium scope."""

    name: str
    title: str
    answers: str
    build: Callable[[Filters], list[Table]]


_ALL: Final = (
    Report(
        name="trial-balance",
        title="Trial balance",
        answers="What every account holds, and that debits equal credits.",
        build=balances.trial_balance,
    ),
    Report(
        name="receivables",
        title="Receivables and their age",
        answers="Who owes what since when, and whether the books say the same.",
        build=open_items.receivables,
    ),
    Report(
        name="payables",
        title="Payables",
        answers="Which suppliers’ and cloud bills are not paid yet.",
        build=open_items.payables,
    ),
    Report(
        name="income",
        title="Income and expenses by kind",
        answers="What each month earned and cost, by account.",
        build=balances.income_by_kind,
    ),
    Report(
        name="tax-return",
        title="Tax return",
        answers="What was collected, what comes back and what is to be paid, with the decisions behind it.",
        build=tax_return.tax_return,
    ),
    Report(
        name="deferred-income",
        title="Deferred income",
        answers="Which dues are invoiced and not earned yet, and when they will be.",
        build=balances.deferred_income,
    ),
    Report(
        name="restricted-funds",
        title="Restricted funds",
        answers="What grants and reserves hold, and what they were spent on.",
        build=balances.restricted_funds,
    ),
)
REPORTS: Final = MappingProxyType({report.name: report for report in _ALL})
