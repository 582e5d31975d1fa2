"""What staff read of the books, on pages and as CSV, and what they do to them by hand."""

import csv
import io
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client
from django.urls import reverse

from billing import closing
from billing.books_acts import BOOKS_ACTS
from billing.chart_of_accounts import Account
from billing.fiscal_years import open_year
from billing.ledger import Leg, post
from billing.models import Accrual, FiscalYear, LedgerEntry, SupplierBill
from billing.reports import REPORTS, Column, Filters, Table, to_csv
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import StaffSeat
from members.roles import StaffRole
from tests.cast import Cast
from tests.integration.billing.stories import RUN, STORY_ROWS, bill_file, drafted, issued, set_up, take_in, three_to_one


@pytest.fixture
def books(cast: Cast, at: datetime, tmp_path: Path) -> Cast:
    """September as the pencil of tests/worked_examples/test_month_story.py has it."""
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        issued(drafted(period, three_to_one(cast), at), at)
        closing.finish_closing(period, by=RUN, at=at)
    return cast


@pytest.fixture
def client(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The browser of a member of staff with a second factor."""
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    Authenticator.objects.create(user=cast.staff, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(cast.staff, backend="django.contrib.auth.backends.ModelBackend")
    return client


def tables(books: Cast, name: str, *, since: date = date(2026, 1, 1), until: date = date(2026, 12, 31)) -> list[Table]:
    """A report's tables."""
    with consortium_scope(Scope.STAFF):
        return REPORTS[name].build(Filters(issuer=books.issuer, since=since, until=until))


def text_of(table: Table) -> list[list[str]]:
    """Rows as text."""
    return [[str(cell) for cell in row] for row in table.rows]


def test_the_trial_balance_sums_to_nothing_per_currency(books: Cast) -> None:
    (table,) = tables(books, "trial-balance")
    totals = [row for row in text_of(table) if row[1] == "Total"]
    assert totals == [
        ["", "Total", "", "CAD", "3391.16", "3391.16", "0.00"],
        ["", "Total", "", "USD", "472.51", "472.51", "0.00"],
    ]
    (early,) = tables(books, "trial-balance", until=date(2026, 9, 30))
    assert [row[0] for row in text_of(early)] == ["2000", "5000", ""]


def test_receivables_agree_and_are_shown_by_member_and_age(books: Cast) -> None:
    check, aged, credit = tables(books, "receivables", until=date(2026, 11, 20))
    assert credit.rows == []
    assert text_of(check) == [["Receivables", "CAD", "3391.16", "3391.16", "0.00"]]
    assert check.tone == ""
    assert text_of(aged) == [
        ["Cedar University", "CAD", "0", "2602.57", "0", "0", "0", "2602.57"],
        ["Maple University", "CAD", "0", "788.59", "0", "0", "0", "788.59"],
        ["Total", "CAD", "0", "3391.16", "0", "0", "0", "3391.16"],
    ]


def test_a_difference_is_shown_in_red(books: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        legs = [Leg(Account.RECEIVABLES, Decimal("0.01"), "CAD"), Leg(Account.BANK, Decimal("-0.01"), "CAD")]
        post(
            issuer=books.issuer, kind="x", source=books.university, on=date(2026, 9, 1), narration="x", legs=legs, at=at
        )
    check, _aged, _credit = tables(books, "receivables")
    assert (check.tone, text_of(check)[0][-1]) == ("danger", "0.01")


def test_income_stands_in_the_month_of_its_invoice_and_cost_in_its_own(books: Cast) -> None:
    canadian, american = tables(books, "income")
    assert [column.label for column in canadian.columns] == ["Account", "Name", "2026-10", "Total"]
    assert text_of(canadian) == [
        ["4000", "Membership dues", "1463.01", "1463.01"],
        ["4100", "Usage fees", "1040.00", "1040.00"],
        ["4200", "Recovery of cloud cost", "661.51", "661.51"],
        ["", "Result", "3164.52", "3164.52"],
    ]
    assert text_of(american)[-1] == ["", "Result", "-472.51", "-472.51"]


def test_the_tax_return_is_what_the_invoices_charged(books: Cast, at: datetime) -> None:
    lines, decisions, check = tables(books, "tax-return")
    figures = {(row[0], row[1]): row[-1] for row in text_of(lines)}
    assert figures[("GST/HST", "101")] == "3164.52"  # both members' net
    assert figures[("GST/HST", "105")] == figures[("GST/HST", "109")] == "158.22"  # 123.93 + 34.29
    assert (figures[("QST", "201")], figures[("QST", "205")]) == ("685.88", "68.42")
    assert [row[:3] for row in text_of(decisions) if row[0] == "QST"] == [["QST", "CA-QC", "9.975"]]
    assert (check.tone, {row[-1] for row in text_of(check)}) == ("", {"0.00"})
    outside = tables(books, "tax-return", until=date(2026, 9, 30))
    assert [table.rows for table in outside] == [[], [], []]


def test_tax_on_purchases_comes_off_the_return(books: Cast, client: Client) -> None:
    page = reverse("admin:billing_report_act", args=["supplier-bill"])
    client.post(page, supplier_form(client, books))
    lines, _decisions, _check = tables(books, "tax-return")
    figures = {(row[0], row[1]): row[-1] for row in text_of(lines)}
    assert (figures[("GST/HST", "108")], figures[("GST/HST", "109")]) == ("50.00", "108.22")
    assert (figures[("QST", "208")], figures[("QST", "209")]) == ("99.75", "-31.33")


def test_payables_agree_with_the_bills(books: Cast) -> None:
    check, bills = tables(books, "payables")
    assert text_of(check) == [["Payables", "USD", "472.51", "472.51", "0.00"]]
    assert [row[-1] for row in text_of(bills)] == ["472.51"]


# --- Pages ----------------------------------------------------------------------------------------------------------


def test_every_report_and_act_opens_and_every_report_is_csv(books: Cast, client: Client) -> None:
    index = client.get(reverse("admin:billing_report_changelist"))
    assert index.status_code == 200
    for name, report in REPORTS.items():
        assert report.title in index.content.decode()
        page = client.get(reverse("admin:billing_report_page", args=[name]))
        assert (page.status_code, page.content.count(b"<h1>")) == (200, 1), name
        answer = client.get(reverse("admin:billing_report_csv", args=[name]))
        assert answer.headers["Content-Type"].startswith("text/csv"), name
        assert list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))), name
    for name in BOOKS_ACTS:
        assert client.get(reverse("admin:billing_report_act", args=[name])).status_code == 200, name
    for name in ("accrual", "bookscheck", "deferral", "fiscalyear", "fund", "fundmovement", "revaluation"):
        assert client.get(reverse(f"admin:billing_{name}_changelist")).status_code == 200, name
    for name in ("supplierbill", "supplierpayment"):
        assert client.get(reverse(f"admin:billing_{name}_changelist")).status_code == 200, name
    assert client.get(reverse("admin:billing_report_page", args=["nothing"])).status_code == 404


def test_figures_are_written_for_people_on_the_page_and_bare_in_csv(books: Cast, client: Client) -> None:
    days = {"issuer": str(books.issuer.pk), "since": "2026-01-01", "until": "2026-12-31"}
    page = client.get(reverse("admin:billing_report_page", args=["trial-balance"]), days)
    assert '<td class="num">\N{MINUS SIGN}1,463.01</td>' in page.content.decode()
    sheet = client.get(reverse("admin:billing_report_csv", args=["trial-balance"]), days)
    assert '"-1463.01"' in sheet.content.decode()
    assert "trial-balance-icc-2026-01-01-2026-12-31.csv" in sheet.headers["Content-Disposition"]


def test_days_out_of_order_keep_what_was_typed(books: Cast, client: Client) -> None:
    days = {"issuer": str(books.issuer.pk), "since": "2026-12-01", "until": "2026-01-01"}
    page = client.get(reverse("admin:billing_report_page", args=["income"]), days)
    assert page.status_code == 422
    assert 'value="2026-12-01"' in page.content.decode()
    assert "comes before the first one" in page.content.decode()
    assert client.get(reverse("admin:billing_report_csv", args=["income"]), days).status_code == 404


def supplier_form(client: Client, books: Cast, **changes: str) -> dict[str, str]:
    """The filled form of a supplier's bill, with the key that its page carried."""
    page = client.get(reverse("admin:billing_report_act", args=["supplier-bill"])).content.decode()
    found = re.search(r'name="key" value="(\w+)"', page)
    assert found is not None
    return {
        "key": found.group(1), "issuer": str(books.issuer.pk), "supplier": "Example Software Inc.", "number": "771",
        "billed_on": "2026-10-12", "due_on": "2026-11-12", "expense": "5200", "description": "Monitoring",
        "currency": "cad", "net": "1000.00", "gst": "50.00", "gst_recovered": "50.00", "qst": "99.75",
        "qst_recovered": "99.75", **changes,
    }  # fmt: skip


def test_a_form_that_is_sent_twice_records_once(books: Cast, client: Client) -> None:
    page, form = reverse("admin:billing_report_act", args=["supplier-bill"]), supplier_form(client, books)
    assert [client.post(page, form).status_code for _ in range(2)] == [302, 302]
    changed = client.post(page, {**form, "net": "2000.00"})
    assert (changed.status_code, b"used before for something else" in changed.content) == (422, True)
    with consortium_scope(Scope.STAFF):
        assert SupplierBill.objects.get().total == Decimal("1149.75")


def test_what_is_refused_stands_beside_its_field_with_the_input_kept(books: Cast, client: Client) -> None:
    page = reverse("admin:billing_report_act", args=["supplier-bill"])
    answer = client.post(page, supplier_form(client, books, gst_recovered="50.01", description="<b>Monitoring</b>"))
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "No more tax comes back than the bill contains." in text
    assert "&lt;b&gt;Monitoring&lt;/b&gt;" in text
    for amount in ("1e3", "NaN", "1,000.00", "¹"):
        assert client.post(page, supplier_form(client, books, net=amount)).status_code == 422, amount
    with consortium_scope(Scope.STAFF):
        assert not SupplierBill.objects.exists()


def test_a_fiscal_year_is_locked_by_typing_it(books: Cast, client: Client, at: datetime) -> None:
    with consortium_scope(Scope.STAFF):
        year = open_year(books.issuer, since=date(2024, 1, 1), by=RUN, at=at)
    page = reverse("admin:billing_fiscalyear_act", args=[year.pk, "lock"])
    assert client.get(page).status_code == 200
    assert client.post(page, {"year": "2026-01-01"}).status_code == 422
    assert client.post(page, {"year": "2024-01-01"}).status_code == 302
    with consortium_scope(Scope.STAFF):
        assert FiscalYear.objects.get().status == "locked"


def test_an_auditor_reads_the_books_and_does_nothing_to_them(books: Cast, client: Client) -> None:
    StaffSeat.objects.filter(user=books.staff).exclude(role=StaffRole.AUDITOR).delete()
    index = client.get(reverse("admin:billing_report_changelist"))
    assert (index.status_code, b"By hand" in index.content) == (200, False)
    assert client.get(reverse("admin:billing_report_page", args=["income"])).status_code == 200
    assert client.post(reverse("admin:billing_report_act", args=["accrue"]), {}).status_code == 403
    with consortium_scope(Scope.STAFF):
        assert not Accrual.objects.exists()
        assert LedgerEntry.objects.count() == 3


def test_cells_that_a_spreadsheet_would_run_are_quoted() -> None:
    table = Table(caption="=1+1", columns=(Column("@a"),), rows=[["\t=cmd"], [Decimal("-1.50")], [None]])
    lines = to_csv([table]).splitlines()
    assert lines == ['\N{BYTE ORDER MARK}"\'=1+1"', '"\'@a"', '"\'\t=cmd"', '"-1.50"', '""']
