"""Purchase orders, credit notes, charges and prepaid credit: what is kept to the cent, and what PostgreSQL refuses."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import closing, ledger
from billing.crediting import CreditInvalid, issue_credit_note, left_of, plan_credit
from billing.invoicing import approve_invoice, discard_invoice, issue_invoice
from billing.member_charges import Charge, ChargeInvalid, cancel_charge, record_charge
from billing.models import (
    BillingAccount,
    BillingPeriod,
    CreditNote,
    Invoice,
    InvoiceBalance,
    MemberCharge,
    PrepaidUse,
    PurchaseOrder,
    PurchaseOrderUse,
)
from billing.periods import PeriodClosed
from billing.prepaid import record_prepaid
from billing.purchase_orders import (
    OrderLine,
    PurchaseOrderInvalid,
    PurchaseOrderShort,
    ask_for_renewals,
    close_order,
    orders_of,
    record_order,
    standing_of,
)
from billing.snapshot import InvoiceSnapshot
from billing.statement_of_account import statement_csv, statements
from consortium.kernel import crash, outbox
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import OutgoingMail
from tests.cast import Cast, make_cast
from tests.integration.billing.stories import (
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    issued,
    open_account,
    set_up,
    take_in,
    three_to_one,
)

TODAY = date(2026, 10, 15)


@pytest.fixture
def period(cast: Cast, at: datetime, tmp_path: Path) -> BillingPeriod:
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        return period


@pytest.fixture
def invoices(cast: Cast, period: BillingPeriod, at: datetime) -> list[Invoice]:
    """Cedar's 2,602.57 and Maple's 788.59, issued."""
    with consortium_scope(Scope.JOB):
        return issued(drafted(period, three_to_one(cast), at), at)


@pytest.fixture(autouse=True)
def _no_crash_left() -> Iterator[None]:
    yield
    crash.disarm()


def refused(statement: str, *parameters: Any, words: str) -> None:
    """Speak SQL past the ORM and be refused, at once or at commit."""
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        spoken(statement, *parameters)


def spoken(statement: str, *parameters: Any) -> None:
    """Run SQL as far as the checks of a commit."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def order(account: BillingAccount, amount: str, at: datetime, **changes: Any) -> PurchaseOrder:
    wanted: dict[str, Any] = {
        "number": "PO-1",
        "lines": [OrderLine(description="Computing", amount=Decimal(amount))],
        "first_day": date(2026, 7, 1),
        "last_day": date(2027, 6, 30),
        "by": RUN,
        "at": at,
    }
    return record_order(account, **wanted | changes)


def account_of(cast: Cast) -> BillingAccount:
    return BillingAccount.objects.select_related("issuer", "institution").get(institution=cast.university)


# --- Purchase orders ------------------------------------------------------------------------------------------------


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


# --- Credit notes ---------------------------------------------------------------------------------------------------


def credit(invoice: Invoice, nets: dict[UUID, Decimal], at: datetime, **changes: Any) -> CreditNote:
    wanted: dict[str, Any] = {"reason": "A hub stood still.", "by": RUN, "at": at}
    return issue_credit_note(invoice, nets=nets, **wanted | changes)


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


def test_the_last_credit_absorbs_what_rounding_left_of_each_tax(invoices: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        _, maple = invoices
        line = maple.lines.get(kind="direct_cost")  # 70.00, GST 3.50, QST 6.98
        parts = [Decimal("23.33"), Decimal("23.33"), Decimal("23.34")]
        notes = [credit(maple, {line.pk: part}, at) for part in parts]
        assert [note.tax_total for note in notes] == [Decimal("3.50"), Decimal("3.50"), Decimal("3.48")]
        assert sum(note.tax_total for note in notes) == sum(tax.amount for tax in line.taxes.all())
        with pytest.raises(CreditInvalid, match=r"at most 0\.00"):
            plan_credit(maple, {line.pk: Decimal("0.01")})


def test_what_was_paid_already_becomes_the_members_credit(cast: Cast, invoices: list[Invoice], at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        _, maple = invoices
        InvoiceBalance.objects.filter(pk=maple.pk).update(paid=Decimal("700.00"))
        Invoice.objects.filter(pk=maple.pk).update(status="partly_paid")
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


# --- Charges and prepaid credit -------------------------------------------------------------------------------------


def event_hub(source: UUID, **changes: Any) -> Charge:
    wanted: dict[str, Any] = {
        "kind": "event", "description_en": "Event hub, 2 days", "description_fr": "Carrefour d’événement, 2 jours",
        "quantity": Decimal(2), "unit": "day", "unit_price": Decimal("150.00"), "currency": "CAD",
        "source_type": "event", "source_id": source,
    }  # fmt: skip
    return Charge(**wanted | changes)


def charged(cast: Cast, charge: Charge, at: datetime, month: str = MONTH) -> MemberCharge:
    return record_charge(institution=cast.university, issuer=cast.issuer, month=month, charge=charge, by=RUN, at=at)


def test_an_event_and_a_service_credit_stand_on_the_invoice_with_their_taxes(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        charged(cast, event_hub(uuid4()), at)
        credit_ = event_hub(uuid4(), kind="sla_credit", quantity=Decimal(1), unit="", unit_price=Decimal("-50.00"))
        charged(cast, credit_, at)
        cedar, _ = issued(drafted(period, three_to_one(cast), at), at)
        assert [(line.kind, line.net) for line in cedar.lines.all()][-2:] == [
            ("event", Decimal("300.00")), ("sla_credit", Decimal("-50.00")),
        ]  # fmt: skip
        assert cedar.net_total == Decimal("2728.64")
        assert cedar.tax_total == Decimal("136.43")
        assert ledger.receivables_agree(cast.issuer)


def test_the_same_is_charged_once_and_a_late_fact_becomes_an_adjustment(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    source = uuid4()
    with consortium_scope(Scope.JOB):
        first = charged(cast, event_hub(source), at)
        assert charged(cast, event_hub(source), at).pk == first.pk
        issued(drafted(period, three_to_one(cast), at), at)
        late = charged(cast, event_hub(uuid4()), at)
        assert (late.month, late.kind) == ("2026-10", "adjustment")
        assert late.description_en == "Adjustment for 2026-09: Event hub, 2 days"
        with pytest.raises(PeriodClosed):
            cancel_charge(first, by=RUN, at=at)
        refused("UPDATE billing_membercharge SET cancelled_at = now() WHERE id = %s", first.pk, words="is closing")
        refused("UPDATE billing_membercharge SET month = '2026-09'", words="is refused|never changed")
        refused("DELETE FROM billing_membercharge WHERE id = %s", late.pk, words="never changed")


@pytest.mark.parametrize(
    "changes",
    [
        {"unit_price": Decimal("-1.00")},
        {"kind": "sla_credit"},
        {"unit_price": Decimal(0)},
        {"unit_price": Decimal("0.0001")},
        {"description_fr": " "},
        {"kind": "gift"},
    ],
)
def test_a_charge_with_the_wrong_sign_or_words_is_refused(cast: Cast, at: datetime, changes: dict[str, Any]) -> None:
    with consortium_scope(Scope.JOB), pytest.raises(ChargeInvalid):
        charged(cast, event_hub(uuid4(), **changes), at)


def test_prepaid_credit_pays_first_after_the_taxes_and_never_twice(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        record_prepaid(
            account_of(cast), amount=Decimal("2700.00"), reference="EFT 77", received_on=TODAY, by=RUN, at=at
        )
        before = closing.preview(period, three_to_one(cast), at=at)
        cedar, _ = issued(drafted(period, three_to_one(cast), at), at)
        cedar.refresh_from_db()
        assert (cedar.lines.last().net, cedar.tax_total, cedar.total, cedar.status) == (  # type: ignore[union-attr]
            Decimal("-2602.57"), Decimal("123.93"), Decimal("0.00"), "paid",
        )  # fmt: skip
        assert before.drafts[0].total == cedar.total
        assert closing.preview(period, three_to_one(cast), at=at).drafts[0].total == cedar.total
        assert PrepaidUse.objects.get().amount == Decimal("2602.57")
        balances = {row.code: row.balance for row in ledger.trial_balance(cast.issuer) if row.currency == "CAD"}
        assert (balances["1000"], balances["2200"]) == (Decimal("2700.00"), Decimal("-97.43"))
        refused(
            "INSERT INTO billing_prepaiduse (institution_id, billing_account_id, invoice_id, amount, currency)"
            " SELECT institution_id, billing_account_id, id, 97.44, 'CAD' FROM billing_invoice WHERE total > 0"
            " AND institution_id <> %s", cast.university.pk, words="would be used|violates",
        )  # fmt: skip


# --- The statement --------------------------------------------------------------------------------------------------


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


def test_a_discarded_draft_takes_nothing_from_an_order(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        order(account_of(cast), "3000.00", at)
        cedar, _ = drafted(period, three_to_one(cast), at)
        discard_invoice(approve_invoice(cedar, by=RUN, at=at), by=RUN, at=at)
        assert not PurchaseOrderUse.objects.exists()
