"""The year of docs/explanation/a-year-in-figures.md, told to the portal month by month and compared to the cent.

The expected invoices are read from that page, so that what a treasurer checks with a pencil is what the test checks.
"""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from billing import closing, ledger
from billing.accounts import Payer, open_billing_account
from billing.accruals import accrue
from billing.books_check import check_books
from billing.books_export import export_books
from billing.chart_of_accounts import Account
from billing.facts import MemberFacts
from billing.fiscal_years import lock_year, open_year, result_of
from billing.fx import record_rate
from billing.models import BillImport, BillingPeriod, Invoice
from billing.periods import open_period
from billing.queries import ageing
from billing.reports import REPORTS, Filters
from billing.revaluation import revalue
from billing.statements import rows_of
from billing.supplier_bills import Paid, owed, pay_bill
from consortium.kernel.dated import since
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, enter_scope, institution_scope
from members.models import BankDetails, Institution
from tests.cast import Cast, make_institution
from tests.integration.billing.stories import (
    CEDAR,
    MAPLE,
    RUN,
    _register,
    bill_file,
    drafted,
    facts,
    issued,
    schedule,
    take_in,
)
from tests.worked_examples.purse import Purse

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "a-year-in-figures.md"
KINDS = ("dues", "active_users", "direct_cost", "shared_cost")
USERS = {"cedar": 100, "maple": 10, "aspen": 20, "birch": 4, "willow": 10}
DUES = {"cedar": "12000.00", "maple": "6000.00", "aspen": "9000.00", "birch": "7300.00", "willow": "6000.00"}


@dataclass(frozen=True)
class Expected:
    """One row of the page."""

    kinds: tuple[Decimal, ...]  # dues, users, own hubs, shared with the late bill
    net: Decimal
    tax: Decimal
    total: Decimal
    currency: str


def figure(text: str) -> Decimal:
    """Read a figure of the page."""
    return Decimal(text.strip().replace(",", "") or "0")


def expected() -> dict[tuple[str, str], Expected]:
    """Read the table of invoices."""
    found = {}
    for row in re.findall(r"^\| (2026-\d\d) \| (\w+) \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        *amounts, currency = row[2].split("|")
        dues, users, own, shared, late, net, tax, total = map(figure, amounts)
        found[row[0], row[1]] = Expected((dues, users, own, shared + late), net, tax, total, currency.strip())
    return found


@dataclass
class Year:
    """The consortium, its members and the purse they pay from."""

    cast: Cast
    purse: Purse
    folder: Path
    members: dict[str, Institution]
    unpaid: list[Invoice] = field(default_factory=list)

    # --- The members ---------------------------------------------------------------------------------------------

    def weights(self, month: Month) -> dict[str, int]:
        """Who uses how many parts of ten."""
        if month.number < 5:
            return {"cedar": 5, "maple": 2, "aspen": 2, "willow": 1}
        if month.number < 9:
            return {"cedar": 4, "maple": 2, "aspen": 2, "birch": 1, "willow": 1}
        return {"cedar": 5, "maple": 3, "birch": 1, "willow": 1}

    def facts(self, month: Month) -> list[MemberFacts]:
        """What the month's use case would read."""
        return [self._fact(self.members[slug], slug, parts) for slug, parts in sorted(self.weights(month).items())]

    @staticmethod
    def _fact(institution: Institution, slug: str, parts: int) -> MemberFacts:
        joined = date(2026, 5, 16) if slug == "birch" else date(2025, 1, 1)
        fact = facts(institution, dues=DUES[slug], joined=joined, memory=str(parts * 1_000_000), users=USERS[slug])
        currency = "USD" if slug == "willow" else "CAD"
        terms = schedule(DUES[slug], currency=currency)
        return MemberFacts(
            **{
                **{name: getattr(fact, name) for name in fact.__dataclass_fields__},
                "currency": currency,
                "schedule": terms,
                "ends_on": date(2026, 9, 1) if slug == "aspen" else None,
            }
        )

    # --- A month -------------------------------------------------------------------------------------------------

    def bill(self, month: Month, shared: str, *more: str, name: str = "") -> BillImport:
        """Bring the cloud's bill of a month."""
        rows = [("100.00", CEDAR), ("50.00", MAPLE), (shared, ""), *((cost, "") for cost in more)]
        path = bill_file(self.folder, *rows, name=name or f"{month}.csv", **days(month))
        return take_in(path, self.cast, self.issue_day(month), charged=str(month))

    def close(self, month: Month, *, accepted: tuple[str, ...] = ()) -> list[Invoice]:
        """Close a month on the fifth of the next one; returns its invoices by slug."""
        at, period = self.issue_day(month), open_period(self.cast.issuer, str(month))
        members = self.facts(month)
        preview = closing.preview(period, members, at=at)
        closing.begin_closing(period, members, by=RUN, at=at, accepted=accepted)
        invoices = issued(drafted(period, members, at), at)
        assert [draft.total for draft in preview.drafts] == [invoice.total for invoice in invoices]
        assert closing.parked(period, members, at=at) == []
        closing.finish_closing(period, by=RUN, at=at)
        return invoices

    @staticmethod
    def issue_day(month: Month) -> datetime:
        """The fifth of the next month."""
        day = month.next().first_day
        return datetime(day.year, day.month, 5, 18, tzinfo=UTC)

    # --- What must hold after each month ----------------------------------------------------------------------------

    def check_invoices(self, month: Month, invoices: list[Invoice]) -> None:
        """The invoices are those of the page: kind by kind, tax, total, currency."""
        page = {slug: row for (name, slug), row in expected().items() if name == str(month)}
        assert {invoice.institution.slug for invoice in invoices} == set(page)
        for invoice in invoices:
            row = page[invoice.institution.slug]
            lines = list(invoice.lines.values_list("kind", "net"))
            kinds = tuple(exact_sum(net for kind, net in lines if kind == wanted) for wanted in KINDS)
            found = Expected(kinds, invoice.net_total, invoice.tax_total, invoice.total, invoice.currency)
            assert found == row, f"{month} {invoice.institution.slug}"

    def check_books(self, month: Month, *, at: datetime) -> None:
        """Ledger, statements and ageing say the same: what is unpaid, and nothing else."""
        assert check_books(at=at).faults == []
        open_sums: dict[str, Decimal] = {}
        for invoice in self.unpaid:
            open_sums[invoice.currency] = open_sums.get(invoice.currency, Decimal(0)) + invoice.total
        aged = {each.currency: each.total for each in ageing(on=at.date(), issuer_id=self.cast.issuer.pk)}
        books = {row.currency: row.balance for row in ledger.trial_balance(self.cast.issuer) if row.code == "1100"}
        assert {key: total for key, total in books.items() if total} == aged == open_sums, str(month)
        for slug, institution in self.members.items():
            with institution_scope(institution.pk):
                rows = rows_of(institution.pk, today=at.date())
                due = exact_sum(row.due for row in rows if row.is_open)
            own = exact_sum(each.total for each in self.unpaid if each.institution_id == institution.pk)
            assert due == own, f"{month} {slug}"


def days(month: Month) -> dict[str, str]:
    """A month as a bill names it."""
    return {
        "BillingPeriodStart": f"{month.first_day}T00:00:00Z",
        "BillingPeriodEnd": f"{month.next().first_day}T00:00:00Z",
    }


def found_consortium(cast: Cast, at: datetime) -> dict[str, Institution]:
    """The five universities with their payers, the rules and the year's rates."""
    from billing.matching import MATCHED_VALUE, By, Destination, Kind, MatchRule  # noqa: PLC0415
    from billing.rules import add_rule  # noqa: PLC0415

    issuer = cast.issuer
    _register(issuer)
    BankDetails.objects.create(
        issuer=issuer, currency="USD", bank="Example Bank", holder=issuer.name_en, account_number="0005678",
        routing="00010-001", valid=since(date(2020, 1, 1)),
    )  # fmt: skip
    members = {"cedar": cast.university, "maple": cast.other_university}
    for slug, province, zone in (
        ("aspen", "AB", "America/Edmonton"),
        ("birch", "ON", "America/Toronto"),
        ("willow", "", "America/Chicago"),
    ):
        members[slug] = make_institution(slug, province=province or "WI", zone=zone)
    for slug, institution in members.items():
        foreign = slug == "willow"
        payer = Payer(
            name=f"{institution.name_en}, accounts payable", address="1 Campus Road", email=f"ap@{slug}.example",
            province="" if foreign else institution.province, country="US" if foreign else "CA",
            currency="USD" if foreign else "CAD", tax_evidence="Declaration of non-residence" if foreign else "",
        )  # fmt: skip
        open_billing_account(institution=institution, issuer=issuer, payer=payer, by=RUN, at=at)
    own, rest = Destination(Kind.DIRECT, MATCHED_VALUE), Destination(Kind.POOL, "shared")
    add_rule(issuer=issuer, rule=MatchRule(By.TAG, own, tag_key="university", name="tagged"), by=RUN, at=at)
    add_rule(issuer=issuer, rule=MatchRule(By.EVERYTHING, rest, name="the rest"), by=RUN, at=at)
    for number in range(1, 13):
        day = Month(2026, number).next().first_day - timedelta(days=1)
        pair = ("1.40", "0.71") if number < 7 else ("1.35", "0.74")
        for (base, quote), rate in zip((("USD", "CAD"), ("CAD", "USD")), pair, strict=True):
            record_rate(base=base, quote=quote, on=day, rate=Decimal(rate), source="Central bank", by=RUN, at=at)
    return members


@pytest.mark.slow
def test_invoices_statements_and_ledger_agree_all_year(cast: Cast, tmp_path: Path) -> None:
    enter_scope(Scope.JOB)  # and no block: paying opens a transaction that may not stand inside another one
    start = datetime(2026, 1, 2, 18, tzinfo=UTC)
    year = Year(cast, Purse(), tmp_path, found_consortium(cast, start))
    books_year = open_year(cast.issuer, since=date(2026, 1, 1), by=RUN, at=start)
    for number in range(1, 12):
        tell_month(year, Month(2026, number))
    december = tell_end(year)
    lock_year(books_year, by=RUN, at=Year.issue_day(Month(2026, 12)) + timedelta(days=1))
    assert result_of(books_year) == {"CAD": Decimal("55240.67"), "USD": Decimal("-5314.09")}
    check_end(year, december)


def tell_month(year: Year, month: Month) -> None:
    """One month: its bill, its close on the fifth, its payments on the twentieth."""
    accepted: tuple[str, ...] = ()
    if month.number == 3:
        tell_restated_bill(year, month)
    elif month.number == 6:
        year.bill(month, "1000.00", "-200.00")
    else:
        year.bill(month, "1000.00")
    if month.number == 10:
        late = bill_file(
            year.folder, ("100.00", ""), name="late.csv", BillingAccountId="archive", **days(Month(2026, 9))
        )
        take_in(late, year.cast, year.issue_day(month), charged="2026-10")
        accepted = ("bill_missing",)  # the other provider has nothing for October
    invoices = year.close(month, accepted=accepted)
    year.check_invoices(month, invoices)
    year.unpaid += invoices
    paid_at = year.issue_day(month) + timedelta(days=15)
    for invoice in invoices:
        disputed = month.number == 4 and invoice.institution.slug == "maple"
        if not disputed:
            year.purse.pay(invoice, at=paid_at)
            year.unpaid.remove(invoice)
    if month.number == 7:
        tell_july(year, paid_at)
    year.check_books(month, at=paid_at)


def tell_restated_bill(year: Year, month: Month) -> None:
    """The first version says 100 dollars too much; what is previewed follows the second, and only it is invoiced."""
    at = year.issue_day(month)
    totals = []
    for version, shared in enumerate(("1100.00", "1000.00"), start=1):
        assert year.bill(month, shared, name=f"march-{version}.csv").version == version
        period = BillingPeriod.objects.get(month=str(month))
        (cedar, *_others) = [
            each for each in closing.preview(period, year.facts(month), at=at).drafts if each.slug == "cedar"
        ]
        totals.append(cedar.net)
    assert totals == [Decimal("2460.00"), Decimal("2390.00")]


def tell_july(year: Year, paid_at: datetime) -> None:
    """Maple's April invoice grows old and is paid after all; the cloud's six bills are paid in Canadian dollars."""
    (disputed,) = year.unpaid
    for day, bucket in ((date(2026, 6, 30), "to_30"), (date(2026, 7, 31), "to_60")):
        (aged,) = ageing(on=day, institution_id=year.members["maple"].pk)
        assert getattr(aged, bucket) == aged.total == Decimal("1092.26")
    year.purse.pay(disputed, at=paid_at)
    year.unpaid.remove(disputed)
    for bill in BillImport.objects.filter(month__lt="2026-07").exclude(month="2026-03", version=1):
        amount = owed(bill)
        took = Paid(
            on=date(2026, 7, 31), amount=amount, bank_amount=amount * Decimal("1.36"), bank_currency="CAD",
            reference="wire of 31 July",
        )  # fmt: skip
        pay_bill(bill, took, key=f"wire:{bill.pk}", by=RUN, at=paid_at)
    rows = {(row.code, row.currency): row.balance for row in ledger.trial_balance(year.cast.issuer)}
    assert rows["1000", "CAD"] == Decimal("-9112.00")
    assert rows["2000", "USD"] == Decimal("-1150.00")  # July's


def tell_end(year: Year) -> list[Invoice]:
    """December: accrued and revalued on its last day, invoiced on 5 January."""
    month, on = Month(2026, 12), date(2026, 12, 31)
    at = year.issue_day(month)
    year.bill(month, "1000.00")
    for account, amount, currency in (
        (Account.DUES_INCOME, "2075.00", "CAD"),
        (Account.USAGE_INCOME, "690.00", "CAD"),
        (Account.RECOVERY_INCOME, "1417.50", "CAD"),
        (Account.DUES_INCOME, "500.00", "USD"),
        (Account.USAGE_INCOME, "100.00", "USD"),
        (Account.RECOVERY_INCOME, "99.90", "USD"),
    ):
        accrue(
            year.cast.issuer, kind="income", account=account, amount=Decimal(amount), currency=currency, on=on,
            grounds="December, as previewed", key=f"december:{account}:{currency}", by=RUN, at=at,
        )  # fmt: skip
    invoices = year.close(month)
    year.check_invoices(month, invoices)
    year.unpaid += invoices
    year.check_books(month, at=at)
    (row,) = revalue(year.cast.issuer, on=on, by=RUN, at=at)
    assert (row.carried, row.value) == (Decimal("1744.8045"), Decimal("1870.9785"))
    assert row.difference == Decimal("126.17")
    return invoices


def check_end(year: Year, december: list[Invoice]) -> None:
    """The books of 2026 are closed, those of 2027 hold December's invoices and nothing twice, and beancount agrees."""
    issuer = year.cast.issuer
    closed = ledger.trial_balance(issuer, until=date(2026, 12, 31))
    assert {row.balance for row in closed if row.kind in {"income", "expense"}} == {Decimal(0)}
    today = ledger.trial_balance(issuer)
    income = {(row.code, row.currency): row.balance for row in today if row.kind == "income" and row.balance}
    assert income == {}  # December was income of 2026: its invoices only replace the accruals that were taken back
    assert exact_sum(each.total for each in december if each.currency == "CAD") == Decimal("4558.61")
    (table, *_others) = REPORTS["receivables"].build(
        Filters(issuer=issuer, since=date(2026, 1, 1), until=date(2027, 1, 31))
    )
    assert [row[2:] for row in table.rows if row[0] == "Receivables"] == [
        [Decimal("4558.61"), Decimal("4558.61"), Decimal("0.00")],
        [Decimal("699.90"), Decimal("699.90"), Decimal("0.00")],
    ]
    (written,) = export_books([issuer], form="beancount", folder=year.folder / "books")
    checker = Path(sys.executable).with_name("bean-check")
    done = subprocess.run([str(checker), "--no-cache", str(written.path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
