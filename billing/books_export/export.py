"""Writing the books into a folder: all files of an issuer, or none."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from billing.books_export.beancount import to_beancount
from billing.books_export.journal import Journal, read_journal
from billing.books_export.journals_csv import accounts_csv, balances_csv, journal_csv
from billing.ledger import is_balanced
from consortium.kernel.errors import Invalid, PortalError
from members.models import Issuer


class BooksUnsound(PortalError):
    """The ledger does not balance, so it is not given to anybody."""

    code = "books_unsound"


class ExportTarget(Invalid):
    """The folder cannot be written, or the format is none."""

    code = "export_target"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One file that was written, with what is in it."""

    issuer: str
    path: Path
    entries: int
    legs: int
    sha256: str


def export_books(
    issuers: Sequence[Issuer], *, form: str, folder: Path, since: date | None = None, until: date | None = None
) -> list[Written]:
    """Write the issuers' books as "beancount" or "csv" into `folder`, made if it is not there; older files give way.

    The same books give the same bytes. Needs a consortium scope. Raises ExportTarget, BooksUnsound.
    """
    if form not in {"beancount", "csv"}:
        raise ExportTarget(f"{form!a} is no format. Say beancount or csv.", field="format")
    for issuer in issuers:
        if not is_balanced(issuer):
            raise BooksUnsound(f"The ledger of {issuer} does not balance: run check_books, and mend the cause first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            written
            for issuer in issuers
            for written in _write(read_journal(issuer, since=since, until=until), form, folder)
        ]
    except OSError as error:
        raise ExportTarget(f"{folder} cannot be written: {error.strerror or error}.", field="out") from error


def _write(journal: Journal, form: str, folder: Path) -> list[Written]:
    files = (
        {f"{journal.issuer}.beancount": to_beancount(journal)}
        if form == "beancount"
        else {
            f"{journal.issuer}-journal.csv": journal_csv(journal),
            f"{journal.issuer}-accounts.csv": accounts_csv(journal),
            f"{journal.issuer}-balances.csv": balances_csv(journal),
        }
    )
    return [
        Written(
            issuer=journal.issuer,
            path=folder / name,
            entries=len(journal.entries),
            legs=sum(len(entry.legs) for entry in journal.entries),
            sha256=_keep(folder / name, text.encode()),
        )
        for name, text in files.items()
    ]


def _keep(path: Path, content: bytes) -> str:
    """Write beside it, then rename: whoever reads sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return hashlib.sha256(content).hexdigest()
