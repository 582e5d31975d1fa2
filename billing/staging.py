"""The rows of a bill on their way into the database: copied into a table of the transaction, then moved at once.

COPY is closed to tables with row-level security, and a bill that turns out to be broken must leave nothing behind.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import batched
from typing import Any, Final
from uuid import UUID

from django.db import connection

from billing.focus import CostRecord
from billing.models import BillImport, CloudAccount, Commitment, CostRow
from billing.rules import Placed
from consortium.kernel.money import EXACT

COMMITMENT: Final = "CommitmentDiscountId"
_MAX_COMMITMENT_CHARS: Final = 500
_COLUMNS: Final = (
    "line", "billed_cost", "effective_cost", "prepaid", "commitment_id", "currency", "charge_category",
    "charge_period_start", "charge_period_end", "service_name", "sub_account_id", "resource_id", "tags", "destination",
    "institution_id", "hub_slug", "pool_key", "because",
)  # fmt: skip
_NAMES: Final = ", ".join(_COLUMNS)
_FIRST: Final = ("month", "line", "billed_cost", "effective_cost")  # of every row their own; the others repeat
_STAGED: Final = (*_FIRST, *(name for name in _COLUMNS if name not in {*_FIRST, "prepaid"}))
# What a row says by itself, whichever file it came in and wherever it goes.
_SAID: Final = ", ".join(
    name
    for name in _COLUMNS
    if name not in {"line", "prepaid", "destination", "institution_id", "hub_slug", "pool_key", "because"}
)
type StagedRow = tuple[Any, ...]
_BATCH: Final = 2_000
_REMEMBERED: Final = 20_000  # for each column
_REMEMBERED_CHARS: Final = 500
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NO_TAGS: Final = "{}"


class TagUnreadable(ValueError):
    """A tag holds what no database text can hold."""


def new_key() -> UUID:
    """Will ask PostgreSQL for a key, so that rows can name their bill before it is written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT uuidv7()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]  # psycopg reads uuid as UUID


def staged(month: str, record: CostRecord, placed: Placed, tags: "TagWriter") -> StagedRow:
    """Will return the row of a month as the staging table takes it. Raises TagUnreadable."""
    return (
        month, record.line, record.billed_cost, record.effective_cost,
        record.extras.get(COMMITMENT, "")[:_MAX_COMMITMENT_CHARS], record.currency, record.charge_category,
        record.charge_period_start, record.charge_period_end, record.service_name, record.sub_account_id,
        record.resource_id, tags.text(record.tags), placed.destination, placed.institution_id, placed.hub_slug,
        placed.pool_key, placed.because,
    )  # fmt: skip


def staged_again(month: str, row: CostRow, placed: Placed) -> StagedRow:
    """Will return a row that is kept as the staging table takes it, for another place."""
    return (
        month, row.line, row.billed_cost, row.effective_cost, row.commitment_id, row.currency, row.charge_category,
        row.charge_period_start, row.charge_period_end, row.service_name, row.sub_account_id, row.resource_id,
        json.dumps(row.tags, ensure_ascii=False), placed.destination, placed.institution_id, placed.hub_slug,
        placed.pool_key, placed.because,
    )  # fmt: skip


def stage(rows: Iterator[StagedRow]) -> None:
    """Will copy the rows into a table that ends with the transaction."""
    with connection.cursor() as cursor:
        names = ", ".join(_STAGED)
        columns = f"SELECT ''::text AS month, {_NAMES} FROM billing_costrow"  # noqa: S608 - names are our own
        cursor.execute(f"CREATE TEMPORARY TABLE bill_stage ON COMMIT DROP AS {columns} WITH NO DATA")
        write = _Writer().line
        cursor.execute("ALTER TABLE bill_stage ALTER prepaid SET DEFAULT 0")
        with cursor.copy(f"COPY bill_stage ({names}) FROM STDIN") as copy:
            for batch in batched(rows, _BATCH):
                copy.write("".join(map(write, batch)))


class _Writer:
    """Writes rows in PostgreSQL's text format; what a column repeats is written once and remembered.

    Amounts are not: 1.5 and 1.50 are equal, and each must stay as it was written. PostgreSQL reads their exponents.
    """

    def __init__(self) -> None:
        self._seen: list[dict[Any, str]] = [{} for _name in _STAGED[len(_FIRST) :]]

    def line(self, row: StagedRow) -> str:
        """Will return the row as a line of COPY."""
        month, line, billed, effective, *others = row
        try:
            parts = [seen[value] for value, seen in zip(others, self._seen, strict=True)]
        except KeyError:
            parts = [seen.get(value) or self._new(value, seen) for value, seen in zip(others, self._seen, strict=True)]
        return f"{month}\t{line}\t{billed}\t{effective}\t" + "\t".join(parts) + "\n"

    @staticmethod
    def _new(value: Any, seen: dict[Any, str]) -> str:
        text = _text(value)
        if len(seen) >= _REMEMBERED:
            seen.clear()
        if len(text) <= _REMEMBERED_CHARS:
            seen[value] = text
        return text


def _text(value: Any) -> str:
    """One value in COPY's text format; what would end a cell or a line is escaped."""
    if value is None:
        return "\\N"
    return str(value).translate(_ESCAPES)


def discard() -> None:
    """Will forget what was copied."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bill_stage")


def digest_of(month: str) -> str:
    """Will return the SHA-256 of what the copied rows of a month say, line numbers and places left out."""
    return _digest("bill_stage WHERE month = %s", month)


def digest_of_kept(bill: BillImport) -> str:
    """Return the same of a bill that is kept."""
    return _digest("billing_costrow WHERE bill_id = %s", bill.pk)


def _digest(rows: str, key: UUID | str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT encode(sha256(coalesce(string_agg(sha256(convert_to(row_::text, 'UTF8')), ''::bytea "  # noqa: S608 - names are our own
            f"ORDER BY line), ''::bytea)), 'hex') FROM (SELECT line, ROW({_SAID}) AS row_ FROM {rows}) said",
            [key],
        )
        return cursor.fetchone()[0]  # type: ignore[no-any-return]  # text


def keep(bill: BillImport) -> None:
    """Will move the copied rows of the bill's month to where they stay, commitments set apart."""
    keys = _commitments(bill)
    with connection.cursor() as cursor:
        if keys:
            cursor.execute(
                "UPDATE bill_stage SET prepaid = billed_cost - effective_cost "
                "WHERE month = %s AND commitment_id = ANY(%s)",
                [bill.month, keys],
            )
        cursor.execute(
            f"INSERT INTO billing_costrow (bill_id, {_NAMES}) "  # noqa: S608 - names are our own
            f"SELECT %s, {_NAMES} FROM bill_stage WHERE month = %s ORDER BY line",
            [bill.pk, bill.month],
        )


def reverse(bill: BillImport, original: BillImport) -> None:
    """Will write each row of the original with the other sign, where it went and why."""
    turned = {"billed_cost", "effective_cost", "prepaid"}
    values = ", ".join(f"-{name}" if name in turned else name for name in _COLUMNS[:-1])
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO billing_costrow (bill_id, {_NAMES}) SELECT %s, {values}, "  # noqa: S608 - names are our own
            "'Takes back line ' || line || ' of version ' || %s::text || '. ' || because "
            "FROM billing_costrow WHERE bill_id = %s ORDER BY line",
            [bill.pk, original.version, original.pk],
        )


def _commitments(bill: BillImport) -> list[str]:
    """Return the keys of the account's commitments: those it had, and those this bill pays up front.

    Up front is paid what a Purchase row bills and no period uses yet: billed above effective.
    """
    account: CloudAccount = bill.cloud_account
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT commitment_id FROM bill_stage WHERE month = %s AND commitment_id <> '' "
            "AND charge_category = 'Purchase' AND billed_cost > effective_cost ORDER BY 1",
            [bill.month],
        )
        paid = [row[0] for row in cursor.fetchall()]
    Commitment.objects.bulk_create(
        [Commitment(cloud_account=account, key=key, currency=bill.currency, first_bill=bill) for key in paid],
        ignore_conflicts=True,
    )
    return list(Commitment.objects.filter(cloud_account=account).order_by("key").values_list("key", flat=True))


def charged(billed: Decimal, prepaid: Decimal) -> Decimal:
    """Will return what of a billed cost is charged now: all but what was set apart as prepaid."""
    return EXACT.subtract(billed, prepaid)


class TagWriter:
    """Writes tags as JSON; rows that share their tags, as a bill's reader hands them out, share the text too."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Mapping[str, str], str]] = {}  # by identity; what is held cannot change its own

    def text(self, tags: Mapping[str, str]) -> str:
        """Will return the JSON. Raises TagUnreadable: escapes can smuggle in what no database text may hold."""
        if not tags:
            return _NO_TAGS
        if (held := self._seen.get(id(tags))) is not None:
            return held[1]
        text = json.dumps(dict(tags), ensure_ascii=False)
        if "\\u0000" in text or (not text.isprintable() and not _encodable(text)):
            raise TagUnreadable
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[id(tags)] = (tags, text)
        return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
