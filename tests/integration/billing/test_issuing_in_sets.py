"""Many invoices issued together: as many queries as for one, one that cannot go keeps no other back, no gap."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import ledger
from billing.invoicing import FourEyes, approve_invoices, issue_invoices
from billing.models import BillingAccount, Invoice, InvoiceLine, LedgerEntry, NumberSeries, PurchaseOrderUse
from billing.periods import open_period
from billing.purchase_orders import OrderLine, PurchaseOrderMissing, record_order
from billing.snapshot import InvoiceSnapshot
from consortium.kernel import audit
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Delivery
from tests.cast import Cast, make_institution
from tests.integration.billing.stories import MONTH, RUN, drafted, facts, open_account, set_up

MANY = 12


@pytest.fixture
def drafts(cast: Cast, at: datetime) -> list[Invoice]:
    """The drafts of twelve members' dues; every third one's payer gives purchase orders."""
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
        members = []
        for number in range(MANY):
            member = make_institution(f"u{number:02}")
            open_account(member, cast.issuer, province="BC", at=at)
            members.append(facts(member, dues="1200.00", joined=date(2025, 1, 1), memory="1", users=3))
            if number % 3 == 0:
                record_order(
                    BillingAccount.objects.get(institution=member), number=f"PO-{number}", first_day=date(2026, 1, 1),
                    last_day=date(2026, 12, 31), by=RUN, at=at,
                    lines=[OrderLine(description="Computing", amount=Decimal("500.00"))],
                )  # fmt: skip
        return drafted(open_period(cast.issuer, MONTH), members, at)


def let_out(drafts: list[Invoice], at: datetime) -> int:
    """Approve and issue them in one go; returns the number of queries."""
    with consortium_scope(Scope.JOB), CaptureQueriesContext(connection) as queries:
        approved = approve_invoices(drafts, by=RUN, at=at)
        outcome = issue_invoices(approved.done, by=RUN, at=at)
    assert len(outcome.done) == len(drafts)
    return len(queries)


def test_a_hundred_cost_no_more_queries_than_two(drafts: list[Invoice], at: datetime) -> None:
    let_out(drafts[:1], at)  # opens the series and the accounts of the books
    few, rest = let_out(drafts[1:4], at), let_out(drafts[4:], at)
    assert few == rest
    assert rest < 50


def test_a_set_is_numbered_frozen_posted_and_told_like_each_alone(
    cast: Cast, drafts: list[Invoice], at: datetime
) -> None:
    let_out(drafts, at)
    with consortium_scope(Scope.JOB):
        rows = list(Invoice.objects.select_related("balance").order_by("number"))
        assert [row.number for row in rows] == [f"ICC-2026-{number:06}" for number in range(1, MANY + 1)]
        assert [row.pk for row in rows] == [draft.pk for draft in drafts]  # in the order that was asked for
        for number, row in enumerate(rows):
            snapshot = InvoiceSnapshot.from_json(row.snapshot)
            assert (snapshot.number, snapshot.total, row.balance.total) == (row.number, row.total, row.total)
            order = f"PO-{number}" if number % 3 == 0 else ""
            assert {
                snapshot.po_number,
                *InvoiceLine.objects.filter(invoice=row).values_list("po_number", flat=True),
            } == {order}
        assert PurchaseOrderUse.objects.count() == MANY / 3
        assert LedgerEntry.objects.filter(kind="invoice").count() == MANY
        assert ledger.receivables_agree(cast.issuer)
        assert audit.verify() == []
        issued = AuditEvent.objects.filter(action="billing.invoice_issued").values_list("object_id", flat=True)
        assert set(issued) == {str(draft.pk) for draft in drafts}
        assert Delivery.objects.filter(receiver="billing.mail_invoice").count() == MANY
        again = issue_invoices(drafts, by=RUN, at=at)
        assert [row.number for row in again.done] == [row.number for row in rows]
        assert NumberSeries.objects.get().next == MANY + 1


def test_those_that_cannot_go_keep_no_other_back_and_take_no_number(
    cast: Cast, drafts: list[Invoice], at: datetime
) -> None:
    """The first is too large to go without a person, the second's payer wants an order, the third was thrown away."""
    large, ordered, discarded, *rest = drafts
    with consortium_scope(Scope.JOB):
        Invoice.objects.filter(pk=large.pk).update(net_total=Decimal(25_000), tax_total=0, total=Decimal(25_000))
        BillingAccount.objects.filter(pk=ordered.billing_account_id).update(po_required=True)
        Invoice.objects.filter(pk=discarded.pk).update(status="discarded")
        approved = approve_invoices(drafts, by=RUN, at=at)
        assert {key: type(error) for key, error in approved.refused.items()} == {
            large.pk: FourEyes, ordered.pk: PurchaseOrderMissing, discarded.pk: TransitionRefused,
        }  # fmt: skip
        BillingAccount.objects.filter(pk=rest[0].billing_account_id).update(province="QC")  # its taxes are others now
        outcome = issue_invoices(drafts, by=RUN, at=at)
        assert {key: error.code for key, error in outcome.refused.items()} == {
            large.pk: "transition_refused", ordered.pk: "transition_refused", discarded.pk: "transition_refused",
            rest[0].pk: "taxes_changed",
        }  # fmt: skip
        assert [row.number for row in outcome.done] == [f"ICC-2026-{number:06}" for number in range(1, MANY - 3)]
        assert ordered.number is None
        assert not PurchaseOrderUse.objects.filter(invoice=rest[0]).exists()


def test_postgresql_refuses_a_number_that_is_on_no_document(drafts: list[Invoice], at: datetime) -> None:
    let_out(drafts, at)
    with consortium_scope(Scope.JOB), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what was taken so far is on documents
        with pytest.raises(IntegrityError, match="2 numbers were taken, 0 are on documents"), transaction.atomic():
            cursor.execute("UPDATE billing_numberseries SET next = next + 2")


def test_a_close_issues_in_sets(
    cast: Cast, drafts: list[Invoice], at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consortium.usecases import close_period  # noqa: PLC0415

    monkeypatch.setattr(close_period, "BATCH", 5)
    monkeypatch.setattr(close_period, "render_invoice", lambda *_args, **_words: None)
    said: list[tuple[str, int]] = []
    issued, held = close_period._issue(
        drafts, approver=RUN, at=at, report=lambda step, **progress: said.append((step, progress["done"]))
    )
    assert (len(issued), held) == (MANY, [])
    assert said[:3] == [("Issuing invoices", 0), ("Issuing invoices", 5), ("Issuing invoices", 10)]
    assert said[-1] == ("Writing the documents", MANY)
