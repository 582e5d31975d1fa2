"""A page that asks for too much is closed before somebody pays twice."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billing.models import InvoiceBalance, Payment
from billing.payments import start_payment
from billing.stale_pages import close_page, want_closed
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from tests.cast import Cast, make_cast
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, TOTAL, payment_of, stand


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened
    disarm()


def test_a_page_is_closed_when_the_money_came_in_another_way(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    assert want_closed(at=at) == 0
    with consortium_scope(Scope.COMMAND):  # a transfer, or a credit note
        InvoiceBalance.objects.filter(pk=invoice.pk).update(credited=Decimal("367.90"))
    assert [want_closed(at=at), want_closed(at=at)] == [1, 1]
    with consortium_scope(Scope.COMMAND):
        assert Job.objects.filter(kind="close_stale_page").count() == 1
    assert close_page(payment, at=at, gateway=till.gateway).status == "failed"
    assert till.card(payment) == 402
    assert want_closed(at=at) == 0
    fresh = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    assert (fresh.amount, close_page(fresh, at=at, gateway=till.gateway).status) == (Decimal("2000.00"), "created")


def test_who_was_faster_has_paid_and_what_is_too_much_is_credit(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast)
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    till.card(payment)
    with consortium_scope(Scope.COMMAND):
        InvoiceBalance.objects.filter(pk=invoice.pk).update(credited=Decimal("367.90"))
    assert close_page(payment_of(invoice), at=at, gateway=till.gateway).status == "succeeded"
    assert stand(invoice) == ("paid", Decimal("2000.00"))


def test_a_crash_after_the_page_was_closed_closes_it_once_more_without_harm(
    committed_db: str, till: Till, at: datetime
) -> None:
    invoice = make_invoice(make_cast(at))
    payment = start_payment(invoice, return_url=RETURN, at=at, gateway=till.gateway)
    with consortium_scope(Scope.COMMAND):
        InvoiceBalance.objects.filter(pk=invoice.pk).update(credited=TOTAL - 1)
    arm("payment.page_closed")
    with pytest.raises(SimulatedCrash):
        close_page(payment, at=at, gateway=till.gateway)
    disarm()
    assert close_page(payment, at=at, gateway=till.gateway).status == "failed"
    with consortium_scope(Scope.COMMAND):
        assert Payment.objects.get().status == "failed"
