"""Credit notes: never more than was charged, to the cent of every tax, whoever asks at once; and the statement."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import balances, ledger
from billing.crediting import CreditInvalid, left_of, plan_credit
from billing.models import (
    BillingPeriod,
    CreditNote,
    Invoice,
    Payment,
)
from billing.purchase_orders import (
    orders_of,
)
from billing.snapshot import InvoiceSnapshot
from billing.statement_of_account import statement_csv, statements
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from tests.cast import Cast, make_cast
from tests.integration.billing.meetings import until_waiting
from tests.integration.billing.paperwork import account_of, credit, order, refused
from tests.integration.billing.stories import (
    STORY_ROWS,
    bill_file,
    drafted,
    issued,
    set_up,
    take_in,
    three_to_one,
)
from tests.unit.billing.issued import pay


def test_a_credit_over_everything_voids_the_invoice_and_the_books_agree(
    cast: Cast, invoices: list[Invoice], at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        _, maple = invoices
        note = credit(maple, left_of(maple), at)
        maple.refresh_from_db()
        assert (note.number, note.total, note.applied, note.held) == (
            "ICC-CN-2026-000001", Decimal("788.59"), Decimal("788.59"), Decimal(0),
        )  # fmt: skip
        assert (maple.status, maple.balance.credited) == ("void", Decimal("788.59"))
        assert set(left_of(maple).values()) == {Decimal(0)}
        assert ledger.is_balanced()
        assert ledger.receivables_agree(cast.issuer)
        income = {row.code: row.balance for row in ledger.trial_balance(cast.issuer) if row.currency == "CAD"}
        assert (income["1100"], income["2110"]) == (Decimal("2602.57"), Decimal("-123.93"))
        with pytest.raises(CreditInvalid, match="void"):
            plan_credit(maple, {})


@pytest.mark.parametrize(
    ("parts", "taxes"),
    [
        (("23.33", "23.33", "23.34"), ("3.50", "3.50", "3.48")),  # rounded up twice: the last gets a cent less
        (("20.00", "20.00", "30.00"), ("2.99", "2.99", "4.50")),  # rounded down three times: the last gets a cent more
    ],
)
def test_the_last_credit_absorbs_what_rounding_left_of_each_tax(
    parts: tuple[str, ...], taxes: tuple[str, ...], invoices: list[Invoice], at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        _, maple = invoices
        line = maple.lines.get(kind="direct_cost")  # 70.00, GST 3.50, QST 6.98
        notes = [credit(maple, {line.pk: Decimal(part)}, at) for part in parts]
        assert [note.tax_total for note in notes] == [Decimal(tax) for tax in taxes]
        assert sum(note.tax_total for note in notes) == sum(tax.amount for tax in line.taxes.all())
        with pytest.raises(CreditInvalid, match=r"at most 0\.00"):
            plan_credit(maple, {line.pk: Decimal("0.01")})


def test_what_was_paid_already_becomes_the_members_credit(cast: Cast, invoices: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        _, maple = invoices
        pay(maple, "700.00", at=at)
        maple.refresh_from_db()
        line = maple.lines.get(kind="dues")
        note = credit(maple, {line.pk: Decimal("100.00")}, at)
        maple.refresh_from_db()
        assert (note.total, note.applied, note.held) == (Decimal("114.98"), Decimal("88.59"), Decimal("26.39"))
        assert maple.status == "paid"
        assert {row.code: row.balance for row in ledger.trial_balance(cast.issuer)}["2200"] == Decimal("-26.39")


def test_a_credit_gives_back_to_the_order_what_its_invoice_took(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        order(account_of(cast), "3000.00", at)
        cedar, _ = issued(drafted(period, three_to_one(cast), at), at)
        credit(cedar, {cedar.lines.get(kind="dues").pk: Decimal("1000.00")}, at)
        assert orders_of(cast.university.pk).get().used == Decimal("1552.57")  # type: ignore[attr-defined]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shares=st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_however_an_invoice_is_credited_the_rest_is_exactly_zero(
    invoices: list[Invoice], at: datetime, shares: list[int]
) -> None:
    with consortium_scope(Scope.JOB), transaction.atomic():
        cedar, _ = invoices
        for share in shares:
            left = left_of(cedar)
            nets = {key: (net * share / 100).quantize(Decimal("0.01")) for key, net in left.items()}
            if any(nets.values()) and nets != left:
                credit(cedar, nets, at)
        if any(left_of(cedar).values()):
            credit(cedar, left_of(cedar), at)
        notes = list(CreditNote.objects.filter(invoice=cedar))
        assert sum(note.total for note in notes) == cedar.total
        assert sum(note.tax_total for note in notes) == cedar.tax_total
        assert Invoice.objects.get(pk=cedar.pk).status == "void"
        connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)


def test_postgresql_refuses_more_than_was_charged(invoices: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        _, maple = invoices
        line = maple.lines.get(kind="direct_cost")
        note = credit(maple, {line.pk: Decimal("70.00")}, at)
        names = (
            "institution_id, issuer_id, invoice_id, reason, currency, net_total, tax_total, total, applied, held,"
            " issued_at, issued_on, snapshot"
        )
        more = f"INSERT INTO billing_creditnote ({names}, number) SELECT {names}, 'X' FROM billing_creditnote"
        whole = (
            f"WITH note AS ({more} RETURNING id), line AS (INSERT INTO billing_creditnoteline (institution_id,"
            " credit_note_id, invoice_line_id, net) SELECT institution_id, note.id, invoice_line_id, net"
            " FROM billing_creditnoteline, note) INSERT INTO billing_creditnotetax (institution_id, credit_note_id,"
            " line_tax_id, amount) SELECT institution_id, note.id, line_tax_id, amount FROM billing_creditnotetax, note"
        )
        refused(whole, words="takes back more")
        refused(more, words="lines sum to 0")
        refused("UPDATE billing_creditnoteline SET net = 0.01", words="append-only")
        refused("UPDATE billing_creditnotetax SET amount = 0.01", words="append-only")
        refused("UPDATE billing_creditnote SET total = 1", words="append-only")
        refused("DELETE FROM billing_creditnote WHERE id = %s", note.pk, words="append-only")
        refused("UPDATE billing_invoice SET status = 'void' WHERE id = %s", maple.pk, words="voided by credit notes")


@pytest.mark.slow
def test_thirty_two_threads_credit_an_invoice_once(committed_db: str, at: datetime, tmp_path: Path) -> None:
    people = make_cast(at)
    with consortium_scope(Scope.JOB):
        month = set_up(people, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), people, at)
        _, maple = issued(drafted(month, three_to_one(people), at), at)
        line = maple.lines.get(kind="direct_cost")

    def one(_index: int) -> bool:
        try:
            with consortium_scope(Scope.JOB):
                credit(maple, {line.pk: Decimal("20.00")}, at)
        except CreditInvalid:
            return False
        else:
            return True
        finally:
            connections.close_all()

    with ThreadPoolExecutor(32) as pool:
        done = list(pool.map(one, range(32)))
    with consortium_scope(Scope.JOB):
        assert sum(done) == CreditNote.objects.count() == 3
        numbers = sorted(CreditNote.objects.values_list("number", flat=True))
        assert numbers == [f"ICC-CN-2026-00000{number}" for number in (1, 2, 3)]
        assert left_of(maple)[line.pk] == Decimal("10.00")


@pytest.mark.slow
def test_a_credit_and_a_payment_at_once_wait_for_each_other_and_both_end_well(
    committed_db: str, at: datetime, tmp_path: Path
) -> None:
    people = make_cast(at)
    with consortium_scope(Scope.JOB):
        month = set_up(people, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), people, at)
        _, maple = issued(drafted(month, three_to_one(people), at), at)
        line = maple.lines.get(kind="direct_cost")
    locked = Event()

    def payer() -> None:
        try:
            with transaction.atomic(), consortium_scope(Scope.JOB):
                balances.lock(maple.pk)
                locked.set()
                assert until_waiting(1), "the credit does not wait"
                Payment.objects.create(
                    institution_id=maple.institution_id, invoice=maple, provider="stripe", amount=Decimal("1.00"),
                    currency="CAD", idempotency_key="at once", created_at=at,
                )  # fmt: skip
        finally:
            connections.close_all()

    def staff() -> None:
        try:
            locked.wait(5)
            with consortium_scope(Scope.JOB):
                credit(maple, {line.pk: Decimal("20.00")}, at)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(payer), pool.submit(staff)):
            done.result(20)
    with consortium_scope(Scope.JOB):
        assert (Payment.objects.count(), CreditNote.objects.count()) == (1, 1)


def test_the_statement_says_what_is_open_after_every_document(
    cast: Cast, invoices: list[Invoice], at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        cedar, _ = invoices
        credit(cedar, {cedar.lines.get(kind="dues").pk: Decimal("1000.00")}, at, reason="=cmd")
    with institution_scope(cast.university.pk):
        span: dict[str, Any] = {
            "first_day": date(2026, 1, 1),
            "last_day": date(2026, 12, 31),
            "zone": "America/Vancouver",
        }
        (found,) = statements(cast.university.pk, **span)
        assert (found.opening, found.closing) == (Decimal(0), Decimal("1552.57"))
        assert [(row.kind, row.charged, row.credited) for row in found.movements] == [
            ("invoice", Decimal("2602.57"), Decimal(0)), ("credit_note", Decimal(0), Decimal("1050.00")),
        ]  # fmt: skip
        (later,) = statements(cast.university.pk, **span | {"first_day": date(2026, 11, 1)})
        assert (later.opening, later.movements, later.closing) == (Decimal("1552.57"), (), Decimal("1552.57"))
        assert '"1552.57","CAD"' in statement_csv([found])
        note = CreditNote.objects.get()
        assert InvoiceSnapshot.from_json(note.snapshot).total == note.total
