"""Cloud bills in: read as a stream, each row placed, all of it kept or nothing.

A bill has no row key, so a whole (account, month) is one version, known by the SHA-256 of its content: the same content
again is the first import, other content the next version. A month that is closing or closed takes nothing more.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils.text import slugify
from django.utils.translation import gettext as _

from billing.focus import Bill, BillError, BillRefused, CostRecord, read_bill
from billing.focus.errors import LineUnreadable
from billing.focus.lines import Lines
from billing.models import BillImport, BillingPeriod, CloudAccount
from billing.periods import PeriodClosed, open_period
from billing.rules import Placer
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, Missing
from consortium.kernel.periods import Month
from members.models import Issuer, User
from members.permissions import Permission, check_staff

Progress = Callable[[int], None]
_REPORT_EVERY: Final = 5_000

_COLUMNS: Final = (
    "line", "billed_cost", "effective_cost", "currency", "charge_category", "charge_period_start", "charge_period_end",
    "service_name", "sub_account_id", "resource_id", "tags", "destination", "institution_id", "hub_slug", "pool_key",
    "because",
)  # fmt: skip


class CloudAccountUnknown(Missing):
    """The bill is of an account that nobody has registered."""

    code = "account_unknown"


class BillMonthUnclear(Invalid):
    """The file holds rows of several months, or is to be charged before its own month."""

    code = "bill_month"


class BillChanged(Invalid):
    """The file changed while it was read."""

    code = "bill_changed"


def import_bill(
    path: Path,
    *,
    issuer: Issuer,
    charged_month: str,
    by: User | System,
    at: datetime,
    slugs: Mapping[str, UUID],
    create_account: bool = False,
    progress: Progress | None = None,
) -> BillImport:
    """Import a FOCUS bill (CSV, gzipped or not) in one transaction, to be charged in `charged_month` (YYYY-MM).

    `slugs` maps the names that rows may carry, of institutions and of hubs, to institutions. `progress` is told the
    number of rows read. Content that was imported before returns that import and changes nothing. Needs a consortium
    scope. Raises Forbidden, BillRefused (with the lines at fault), CloudAccountUnknown, PeriodClosed, BillMonthUnclear.
    """
    check_staff(by, Permission.IMPORT_BILLS)
    Month.parse(charged_month)
    digest = content_digest(path)
    with path.open("rb") as stream:
        bill = read_bill(stream, path.name)
        records = iter(bill)
        first = next(records, None)
        if first is None:
            bill.require_clean()
            raise BillChanged(_("The bill %(name)s holds no rows.") % {"name": path.name})
        with transaction.atomic():
            account = _account(issuer, first, create=create_account, by=by, at=at)
            month = _month(first)
            if existing := _same_content(account, month, digest):
                return existing
            version = _next_version(account, issuer, month, charged_month)
            key = _new_key()
            placer = Placer(issuer, slugs)
            _stage(_rows(chain([first], records), placer, bill, month, progress))
            bill.require_clean()
            if bill.sha256 != digest:
                raise BillChanged(_("%(name)s changed while it was read. Import it again.") % {"name": path.name})
            saved = BillImport.objects.create(
                pk=key,
                cloud_account=account,
                month=str(month),
                charged_month=charged_month,
                version=version,
                file_name=path.name[:300],
                content_sha256=digest,
                rows=bill.rows,
                billed_total=bill.total,
                currency=bill.currency,
                imported_at=at,
            )
            _keep(saved)
            _record(saved, by=by, at=at)
            crash_point("bill.before_commit")
            return saved


def current_bills(period: BillingPeriod) -> QuerySet[BillImport]:
    """Return the bills that the period charges: the newest version of each (account, month)."""
    newer = BillImport.objects.filter(
        cloud_account=OuterRef("cloud_account"), month=OuterRef("month"), version__gt=OuterRef("version")
    )
    return (
        BillImport.objects.filter(~Exists(newer), cloud_account__issuer=period.issuer, charged_month=period.month)
        .select_related("cloud_account")
        .order_by("month", "cloud_account__slug")
    )


def content_digest(path: Path) -> str:
    """The SHA-256 of the unpacked content; empty where the file breaks off, which reading it then explains."""
    with path.open("rb") as stream:
        try:
            lines = Lines(stream)
            for _line in lines:
                lines.row_done()
        except LineUnreadable:
            return ""
        return lines.sha256


def _account(issuer: Issuer, first: CostRecord, *, create: bool, by: User | System, at: datetime) -> CloudAccount:
    """Find the account that the bill names, or register it where that is wanted."""
    accounts = CloudAccount.objects.filter(provider=first.provider, billing_account_id=first.billing_account_id)
    account = accounts.first()
    if account is not None and account.issuer_id == issuer.pk:
        return account
    name = f"{first.provider} {first.billing_account_id}"
    if account is not None or not create:
        known = ", ".join(str(row) for row in CloudAccount.objects.filter(issuer=issuer).order_by("slug"))
        raise CloudAccountUnknown(
            _("The bill is of the account %(name)s, which %(issuer)s does not have. Known accounts: %(known)s.")
            % {"name": name, "issuer": issuer.slug, "known": known or _("none")}
        )
    account = CloudAccount.objects.create(
        issuer=issuer,
        slug=slugify(name)[:60],
        provider=first.provider,
        billing_account_id=first.billing_account_id,
        created_at=at,
    )
    after = {"provider": account.provider, "billing_account_id": account.billing_account_id}
    audit.record("billing.cloud_account_added", account, by=by, at=at, institution_id=None, after=after)
    return account


def _month(record: CostRecord) -> Month:
    """The bill's own month: the one in which the middle of its billing period lies, whatever zone its provider uses."""
    half = (record.billing_period_end - record.billing_period_start) / 2
    return Month.of((record.billing_period_start + half).astimezone(UTC).date())


def _same_content(account: CloudAccount, month: Month, digest: str) -> BillImport | None:
    return BillImport.objects.filter(cloud_account=account, month=str(month), content_sha256=digest).first()


def _next_version(account: CloudAccount, issuer: Issuer, month: Month, charged_month: str) -> int:
    """Return the version that the bill would be, holding its months open. Raises PeriodClosed, BillMonthUnclear."""
    if Month.parse(charged_month) < month:
        raise BillMonthUnclear(
            _("A bill of %(month)s cannot be charged in %(charged)s, before its own month.")
            % {"month": month, "charged": charged_month},
            field="charged_month",
        )
    CloudAccount.objects.select_for_update().get(pk=account.pk)
    earlier = BillImport.objects.filter(cloud_account=account, month=str(month)).order_by("-version")
    for name in sorted({charged_month, *earlier.values_list("charged_month", flat=True)[:1]}):
        period = open_period(issuer, name)
        if period.status != "open":
            raise PeriodClosed(period, what=_("the bill of %(month)s") % {"month": month})
    return (earlier.aggregate(newest=Max("version"))["newest"] or 0) + 1


def _new_key() -> UUID:
    """Ask PostgreSQL for the key, so that rows can name their bill before it is written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT uuidv7()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]  # psycopg reads uuid as UUID


def _rows(
    records: Iterator[CostRecord], placer: Placer, bill: Bill, month: Month, progress: Progress | None
) -> Iterator[tuple[Any, ...]]:
    """Give out the rows as the staging table takes them."""
    for number, record in enumerate(records, start=1):
        if _month(record) != month:
            raise BillMonthUnclear(
                _("Line %(line)s of %(name)s is of another billing month than its first row. Split the file by month.")
                % {"line": record.line, "name": bill.name}
            )
        placed = placer.place(record)
        yield (
            record.line, record.billed_cost, record.effective_cost, record.currency, record.charge_category,
            record.charge_period_start, record.charge_period_end, record.service_name, record.sub_account_id,
            record.resource_id, _tags(record, bill),
            placed.destination, placed.institution_id, placed.hub_slug, placed.pool_key, placed.because,
        )  # fmt: skip
        if progress is not None and number % _REPORT_EVERY == 0:
            progress(number)
    if progress is not None:
        progress(bill.rows)


def _tags(record: CostRecord, bill: Bill) -> str:
    """Write the tags as JSON; escapes can smuggle in characters that no database text may hold."""
    text = json.dumps(dict(record.tags), ensure_ascii=False)
    if "\\u0000" in text or (not text.isprintable() and not _encodable(text)):
        raise BillRefused(bill.name, [BillError(record.line, "Tags", "A tag holds a character that is no text.")])
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stage(rows: Iterator[tuple[Any, ...]]) -> None:
    """Copy the rows into a table of this transaction: COPY is closed to tables with row-level security."""
    names = ", ".join(_COLUMNS)
    with connection.cursor() as cursor:
        columns = f"SELECT {names} FROM billing_costrow"  # noqa: S608 - names are our own
        cursor.execute(f"CREATE TEMPORARY TABLE bill_stage ON COMMIT DROP AS {columns} WITH NO DATA")
        with cursor.copy(f"COPY bill_stage ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def _keep(bill: BillImport) -> None:
    """Move the staged rows to where they stay."""
    names = ", ".join(_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO billing_costrow (bill_id, {names}) SELECT %s, {names} FROM bill_stage ORDER BY line",  # noqa: S608 - names are our own
            [bill.pk],
        )
        cursor.execute("DROP TABLE bill_stage")


def _record(bill: BillImport, *, by: User | System, at: datetime) -> None:
    audit.record(
        "billing.bill_imported",
        bill,
        by=by,
        at=at,
        institution_id=None,
        after={
            "month": bill.month,
            "charged_month": bill.charged_month,
            "version": bill.version,
            "rows": bill.rows,
            "billed_total": bill.billed_total,
            "currency": bill.currency,
            "content_sha256": bill.content_sha256,
        },
    )


__all__ = ["BillChanged", "BillMonthUnclear", "CloudAccountUnknown", "PeriodClosed", "current_bills", "import_bill"]
