"""A promise to pay keeps reminders quiet until its day, and is kept or broken by what arrived on its invoices since."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from billing.chart_of_accounts import Account
from billing.models import Invoice, InvoiceBalance, Payment, PaymentPromise
from billing.promises import arrived, broken_promises, record_promise, review_promises, withdraw_promise
from billing.receiving import receive
from billing.reminding import quiet_because
from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.periods import day_period
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.issued import pay as arrive

TOTAL = Decimal("2367.90")
SAID, BY = date(2026, 11, 10), date(2026, 11, 20)
MIDNIGHT = day_period(BY, "America/Vancouver").end


def noon(day: date) -> datetime:
    """Midday in Vancouver, whose days count."""
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def promised(cast: Cast, *invoices: Invoice, **changes: Any) -> PaymentPromise:
    wanted: dict[str, Any] = {"said_by": "Ada, accounts payable, by phone", "amount": TOTAL, "by_day": BY, "note": ""}
    return record_promise(invoices, **wanted | changes, by=cast.staff, at=changes.pop("at", noon(SAID)))


def quiet(invoice: Invoice, day: date) -> str:
    return quiet_because(InvoiceBalance.objects.get(pk=invoice.pk), day=day)


def states() -> list[str]:
    return list(PaymentPromise.objects.order_by("recorded_at").values_list("status", flat=True))


def refused(statement: str, *, words: str) -> None:
    with pytest.raises(DatabaseError, match=words), transaction.atomic():
        spoken(statement)


def spoken(statement: str) -> None:
    """Run SQL as far as the checks of a commit."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_it_is_kept_by_what_arrives_on_its_invoices_by_its_day(cast: Cast) -> None:
    first, second = make_invoice(cast), make_invoice(cast, number="ICC-2026-0008")
    with consortium_scope(Scope.STAFF):
        arrive(first, "367.90", at=noon(SAID - timedelta(days=1)))  # before it was said: it does not count
        promise = promised(cast, first, second, amount=Decimal("4000.00"))
        assert quiet(first, BY) == quiet(second, BY) == "payment is promised by 2026-11-20"
        assert quiet(first, BY + timedelta(days=1)) == "", "reminders go on, whether it was looked at or not"
        arrive(first, "2000.00", at=noon(SAID) + timedelta(hours=1))
        assert (review_promises(at=noon(BY)), arrived(promise)) == (0, Decimal("2000.00"))
        arrive(second, "2000.00", at=MIDNIGHT - timedelta(minutes=1))
        assert review_promises(at=MIDNIGHT) == 1
        assert review_promises(at=noon(BY) + timedelta(days=9)) == 0
        assert (states(), quiet(second, BY)) == (["kept"], "")
        assert not broken_promises().exists()


def test_money_counts_from_the_day_on_which_it_came_even_where_its_bank_line_was_read_later(cast: Cast) -> None:
    invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        promise = promised(cast, invoice)
        payment = Payment.objects.create(
            institution_id=invoice.institution_id, invoice=invoice, provider="bank", amount=TOTAL, currency="CAD",
            idempotency_key="late", created_at=MIDNIGHT,
        )  # fmt: skip
        read = MIDNIGHT + timedelta(minutes=5)
        receive(payment, amount=TOTAL, received_at=noon(BY), arrives=Account.BANK, by=System("bank"), at=read)
        assert (arrived(promise), review_promises(at=read), states()) == (TOTAL, 1, ["kept"])


def test_it_is_broken_the_day_after_and_waits_for_a_person_until_something_is_done(cast: Cast) -> None:
    invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        promise = promised(cast, invoice)
        arrive(invoice, "2000.00", at=noon(SAID) + timedelta(hours=1))
        assert review_promises(at=MIDNIGHT - timedelta(minutes=1)) == 0
        arrive(invoice, "300.00", at=MIDNIGHT)  # too late
        assert (review_promises(at=MIDNIGHT), arrived(promise)) == (1, Decimal("2000.00"))
        assert (states(), list(broken_promises())) == (["broken"], [promise])
        with pytest.raises(Invalid, match=r"Only 67\.90 CAD is due"):
            promised(cast, invoice, by_day=date(2026, 12, 4))
    staff = signed_in(cast.staff)
    assert "Promises to pay that were broken" in text_of(staff.get("/en/staff/"))
    page = "/en/staff/billing/paymentpromise/"
    assert "Ada, accounts payable" in text_of(staff.get(f"{page}?waiting=yes"))
    with consortium_scope(Scope.STAFF):
        later = noon(BY + timedelta(days=2))
        again = record_promise(
            [invoice],
            said_by="Ada",
            amount=Decimal("67.90"),
            by_day=date(2026, 12, 4),
            note="",
            by=cast.staff,
            at=later,
        )
        assert not broken_promises().exists()
        with pytest.raises(Forbidden):
            withdraw_promise(again, by=cast.owner, at=later)
        withdraw_promise(again, by=cast.staff, at=later)
        assert quiet(invoice, date(2026, 12, 1)) == ""
        with pytest.raises(TransitionRefused):
            withdraw_promise(again, by=cast.staff, at=later)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"said_by": " "}, "who said it"),
        ({"amount": Decimal(0)}, "above zero"),
        ({"amount": Decimal("1.005")}, "smallest unit"),
        ({"amount": TOTAL + 1}, r"Only 2367\.90 CAD"),
        ({"by_day": SAID - timedelta(days=1)}, "from today on"),
        ({"by_day": SAID + timedelta(days=91)}, "90 days"),
    ],
)
def test_what_cannot_be_promised_is_refused(cast: Cast, changes: dict[str, Any], words: str) -> None:
    invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF), pytest.raises(Invalid, match=words):
        promised(cast, invoice, **changes)


def test_one_promise_for_an_invoice_of_one_member_by_staff(cast: Cast) -> None:
    invoice, other = make_invoice(cast), make_invoice(cast, number="M-1", institution=cast.other_university)
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Invalid, match="Choose the invoices"):
            promised(cast)
        with pytest.raises(Invalid, match="of one member"):
            promised(cast, invoice, other)
        promised(cast, invoice)
        with pytest.raises(Invalid, match="promised already"):
            promised(cast, invoice)
        with pytest.raises(Forbidden):
            record_promise(
                [other], said_by="Me", amount=TOTAL, by_day=BY, note="", by=cast.outsider, at=noon(SAID)
            )  # fmt: skip
        assert states() == ["open"]


def test_postgresql_keeps_what_was_said_and_lets_an_end_be_an_end(cast: Cast) -> None:
    invoice = make_invoice(cast)
    make_invoice(cast, number="M-1", institution=cast.other_university)
    with consortium_scope(Scope.STAFF):
        promise = promised(cast, invoice)
        refused("UPDATE billing_paymentpromise SET amount = 1", words="frozen")
        refused("UPDATE billing_paymentpromise SET by_day = by_day + 30", words="frozen")
        refused("DELETE FROM billing_paymentpromise", words="frozen")
        refused("UPDATE billing_paymentpromise SET status = 'kept'", words="paymentpromise_ends")
        ended = "UPDATE billing_paymentpromise SET ended_at = now(), status = "
        refused(f"{ended} 'kept'", words="each live while it is open")
        refused(f"{ended} 'withdrawn'", words="paymentpromise_ends")
        refused("UPDATE billing_promiseinvoice SET live = false", words="live while it is open")
        refused("DELETE FROM billing_promiseinvoice", words="frozen")
        named = "INSERT INTO billing_promiseinvoice (institution_id, promise_id, invoice_id, live)"
        of_maple = " SELECT p.institution_id, p.id, i.id, true FROM billing_paymentpromise p, billing_invoice i"
        refused(f"{named}{of_maple} WHERE i.number = 'M-1'", words="of its member")
        withdraw_promise(promise, by=cast.staff, at=noon(SAID))
        refused("UPDATE billing_promiseinvoice SET live = true", words="frozen")
        refused(
            "UPDATE billing_paymentpromise SET status = 'open', ended_at = NULL, ended_by_id = NULL",
            words="frozen|may not become",
        )
        refused("UPDATE billing_paymentpromise SET ended_at = now()", words="frozen")


def test_staff_record_and_withdraw_on_their_pages(cast: Cast) -> None:
    invoice = make_invoice(cast)
    browser, page = signed_in(cast.staff), "/en/staff/billing/paymentpromise/"
    assert "Cedar University: ICC-2026-0007, due on 2026-11-01" in text_of(browser.get(f"{page}add/"))
    day = date.today() + timedelta(days=5)  # noqa: DTZ011 - five days off, whatever the zone
    sent = {"invoices": [str(invoice.pk)], "said_by": "Ada, by phone", "amount": "2 thousand", "by_day": day}
    answer = browser.post(f"{page}add/", sent)
    assert answer.status_code == 422
    assert "Ada, by phone" in text_of(answer)
    answer = browser.post(f"{page}add/", sent | {"amount": "9999.00"})
    assert answer.status_code == 422
    assert "Only 2367.90 CAD is due" in text_of(answer)
    assert browser.post(f"{page}add/", sent | {"amount": "2367.90"}).status_code == 302
    with consortium_scope(Scope.STAFF):
        row = PaymentPromise.objects.get()
    assert "Arrived since" in text_of(browser.get(f"{page}{row.pk}/act/withdraw/"))
    assert browser.post(f"{page}{row.pk}/act/withdraw/").status_code == 302
    with consortium_scope(Scope.STAFF):
        assert states() == ["withdrawn"]
    assert signed_in(cast.owner).get(page).status_code == 302
