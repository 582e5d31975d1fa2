"""A journal as a beancount file that `bean-check` accepts, with every balance asserted at its end. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from billing.books_export.journal import Journal, JournalAccount, JournalEntry
from consortium.kernel.money import plain

_ROOTS: Final = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "income": "Income",
    "expense": "Expenses",
}


def to_beancount(journal: Journal) -> str:
    """Will write the journal: options, accounts opened on the first day, entries, and the balances they must leave.

    Amounts are exact and balances are asserted without tolerance, so that a missing or altered leg fails the check.
    """
    names = {account.code: account_name(account) for account in journal.accounts}
    first = min((entry.on for entry in journal.entries), default=date(2000, 1, 1))
    lines = [
        f'option "title" {_quoted(journal.name)}',
        f'option "operating_currency" "{journal.currency}"',
        "",
        *(_open(account, first) for account in journal.accounts),
    ]
    for entry in journal.entries:
        lines += ["", *_transaction(entry, names)]
    lines += ["", *_assertions(journal, names)]
    return "\n".join(lines) + "\n"


def account_name(account: JournalAccount) -> str:
    """Will name an account as beancount wants it: Assets:1100-Receivables-from-members."""
    text = unicodedata.normalize("NFKD", account.name_en).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
    return f"{_ROOTS[account.kind]}:{account.code}-{words}"


def _open(account: JournalAccount, on: date) -> str:
    return f"{on.isoformat()} open {account_name(account)}\n  name_fr: {_quoted(account.name_fr)}"


def _transaction(entry: JournalEntry, names: dict[str, str]) -> Iterator[str]:
    yield f"{entry.on.isoformat()} * {_quoted(entry.member)} {_quoted(entry.narration)}"
    yield f"  entry: {_quoted(str(entry.key))}"
    yield f"  kind: {_quoted(entry.kind)}"
    yield f"  source: {_quoted(entry.source)}"
    for leg in entry.legs:
        yield f"  {names[leg.code]}  {plain(leg.amount)} {leg.currency}"


def _assertions(journal: Journal, names: dict[str, str]) -> Iterator[str]:
    """Assert what every account holds on the morning after the last entry."""
    if not journal.entries:
        return
    day = max(entry.on for entry in journal.entries) + timedelta(days=1)
    for (code, currency), amount in sorted(journal.balances().items()):
        yield f"{day.isoformat()} balance {names[code]}  {plain(amount)} ~ 0 {currency}"


def _quoted(text: str) -> str:
    """Write a string as beancount reads it: quotes and backslashes escaped, no line breaks or control characters."""
    seen = "".join(" " if unicodedata.category(sign) in {"Cc", "Zl", "Zp"} else sign for sign in text)
    return '"' + seen.replace("\\", "\\\\").replace('"', '\\"') + '"'
