"""Fiscal years: opened by staff, closed into net assets and locked for ever when all of their months are done.

After the lock PostgreSQL refuses every posting into the year, whoever asks; what is found later is corrected in the
open year.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F, QuerySet, Sum
from django.utils.translation import gettext as _
from psycopg.types.range import DateRange

from billing.chart_of_accounts import Account
from billing.ledger import Leg, is_balanced, post, receivables
from billing.models import BillingPeriod, DeferralPart, FiscalYear, LedgerEntry
from billing.states_books import FISCAL_YEAR
from consortium.kernel import audit
from consortium.kernel.audit import System
from consortium.kernel.crash import crash_point
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.fields import AmountField
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month, local_date
from consortium.kernel.spoken import spoken_day
from members.models import Issuer, User
from members.permissions import Permission, check_staff


class YearInvalid(Invalid):
    """The days are no fiscal year, or lie in another one."""

    code = "year_invalid"


class YearUnfinished(PortalError):
    """Something of the year is still open; `unfinished` says what."""

    code = "year_unfinished"

    def __init__(self, unfinished: list[str]) -> None:
        super().__init__(" ".join(unfinished))
        self.unfinished = tuple(unfinished)


@transaction.atomic
def open_year(issuer: Issuer, *, since: date, by: User | System, at: datetime) -> FiscalYear:
    """Open the fiscal year of twelve months from `since`, the first day of a month, on; opened before, it is kept.

    Raises Forbidden, YearInvalid.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    if since.day != 1:
        raise YearInvalid(_("A fiscal year begins on the first day of a month."), field="since")
    valid = DateRange(since, Month.of(since).plus(12).first_day)
    Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
    if held := FiscalYear.objects.filter(issuer=issuer, valid__overlap=valid).first():
        if held.valid == valid:
            return held
        raise YearInvalid(_("These months overlap the fiscal year %(year)s.") % {"year": held}, field="since")
    year = FiscalYear.objects.create(issuer=issuer, valid=valid)
    audit.record("billing.year_opened", year, by=by, at=at, institution_id=None, after={"since": since})
    return year


@transaction.atomic
def lock_year(year: FiscalYear, *, by: User | System, at: datetime) -> FiscalYear:
    """Carry the year's result to net assets and lock it for ever; locked before, it is returned.

    Needs a consortium scope. Raises Forbidden, YearUnfinished with everything that is still open.
    """
    check_staff(by, Permission.CLOSE_MONTH)
    year = FiscalYear.objects.select_for_update(of=("self",)).select_related("issuer").get(pk=year.pk)
    if year.status == "locked":
        return year
    if open_ends := unfinished(year, at=at):
        raise YearUnfinished(open_ends)
    entry = _close(year, at)
    crash_point("year.closed")
    FISCAL_YEAR.move(year, "locked", locked_at=at)
    after = {"status": "locked", "entry": entry.pk if entry else None}
    audit.record("billing.year_locked", year, by=by, at=at, institution_id=None, before={"status": "open"}, after=after)
    crash_point("year.before_commit")
    return year


def unfinished(year: FiscalYear, *, at: datetime) -> list[str]:
    """Return in sentences what keeps a year from being locked. Needs a consortium scope."""
    issuer, since, until = year.issuer, year.valid.lower, year.valid.upper
    found = []
    if local_date(at, issuer.zone) < until:
        found.append(_("The year runs until %(day)s.") % {"day": spoken_day(until - timedelta(days=1))})
    if FiscalYear.objects.filter(issuer=issuer, status="open", valid__fully_lt=year.valid).exists():
        found.append(_("An earlier year is open: lock that one first."))
    months = BillingPeriod.objects.filter(
        issuer=issuer, month__gte=str(Month.of(since)), month__lt=str(Month.of(until))
    )
    if names := sorted(months.exclude(status="closed").values_list("month", flat=True)):
        found.append(_("Not closed yet: %(months)s.") % {"months": ", ".join(names)})
    if count := _unrecognised(year).count():
        found.append(_("%(count)s parts of deferred dues are not recognised yet.") % {"count": count})
    if not is_balanced(issuer) or not all(check.agrees for check in receivables(issuer)):
        found.append(_("The books do not agree with the invoices: see the check of the books."))
    return found


def year_of(issuer: Issuer, day: date) -> FiscalYear | None:
    """Return the fiscal year in which a day lies, or None where none is kept."""
    return FiscalYear.objects.filter(issuer=issuer, valid__contains=day).first()


def result_of(year: FiscalYear) -> dict[str, Decimal]:
    """Return income less expenses of a year, by currency. Needs a consortium scope."""
    sums: dict[str, list[Decimal]] = {}
    for _code, currency, amount in _income_and_expenses(year):
        sums.setdefault(currency, []).append(-amount)
    return {currency: exact_sum(amounts) for currency, amounts in sums.items()}


def _unrecognised(year: FiscalYear) -> QuerySet[DeferralPart]:
    parts = DeferralPart.objects.filter(deferral__issuer=year.issuer, month__lt=str(Month.of(year.valid.upper)))
    done = LedgerEntry.objects.filter(kind="recognition", source_type="billing.DeferralPart")
    parts = parts.annotate(cut=Sum("cuts__amount", default=Decimal(0), output_field=AmountField()))
    return parts.exclude(pk__in=done.values("source_id")).exclude(cut=F("amount"))


def _close(year: FiscalYear, at: datetime) -> LedgerEntry | None:
    """Bring every income and expense account to zero, and what is left to net assets, per currency."""
    rows = _income_and_expenses(year)
    legs = [Leg(Account(code), -amount, currency) for code, currency, amount in rows]
    legs += [Leg(Account.NET_ASSETS, -result, currency) for currency, result in result_of(year).items()]
    if not any(leg.amount for leg in legs):
        return None
    last = year.valid.upper - timedelta(days=1)
    narration = f"Closing of the fiscal year to {last.isoformat()}"
    return post(issuer=year.issuer, kind="year_end", source=year, on=last, narration=narration, legs=legs, at=at)


def _income_and_expenses(year: FiscalYear) -> list[tuple[str, str, Decimal]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.code, l.currency, sum(l.amount) FROM billing_ledgerleg l
            JOIN billing_ledgerentry e ON e.id = l.entry_id
            JOIN billing_ledgeraccount a ON a.id = l.account_id
            WHERE e.issuer_id = %s AND e."on" >= %s AND e."on" < %s AND a.kind IN ('income', 'expense')
            AND e.kind <> 'year_end'
            GROUP BY 1, 2 HAVING sum(l.amount) <> 0 ORDER BY 1, 2
            """,
            [year.issuer_id, year.valid.lower, year.valid.upper],
        )
        return [(str(code), str(currency), amount) for code, currency, amount in cursor.fetchall()]
