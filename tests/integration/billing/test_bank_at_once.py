"""The bank's money under two clerks, a card and a crash at once: whole or not at all, once, and who loses reads why.

Every meeting is arranged (`meetings`), none is left to luck.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum

from billing.bank_import import Imported, import_statement
from billing.bank_matching import LineNotOpen, Part, accept, accept_as_credit, accept_recorded, undo_match
from billing.books_check import check_books
from billing.by_hand import HandPayment, HandPaymentInvalid, record_by_hand
from billing.member_credit import CreditUseUndone, apply_credit, credit_held, refund_credit, undo_credit
from billing.models import (
    Application,
    BankAccount,
    BankLine,
    BankMatch,
    BankStatement,
    Invoice,
    InvoiceBalance,
    LedgerLeg,
    MemberCredit,
    MemberCreditUse,
    Payment,
    TakenBack,
)
from billing.payments import start_payment
from billing.receiving import UndoRefused, undo
from billing.refunds import propose_refund, send_refund
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Delivery, Document, Job
from members.models import Institution
from tests.cast import Cast, make_cast, make_institution
from tests.integration.billing.meetings import both, kinds, meet, standing_still
from tests.unit.billing.bank_files import CAMT
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice, pay
from tests.unit.billing.paid import RETURN, TOTAL, paid_by_card, stand

AT = datetime(2026, 11, 25, 20, tzinfo=UTC)


@dataclass
class Desk:
    """The desk at which two clerks reconcile one account of the bank, in a database of their own."""

    cast: Cast
    account: BankAccount
    used: int = 0

    def member(self) -> Institution:
        """A university that has nothing yet."""
        self.used += 1
        return make_institution(f"u{self.used}")

    def invoice(self, member: Institution | None = None) -> Invoice:
        """An open invoice over 2,367.90."""
        self.used += 1
        return make_invoice(self.cast, institution=member or self.member(), number=f"ICC-2026-{self.used:04}")

    def file(self) -> bytes:
        """A statement that nobody has brought: 2,367.90 and 40.00 came, 15.00 went."""
        self.used += 1
        return CAMT.replace(b"B-", b"B%d-" % self.used).replace(b"2026-325", b"2026-%d" % self.used)

    def bring(self, content: bytes) -> Imported:
        """Import it."""
        with consortium_scope(Scope.STAFF):
            return import_statement(self.account, content, file_name="bank.xml", by=self.cast.staff, at=AT)

    def lines(self) -> tuple[BankLine, BankLine]:
        """Two new open lines, of 2,367.90 and of 40.00."""
        large, small, _out = sorted(self.bring(self.file()).lines, key=lambda line: -line.amount)
        return large, small

    def match(self, line: BankLine, *invoices: Invoice) -> list[BankMatch]:
        """Match a line with invoices, in this order; each but the last one gets a cent."""
        cents = [Part(invoice=each, amount=Decimal("0.01")) for each in invoices[:-1]]
        rest = Part(invoice=invoices[-1], amount=line.amount - len(cents) * Decimal("0.01"))
        with consortium_scope(Scope.STAFF):
            return accept(line, [*cents, rest], by=self.cast.staff, at=AT)

    def undo(self, line: BankLine) -> BankLine:
        """Undo what a line was matched with."""
        with consortium_scope(Scope.STAFF):
            return undo_match(line, reason="It was Maple's.", by=self.cast.staff, at=AT)

    def cheque(self, invoice: Invoice, number: str, amount: Decimal = TOTAL) -> Payment:
        """Enter a cheque."""
        told = HandPayment(
            amount=amount, received_on=date(2026, 11, 20), method="cheque", reference=number,
            proof=b"%PDF-1.7 a scan", proof_name="cheque.pdf",
        )  # fmt: skip
        with consortium_scope(Scope.STAFF):
            return record_by_hand(invoice, told, by=self.cast.staff, at=AT)


@pytest.fixture(scope="module")
def desk(committed_db_of_all: str) -> Desk:
    cast = make_cast(AT)
    with consortium_scope(Scope.STAFF):
        account = BankAccount.objects.create(issuer=cast.issuer, name="Operating", number="123456789", currency="CAD")
    return Desk(cast, account)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def books_hold_afterwards(desk: Desk) -> Iterator[None]:
    yield
    disarm()
    with consortium_scope(Scope.STAFF):
        faults = check_books(at=AT).faults
    assert [fault for fault in faults if "Receivables of" not in fault] == []  # the invoices here were never posted


# --- A worker that dies -----------------------------------------------------------------------------------------------

ROWS = (
    Application, AuditEvent, BankMatch, BankStatement, Delivery, Document, Job, LedgerLeg, MemberCredit,
    MemberCreditUse, Payment, TakenBack,
)  # fmt: skip


def picture() -> tuple[Any, ...]:
    """Everything that a half-done piece of work would change."""
    with consortium_scope(Scope.STAFF):
        lines = sorted(BankLine.objects.values_list("pk", "status", "moved_at"))
        balances = InvoiceBalance.objects.aggregate(paid=Sum("paid"), credited=Sum("credited"))
        return lines, balances, [model.objects.count() for model in ROWS]


def dying[T](where: tuple[str, ...], work: Callable[[], T]) -> T:
    """Let a worker die at each of these places, see that it left nothing, and let the next one do it."""
    before = picture()
    for place in where:
        arm(place)
        with pytest.raises(SimulatedCrash):
            work()
        disarm()
        assert picture() == before, place
    return work()


def test_a_worker_that_dies_while_it_reconciles_leaves_nothing_half_and_the_next_one_does_it_once(desk: Desk) -> None:
    invoice, content = desk.invoice(), desk.file()
    done = dying(("bank_statement.kept", "document.stored"), lambda: desk.bring(content))
    large, small, _out = sorted(done.lines, key=lambda line: -line.amount)
    assert desk.bring(content).lines == ()

    match = lambda: desk.match(large, invoice)  # noqa: E731
    dying(("payment.received", "bank_line.matched"), match)
    assert stand(invoice) == ("paid", TOTAL)
    dying(("payment.undone", "bank_line.undone"), lambda: desk.undo(large))
    assert stand(invoice) == ("issued", Decimal(0))
    dying(("payment.received", "bank_line.matched"), match)

    def credit() -> BankMatch:
        with consortium_scope(Scope.STAFF):
            return accept_as_credit(small, invoice.institution, by=desk.cast.staff, at=AT)

    dying(("bank_line.matched",), credit)
    dying(("bank_line.undone",), lambda: desk.undo(small))
    with consortium_scope(Scope.STAFF):
        assert credit_held(invoice.institution_id) == {}

    other = desk.invoice()
    payment = dying(("payment.received", "document.stored"), lambda: desk.cheque(other, "C-1"))
    line, _small = desk.lines()

    def recorded() -> BankMatch:
        with consortium_scope(Scope.STAFF):
            return accept_recorded(line, payment, by=desk.cast.staff, at=AT)

    dying(("bank_line.matched",), recorded)
    assert (stand(invoice), stand(other)) == (("paid", TOTAL), ("paid", TOTAL))


# --- Two at once ------------------------------------------------------------------------------------------------------


def test_of_two_clerks_who_match_or_undo_one_line_the_second_reads_that_the_first_was_faster(desk: Desk) -> None:
    line, _small = desk.lines()
    mine, yours = desk.invoice(), desk.invoice()
    here = BankLine.objects.filter(pk=line.pk)
    assert kinds(meet(here, lambda: desk.match(line, mine), lambda: desk.match(line, yours))) == ["LineNotOpen", "list"]
    assert {stand(mine)[0], stand(yours)[0]} == {"issued", "paid"}
    found = meet(here, lambda: desk.undo(line), lambda: desk.undo(line))
    assert kinds(found) == ["BankLine", "LineNotOpen"]
    assert "Reload the page" in next(each.message for each in found if isinstance(each, LineNotOpen))
    assert {stand(mine)[0], stand(yours)[0]} == {"issued"}


def test_of_two_clerks_who_bring_one_file_the_second_learns_that_all_of_it_is_known(desk: Desk) -> None:
    content = desk.file()
    found = meet(BankAccount.objects.all(), lambda: desk.bring(content), lambda: desk.bring(content))
    assert sorted((len(each.lines), each.known) for each in found if isinstance(each, Imported)) == [(0, 3), (3, 0)]


def test_of_two_clerks_who_enter_one_cheque_the_second_reads_that_it_is_recorded(desk: Desk) -> None:
    mine, yours = desk.invoice(), desk.invoice()
    with standing_still("payment.received"):
        found = both(lambda: desk.cheque(mine, "C-7"), lambda: desk.cheque(yours, "C-7"))
    assert kinds(found) == ["HandPaymentInvalid", "Payment"]
    (refused,) = [each for each in found if isinstance(each, HandPaymentInvalid)]
    assert (refused.field, "recorded already" in refused.message) == ("reference", True)
    assert sorted([stand(mine)[0], stand(yours)[0]]) == ["issued", "paid"]


def test_of_two_clerks_who_match_two_lines_with_one_cheque_the_second_reads_that_it_is_matched(desk: Desk) -> None:
    invoice = desk.invoice()
    payment, lines = desk.cheque(invoice, "C-8"), [desk.lines()[0] for _ in range(2)]

    def recorded(line: BankLine) -> BankMatch:
        with consortium_scope(Scope.STAFF):
            return accept_recorded(line, payment, by=desk.cast.staff, at=AT)

    with standing_still("bank_line.matched"):
        found = both(lambda: recorded(lines[0]), lambda: recorded(lines[1]))
    assert kinds(found) == ["BankMatch", "MatchInvalid"]
    assert stand(invoice) == ("paid", TOTAL)


@pytest.mark.parametrize("transfer_first", [True, False])
def test_a_transfer_and_a_card_at_once_pay_what_is_due_and_the_rest_is_credit(
    desk: Desk, till: Till, transfer_first: bool
) -> None:
    line, _small = desk.lines()
    invoice = desk.invoice()
    till.card(start_payment(invoice, return_url=RETURN, at=AT, gateway=till.gateway))
    works: list[Callable[[], object]] = [lambda: desk.match(line, invoice), till.hear_new]
    meet(InvoiceBalance.objects.filter(pk=invoice.pk), *(works if transfer_first else works[::-1]))
    assert stand(invoice) == ("paid", TOTAL)
    with consortium_scope(Scope.STAFF):
        assert credit_held(invoice.institution_id) == {"CAD": TOTAL}


@pytest.mark.parametrize("undo_first", [True, False])
def test_an_undo_and_a_refund_of_an_invoice_that_was_paid_twice_give_no_cent_twice(
    desk: Desk, till: Till, undo_first: bool
) -> None:
    invoice = desk.invoice()
    payment = paid_by_card(till, invoice, at=datetime.now(UTC))
    line, _small = desk.lines()
    desk.match(line, invoice)

    def refund() -> object:
        with consortium_scope(Scope.STAFF):
            row = propose_refund(payment, amount=TOTAL, reason="Paid twice.", by=desk.cast.staff, at=AT)
        return send_refund(row, at=AT, gateway=till.gateway)

    works: list[Callable[[], object]] = [lambda: desk.undo(line), refund]
    found = meet(InvoiceBalance.objects.filter(pk=invoice.pk), *(works if undo_first else works[::-1]))
    till.hear_all(till.news())
    if "UndoRefused" in kinds(found):  # the refund took the credit that the transfer had left
        assert (kinds(found), stand(invoice)) == (["Refund", "UndoRefused"], ("paid", TOTAL))
    else:  # the transfer went elsewhere, and so the card's money was needed here
        assert (kinds(found), stand(invoice)) == (["BankLine", "Refund"], ("issued", Decimal(0)))
    with consortium_scope(Scope.STAFF):
        assert credit_held(invoice.institution_id) == {}


def test_of_two_clerks_who_take_credit_off_an_invoice_the_second_reads_that_it_is_done(desk: Desk) -> None:
    invoice = desk.invoice()
    with consortium_scope(Scope.STAFF):
        pay(desk.invoice(invoice.institution), str(TOTAL + 10), at=AT)
        (use,) = apply_credit(invoice, by=desk.cast.staff, at=AT)

    def take_off() -> object:
        with consortium_scope(Scope.STAFF):
            return undo_credit(use, reason="Keep it.", by=desk.cast.staff, at=AT)

    found = meet(InvoiceBalance.objects.filter(pk=invoice.pk), take_off, take_off)
    assert kinds(found) == ["CreditUseUndone", "MemberCreditUse"]
    assert isinstance(found[1], CreditUseUndone)
    assert stand(invoice) == ("issued", Decimal(0))


def test_credit_that_is_paid_out_while_its_payment_is_undone_leaves_once(desk: Desk) -> None:
    """Both want the same two credits, of which the older one was written down later."""
    invoice = desk.invoice()
    with consortium_scope(Scope.STAFF):
        first = pay(invoice, str(TOTAL + 10), at=AT)
        pay(invoice, "20", at=datetime(2026, 11, 20, 20, tzinfo=UTC))
        older = MemberCredit.objects.filter(institution_id=invoice.institution_id).earliest("received_on")

    def pay_out() -> object:
        with consortium_scope(Scope.STAFF):
            return refund_credit(
                invoice.institution, issuer=desk.cast.issuer, amount=Decimal(30), currency="CAD", reference="W-1",
                paid_on=AT.date(), by=desk.cast.staff, at=AT,
            )  # fmt: skip

    def take_back() -> object:
        with consortium_scope(Scope.STAFF):
            return undo(first, reason="It was Maple's.", by=desk.cast.staff, at=AT)

    paid_out, refused = meet(MemberCredit.objects.filter(pk=older.pk), pay_out, take_back)
    assert isinstance(paid_out, list)
    assert isinstance(refused, UndoRefused)
    with consortium_scope(Scope.STAFF):
        assert (credit_held(invoice.institution_id), stand(invoice)) == ({}, ("paid", TOTAL))


def test_two_lines_for_the_same_two_universities_in_opposite_order_do_not_stop_each_other(desk: Desk) -> None:
    """Each university has one audit trail, which is held until the end of whatever wrote in it."""
    cedar, maple = desk.member(), desk.member()
    lines = [desk.lines()[0] for _ in range(2)]
    one, two = [desk.invoice(cedar), desk.invoice(maple)], [desk.invoice(maple), desk.invoice(cedar)]
    with standing_still("payment.received"):
        found = both(lambda: desk.match(lines[0], *one), lambda: desk.match(lines[1], *two))
    assert kinds(found) == ["list", "list"]
    with standing_still("payment.undone"):
        found = both(lambda: desk.undo(lines[0]), lambda: desk.undo(lines[1]))
    assert kinds(found) == ["BankLine", "BankLine"]
