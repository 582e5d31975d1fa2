"""From draft to issue: once, gapless, frozen, refused by PostgreSQL where somebody speaks SQL past the ORM."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction

from billing import closing, ledger
from billing.invoicing import (
    FourEyes,
    TaxesChanged,
    approve_invoice,
    discard_invoice,
    issue_invoice,
)
from billing.models import (
    BillingAccount,
    BillingPeriod,
    Invoice,
    InvoiceBalance,
    LedgerEntry,
    NumberSeries,
)
from billing.purchase_orders import OrderLine, PurchaseOrderMissing, record_order
from billing.snapshot import InvoiceSnapshot
from consortium.kernel import crash
from consortium.kernel.dated import since
from consortium.kernel.errors import Forbidden
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Delivery
from members.models import StaffSeat, TaxRegistration
from tests.cast import Cast, make_cast, make_institution, make_person
from tests.integration.billing.stories import (
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    facts,
    issued,
    open_account,
    set_up,
    take_in,
    three_to_one,
)


@pytest.fixture
def drafts(cast: Cast, at: datetime, tmp_path: Path) -> list[Invoice]:
    """The drafts of Cedar and Maple."""
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        return drafted(period, three_to_one(cast), at)


@pytest.fixture(autouse=True)
def _no_crash_left() -> Iterator[None]:
    yield
    crash.disarm()


def refused(statement: str, *parameters: Any, words: str) -> None:
    """Speak SQL past the ORM and be refused."""
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        connection.cursor().execute(statement, parameters)


def test_an_issued_invoice_is_numbered_frozen_posted_and_told(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        cedar, _ = issued(drafts, at)
        cedar.refresh_from_db()
        snapshot = InvoiceSnapshot.from_json(cedar.snapshot)
        assert (snapshot.number, snapshot.total, snapshot.currency) == (cedar.number, cedar.total, "CAD")
        assert (snapshot.issued_on, snapshot.due_on) == (date(2026, 10, 15), date(2026, 11, 14))
        assert snapshot.payer.email == "ap@cedar.example"
        assert snapshot.bank is not None
        assert snapshot.bank.account_number == "0001234"
        assert snapshot.zone == "America/Vancouver"
        assert [(tax.tax, tax.amount, tax.registration) for tax in snapshot.taxes] == [
            ("GST", Decimal("123.93"), "123456789 RT0001"),
            ("PST", Decimal("0.00"), ""),
        ]
        shared = next(line for line in snapshot.lines if line.share)
        assert shared.share is not None
        assert shared.share.weight == Decimal(5_400_000)
        assert shared.share.total_weight == Decimal(7_200_000)
        assert shared.share.members == 2
        assert (shared.fx_rate, shared.fx_currency) == (Decimal("1.40"), "USD")
        assert cedar.balance.total == cedar.total
        entry = LedgerEntry.objects.get(source_id=cedar.pk)
        assert entry.on == date(2026, 10, 15)
        event = AuditEvent.objects.get(action="billing.invoice_issued", object_id=str(cedar.pk))
        assert Delivery.objects.get(event=event).receiver == "billing.mail_invoice"


def test_issuing_again_returns_the_first_result(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        (first, _), later = issued(drafts, at), at + timedelta(days=3)
        again = issue_invoice(drafts[0], by=RUN, at=later)
        assert (again.number, again.issued_at, again.snapshot) == (first.number, at, first.snapshot)
        assert InvoiceBalance.objects.count() == LedgerEntry.objects.count() == 2


def test_a_draft_is_not_issued_before_it_is_approved(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        with pytest.raises(TransitionRefused):
            issue_invoice(drafts[0], by=RUN, at=at)
        assert not LedgerEntry.objects.exists()


def test_members_do_not_issue_invoices(cast: Cast, drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.STAFF):
        for person in (cast.owner, cast.finance, cast.outsider):
            with pytest.raises(Forbidden):
                approve_invoice(drafts[0], by=person, at=at)
            with pytest.raises(Forbidden):
                issue_invoice(drafts[0], by=person, at=at)


def test_a_purchase_order_that_is_required_is_waited_for(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        BillingAccount.objects.update(po_required=True)
        with pytest.raises(PurchaseOrderMissing):
            approve_invoice(drafts[0], by=RUN, at=at)
        record_order(
            BillingAccount.objects.get(pk=drafts[0].billing_account_id),
            number="PO 77",
            lines=[OrderLine(description="Computing", amount=Decimal("2602.57"))],
            first_day=date(2026, 10, 1),
            last_day=date(2026, 10, 31),
            by=RUN,
            at=at,
        )
        invoice = issue_invoice(approve_invoice(drafts[0], by=RUN, at=at), by=RUN, at=at)
        assert invoice.snapshot["po_number"] == "PO 77"
        assert {line["po_number"] for line in invoice.snapshot["lines"]} == {"PO 77"}


def test_a_large_invoice_needs_a_second_person(cast: Cast, at: datetime) -> None:
    rich = facts(cast.university, dues="600000.00", joined=date(2025, 1, 1), memory="1", users=0)
    colleague = make_person("colleague", is_staff=True)
    StaffSeat.objects.create(user=colleague, role="finance")
    with consortium_scope(Scope.STAFF):
        period = set_up(cast, at)
        closing.begin_closing(period, [rich], by=cast.staff, at=at)
        closing.allocate_pools(period, [rich], at=at)
        (draft,) = closing.draft_invoices(period, [rich], by=cast.staff, at=at)
        with pytest.raises(FourEyes):
            approve_invoice(draft, by=cast.staff, at=at)
        assert approve_invoice(draft, by=colleague, at=at).approved_by == colleague


def test_taxes_that_changed_since_the_draft_are_not_issued(cast: Cast, drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        approve_invoice(drafts[0], by=RUN, at=at)
        TaxRegistration.objects.filter(tax="GST").update(valid=since(date(2027, 1, 1)))
        with pytest.raises(TaxesChanged):
            issue_invoice(drafts[0], by=RUN, at=at)
        assert not NumberSeries.objects.exists()


def test_each_year_of_issue_has_its_own_numbers(drafts: list[Invoice], at: datetime) -> None:
    # 31 December in Vancouver is already January in UTC.
    new_year = datetime(2027, 1, 1, 5, 0, tzinfo=UTC)
    with consortium_scope(Scope.JOB):
        first, second = (approve_invoice(draft, by=RUN, at=at) for draft in drafts)
        assert issue_invoice(first, by=RUN, at=new_year).number == "ICC-2026-000001"
        assert issue_invoice(second, by=RUN, at=new_year + timedelta(hours=4)).number == "ICC-2027-000001"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total = total + 1, net_total = net_total + 1 WHERE id = %s",
        "UPDATE billing_invoice SET number = 'X-1' WHERE id = %s",
        "UPDATE billing_invoice SET snapshot = '{}' WHERE id = %s",
        "UPDATE billing_invoice SET due_on = due_on + 30 WHERE id = %s",
        "DELETE FROM billing_invoice WHERE id = %s",
        "UPDATE billing_invoiceline SET net = net + 1 WHERE invoice_id = %s",
        "DELETE FROM billing_invoiceline WHERE invoice_id = %s",
        "UPDATE billing_invoicelinetax SET amount = 0 WHERE invoice_id = %s",
        "DELETE FROM billing_invoicelinetax WHERE invoice_id = %s",
    ],
)
def test_postgresql_refuses_to_change_an_issued_invoice(statement: str, drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        cedar, _ = issued(drafts, at)
        refused(statement, cedar.pk, words="frozen|refused")


def test_postgresql_refuses_a_line_added_after_issue(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        cedar, _ = issued(drafts, at)
        line = cedar.lines.get(position=1)
        line.pk, line.position = None, 99
        with pytest.raises(IntegrityError, match="INSERT is refused"), transaction.atomic():
            line.save(force_insert=True)


def test_postgresql_refuses_a_line_moved_into_an_issued_invoice(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        approve_invoice(drafts[0], by=RUN, at=at)
        cedar = issue_invoice(drafts[0], by=RUN, at=at)
        other = drafts[1].lines.get(position=1)
        statement = "UPDATE billing_invoiceline SET invoice_id = %s, position = 99 WHERE id = %s"
        refused(statement, cedar.pk, other.pk, words="is issued, so UPDATE is refused")


def test_postgresql_refuses_moves_that_the_table_does_not_have(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        cedar, _ = issued(drafts, at)
        for status in ("draft", "approved", "discarded"):
            refused("UPDATE billing_invoice SET status = %s WHERE id = %s", status, cedar.pk, words="may not become")


def test_postgresql_refuses_a_total_that_its_lines_do_not_make(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        invoice = approve_invoice(drafts[0], by=RUN, at=at)
        Invoice.objects.filter(pk=invoice.pk).update(net_total=invoice.net_total + 1, total=invoice.total + 1)
        with pytest.raises(Exception, match="sum"), transaction.atomic():
            issue_invoice(invoice, by=RUN, at=at)
        refused(
            "UPDATE billing_invoice SET status = 'issued', number = 'X-1', issued_at = now(), due_on = now()::date"
            " WHERE id = %s",
            invoice.pk,
            words="lines sum",
        )


def test_postgresql_refuses_a_second_regular_invoice_of_an_overlapping_period(
    drafts: list[Invoice], at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        second = Invoice.objects.get(pk=drafts[0].pk)
        second.pk = None
        second.period_start += timedelta(days=10)
        second.period_end += timedelta(days=10)
        with pytest.raises(IntegrityError, match="invoice_one_regular_per_period"), transaction.atomic():
            second.save(force_insert=True)
        discard_invoice(drafts[0], by=RUN, at=at)
        second.save(force_insert=True)


def test_postgresql_refuses_to_turn_a_number_series_back(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        issued(drafts, at)
        refused("UPDATE billing_numberseries SET next = 1", words="only counts up")
        refused("DELETE FROM billing_numberseries", words="only counts up")


def test_a_balance_never_goes_below_zero(drafts: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        issued(drafts, at)
        refused("UPDATE billing_invoicebalance SET paid = total + 0.01", words="never_over")


# --- Real commits ---------------------------------------------------------------------------------------------------


def in_threads(number: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work(0)`, `work(1)`, … at once, each on a connection of its own."""

    def one(index: int) -> Any:
        try:
            return work(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def many_drafts(at: datetime, number: int) -> list[Invoice]:
    """A month with so many members, all drafted and approved, committed."""
    cast = make_cast(at)
    members = []
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        for index in range(number):
            institution = make_institution(f"member{index:02}")
            open_account(institution, cast.issuer, province="BC", at=at)
            members.append(facts(institution, dues="1200.00", joined=date(2025, 1, 1), memory="1", users=index))
        return [approve_invoice(draft, by=RUN, at=at) for draft in drafted(period, members, at)]


@pytest.mark.slow
def test_thirty_two_threads_leave_no_gap_and_no_double(committed_db: str, at: datetime) -> None:
    drafts = many_drafts(at, 8)

    def issue(index: int) -> str | None:
        with consortium_scope(Scope.JOB):
            return issue_invoice(drafts[index % 8], by=RUN, at=at).number

    numbers = in_threads(32, issue)
    assert sorted(set(numbers)) == [f"ICC-2026-{number:06}" for number in range(1, 9)]
    assert all(len({numbers[index] for index in range(start, 32, 8)}) == 1 for start in range(8))
    with consortium_scope(Scope.JOB):
        assert InvoiceBalance.objects.count() == LedgerEntry.objects.count() == 8
        assert ledger.is_balanced()


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["invoice.number_taken", "invoice.numbered", "invoice.frozen", "invoice.posted", "invoice.before_commit"]
)
def test_a_crash_between_number_and_commit_leaves_no_gap(point: str, committed_db: str, at: datetime) -> None:
    first, second = many_drafts(at, 2)
    crash.arm(point)
    with pytest.raises(crash.SimulatedCrash), consortium_scope(Scope.JOB):
        issue_invoice(first, by=RUN, at=at)
    crash.disarm()
    with consortium_scope(Scope.JOB):
        assert not NumberSeries.objects.exists()
        assert not LedgerEntry.objects.exists()
        numbers = [issue_invoice(invoice, by=RUN, at=at).number for invoice in (first, second)]
    assert numbers == ["ICC-2026-000001", "ICC-2026-000002"]


@pytest.mark.slow
def test_thirty_two_threads_draft_one_invoice_per_account(committed_db: str, at: datetime, tmp_path: Path) -> None:
    cast = make_cast(at)
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
    members = three_to_one(cast)

    def close(_index: int) -> list[str]:
        with consortium_scope(Scope.JOB):
            mine = BillingPeriod.objects.select_related("issuer").get(pk=period.pk)
            return sorted(str(draft.pk) for draft in drafted(mine, members, at))

    drafts = in_threads(32, close)
    assert all(each == drafts[0] for each in drafts)
    with consortium_scope(Scope.JOB):
        assert Invoice.objects.count() == 2
