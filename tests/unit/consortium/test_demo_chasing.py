"""The demonstration's treasurers: a promise kept, one broken, two proposals for a second person, each told once."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.balances import amount_due
from billing.models import InvoiceBalance, PaymentPromise, WriteOff
from billing.promises import broken_promises
from billing.write_offs import approve_write_off
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.chasing import PART, tell_chasing
from consortium.management.demo.invoicing import second_approver
from members.bank_details import confirm_bank_details
from members.models import BankDetailsChange
from tests.cast import Cast, make_institution
from tests.unit.billing.issued import make_invoice

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 25, 18, tzinfo=UTC)


def test_a_second_run_doubles_nothing_and_whoever_clicks_through_may_decide(cast: Cast) -> None:
    with consortium_scope(Scope.COMMAND):
        promised, given_up = make_institution("dal"), make_institution("ubc")
        colleague = second_approver()
    invoice = make_invoice(cast, institution=promised)
    make_invoice(cast, institution=given_up, number="ICC-2026-0008")
    for day in range(2):
        tell_chasing(issuer=cast.issuer, staff=cast.staff, colleague=colleague, at=AT + timedelta(days=day))
    with consortium_scope(Scope.COMMAND):
        told = PaymentPromise.objects.order_by("recorded_at").values_list("status", "amount")
        rest = amount_due(InvoiceBalance.objects.get(pk=invoice.pk))
        assert list(told) == [("kept", PART), ("broken", rest)]
        assert broken_promises().count() == 1
        approve_write_off(WriteOff.objects.get(), by=cast.staff, at=AT)
        confirm_bank_details(BankDetailsChange.objects.get(), by=cast.staff, at=AT)
