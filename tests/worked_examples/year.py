"""The year of docs/explanation/a-year-in-figures.md: its tables as figures, its consortium, and what a month does.

The expected invoices and balances are read from that page, so that what a treasurer checks with a pencil is what the
test checks.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from billing import closing, ledger
from billing.accounts import Payer, open_billing_account
from billing.books_check import check_books
from billing.facts import MemberFacts
from billing.fx import record_rate
from billing.models import BillImport, Invoice
from billing.periods import open_period
from billing.queries import ageing
from billing.statement_of_account import statements
from billing.statements import rows_of
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import institution_scope
from members.models import Institution
from tests.cast import Cast, make_institution
from tests.integration.billing.stories import (
    CEDAR,
    MAPLE,
    RUN,
    bill_file,
    drafted,
    facts,
    issued,
    register,
    schedule,
    take_in,
)
from tests.worked_examples.purse import Purse

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "a-year-in-figures.md"
KINDS = ("dues", "active_users", "direct_cost", "shared_cost", "sla_credit")
USERS = {"cedar": 100, "maple": 10, "aspen": 20, "birch": 4, "willow": 10}
DUES = {"cedar": "12000.00", "maple": "6000.00", "aspen": "9000.00", "birch": "7300.00", "willow": "6000.00"}


@dataclass(frozen=True)
class Expected:
    """One row of the page."""

    kinds: tuple[Decimal, ...]  # dues, users, own hubs, shared with the late bill, service credit
    net: Decimal
    tax: Decimal
    total: Decimal
    currency: str


def figure(text: str) -> Decimal:
    """Read a figure of the page."""
    return Decimal(text.strip().replace(",", "").replace("−", "-") or "0")


def expected() -> dict[tuple[str, str], Expected]:
    """Read the table of invoices."""
    found = {}
    for row in re.findall(r"^\| (2026-\d\d) \| (\w+) \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        *amounts, currency = row[2].split("|")
        dues, users, own, shared, late, credit, net, tax, total = map(figure, amounts)
        found[row[0], row[1]] = Expected((dues, users, own, shared + late, credit), net, tax, total, currency.strip())
    return found


def expected_books() -> dict[str, dict[str, Decimal]]:
    """Read the table of balances: by month, the balance of each account and currency as the ledger has it."""
    found = {}
    for row in re.findall(r"^\| (2026-\d\d) \|((?:[^|]*\|){5})$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        cad, usd, deferred, owed = map(figure, row[1].split("|")[:4])
        found[row[0]] = {"1100 CAD": cad, "1100 USD": usd, "2300 CAD": -deferred, "2000 USD": -owed}
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
        if month.number < 11:
            return {"cedar": 5, "maple": 3, "birch": 1, "willow": 1}
        return {"cedar": 4, "maple": 3, "birch": 2, "willow": 1}

    def facts(self, month: Month) -> list[MemberFacts]:
        """What the month's use case would read."""
        return [self._fact(self.members[slug], slug, parts) for slug, parts in sorted(self.weights(month).items())]

    @staticmethod
    def _fact(institution: Institution, slug: str, parts: int) -> MemberFacts:
        joined = date(2026, 5, 16) if slug == "birch" else date(2025, 1, 1)
        fact = facts(institution, dues=DUES[slug], joined=joined, memory=str(parts * 1_000_000), users=USERS[slug])
        currency = "USD" if slug == "willow" else "CAD"
        every = "year" if slug == "aspen" else "month"
        terms = schedule(DUES[slug], currency=currency).model_copy(update={"dues_every": every})
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
        books = {f"{row.code} {row.currency}": row.balance for row in ledger.trial_balance(self.cast.issuer)}
        page = expected_books()[str(month)]
        assert {key: books.get(key, Decimal(0)) for key in page} == page, str(month)
        assert {key[5:]: total for key, total in page.items() if key[:4] == "1100" and total} == aged == open_sums
        for slug, institution in self.members.items():
            self._check_statement(institution, at=at, month=f"{month} {slug}")

    def _check_statement(self, institution: Institution, *, at: datetime, month: str) -> None:
        """A member's invoice page and its statement of account end with what it has not paid."""
        own = exact_sum(each.total for each in self.unpaid if each.institution_id == institution.pk)
        with institution_scope(institution.pk):
            rows = rows_of(institution.pk, today=at.date())
            assert exact_sum(row.due for row in rows if row.is_open) == own, month
            first_day, last_day = date(2026, 1, 1), at.date()
            told = statements(institution.pk, first_day=first_day, last_day=last_day, zone=institution.zone)
        assert exact_sum(each.closing for each in told) == own, month
        assert all(each.opening == 0 for each in told), month


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
    register(issuer, currencies=("CAD", "USD"))
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
