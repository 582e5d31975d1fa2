"""From the bank's file to a paid invoice and back: imported once, matched, split, credited, parked, undone."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.range import DateRange

from billing.balances import amount_due
from billing.bank_files import BankFileRefused
from billing.bank_import import Imported, import_statement
from billing.bank_matching import (
    LineNotOpen,
    MatchInvalid,
    Part,
    accept,
    accept_as_credit,
    accept_recorded,
    park,
    take_up,
    undo_match,
)
from billing.bank_queue import (
    SuggestionGone,
    accept_suggestion,
    match_by_itself,
    recorded_candidates,
    suggestions_for,
    waiting_lines,
)
from billing.books_check import check_books
from billing.by_hand import HandPayment, HandPaymentInvalid, record_by_hand
from billing.ledger import YearLocked
from billing.member_credit import credit_held
from billing.models import (
    BankAccount,
    BankLine,
    BankMatch,
    BankStatement,
    FiscalYear,
    Invoice,
    InvoiceBalance,
    LedgerLeg,
    Payment,
)
from billing.statement_of_account import statements
from billing.states_books import FISCAL_YEAR
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope, enter_scope
from consortium.models import Document
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.bank_files import CAMT, OFX
from tests.unit.billing.issued import make_invoice

pytestmark = pytest.mark.django_db
TELLER = System("teller")


@pytest.fixture
def account(cast: Cast) -> Iterator[BankAccount]:
    with consortium_scope(Scope.STAFF):
        yield BankAccount.objects.create(issuer=cast.issuer, name="Operating", number="123-456-789", currency="CAD")


def bring(account: BankAccount, at: datetime, content: bytes = CAMT) -> Imported:
    return import_statement(account, content, file_name="statement.xml", by=TELLER, at=at)


def stands(invoice: Invoice) -> tuple[str, Decimal]:
    invoice.refresh_from_db()
    return invoice.status, amount_due(InvoiceBalance.objects.get(pk=invoice.pk))


def in_books(code: str) -> Decimal:
    return sum((leg.amount for leg in LedgerLeg.objects.filter(account__code=code)), Decimal(0))


def all_holds(at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert [fault for fault in check_books(at=at).faults if "Receivables of" not in fault] == []


def test_a_file_is_kept_once_and_an_overlapping_one_adds_only_what_is_new(
    cast: Cast, account: BankAccount, at: datetime
) -> None:
    with pytest.raises(Forbidden):
        import_statement(account, CAMT, file_name="x", by=cast.finance, at=at)
    first = bring(account, at)
    assert (len(first.lines), first.known, waiting_lines().count()) == (3, 0, 2)
    assert bring(account, at).lines == ()
    other = bring(account, at, OFX)  # the same days in another format: both lines are known by the bank's reference
    assert (len(other.lines), other.known) == (0, 2)
    assert (BankStatement.objects.count(), BankLine.objects.count()) == (2, 3)
    assert Document.objects.filter(kind="bank_statement").count() == 2
    wrong = BankAccount.objects.create(issuer=cast.issuer, name="Savings", number="999", currency="CAD")
    with pytest.raises(BankFileRefused, match="not of 999"):
        bring(wrong, at)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(place=st.integers(0, len(CAMT)), noise=st.binary(min_size=1, max_size=8))
def test_a_fuzzed_file_never_half_imports(cast: Cast, at: datetime, place: int, noise: bytes) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT example")
        enter_scope(Scope.JOB)
        account = BankAccount.objects.create(issuer=cast.issuer, name="Operating", number="123456789", currency="CAD")
        try:
            done = bring(account, at, CAMT[:place] + noise + CAMT[place + len(noise) :])
        except BankFileRefused:
            assert (BankLine.objects.count(), BankStatement.objects.count()) == (0, 0)
        else:
            assert BankLine.objects.count() == len(done.lines) == sum(each.line_count for each in done.statements)
        cursor.execute("ROLLBACK TO SAVEPOINT example")


def test_one_click_pays_the_invoice_and_undo_makes_it_due_again(cast: Cast, account: BankAccount, at: datetime) -> None:
    invoice = make_invoice(cast)
    bring(account, at)
    line = waiting_lines().get(amount=Decimal("2367.90"))
    (best, *_rest) = suggestions_for(line)
    assert (best.key, best.confidence) == (str(invoice.pk), 100)
    (match,) = accept_suggestion(line, best.key, with_fee=False, by=cast.staff, at=at)
    assert (stands(invoice), in_books("1000"), "the text names" in match.because) == (
        ("paid", Decimal(0)), Decimal("2367.90"), True,
    )  # fmt: skip
    assert match.payment is not None
    assert match.payment.succeeded_at is not None
    assert match.payment.succeeded_at.date() == date(2026, 11, 20)
    with pytest.raises(SuggestionGone):
        accept_suggestion(line, best.key, with_fee=False, by=cast.staff, at=at)
    undo_match(line, reason="It was Maple's.", by=cast.staff, at=at)
    assert (stands(invoice), in_books("1000")) == (("issued", Decimal("2367.90")), Decimal(0))
    line.refresh_from_db()
    accept_suggestion(line, best.key, with_fee=False, by=cast.staff, at=at)  # and it can be matched anew
    assert (stands(invoice)[0], Payment.objects.count(), BankMatch.objects.count()) == ("paid", 2, 2)
    all_holds(at)


def test_split_short_over_fee_and_another_currency(cast: Cast, account: BankAccount, at: datetime) -> None:
    first, second = make_invoice(cast), make_invoice(cast, number="ICC-2026-0008")
    bring(account, at)
    line = waiting_lines().get(amount=Decimal("2367.90"))
    with pytest.raises(MatchInvalid, match=r"come to 2000\.00"):
        accept(line, [Part(invoice=first, amount=Decimal("2000.00"))], by=cast.staff, at=at)
    halves = [Part(invoice=first, amount=Decimal("1183.95"))] * 2
    with pytest.raises(MatchInvalid, match="named twice"):
        accept(line, halves, by=cast.staff, at=at)
    parts = [
        Part(invoice=first, amount=Decimal("2352.90"), fee=Decimal("15.00")),
        Part(invoice=second, amount=Decimal("15.00")),
    ]
    accept(line, parts, by=cast.staff, at=at)
    assert (stands(first), stands(second)) == (("paid", Decimal(0)), ("partly_paid", Decimal("2352.90")))
    assert (in_books("1000"), in_books("5100")) == (Decimal("2367.90"), Decimal("15.00"))
    dollars = BankAccount.objects.create(issuer=cast.issuer, name="US", number="123456789", currency="USD")
    done = bring(
        dollars, at, CAMT.replace(b"CAD", b"USD").replace(b"2367.90", b"2400.00").replace(b"3392.90", b"3425.00")
    )
    foreign = next(each for each in done.lines if each.amount == 2400)
    with pytest.raises(MatchInvalid, match="say what the payer is credited with"):
        accept(foreign, [Part(invoice=second, amount=Decimal("2400.00"))], by=cast.staff, at=at)
    part = Part(invoice=second, amount=Decimal("2400.00"), credited=Decimal("3300.00"))
    accept(foreign, [part], by=cast.staff, at=at)
    assert (stands(second)[0], credit_held(cast.university.pk)) == ("paid", {"CAD": Decimal("947.10")})
    all_holds(at)


def test_credit_parking_and_what_was_entered_by_hand(cast: Cast, account: BankAccount, at: datetime) -> None:
    invoice = make_invoice(cast)
    bring(account, at)
    small = waiting_lines().get(amount=Decimal("40.00"))
    park(small, reason="Nobody knows it yet.", by=cast.staff, at=at)
    with pytest.raises(LineNotOpen):
        accept_as_credit(small, cast.university, by=cast.staff, at=at)
    take_up(small, by=cast.staff, at=at)
    accept_as_credit(small, cast.university, by=cast.staff, at=at)
    assert credit_held(cast.university.pk) == {"CAD": Decimal("40.00")}
    undo_match(small, reason="It was Maple's.", by=cast.staff, at=at)
    assert (credit_held(cast.university.pk), in_books("1000")) == ({}, Decimal(0))
    small.refresh_from_db()
    accept_as_credit(small, cast.other_university, by=cast.staff, at=at)
    assert credit_held(cast.other_university.pk) == {"CAD": Decimal("40.00")}
    days = {"first_day": date(2026, 11, 1), "last_day": date(2026, 11, 30), "zone": "UTC"}
    (told,) = statements(cast.other_university.pk, **days)  # type: ignore[arg-type]
    assert (told.movements[0].about, told.closing) == ("Received for no invoice", Decimal("-40.00"))

    cheque = HandPayment(
        amount=Decimal("2367.90"), received_on=date(2026, 11, 1), method="cheque", reference="No. 1204",
        proof=b"%PDF-1.7 a scan", proof_name="cheque.pdf",
    )  # fmt: skip
    later = datetime(2026, 11, 25, 20, tzinfo=at.tzinfo)
    payment = record_by_hand(invoice, cheque, by=cast.staff, at=later)
    assert (stands(invoice)[0], Document.objects.filter(kind="payment_proof").count()) == ("paid", 1)
    with pytest.raises(HandPaymentInvalid):
        record_by_hand(invoice, cheque, by=cast.staff, at=later)
    line = waiting_lines().get()
    assert list(recorded_candidates(line)) == [payment]
    accept_recorded(line, payment, by=cast.staff, at=at)
    assert in_books("1000") == Decimal("2407.90")  # the cheque is in the books once
    all_holds(at)


def test_a_sure_match_is_accepted_by_itself_where_the_account_says_so(
    cast: Cast, account: BankAccount, at: datetime
) -> None:
    invoice = make_invoice(cast)
    done = bring(account, at)
    assert match_by_itself(done.lines, at=at) == 0
    BankAccount.objects.filter(pk=account.pk).update(accept_from=95)
    lines = BankLine.objects.select_related("account__issuer")
    assert match_by_itself(lines, at=at) == 1
    assert (stands(invoice)[0], BankMatch.objects.get().by) == ("paid", None)
    for statement in (
        "UPDATE billing_bankline SET amount = amount + 1",
        "UPDATE billing_bankline SET status = 'open' WHERE status = 'matched'",
        "UPDATE billing_bankmatch SET amount = amount + 1",
        "DELETE FROM billing_bankmatch",
        "DELETE FROM billing_bankstatement",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:  # noqa: PT012
            cursor.execute(statement)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_line_that_cannot_be_matched_by_itself_waits_for_a_person_and_holds_no_other_up(
    cast: Cast, account: BankAccount, at: datetime
) -> None:
    """The first line's day lies in a year whose books are locked."""
    first, second = make_invoice(cast), make_invoice(cast, number="ICC-2026-0008")
    year = FiscalYear.objects.create(issuer=cast.issuer, valid=DateRange(date(2025, 12, 1), date(2026, 11, 21)))
    FISCAL_YEAR.move(year, "locked", locked_at=at)
    BankAccount.objects.filter(pk=account.pk).update(accept_from=95)
    account.refresh_from_db()
    later = CAMT.replace(b"2026-11-2", b"2026-11-3").replace(b"2026-11-31", b"2026-11-30").replace(b"B-", b"C-")
    lines = [*bring(account, at).lines, *bring(account, at, later.replace(b"2026-0007", b"2026-0008")).lines]
    assert match_by_itself(lines, at=at) == 1
    assert (stands(first)[0], stands(second)[0]) == ("issued", "paid")
    line = waiting_lines().get(amount=Decimal("2367.90"))
    with pytest.raises(YearLocked, match="is locked"):
        accept_suggestion(line, str(first.pk), with_fee=False, by=cast.staff, at=at)
    all_holds(at)


def test_staff_reconcile_on_their_pages(cast: Cast, account: BankAccount, at: datetime, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    invoice = make_invoice(cast)
    client: Client = signed_in(cast.staff)
    tool = "/en/staff/billing/bankline/tools/bring/"
    given_: dict[str, Any] = {"account": str(account.pk), "only_look": "on"}
    page = client.post(tool, {**given_, "file": SimpleUploadedFile("s.xml", CAMT)})
    assert "3 lines in CAD" in text_of(page)
    page = client.post(tool, {**given_, "file": SimpleUploadedFile("s.xml", CAMT[:900])})
    assert (page.status_code, "no well-formed XML" in text_of(page)) == (422, True)
    del given_["only_look"]
    page = client.post(tool, {**given_, "file": SimpleUploadedFile("s.xml", CAMT)}, follow=True)
    assert "3 new lines" in text_of(page)
    line = waiting_lines().get(amount=Decimal("2367.90"))
    page = client.get(f"/en/staff/billing/bankline/{line.pk}/change/")
    assert "the text names ICC-2026-0007" in text_of(page)
    page = client.post(f"/en/staff/billing/bankline/{line.pk}/accept/", {"key": str(invoice.pk)}, follow=True)
    assert "is matched" in text_of(page)
    assert "Nothing open is like it" in text_of(page)  # the next line that waits
    assert stands(invoice)[0] == "paid"
    page = client.post(f"/en/staff/billing/bankline/{line.pk}/act/undo/", {"reason": "Wrong."}, follow=True)
    assert stands(invoice)[0] == "issued"
    page = client.post(f"/en/staff/billing/bankline/{line.pk}/act/split/", {"parts": "ICC-2026-0009 2367.90"})
    assert (page.status_code, "no invoice has the number" in text_of(page)) == (422, True)
    client.post(f"/en/staff/billing/bankline/{line.pk}/act/split/", {"parts": "ICC-2026-0007 2367.90"})
    assert stands(invoice)[0] == "paid"
    small = waiting_lines().get()
    client.post(f"/en/staff/billing/bankline/{small.pk}/act/park/", {"reason": "Unknown."})
    assert waiting_lines().count() == 0
