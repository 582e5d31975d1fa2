"""Where received money goes: on its invoice, into credit, and back again; never more than is due, never a cent lost."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import ledger
from billing.balances import amount_due
from billing.books_check import check_books
from billing.crediting import CreditInvalid, issue_credit_note
from billing.member_credit import (
    CreditTooLittle,
    CreditUseInvalid,
    CreditUseUndone,
    apply_credit,
    credit_held,
    refund_credit,
    undo_credit,
)
from billing.models import (
    Application,
    CreditNote,
    Invoice,
    InvoiceBalance,
    LedgerLeg,
    MemberCredit,
    MemberCreditUse,
    Payment,
)
from billing.receiving import UndoRefused, left_of, undo
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope, enter_scope, institution_scope
from consortium.models import AuditEvent, Delivery
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.issued import make_invoice, pay

pytestmark = pytest.mark.django_db
TOTAL = Decimal("2367.90")
BANK = System("bank")


@pytest.fixture
def staff_scope(cast: Cast) -> Iterator[None]:
    with consortium_scope(Scope.STAFF):
        yield


def stands(invoice: Invoice) -> tuple[str, Decimal]:
    """The state of an invoice and what is due on it."""
    invoice.refresh_from_db()
    return invoice.status, amount_due(InvoiceBalance.objects.get(pk=invoice.pk))


def books(cast: Cast) -> dict[str, Decimal]:
    return {row.code: row.balance for row in ledger.trial_balance(cast.issuer) if row.balance}


def all_holds(at: datetime) -> None:
    """What PostgreSQL would check at commit, and what the nightly check would find missing but for the invoices."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert [fault for fault in check_books(at=at).faults if "Receivables of" not in fault] == []


@pytest.mark.usefixtures("staff_scope")
def test_short_then_over_then_credit_on_another_invoice_and_back(cast: Cast, at: datetime) -> None:
    first = make_invoice(cast)
    second = make_invoice(cast, number="ICC-2026-0008")
    pay(first, "2000.00", at=at)
    assert stands(first) == ("partly_paid", Decimal("367.90"))
    over = pay(first, "500.00", at=at)
    assert stands(first) == ("paid", Decimal(0))
    assert credit_held(cast.university.pk) == {"CAD": Decimal("132.10")}
    assert Delivery.objects.filter(receiver="billing.mail_receipt").count() == 2

    (use,) = apply_credit(second, by=cast.staff, at=at)
    assert (use.amount, stands(second)) == (Decimal("132.10"), ("partly_paid", Decimal("2235.80")))
    assert credit_held(cast.university.pk) == {}
    with pytest.raises(CreditTooLittle):
        apply_credit(second, by=cast.staff, at=at)

    undo_credit(use, reason="It belongs to the physics department.", by=cast.staff, at=at)
    assert (stands(second), credit_held(cast.university.pk)) == (("issued", TOTAL), {"CAD": Decimal("132.10")})
    with pytest.raises(CreditUseUndone):
        undo_credit(use, reason="Again.", by=cast.staff, at=at)

    (use,) = apply_credit(second, amount=Decimal("100.00"), by=cast.staff, at=at)
    with pytest.raises(UndoRefused, match="credit is on another invoice"):
        undo(over, reason="The bank took it back.", because="return", by=BANK, at=at)
    undo_credit(use, reason="The transfer was returned.", by=cast.staff, at=at)
    taken = undo(over, reason="The bank took it back.", because="return", by=BANK, at=at)
    assert (taken.reopened, taken.from_credit) == (Decimal("367.90"), Decimal("132.10"))
    assert stands(first) == ("partly_paid", Decimal("367.90"))
    assert (stands(second), credit_held(cast.university.pk)) == (("issued", TOTAL), {})
    assert (books(cast)["1000"], left_of(over)) == (Decimal("2000.00"), Decimal(0))
    assert books(cast)["1100"] == Decimal("-2000.00")  # the invoices themselves were made without their entries
    with pytest.raises(UndoRefused, match="taken back already"):
        undo(over, reason="Again.", by=BANK, at=at)
    all_holds(at)


@pytest.mark.usefixtures("staff_scope")
def test_what_a_bank_kept_is_a_fee_and_comes_back_with_the_payment(cast: Cast, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = pay(invoice, str(TOTAL), at=at, fee="15.00")
    assert (books(cast)["1000"], books(cast)["5100"]) == (Decimal("2352.90"), Decimal("15.00"))
    line = invoice.lines.get(kind="active_users")
    issue_credit_note(invoice, nets={line.pk: Decimal("100.00")}, reason="A week away.", by=cast.staff, at=at)
    assert credit_held(cast.university.pk) == {"CAD": Decimal("105.00")}
    undo(payment, reason="It was Maple's.", by=cast.staff, at=at)
    assert (stands(invoice), books(cast).get("1000"), books(cast).get("5100")) == (
        ("partly_paid", Decimal("2262.90")), None, None,
    )  # fmt: skip
    all_holds(at)


@pytest.mark.usefixtures("staff_scope")
def test_credit_is_used_oldest_first_and_can_be_paid_out(cast: Cast, at: datetime) -> None:
    first, second = make_invoice(cast), make_invoice(cast, number="ICC-2026-0008")
    pay(first, "2467.90", at=at)
    pay(first, "50.00", at=at + timedelta(days=3))  # paid already: all of it is credit
    uses = apply_credit(second, amount=Decimal("120.00"), by=cast.staff, at=at + timedelta(days=4))
    assert [use.amount for use in uses] == [Decimal("100.00"), Decimal("20.00")]
    out = {"issuer": cast.issuer, "currency": "CAD", "reference": "WIRE 88", "paid_on": date(2026, 11, 20)}
    with pytest.raises(CreditTooLittle, match=r"Only 30\.00 CAD"):
        refund_credit(cast.university, amount=Decimal("30.01"), by=cast.staff, at=at, **out)  # type: ignore[arg-type]
    with pytest.raises(CreditUseInvalid):
        refund_credit(cast.university, amount=Decimal("0.001"), by=cast.staff, at=at, **out)  # type: ignore[arg-type]
    (paid_out,) = refund_credit(cast.university, amount=Decimal("30.00"), by=cast.staff, at=at, **out)  # type: ignore[arg-type]
    assert (paid_out.kind, credit_held(cast.university.pk), books(cast)["1000"]) == (
        "refunded", {}, Decimal("2487.90"),
    )  # fmt: skip
    with pytest.raises(CreditUseUndone):
        undo_credit(paid_out, reason="A mistake.", by=cast.staff, at=at)
    assert AuditEvent.objects.filter(action="billing.credit_refunded").count() == 1
    all_holds(at)


def test_only_who_reconciles_touches_credit_and_a_member_sees_its_own(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.STAFF):
        invoice = make_invoice(cast)
        pay(invoice, "3000.00", at=at)
        for person in (cast.finance, cast.owner, cast.stranger):
            with pytest.raises(Forbidden):
                apply_credit(invoice, by=person, at=at)
    with institution_scope(cast.university.pk):
        assert credit_held(cast.university.pk) == {"CAD": Decimal("632.10")}
    with institution_scope(cast.other_university.pk):
        assert (MemberCredit.objects.count(), Application.objects.count()) == (0, 0)


REFUSED = {
    "more paid than was put on it": "UPDATE billing_invoicebalance SET paid = paid + 1",
    "a payment put on it twice": (
        "INSERT INTO billing_application (institution_id, invoice_id, payment_id, amount, currency, at)"
        " SELECT institution_id, invoice_id, payment_id, amount, currency, at FROM billing_application"
    ),
    "an application changed": "UPDATE billing_application SET amount = 1",
    "a credit raised": "UPDATE billing_membercredit SET amount = amount + 1",
    "a credit used twice": (
        "INSERT INTO billing_membercredituse (institution_id, credit_id, kind, amount, currency, reference, used_on,"
        " used_at) SELECT institution_id, id, 'refunded', amount + 0.01, currency, 'x', received_on, created_at"
        " FROM billing_membercredit"
    ),
    "credit of another currency": (
        "INSERT INTO billing_membercredituse (institution_id, credit_id, kind, amount, currency, reference, used_on,"
        " used_at) SELECT institution_id, id, 'refunded', 1, 'USD', 'x', received_on, created_at"
        " FROM billing_membercredit"
    ),
    "a payment that arrived changed": "UPDATE billing_payment SET amount = amount + 1",
    "a payment that arrived deleted": "DELETE FROM billing_payment",
    "an invoice paid that never was issued": "UPDATE billing_invoice SET status = 'void'",
}


@pytest.mark.usefixtures("staff_scope")
def test_postgresql_refuses_what_would_lose_or_make_money(cast: Cast, at: datetime) -> None:
    pay(make_invoice(cast), "3000.00", at=at)
    for name, statement in REFUSED.items():
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:  # noqa: PT012 - one statement
            cursor.execute(statement)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            pytest.fail(name)
    all_holds(at)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["pay", "take", "use", "undo", "credit"]), st.integers(1, 300_000)),
        min_size=3, max_size=9,
    )
)  # fmt: skip
def test_whatever_happens_the_books_the_invoices_and_the_credit_agree(
    cast: Cast, at: datetime, steps: list[tuple[str, int]]
) -> None:
    """Received less taken back = paid on invoices + credit, after any sequence of payments, refunds and uses."""
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT example")
        enter_scope(Scope.JOB)
        invoices = [make_invoice(cast), make_invoice(cast, number="ICC-2026-0008")]
        for step, cents in steps:
            do(step, Decimal(cents) / 100, invoices[cents % 2], at)
        arrived = LedgerLeg.objects.filter(account__code__in=["1000", "1050"])
        paid = sum((each.paid for each in InvoiceBalance.objects.all()), Decimal(0))
        held = credit_held(cast.university.pk).get("CAD", Decimal(0))
        noted = sum((note.held for note in CreditNote.objects.all()), Decimal(0))
        assert sum((leg.amount for leg in arrived), Decimal(0)) == paid + held - noted
        credited = sum((each.credited for each in InvoiceBalance.objects.all()), Decimal(0))
        assert books(cast).get("1100", Decimal(0)) == -paid - credited
        all_holds(at)
        cursor.execute("ROLLBACK TO SAVEPOINT example")


def do(step: str, amount: Decimal, invoice: Invoice, at: datetime) -> None:
    """One step of the story, where it is possible."""
    payments = [each for each in Payment.objects.order_by("idempotency_key") if left_of(each) > 0]
    payment = payments[int(amount) % len(payments)] if payments else None
    if step == "pay" or payment is None:
        pay(invoice, str(amount), at=at)
    elif step == "take":
        with suppress(UndoRefused):
            undo(payment, reason="A mistake.", by=BANK, at=at)
    elif step == "use" and credit_held(invoice.institution_id) and stands(invoice)[1] > 0:
        apply_credit(invoice, by=BANK, at=at)
    elif step == "undo":
        uses = MemberCreditUse.objects.filter(kind="applied", reverses=None, reversed_by=None)
        for use in uses[:1]:
            undo_credit(use, reason="A mistake.", by=BANK, at=at)
    elif step == "credit" and stands(invoice)[0] in {"partly_paid", "paid"}:
        line = invoice.lines.get(kind="dues")
        with suppress(CreditInvalid):
            issue_credit_note(invoice, nets={line.pk: Decimal("100.00")}, reason="Goodwill.", by=BANK, at=at)


@pytest.mark.usefixtures("staff_scope")
def test_staff_put_credit_on_an_invoice_pay_it_out_and_undo_on_their_pages(
    cast: Cast, at: datetime, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = False
    first, second = make_invoice(cast), make_invoice(cast, number="ICC-2026-0008")
    pay(first, "2567.90", at=at)
    credit, client = MemberCredit.objects.get(), signed_in(cast.staff)
    address = f"/en/staff/billing/membercredit/{credit.pk}"
    assert "200.00" in text_of(client.get("/en/staff/billing/membercredit/"))
    page = client.post(f"{address}/act/put/", {"number": "ICC-2026-0009", "amount": ""})
    assert (page.status_code, "no invoice of that number" in text_of(page)) == (422, True)
    client.post(f"{address}/act/put/", {"number": "ICC-2026-0008", "amount": "150.00"})
    assert stands(second) == ("partly_paid", Decimal("2217.90"))
    page = client.post(f"{address}/act/pay-out/", {"amount": "60", "reference": "W1", "paid_on": "2026-11-20"})
    assert "Only 50.00 CAD of credit are left" in text_of(page)
    client.post(f"{address}/act/pay-out/", {"amount": "50.00", "reference": "W1", "paid_on": "2026-11-20"})
    assert credit_held(cast.university.pk) == {}
    use = MemberCreditUse.objects.get(kind="applied")
    client.post(f"/en/staff/billing/membercredituse/{use.pk}/act/undo/", {"reason": "Another department's."})
    assert (stands(second)[0], credit_held(cast.university.pk)) == ("issued", {"CAD": Decimal("150.00")})
    all_holds(at)
