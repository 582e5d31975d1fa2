"""Trial balance, income by kind, deferred income, restricted funds: what the accounts hold and what moved on them."""

from datetime import timedelta
from decimal import Decimal

from billing import ledger
from billing.chart_of_accounts import CHART, Account
from billing.deferral_cuts import KIND, rest_of
from billing.deferrals import schedule
from billing.models import Deferral, LedgerEntry
from billing.reports.tables import Cell, Column, Filters, Table, money_columns
from billing.restricted_funds import balances
from consortium.kernel.money import EXACT, exact_sum
from consortium.kernel.periods import Month


def trial_balance(filters: Filters) -> list[Table]:
    """Return every account's debits and credits up to the last day, with their sums per currency."""
    found = ledger.trial_balance(filters.issuer, until=filters.until)
    rows: list[list[Cell]] = [
        [row.code, row.name_en, row.kind, row.currency, row.debit, row.credit, row.balance] for row in found
    ]
    for currency in sorted({row.currency for row in found}):
        own = [row for row in found if row.currency == currency]
        sums = [exact_sum(row.debit for row in own), exact_sum(row.credit for row in own)]
        rows.append(["", "Total", "", currency, *sums, exact_sum(row.balance for row in own)])
    return [
        Table(
            caption=f"Trial balance to the end of {filters.until.isoformat()}",
            columns=(
                Column("Account"), Column("Name"), Column("Kind"), Column("Currency"),
                *money_columns("Debits", "Credits", "Balance"),
            ),
            rows=rows,
            note="A balance is debits minus credits. Each currency sums to nothing by itself.",
        )
    ]  # fmt: skip


def income_by_kind(filters: Filters) -> list[Table]:
    """Return income and expenses by account and month, one table per currency; income is above zero."""
    moved = ledger.movements(
        filters.issuer, since=filters.since, until=filters.until + timedelta(days=1), kinds=("income", "expense")
    )
    tables = []
    for currency in sorted({each.currency for each in moved}):
        own = {(each.code, each.month): -each.amount for each in moved if each.currency == currency}
        months = sorted({month for _code, month in own})
        rows: list[list[Cell]] = []
        for code in sorted({code for code, _month in own}):
            figures = [own.get((code, month), Decimal(0)) for month in months]
            rows.append([code, CHART[Account(code)][1], *figures, exact_sum(figures)])
        by_month = [exact_sum(amount for (_code, at), amount in own.items() if at == month) for month in months]
        rows.append(["", "Result", *by_month, exact_sum(by_month)])
        tables.append(
            Table(
                caption=f"Income and expenses in {currency}",
                columns=(Column("Account"), Column("Name"), *money_columns(*months, "Total")),
                rows=rows,
                note="Income is above zero, expenses below. The closing of a fiscal year is left out.",
            )
        )
    return tables


def deferred_income(filters: Filters) -> list[Table]:
    """Return what is deferred to each month and, invoice by invoice, what is still to be recognised."""
    months: list[list[Cell]] = [
        [row.month, row.currency, row.planned, row.recognised, row.rest] for row in schedule(filters.issuer)
    ]
    done = set(LedgerEntry.objects.filter(kind=KIND, issuer=filters.issuer).values_list("source_id", flat=True))
    deferrals = Deferral.objects.filter(issuer=filters.issuer).select_related("invoice", "institution")
    lines: list[list[Cell]] = []
    for deferral in deferrals.prefetch_related("parts__cuts").order_by("posted_on", "pk"):
        parts = [(part, rest_of(part)) for part in deferral.parts.all()]
        whole = exact_sum(rest for _part, rest in parts)
        recognised = exact_sum(rest for part, rest in parts if part.pk in done)
        taken, rest = EXACT.subtract(deferral.amount, whole), EXACT.subtract(whole, recognised)
        words = [deferral.invoice.number, deferral.institution.name_en, deferral.valid.lower]
        last = deferral.valid.upper - timedelta(days=1)
        lines.append([*words, last, deferral.currency, deferral.amount, taken, recognised, rest])
    return [
        Table(
            caption="Deferred income by month",
            columns=(Column("Month"), Column("Currency"), *money_columns("Planned", "Recognised", "Rest")),
            rows=months,
            note=f"Month {Month.of(filters.until)} and later: income of the future, held as a liability on 2300.",
        ),
        Table(
            caption="Deferred income by invoice",
            columns=(
                Column("Invoice"), Column("Member"), Column("From"), Column("To"), Column("Currency"),
                *money_columns("Amount", "Credited before it was earned", "Recognised", "Rest"),
            ),
            rows=lines,
        ),
    ]  # fmt: skip


def restricted_funds(filters: Filters) -> list[Table]:
    """Return every fund with what came in and went out."""
    found = balances(filters.issuer, since=filters.since, until=filters.until + timedelta(days=1))
    return [
        Table(
            caption="Restricted funds and reserves",
            columns=(
                Column("Fund"), Column("Kind"), Column("Purpose"), Column("Restricted by"), Column("Currency"),
                *money_columns("Before", "In", "Out", "After"),
            ),
            rows=[
                [
                    row.fund.name_en, row.fund.kind, row.fund.purpose, row.fund.giver, row.fund.currency, row.opening,
                    row.received, row.spent, row.closing,
                ]
                for row in found
            ],
        )
    ]  # fmt: skip
