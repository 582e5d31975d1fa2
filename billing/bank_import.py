"""Importing what our bank sends: whole or not at all, once by its content, no line twice where statements overlap."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from pydantic import ValidationError

from billing.bank_files import BankFileRefused, Mapping, ReadLine, ReadStatement, guess_format, read_statements
from billing.bank_files.base import account_key
from billing.models import BankAccount, BankLine, BankStatement
from billing.states_bank import BANK_LINE
from consortium.kernel import audit, documents
from consortium.kernel.audit import Fact, System
from consortium.kernel.crash import crash_point
from members.models import User
from members.permissions import Permission, check_staff

MONEY_OUT: Final = "Money that left the account: it is no payment of a member."


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did: `statements` that are new, their `lines`, and `known` lines that were there already."""

    statements: tuple[BankStatement, ...]
    lines: tuple[BankLine, ...]
    known: int


def mapping_of(account: BankAccount) -> Mapping | None:
    """Return how the account's CSV files are read; None where nobody has said so."""
    if not account.csv_mapping:
        return None
    told = {"currency": account.currency, "account": account.number}
    try:
        return Mapping.model_validate({**account.csv_mapping, **told})
    except ValidationError as error:
        raise BankFileRefused(f"The account's mapping for CSV files is wrong: {error.errors()[0]['msg']}.") from None


def look_into(account: BankAccount, content: bytes) -> list[ReadStatement]:
    """Return the statements of a file that are this account's; nothing is written. Raises BankFileRefused."""
    found = read_statements(content, mapping=mapping_of(account))
    key = account_key(account.number)
    for statement in found:
        named = account_key(statement.account)
        if named and not (named.endswith(key) or key.endswith(named)):
            raise BankFileRefused(
                f"it is of account {statement.account}, not of {account.number}. Choose the account that it is of.",
                place=statement.place,
            )
        if statement.currency != account.currency:
            raise BankFileRefused(
                f"it is in {statement.currency}, the account in {account.currency}.", place=statement.place
            )
    return found


@transaction.atomic
def import_statement(
    account: BankAccount, content: bytes, *, file_name: str, by: User | System, at: datetime
) -> Imported:
    """Keep a file of the bank with the lines that are new; the same file again changes nothing.

    Lines that leave the account are parked, for they are nobody's payment. Raises Forbidden, BankFileRefused.
    """
    check_staff(by, Permission.RECONCILE_PAYMENTS)
    found = look_into(account, content)
    BankAccount.objects.select_for_update().get(pk=account.pk)
    sha256 = hashlib.sha256(content).hexdigest()
    if BankStatement.objects.filter(account=account, sha256=sha256).exists():
        return Imported(statements=(), lines=(), known=sum(len(each.lines) for each in found))
    statements, lines, known = [], [], 0
    for position, each in enumerate(found, 1):
        fresh = _fresh(account, each.lines)
        row = BankStatement.objects.create(
            account=account,
            sha256=sha256,
            position=position,
            format=guess_format(content),
            file_name=file_name[:200],
            name=each.name,
            opening=each.opening,  # type: ignore[misc] # null where the format has none
            closing=each.closing,
            line_count=len(each.lines),
            new_lines=len(fresh),
            imported_by=None if isinstance(by, System) else by,
            imported_at=at,
        )
        lines += _kept(row, fresh, at=at)
        known += len(each.lines) - len(fresh)
        statements.append(row)
    crash_point("bank_statement.kept")
    documents.store(
        content, kind="bank_statement", name=file_name[:200] or "statement", media_type="application/octet-stream",
        subject=statements[0], institution_id=None, at=at,
    )  # fmt: skip
    after: dict[str, Fact] = {"lines": len(lines), "known": known, "sha256": sha256}
    audit.record("billing.bank_statement_imported", statements[0], by=by, at=at, institution_id=None, after=after)
    return Imported(statements=tuple(statements), lines=tuple(lines), known=known)


def _fresh(account: BankAccount, lines: tuple[ReadLine, ...]) -> list[tuple[ReadLine, str, int]]:
    """The lines that no earlier statement held. Of lines that look the same the first is the first, and so on."""
    seen: Counter[str] = Counter()
    wanted = []
    for line in lines:
        print_ = _fingerprint(line)
        wanted.append((line, print_, seen[print_]))
        seen[print_] += 1
    held = BankLine.objects.filter(account=account, fingerprint__in=seen).values_list("fingerprint", "occurrence")
    known = set(held)
    return [(line, print_, number) for line, print_, number in wanted if (print_, number) not in known]


def _fingerprint(line: ReadLine) -> str:
    """The bank's own reference where it gives one (one day may have two), else all that it says of the line."""
    said = [line.booked_on.isoformat(), f"{line.amount:f}", line.currency]
    said += [line.bank_reference] if line.bank_reference else [line.payer, line.payer_account, line.text]
    return hashlib.sha256("\x1f".join(said).encode()).hexdigest()


def _kept(statement: BankStatement, fresh: list[tuple[ReadLine, str, int]], *, at: datetime) -> list[BankLine]:
    rows = BankLine.objects.bulk_create(
        BankLine(
            statement=statement, account=statement.account, booked_on=line.booked_on, amount=line.amount,
            currency=line.currency, payer=line.payer, payer_account=line.payer_account, text=line.text,
            bank_reference=line.bank_reference, fingerprint=print_, occurrence=number,
        )
        for line, print_, number in fresh
    )  # fmt: skip
    for row in rows:
        if row.amount < 0:
            BANK_LINE.move(row, "parked", parked_reason=MONEY_OUT, moved_at=at)
    return rows
