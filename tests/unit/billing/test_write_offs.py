"""The rest of an invoice is given up by two people, told on its statement, and recovered when money comes after all."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing import ledger
from billing.invoicing import FourEyes
from billing.member_credit import CreditTooLittle
from billing.models import Invoice, WriteOff
from billing.payments import NothingDueError, start_payment
from billing.recoveries import RecoveryInvalid, recover, recoverable, waiting_credit
from billing.statement_of_account import statements
from billing.write_offs import WriteOffInvalid, approve_write_off, propose_write_off, withdraw_write_off
from consortium.kernel.errors import Forbidden
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import StaffSeat, User
from members.roles import StaffRole
from tests.cast import Cast, make_person
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, TOTAL, books, stand

PART = Decimal("1000.00")


@pytest.fixture
def noor(cast: Cast) -> User:
    """Another person of the consortium's finance."""
    person = make_person("noor", is_staff=True)
    StaffSeat.objects.create(user=person, role=StaffRole.FINANCE)
    return person


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


def proposed(cast: Cast, invoice: Invoice, at: datetime) -> WriteOff:
    return propose_write_off(invoice, reason="Cedar is wound up.", tax_effect="kept", by=cast.staff, at=at)


def refused(statement: str, *parameters: Any, words: str) -> None:
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        spoken(statement, *parameters)


def spoken(statement: str, *parameters: Any) -> None:
    """Run SQL as far as the checks of a commit."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_one_proposes_and_another_approves(cast: Cast, noor: User, at: datetime) -> None:
    invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        row = proposed(cast, invoice, at)
        assert (row.amount, stand(invoice)) == (TOTAL, ("issued", Decimal(0)))
        with pytest.raises(WriteOffInvalid, match="waits for a second person"):
            proposed(cast, invoice, at)
        with pytest.raises(FourEyes, match="another person"):
            approve_write_off(row, by=cast.staff, at=at)
        with pytest.raises(Forbidden):
            approve_write_off(row, by=cast.owner, at=at)
        assert recoverable(row) == 0
        row = approve_write_off(row, by=noor, at=at)
        assert approve_write_off(row, by=noor, at=at) == row
        assert stand(invoice) == ("written_off", Decimal(0))
        assert books() == {"1100": -TOTAL, "5500": TOTAL}
        with pytest.raises(TransitionRefused):
            withdraw_write_off(row, by=noor, at=at)
        with pytest.raises(WriteOffInvalid, match="Nothing is due"):
            proposed(cast, invoice, at)
        with pytest.raises(CreditTooLittle):
            recover(row, amount=PART, by=noor, at=at)
        assert stand(invoice) == ("written_off", Decimal(0))


def test_money_that_comes_after_all_is_credit_until_it_is_recovered(
    cast: Cast, noor: User, till: Till, at: datetime
) -> None:
    invoice = make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    with consortium_scope(Scope.STAFF):
        row = approve_write_off(proposed(cast, invoice, at), by=noor, at=at)
    till.card(payment)
    till.hear_new()
    assert stand(invoice) == ("written_off", Decimal(0))
    with pytest.raises(NothingDueError):
        start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    with consortium_scope(Scope.STAFF):
        assert waiting_credit(row) == TOTAL
        for amount in (TOTAL + 1, Decimal(0), Decimal("0.001")):
            with pytest.raises(RecoveryInvalid, match="Between nothing and 2367"):
                recover(row, amount=amount, by=noor, at=at)
        recover(row, amount=PART, by=noor, at=at)
        assert (recoverable(row), waiting_credit(row)) == (TOTAL - PART, TOTAL - PART)
        assert stand(invoice) == ("written_off", PART)
        held = books()
        assert [held[code] for code in ("1100", "2200", "4800", "5500")] == [-TOTAL, PART - TOTAL, -PART, TOTAL]
        recover(row, amount=TOTAL - PART, by=noor, at=at)
        assert stand(invoice) == ("paid", TOTAL)
        (told,) = statements(
            cast.university.pk, first_day=date(2026, 10, 1), last_day=date(2099, 1, 1), zone="America/Vancouver"
        )
        written = [each for each in told.movements if each.kind == "write_off"]
        assert sorted((each.charged, each.credited) for each in written) == [
            (0, TOTAL), (PART, 0), (TOTAL - PART, 0),
        ]  # fmt: skip
        assert written[0].about == "Written off, invoice ICC-2026-0007"
        assert told.closing == 0
        spoken("SELECT 1")
        assert ledger.is_balanced(cast.issuer)


def test_what_is_under_way_is_not_given_up(cast: Cast, noor: User, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        for reason, tax_effect in ((" ", "kept"), ("Gone.", "")):
            with pytest.raises(WriteOffInvalid):
                propose_write_off(invoice, reason=reason, tax_effect=tax_effect, by=cast.staff, at=at)
        row = proposed(cast, invoice, at)
    till.debit(start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway))
    till.hear_new()
    with consortium_scope(Scope.STAFF), pytest.raises(WriteOffInvalid, match="on its way"):
        approve_write_off(row, by=noor, at=at)
    till.settle()
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        with pytest.raises(WriteOffInvalid, match="Nothing is due"):
            approve_write_off(row, by=noor, at=at)
        assert withdraw_write_off(row, by=cast.staff, at=at).status == "withdrawn"
        with pytest.raises(TransitionRefused):
            approve_write_off(row, by=noor, at=at)
    assert stand(invoice) == ("paid", TOTAL)


def test_postgresql_wants_two_people_and_the_whole_rest(cast: Cast, noor: User, at: datetime) -> None:
    invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        given = "UPDATE billing_invoice SET status = 'written_off'"
        refused(given, words="written off by two people")
        refused("UPDATE billing_invoicebalance SET written_off = total", words="two people gave up 0")
        row = proposed(cast, invoice, at)
        moved = "UPDATE billing_writeoff SET status = 'approved', decided_at = now(), decided_by_id = %s"
        refused(moved, cast.staff.pk, words="writeoff_two_people")
        refused(moved, noor.pk, words="its balance says 0 is written off")
        refused("UPDATE billing_writeoff SET amount = 1", words="frozen")
        came = (
            "INSERT INTO billing_recovery (institution_id, write_off_id, amount, currency, recorded_by_id, recorded_at)"
            " SELECT institution_id, id, %s, currency, proposed_by_id, now() FROM billing_writeoff"
        )
        refused(came, 1, words="of an approved write-off")
        approve_write_off(row, by=noor, at=at)
        refused(came, TOTAL + 1, words="would be recovered")
        refused(came, 1, words="of which 1 came")
        refused("DELETE FROM billing_writeoff", words="frozen")


def test_staff_propose_approve_and_recover_on_their_pages(cast: Cast, noor: User) -> None:
    invoice = make_invoice(cast)
    first, second = signed_in(cast.staff), signed_in(noor)
    act = f"/en/staff/billing/invoice/{invoice.pk}/act/write-off/"
    assert "2,367.90" in text_of(first.get(act))
    answer = first.post(act, {"reason": "Cedar is wound up.", "tax_effect": ""})
    assert answer.status_code == 422
    assert "Cedar is wound up." in text_of(answer)
    assert first.post(act, {"reason": "Cedar is wound up.", "tax_effect": "relief"}).status_code == 302
    with consortium_scope(Scope.STAFF):
        page = f"/en/staff/billing/writeoff/{WriteOff.objects.get().pk}/"
    assert "Write-offs to approve" in text_of(first.get("/en/staff/"))
    assert first.post(page + "act/approve/", {"amount": "2367.90"}).status_code == 422
    assert second.post(page + "act/approve/", {"amount": "2367.9"}).status_code == 422
    assert second.post(page + "act/approve/", {"amount": "2367.90"}).status_code == 302
    assert first.post(page + "act/recover/", {"amount": "2 thousand"}).status_code == 422
    answer = first.post(page + "act/recover/", {"amount": "2000.00"})
    assert answer.status_code == 422
    assert "the credit that is left comes to 0" in text_of(answer)
    assert first.get(act).status_code == 403
