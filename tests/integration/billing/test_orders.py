"""Purchase orders: which one an invoice takes, and what PostgreSQL keeps of them."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import closing
from billing.invoicing import approve_invoice, discard_invoice, issue_invoice
from billing.models import (
    BillingAccount,
    BillingPeriod,
    Invoice,
    PurchaseOrderUse,
)
from billing.purchase_orders import (
    OrderLine,
    PurchaseOrderInvalid,
    PurchaseOrderShort,
    ask_for_renewals,
    close_order,
    orders_of,
    standing_of,
)
from consortium.kernel import outbox
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import OutgoingMail
from tests.cast import Cast
from tests.integration.billing.paperwork import TODAY, account_of, order, refused
from tests.integration.billing.stories import (
    RUN,
    drafted,
    issued,
    open_account,
    three_to_one,
)


def test_an_invoice_takes_its_whole_total_from_the_order_that_ends_first(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        account = account_of(cast)
        order(account, "9000.00", at, number="LATER", last_day=date(2028, 6, 30))
        order(account, "3000.00", at)
        order(account, "100.00", at, number="SMALL", last_day=date(2026, 12, 31))
        cedar, _ = issued(drafted(period, three_to_one(cast), at), at)
        assert (cedar.po_number, cedar.snapshot["po_number"]) == ("PO-1", "PO-1")
        (use,) = PurchaseOrderUse.objects.all()
        assert (use.amount, use.on, use.purchase_order.number) == (Decimal("2602.57"), TODAY, "PO-1")
        standing = standing_of(orders_of(cast.university.pk).get(number="PO-1"), today=TODAY)
        assert (standing.left, standing.renew) == (Decimal("397.43"), True)


def test_an_order_with_too_little_left_holds_the_invoice_and_says_how_much(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        BillingAccount.objects.filter(pk=account_of(cast).pk).update(po_required=True)
        order(account_of(cast), "2602.56", at)
        cedar, _ = drafted(period, three_to_one(cast), at)
        with pytest.raises(PurchaseOrderShort, match=r"2602\.57 CAD.*2602\.56"):
            approve_invoice(cedar, by=RUN, at=at)
        found = closing.parked(period, three_to_one(cast), at=at)
        assert [(each.code, each.blocking) for each in found] == [("po_short", False)]


def test_two_approved_invoices_never_share_an_orders_last_cent(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        BillingAccount.objects.filter(pk=account_of(cast).pk).update(po_required=True)
        order(account_of(cast), "3000.00", at)
        first, _ = drafted(period, three_to_one(cast), at)
        approve_invoice(first, by=RUN, at=at)
        second = Invoice.objects.get(pk=first.pk)
        copy = {name: getattr(second, name) for name in ("zone", "currency", "net_total", "tax_total", "total")}
        other = Invoice.objects.create(
            institution=cast.university, billing_account=account_of(cast), issuer=cast.issuer, period=period,
            kind="extra", period_start=second.period_start, period_end=second.period_end, created_at=at, **copy,
        )  # fmt: skip
        Invoice.objects.filter(pk=other.pk).update(status="approved", po_number="PO-1")
        issue_invoice(first, by=RUN, at=at)
        refused(
            "INSERT INTO billing_purchaseorderuse (institution_id, purchase_order_id, invoice_id, amount, \"on\")"
            " SELECT institution_id, (SELECT id FROM billing_purchaseorder), id, total, %s FROM billing_invoice"
            " WHERE id = %s",
            TODAY, other.pk, words="would be used up to 5205.14",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"number": " "}, "Enter the number"),
        ({"lines": []}, "at least one line"),
        ({"last_day": date(2026, 6, 30)}, "before the first"),
        ({"lines": [OrderLine(description="x", amount=Decimal("0.001"))]}, "smallest unit"),
        ({"lines": [OrderLine(description=" ", amount=Decimal(1))]}, "what each line is for"),
    ],
)
def test_an_odd_order_is_refused(cast: Cast, at: datetime, changes: dict[str, Any], words: str) -> None:
    with consortium_scope(Scope.JOB):
        open_account(cast.university, cast.issuer, province="BC", at=at)
        with pytest.raises(PurchaseOrderInvalid, match=words):
            order(account_of(cast), "1.00", at, **changes)


def test_finance_people_and_owners_record_orders_and_nobody_else(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        open_account(cast.university, cast.issuer, province="BC", at=at)
        for number, person in enumerate((cast.owner, cast.finance, cast.staff)):
            order(account_of(cast), "1.00", at, number=f"PO-{number}", by=person)
        for person in (cast.technical, cast.viewer, cast.outsider, cast.stranger):
            with pytest.raises(Forbidden):
                order(account_of(cast), "1.00", at, number="X", by=person)


def test_the_member_is_asked_once_to_renew_an_order_that_ends_soon(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        open_account(cast.university, cast.issuer, province="BC", at=at)
        order(account_of(cast), "1000.00", at, last_day=TODAY + timedelta(days=61))
        assert ask_for_renewals(at=at) == 0
        assert ask_for_renewals(at=at + timedelta(days=1)) == 1
        assert ask_for_renewals(at=at + timedelta(days=2)) == 0
    outbox.deliver_due(at=at + timedelta(days=2))
    with consortium_scope(Scope.JOB):
        (mail,) = OutgoingMail.objects.filter(template="billing_order_renewal")
        assert (mail.recipient, mail.subject) == (
            cast.finance.email, "Purchase order PO-1: a new one will be needed",
        )  # fmt: skip
        assert "/en/i/cedar/purchase-orders/" in mail.body


def test_postgresql_keeps_orders_as_they_were_recorded(cast: Cast, invoices: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        one = order(account_of(cast), "1000.00", at)
        refused("UPDATE billing_purchaseorder SET amount = 9999", words="is frozen")
        refused("DELETE FROM billing_purchaseorder", words="is frozen")
        refused("UPDATE billing_purchaseorderline SET amount = 1", words="append-only")
        refused(
            "INSERT INTO billing_purchaseorderline (institution_id, purchase_order_id, position, description, amount)"
            " VALUES (%s, %s, 2, 'more', 5)", cast.university.pk, one.pk, words="lines sum to 1005",
        )  # fmt: skip
        use = (
            'INSERT INTO billing_purchaseorderuse (institution_id, purchase_order_id, invoice_id, amount, "on")'
            " VALUES (%s, %s, %s, %s, %s)"
        )
        mine, theirs = invoices
        refused(use, cast.university.pk, one.pk, mine.pk, "1000.01", TODAY, words="would be used up to 1000.01")
        refused(use, cast.university.pk, one.pk, mine.pk, "1.00", date(2027, 7, 1), words="does not hold")
        refused(use, cast.university.pk, one.pk, theirs.pk, "1.00", TODAY, words="another payer")
        close_order(one, by=RUN, at=at)
        refused(use, cast.university.pk, one.pk, mine.pk, "1.00", TODAY, words="does not hold")
        refused("UPDATE billing_purchaseorder SET closed_at = NULL", words="is frozen")


def test_postgresql_refuses_to_issue_without_the_order_that_the_payer_requires(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        cedar, _ = drafted(period, three_to_one(cast), at)
        approve_invoice(cedar, by=RUN, at=at)
        BillingAccount.objects.filter(pk=cedar.billing_account_id).update(po_required=True)
        refused(
            "UPDATE billing_invoice SET status = 'issued', number = 'X-1', issued_at = now(), due_on = now()::date"
            " WHERE id = %s", cedar.pk, words="requires a purchase order",
        )  # fmt: skip


def test_a_discarded_draft_takes_nothing_from_an_order(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        order(account_of(cast), "3000.00", at)
        cedar, _ = drafted(period, three_to_one(cast), at)
        discard_invoice(approve_invoice(cedar, by=RUN, at=at), by=RUN, at=at)
        assert not PurchaseOrderUse.objects.exists()
