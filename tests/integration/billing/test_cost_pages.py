"""The page of use and cost: what a month costs, why, what if, the budget, and the files to take along."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from billing import closing
from billing.budgets import BudgetInvalid, budget_for, set_budget
from billing.focus import read_bill
from billing.models import BillImport, BillingPeriod, Budget, BudgetAlert, CostRow, InvoiceLine, Pool, Share
from billing.periods import open_period
from consortium.kernel import outbox
from consortium.kernel.errors import Forbidden
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import OutgoingMail
from consortium.usecases.costs import month_costs, what_if
from consortium.usecases.import_bill import import_bill
from consortium.usecases.month_facts import member_facts
from consortium.usecases.watch_budgets import watch_budgets
from members.models import User
from tests.cast import Cast
from tests.integration.billing.stories import CEDAR, MONTH, RUN, bill_file, issued
from tests.integration.costs import agree, story_of_costs
from tests.integration.members.browser import signed_in, text_of

SEPTEMBER = Month(2026, 9)
PAGE = f"/en/i/cedar/costs/?month={MONTH}"


@pytest.fixture(autouse=True)
def clock(at: datetime) -> Iterator[None]:
    with time_machine.travel(at, tick=False):
        yield


@pytest.fixture
def bill(cast: Cast, at: datetime, tmp_path: Path) -> BillImport:
    with consortium_scope(Scope.JOB):
        return story_of_costs(cast, at, tmp_path)


def close_september(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        period = open_period(cast.issuer, MONTH)
        facts = member_facts(cast.issuer, SEPTEMBER)
        closing.begin_closing(period, facts, by=RUN, at=at)
        closing.allocate_pools(period, facts, at=at)
        issued(closing.draft_invoices(period, facts, by=RUN, at=at), at)
        closing.finish_closing(period, by=RUN, at=at)


def page_of(person: User, address: str = PAGE) -> str:
    answer = signed_in(person).get(address)
    assert answer.status_code == 200
    return text_of(answer)


def test_the_estimate_of_an_open_month_is_the_invoice_to_the_cent(cast: Cast, bill: BillImport, at: datetime) -> None:
    """Dues 1,000.00; own cloud cost 100.005 USD at 1.40 is 140.01; of 300.00 shared and 22.50 tax three quarters."""
    before = month_costs(cast.university, SEPTEMBER, at=at)
    assert [(line.kind, line.net) for line in before.lines] == [
        ("dues", Decimal("1000.00")),
        ("direct_cost", Decimal("140.01")),
        ("shared_cost", Decimal("315.00")),
        ("shared_cost", Decimal("23.63")),
    ]
    close_september(cast, at)
    after = month_costs(cast.university, SEPTEMBER, at=at)
    assert (before.is_invoiced, after.is_invoiced) == (False, True)
    assert [(line.description_en, line.net, line.bill_id, line.pool_key) for line in before.lines] == [
        (line.description_en, line.net, line.bill_id, line.pool_key) for line in after.lines
    ]
    assert before.total == after.total


def test_looking_changes_nothing(cast: Cast, bill: BillImport, at: datetime) -> None:
    def everything() -> list[int]:
        with consortium_scope(Scope.JOB):
            return [model.objects.count() for model in (BillingPeriod, Pool, Share, InvoiceLine, CostRow, BudgetAlert)]

    before = everything()
    for month in ("2026-09", "2026-10", "2026-11"):
        page_of(cast.finance, f"/en/i/cedar/costs/?month={month}&what_if=even")
    assert everything() == before


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_page_shows_the_month_line_by_line_with_its_evidence(
    language: str, cast: Cast, bill: BillImport, at: datetime
) -> None:
    html = page_of(cast.finance, PAGE.replace("/en/", f"/{language}/"))
    assert ("1,478.64" if language == "en" else "1\N{NO-BREAK SPACE}478,64") in html
    assert f"/{language}/i/cedar/costs/{MONTH}/{bill.pk}/shared/" in html
    assert f"/{language}/i/cedar/costs/{MONTH}/own/{bill.pk}/" in html
    assert ("not invoiced yet" if language == "en" else "pas encore facturé") in html
    close_september(cast, at)
    assert "not invoiced yet" not in page_of(cast.finance)


@pytest.mark.parametrize(
    ("name", "status"), [("owner", 200), ("finance", 200), ("technical", 403), ("viewer", 403), ("outsider", 404)]
)
def test_only_who_may_see_costs_sees_them(name: str, status: int, cast: Cast, bill: BillImport) -> None:
    client = signed_in(cast.person(name))
    for address in (
        PAGE, f"/en/i/cedar/costs/{MONTH}/costs.csv", f"/en/i/cedar/costs/{MONTH}/focus.csv",
        f"/en/i/cedar/costs/{MONTH}/{bill.pk}/shared/", f"/en/i/cedar/costs/{MONTH}/own/{bill.pk}/",
        f"/en/i/cedar/costs/{MONTH}/{bill.pk}/shared/rows.csv",
    ):  # fmt: skip
        assert client.get(address).status_code == status, address


def test_why_leads_from_the_bill_to_the_share_and_shows_no_other_member(
    cast: Cast, bill: BillImport, at: datetime
) -> None:
    for is_closed in (False, True):
        if is_closed:
            close_september(cast, at)
        html = page_of(cast.finance, f"/en/i/cedar/costs/{MONTH}/{bill.pk}/shared/")
        for figure in ("300.00", "1.4", "420.00", "75.00%", "315.00", "2 members", "sum of 2 rows"):
            assert figure in html, figure
        assert "maple" not in html.lower()


def test_the_rows_behind_a_share_sum_to_its_pool(cast: Cast, bill: BillImport) -> None:
    answer = signed_in(cast.finance).get(f"/en/i/cedar/costs/{MONTH}/{bill.pk}/shared/rows.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["line"] for row in rows] == ["5", "6"]
    assert exact_sum(Decimal(row["charged_cost"]) for row in rows) == Decimal("300.00")
    assert all("the rest" in row["because"] for row in rows)


def test_a_pool_that_one_bears_nothing_of_does_not_exist(cast: Cast, bill: BillImport) -> None:
    client = signed_in(cast.finance)
    for pool in ("unattributed", "nothing"):
        assert client.get(f"/en/i/cedar/costs/{MONTH}/{bill.pk}/{pool}/").status_code == 404
        assert client.get(f"/en/i/cedar/costs/{MONTH}/{bill.pk}/{pool}/rows.csv").status_code == 404
    assert client.get(f"/en/i/cedar/costs/{MONTH}/own/{cast.issuer.pk}/").status_code == 404
    assert client.get("/en/i/cedar/costs/?month=2026-13").status_code == 404


def test_own_rows_are_listed_and_nobody_else_s(cast: Cast, bill: BillImport) -> None:
    html = page_of(cast.finance, f"/en/i/cedar/costs/{MONTH}/own/{bill.pk}/")
    assert "60.00000000000" in html
    assert "40.005" in html
    assert "maple" not in html.lower()


@pytest.mark.parametrize(
    ("key", "shared", "other"), [("even", "315.00", "210.00"), ("memory", "315.00", "315.00"), ("users", None, None)]
)
def test_another_key_is_tried_without_touching_anything(
    key: str, shared: str | None, other: str | None, cast: Cast, bill: BillImport, at: datetime
) -> None:
    for is_closed in (False, True):
        if is_closed:
            close_september(cast, at)
        rows = {row.pool.key: row for row in what_if(cast.university, SEPTEMBER, key=key)}
        if shared is None:  # nobody was active: the pool would be parked, and the page says so
            assert rows["shared"].parked
        else:
            assert rows["shared"].actual == {cast.university.pk: Decimal(shared)}
            assert rows["shared"].other == {cast.university.pk: Decimal(str(other))}


def test_the_page_compares_keys(cast: Cast, bill: BillImport) -> None:
    html = page_of(cast.finance, f"{PAGE}&what_if=even")
    assert "As it would be" in html
    assert "210.00" in html


def test_the_csv_holds_every_line_and_harmless_cells(cast: Cast, bill: BillImport) -> None:
    answer = signed_in(cast.finance).get(f"/en/i/cedar/costs/{MONTH}/costs.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row["kind"], row["pool"], row["net"]) for row in rows] == [
        ("dues", "", "1000.00"),
        ("direct_cost", "", "140.01"),
        ("shared_cost", "shared", "315.00"),
        ("shared_cost", "tax", "23.63"),
    ]


def test_a_formula_in_a_bill_is_text_in_every_file(cast: Cast, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        story_of_costs(cast, at, tmp_path)
        path = bill_file(
            tmp_path, ("-1.00", CEDAR), name="hostile.csv", ServiceName="=HYPERLINK(1)", BillingAccountId="9"
        )
        hostile = import_bill(path, issuer=cast.issuer, by=RUN, at=at, create_account=True)
    answer = signed_in(cast.finance).get(f"/en/i/cedar/costs/{MONTH}/own/{hostile.pk}/rows.csv")
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert row["service"] == "'=HYPERLINK(1)"
    assert row["billed_cost"] == "-1.00"


def test_the_focus_export_is_a_bill_that_sums_to_the_month(cast: Cast, bill: BillImport, at: datetime) -> None:
    answer = signed_in(cast.finance).get(f"/en/i/cedar/costs/{MONTH}/focus.csv")
    read = read_bill(io.BytesIO(answer.content), "focus.csv")
    records = list(read)
    read.require_clean()
    assert read.total == month_costs(cast.university, SEPTEMBER, at=at).total
    assert (read.unknown_columns, read.currency, read.billing_account_id) == ((), "CAD", "cedar")
    shared = records[2].extras
    assert shared["AllocatedMethodId"] == "proportional:memory_gib_seconds"
    assert '"AllocatedRatio": "0.750000000000"' in shared["AllocatedMethodDetails"]
    assert shared["PricingCurrency"] == "USD"
    assert "AllocatedMethodId" not in records[0].extras


# --- Budgets ----------------------------------------------------------------------------------------------------------


def budget(cast: Cast, at: datetime, amount: str, month: Month = SEPTEMBER, by: User | None = None) -> Budget:
    with institution_scope(cast.university.pk):
        return set_budget(
            cast.university, amount=Decimal(amount), currency="CAD", month=month, by=by or cast.finance, at=at
        )


def test_a_budget_is_set_on_the_page_and_errors_keep_what_was_typed(cast: Cast, bill: BillImport) -> None:
    client = signed_in(cast.finance)
    wrong = client.post("/en/i/cedar/costs/budget/", {"amount": "1,000", "month": MONTH})
    assert wrong.status_code == 422
    html = text_of(wrong)
    assert 'value="1,000"' in html
    assert "<title>Error:" in html
    assert re.search(r'<a href="#id_amount">', html)
    right = client.post("/en/i/cedar/costs/budget/", {"amount": "1600.00", "month": MONTH})
    assert right.status_code == 302
    assert "92% of it is used" in page_of(cast.finance)
    assert signed_in(cast.technical).post("/en/i/cedar/costs/budget/", {"amount": "1"}).status_code == 403


def test_alerts_are_raised_once_and_mailed_to_owners_and_finance_people(
    cast: Cast, bill: BillImport, at: datetime
) -> None:
    budget(cast, at, "1600.00")
    raised = watch_budgets(month=SEPTEMBER, at=at)
    assert [alert.percent for alert in raised] == [50, 80]
    assert watch_budgets(month=SEPTEMBER, at=at) == []
    outbox.deliver_due(at=at + timedelta(seconds=1))
    with consortium_scope(Scope.JOB):
        mails = list(OutgoingMail.objects.filter(template="billing_budget_alert").order_by("recipient"))
    assert [mail.recipient for mail in mails] == ["finance@people.example", "owner@people.example"]
    assert mails[0].subject == "80% of the budget for September 2026 is reached: Cedar University"
    assert "1,478.64" in mails[0].body


def test_a_bill_that_comes_in_raises_the_alert_by_itself(
    cast: Cast, bill: BillImport, at: datetime, tmp_path: Path
) -> None:
    budget(cast, at, "1600.00")
    with consortium_scope(Scope.JOB):
        path = bill_file(tmp_path, ("200.00", CEDAR), name="more.csv", BillingAccountId="9")
        import_bill(path, issuer=cast.issuer, by=RUN, at=at, create_account=True)
        assert list(BudgetAlert.objects.order_by("percent").values_list("percent", flat=True)) == [50, 80, 100]


def test_a_new_budget_ends_the_old_one_and_withdraws_a_later_one(cast: Cast, at: datetime) -> None:
    budget(cast, at, "100.00", Month(2026, 1))
    budget(cast, at, "300.00", Month(2027, 1))
    budget(cast, at, "200.00", Month(2026, 6))
    with institution_scope(cast.university.pk):
        months = (Month(2026, 5), Month(2026, 6), Month(2027, 2))
        found = [budget_for(cast.university.pk, month) for month in months]
    assert [str(each.amount) if each else None for each in found] == ["100.00", "200.00", "200.00"]


def test_a_budget_is_set_by_who_may_and_is_an_amount(cast: Cast, at: datetime) -> None:
    with pytest.raises(Forbidden):
        budget(cast, at, "1.00", by=cast.technical)
    for wrong in ("0", "-1.00", "1.001"):
        with pytest.raises(BudgetInvalid, match="above zero"):
            budget(cast, at, wrong)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_budget SET amount = 1",
        "UPDATE billing_budget SET valid = '[2025-01-01,)'",
        "DELETE FROM billing_budget",
        "UPDATE billing_budgetalert SET percent = 80",
        "DELETE FROM billing_budgetalert",
    ],
)
def test_postgresql_refuses_to_change_budgets_and_alerts(
    statement: str, cast: Cast, bill: BillImport, at: datetime
) -> None:
    budget(cast, at, "1600.00")
    watch_budgets(month=SEPTEMBER, at=at)
    refusal = r"may only end|append-only|permission denied"
    with consortium_scope(Scope.JOB), pytest.raises(Exception, match=refusal), transaction.atomic():
        connection.cursor().execute(statement)


def test_postgresql_refuses_two_budgets_at_once_and_a_budget_of_nothing(cast: Cast, at: datetime) -> None:
    held = budget(cast, at, "10.00")
    values = {"institution": cast.university, "currency": "CAD", "valid": held.valid, "set_at": at}
    with institution_scope(cast.university.pk):
        for amount in ("5.00", "0"):
            with pytest.raises(IntegrityError), transaction.atomic():
                Budget.objects.create(amount=Decimal(amount), **values)


def test_a_member_sees_its_own_budget_only(cast: Cast, at: datetime) -> None:
    budget(cast, at, "10.00")
    with institution_scope(cast.other_university.pk):
        assert not Budget.objects.exists()


def test_without_an_agreement_the_page_says_when_costs_begin(cast: Cast) -> None:
    assert "No cost yet" in page_of(cast.finance)


def test_a_member_without_an_account_is_told_why_there_is_no_estimate(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        agree(cast.university, cast.issuer, at=at)
    assert "There is no billing account" in page_of(cast.finance)
