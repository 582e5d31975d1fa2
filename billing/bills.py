"""Cloud bills in: read as a stream, each row placed, all of it kept or nothing.

A bill has no row key, so a whole (account, month) is one version, known by the SHA-256 of its content: the same content
again is the first import, other content the next version. A file of several months is split by them. A month that is
closing or closed takes nothing more; what is restated after its month was closed becomes an adjustment in the month
that is open (billing.reversals).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from billing import reversals, staging
from billing.cloud_accounts import CloudAccountUnknown, account_for, account_named, unknown_account
from billing.focus import Bill, BillRefused, CostRecord, read_bill
from billing.focus.bill import BillingPeriod as BillPeriod
from billing.focus.bill import is_parquet
from billing.focus.errors import LineUnreadable
from billing.focus.lines import Lines
from billing.focus.parquet import ParquetRows
from billing.models import BillImport, BillingPeriod, CloudAccount
from billing.periods import PeriodClosed, open_period
from billing.rules import Placer
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid
from consortium.kernel.money import EXACT
from consortium.kernel.periods import Month
from members.models import Issuer, User
from members.permissions import Permission, check_staff

Progress = Callable[[int], None]
_REPORT_EVERY: Final = 5_000
MAX_MONTHS: Final = 36  # in one file


class BillMonthUnclear(Invalid):
    """The bill is to be charged before its own month."""

    code = "bill_month"


class BillChanged(Invalid):
    """The file changed while it was read."""

    code = "bill_changed"


def import_bill(
    path: Path,
    *,
    issuer: Issuer,
    charged_month: str = "",
    by: User | System,
    at: datetime,
    slugs: Mapping[str, UUID],
    account: str = "",
    create_account: bool = False,
    progress: Progress | None = None,
) -> BillImport:
    """Import a FOCUS bill (CSV, gzipped or not, or Parquet) in one transaction, to be charged in `charged_month`.

    A file that holds several months becomes a bill of each, versioned by itself; the earliest is returned, its
    `siblings` are the others. `charged_month` is YYYY-MM and holds for all of them; without one, each is charged in its
    own month or, where that is no longer open, the first open month after it. `account` names the account that the bill
    must be of. `slugs` maps the names that rows may carry, of institutions and of hubs, to institutions. `progress` is
    told the number of rows read. Content that was imported before returns that import and changes nothing; the answer's
    `already_imported` says so. A version that a closed month charged is taken back in the same month. Needs a
    consortium scope. Raises Forbidden, BillRefused (with the lines at fault), CloudAccountUnknown, PeriodClosed,
    BillMonthUnclear.
    """
    check_staff(by, Permission.IMPORT_BILLS)
    if charged_month:
        Month.parse(charged_month)
    if account and not create_account and account_named(issuer, account) is None:
        raise unknown_account(issuer, account)
    digest = content_digest(path)
    with path.open("rb") as stream:
        bill = read_bill(stream, _name(path))
        records = iter(bill)
        first = next(records, None)
        if first is None:
            bill.require_clean()
            raise BillChanged(_("The bill %(name)s holds no rows.") % {"name": bill.name})
        with transaction.atomic():
            of = account_for(issuer, first, name=account, file_name=bill.name, create=create_account, by=by, at=at)
            CloudAccount.objects.select_for_update().get(pk=of.pk)  # one import of an account at a time
            if existing := _same_content(of, _month(first), digest):
                existing.already_imported, existing.unknown_columns = True, bill.unknown_columns
                return existing
            arrival = _Arrival(of, bill, charged_month, by=by, at=at)
            arrival.look_at(_month(first))  # a month that takes nothing is told before a million rows are read
            staging.stage(_rows(chain([first], records), Placer(issuer, slugs), bill, arrival.parts, progress))
            bill.require_clean()
            if bill.sha256 != digest:
                raise BillChanged(_("%(name)s changed while it was read. Import it again.") % {"name": bill.name})
            return arrival.keep(digest)


@dataclass(slots=True)
class _Part:
    """What a file holds of one month."""

    rows: int = 0
    total: Decimal = Decimal(0)


class _Arrival:
    """A file on its way to one bill for each month that it holds; everything within the import's transaction."""

    def __init__(self, of: CloudAccount, bill: Bill, charged_month: str, *, by: User | System, at: datetime) -> None:
        self.of, self.bill, self.charged_month, self.by, self.at = of, bill, charged_month, by, at
        self.parts: dict[Month, _Part] = {}

    def look_at(self, month: Month) -> tuple[str, int, BillImport | None]:
        """Return the month that would charge a bill of that month, its version, and the version it takes back.

        Raises PeriodClosed, BillMonthUnclear.
        """
        charged = self.charged_month or str(_first_open(self.of.issuer, month))
        return charged, *_next_version(self.of, self.of.issuer, month, charged)

    def keep(self, digest: str) -> BillImport:
        """Keep every month that is staged; returns the earliest, the others as its siblings."""
        only = len(self.parts) == 1
        bills = [self._keep(month, digest if only else "") for month in sorted(self.parts)]
        staging.discard()
        crash_point("bill.before_commit")
        bills[0].siblings = tuple(bills[1:])
        for each in bills:
            each.unknown_columns = self.bill.unknown_columns
        return bills[0]

    def _keep(self, month: Month, digest: str) -> BillImport:
        """Keep the rows of one month as its next version, unless the newest one is known to hold the same rows.

        A file of one month is known by its own digest, a month of a larger file by that of its rows.
        """
        newest = _newest(self.of, month)
        kept = staging.digest_of_kept(newest) if newest is not None else ""
        if not digest or (newest is not None and newest.content_sha256 == kept):
            said = staging.digest_of(str(month))
            if newest is not None and said == kept:
                newest.already_imported = True
                return newest
            digest = digest or said
        charged, version, wrong = self.look_at(month)
        if wrong is not None:
            reversals.take_back(wrong, charged_month=charged, by=self.by, at=self.at)
        saved = BillImport.objects.create(
            cloud_account=self.of,
            month=str(month),
            charged_month=charged,
            version=version,
            file_name=self.bill.name,
            content_sha256=digest,
            rows=self.parts[month].rows,
            billed_total=self.parts[month].total,
            currency=self.bill.currency,
            imported_at=self.at,
        )
        staging.keep(saved)
        _record(saved, by=self.by, at=self.at)
        return saved


def current_bills(period: BillingPeriod) -> QuerySet[BillImport]:
    """Return the bills that the period charges: the newest version of each (account, month), and what it takes back.

    A version that a later month took back stays among those of the month that charged it.
    """
    return charged_bills(period.issuer).filter(charged_month=period.month)


def charged_bills(issuer: Issuer) -> QuerySet[BillImport]:
    """Return every bill of the issuer that some month charges or will charge; replaced versions are not among them."""
    same = BillImport.objects.filter(cloud_account=OuterRef("cloud_account"), month=OuterRef("month"))
    newer = same.filter(version__gt=OuterRef("version")).exclude(kind="reversal")
    kept = Q(kind="reversal") | Q(reversal__isnull=False) | ~Exists(newer)
    return (
        BillImport.objects.filter(kept, cloud_account__issuer=issuer)
        .select_related("cloud_account")
        .order_by("month", "cloud_account__slug", "version", "kind")
    )


def content_digest(path: Path) -> str:
    """The SHA-256 of the unpacked content; empty where the file breaks off, which reading it then explains."""
    with path.open("rb") as stream:
        try:
            if is_parquet(stream):
                return ParquetRows(stream).sha256
            return Lines(stream).rest_sha256()
        except LineUnreadable:
            return ""


def next_version(account: CloudAccount, month: Month, charged_month: str) -> tuple[int, BillImport | None]:
    """Return the version that a bill of the month would be, and the version that it takes back.

    Holds account and months until commit. Raises PeriodClosed, BillMonthUnclear.
    """
    CloudAccount.objects.select_for_update().get(pk=account.pk)
    return _next_version(account, account.issuer, month, charged_month)


def _name(path: Path) -> str:
    """The file's name as text that a database can hold."""
    return path.name.encode("utf-8", "replace").decode()[:300]


def _month(record: CostRecord) -> Month:
    """The bill's own month: the one in which the middle of its billing period lies, whatever zone its provider uses."""
    half = (record.billing_period_end - record.billing_period_start) / 2
    return Month.of((record.billing_period_start + half).astimezone(UTC).date())


def _same_content(account: CloudAccount, month: Month, digest: str) -> BillImport | None:
    """Return the newest version if it has that content; what a provider returns to after a correction is new again."""
    newest = _newest(account, month)
    return newest if newest is not None and newest.content_sha256 == digest else None


def _newest(account: CloudAccount, month: Month) -> BillImport | None:
    versions = BillImport.objects.filter(cloud_account=account, month=str(month)).exclude(kind="reversal")
    return versions.select_related("cloud_account").order_by("-version").first()


def _first_open(issuer: Issuer, month: Month) -> Month:
    """Return the first month from the bill's own on that takes bills."""
    taken = set(BillingPeriod.objects.filter(issuer=issuer).exclude(status="open").values_list("month", flat=True))
    while str(month) in taken:
        month = month.next()
    return month


def _next_version(
    account: CloudAccount, issuer: Issuer, month: Month, charged_month: str
) -> tuple[int, BillImport | None]:
    if Month.parse(charged_month) < month:
        raise BillMonthUnclear(
            _("A bill of %(month)s cannot be charged in %(charged)s, before its own month.")
            % {"month": month, "charged": charged_month},
            field="charged_month",
        )
    earlier = BillImport.objects.filter(cloud_account=account, month=str(month)).exclude(kind="reversal")
    newest = earlier.select_related("cloud_account", "reversal").order_by("-version").first()
    wrong = reversals.charged_in_closed(issuer, newest)
    must_be_open = {charged_month} if newest is None or wrong is not None else {charged_month, newest.charged_month}
    for name in sorted(must_be_open):
        period = open_period(issuer, name)
        if period.status != "open":
            raise PeriodClosed(period, what=_("the bill of %(month)s") % {"month": month})
    return (earlier.aggregate(newest=Max("version"))["newest"] or 0) + 1, wrong


def _rows(
    records: Iterator[CostRecord], placer: Placer, bill: Bill, parts: dict[Month, _Part], progress: Progress | None
) -> Iterator[staging.StagedRow]:
    """Give out the rows as the staging table takes them, counted by month; what is wrong is noted in the bill."""
    seen: BillPeriod | None = None
    part, name, tags = _Part(), "", staging.TagWriter()
    for number, record in enumerate(records, start=1):
        if (period := (record.billing_period_start, record.billing_period_end)) != seen:
            seen, month = period, _month(record)
            part, name = parts.setdefault(month, _Part()), str(month)
            if len(parts) > MAX_MONTHS:
                bill.refuse(record.line, "BillingPeriodStart", f"One file holds at most {MAX_MONTHS} months. Split it.")
        part.rows += 1
        part.total = EXACT.add(part.total, record.billed_cost)
        try:
            yield staging.staged(name, record, placer.place(record), tags)
        except staging.TagUnreadable:
            bill.refuse(record.line, "Tags", "A tag holds a character that is no text.")
        if progress is not None and number % _REPORT_EVERY == 0:
            progress(number)
    if progress is not None:
        progress(bill.rows)


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


__all__ = [
    "BillChanged",
    "BillMonthUnclear",
    "BillRefused",
    "CloudAccountUnknown",
    "PeriodClosed",
    "charged_bills",
    "content_digest",
    "current_bills",
    "import_bill",
    "next_version",
]
