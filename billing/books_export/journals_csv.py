"""A journal as CSV: the chart, one row per leg as accounting packages import it, and the balances. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from billing.books_export.journal import Journal
from consortium.kernel.exports import safe_cell
from consortium.kernel.money import plain

JOURNAL_COLUMNS = (
    "date", "entry", "kind", "account", "account_name", "debit", "credit", "currency", "narration", "member", "source",
    "posted_at",
)  # fmt: skip


def journal_csv(journal: Journal) -> str:
    """Will write one row per leg with its amount as debit or credit, both above zero."""
    names = {account.code: account.name_en for account in journal.accounts}
    rows = (
        [
            entry.on.isoformat(), str(entry.key), entry.kind, leg.code, names[leg.code],
            _positive(leg.amount), _positive(-leg.amount), leg.currency,
            entry.narration, entry.member, entry.source, entry.posted_at.isoformat(),
        ]
        for entry in journal.entries
        for leg in entry.legs
    )  # fmt: skip
    return _written(JOURNAL_COLUMNS, rows)


def accounts_csv(journal: Journal) -> str:
    """Will write the chart of accounts in both languages."""
    rows = ([each.code, each.kind, each.name_en, each.name_fr] for each in journal.accounts)
    return _written(("account", "kind", "name_en", "name_fr"), rows)


def balances_csv(journal: Journal) -> str:
    """Will write what each account holds per currency after the last entry: debits minus credits."""
    rows = ([code, currency, plain(amount)] for (code, currency), amount in sorted(journal.balances().items()))
    return _written(("account", "currency", "balance"), rows, figures=frozenset({2}))


def _written(columns: Sequence[str], rows: Iterable[Sequence[str]], figures: frozenset[int] = frozenset()) -> str:
    """Write rows with every cell guarded but the figures, which are ours and may begin with a minus."""
    file = io.StringIO()
    file.write("\N{BYTE ORDER MARK}")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell if index in figures else safe_cell(cell) for index, cell in enumerate(row)])
    return file.getvalue()


def _positive(amount: Decimal) -> str:
    return plain(amount) if amount > 0 else ""
