"""Promise 16: reminders by the rest due, each once, none after payment, hold or dispute, whoever dies meanwhile."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import disputes
from billing.arrangements import arrange, cancel_arrangement, review_arrangements
from billing.disputes import open_dispute
from billing.models import Invoice, InvoiceBalance, InvoiceLine, Payment, PaymentArrangement, Reminder, ReminderCalendar
from billing.reminder_days import ORDER, ReminderDays, Step, is_closed
from billing.reminding import days_for, planned_on, remind_due, set_calendar
from consortium.kernel import outbox
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Delivery, OutgoingMail
from members.models import Seat
from tests.cast import Cast, make_cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.agreed import agreed
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.issued import pay as arrive

DUE_ON = date(2026, 11, 1)  # of tests/unit/billing/issued.py: a Sunday
TOTAL = Decimal("2367.90")


@pytest.fixture
def invoice(cast: Cast) -> Invoice:
    return make_invoice(cast)


@pytest.fixture(autouse=True)
def no_crash(settings: Any) -> Iterator[None]:
    settings.SECURE_SSL_REDIRECT = False
    yield
    disarm()


def noon(day: date) -> datetime:
    """Midday in Vancouver, whose days count for the invoice."""
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def after(days: int) -> datetime:
    return noon(DUE_ON + timedelta(days=days))


def pay(invoice: Invoice, amount: Decimal) -> None:
    """As settlement does; the receipt is taken as sent, since writing one is slow."""
    with transaction.atomic(), consortium_scope(Scope.JOB):
        arrive(invoice, str(amount), at=noon(DUE_ON))
        Delivery.objects.filter(receiver="billing.mail_receipt").update(done_at=noon(DUE_ON))


def run(at: datetime) -> int:
    """The hourly task, then the sweeper."""
    taken = remind_due(at=at)
    outbox.deliver_due(at=at)
    return taken


def steps(invoice: Invoice) -> dict[str, str]:
    with consortium_scope(Scope.COMMAND):
        return dict(Reminder.objects.filter(invoice=invoice).order_by("at", "id").values_list("step", "status"))


def mails(template: str = "billing_reminder") -> list[OutgoingMail]:
    with consortium_scope(Scope.COMMAND):
        return list(OutgoingMail.objects.filter(template=template).order_by("next_at", "recipient"))


# --- The days -------------------------------------------------------------------------------------------------------

CALENDARS = st.builds(
    lambda before, gaps: ReminderDays(before, *[sum(gaps[: n + 1]) for n in range(4)]),
    st.integers(1, 30),
    st.lists(st.integers(1, 40), min_size=4, max_size=4),
)


@given(CALENDARS, st.dates(date(2024, 1, 1), date(2032, 1, 1)), st.lists(st.integers(0, 30), max_size=40))
def test_whatever_the_days_of_the_runs_each_step_comes_once_in_order_and_never_early(
    days: ReminderDays, due_on: date, pauses: list[int]
) -> None:
    today, taken = due_on - timedelta(days=40), list[Step]()
    for pause in pauses:
        today += timedelta(days=pause)
        step, passed = days.due(due_on, today=today, taken=taken)
        if step is None:
            continue
        assert not is_closed(today)
        assert days.day_of(step, due_on) <= today
        assert step is not Step.COURTESY or today < due_on
        taken += [*passed, step]
    assert taken == [step for step in ORDER if step in taken]


def test_the_days_of_money_md_move_off_days_on_which_universities_are_closed() -> None:
    days = ReminderDays()
    assert [str(days.day_of(step, date(2026, 11, 4))) for step in ORDER] == [
        "2026-10-28", "2026-11-09", "2026-11-19", "2026-12-04", "2027-01-04",
    ]  # fmt: skip
    assert days.day_of(Step.COURTESY, DUE_ON) == date(2026, 10, 23), "a Sunday moves back to Friday"
    with pytest.raises(Invalid):
        ReminderDays(first=15)


# --- One invoice's story --------------------------------------------------------------------------------------------


def test_an_unpaid_invoice_walks_all_steps_each_once_and_the_last_one_is_a_person_s(
    cast: Cast, invoice: Invoice
) -> None:
    cast.finance.language = "fr"
    cast.finance.save()
    assert run(after(-11)) == 0
    assert run(noon(date(2026, 10, 23)).replace(hour=14)) == 0, "seven in the morning is too early"
    for day in (-9, -9, 3, 4, 15, 30, 60, 64, 65, 92):  # the sixtieth day is the last of December: closed
        run(after(day))
    assert steps(invoice) == {
        "courtesy": "written", "first": "written", "second": "written", "copied": "written", "human": "wanted",
    }  # fmt: skip
    sent = mails()
    assert [mail.recipient for mail in sent] == [
        *["finance@people.example"] * 3, "finance@people.example", "owner@people.example",
    ]  # fmt: skip
    courtesy, first, second, copied, owner = sent
    assert courtesy.language == first.language == "fr"
    assert "2\N{NO-BREAK SPACE}367,90\N{NO-BREAK SPACE}CAD" in first.body
    assert ["/dispute/" in mail.body for mail in (courtesy, first, second, copied)] == [False, False, True, True]
    assert (owner.language, "PO-88121" in owner.body, owner.attachment_ids) == ("en", True, [])
    [human] = mails("billing_reminder_human")
    assert human.recipient == cast.staff.email
    staff = signed_in(cast.staff)
    assert "Overdue invoices that need a person" in text_of(staff.get("/en/staff/"))
    with consortium_scope(Scope.COMMAND):
        row = Reminder.objects.get(step="human")
    page = f"/en/staff/billing/reminder/{row.pk}/act/handled/"
    assert staff.post(page, {"note": ""}).status_code == 422
    assert staff.post(page, {"note": "They pay on Friday."}).status_code == 302
    assert steps(invoice)["human"] == "handled"


def test_after_a_pause_only_the_newest_step_goes_out(invoice: Invoice) -> None:
    run(after(17))
    assert steps(invoice) == {"courtesy": "passed", "first": "passed", "second": "written"}
    assert len(mails()) == 1


def test_only_what_is_not_disputed_is_asked_for_and_a_payment_ends_it(
    cast: Cast, invoice: Invoice, at: datetime
) -> None:
    with consortium_scope(Scope.STAFF):
        line = InvoiceLine.objects.get(invoice=invoice, position=2)
        dispute = open_dispute(
            line, net=Decimal(1000), text="Wrong.", name="Ada", email="ada@cedar.example", language="en", at=at
        )
    run(after(3))
    [mail] = mails()
    assert ("1,317.90" in mail.body, "1,050.00" in mail.body) == (True, True)
    pay(invoice, Decimal("1317.90"))
    assert run(after(15)) == 0, "the rest is disputed"
    with consortium_scope(Scope.STAFF):
        disputes.release_dispute(dispute, text="It stands.", by=cast.staff, at=at)
    assert run(after(16)) == 1
    pay(invoice, Decimal("1050.00"))
    for day in (30, 64, 92):
        assert run(after(day)) == 0
    assert steps(invoice) == {"courtesy": "passed", "first": "written", "second": "written"}


def test_what_is_paid_before_the_mail_is_written_is_overtaken_and_postgresql_would_refuse_it(invoice: Invoice) -> None:
    assert remind_due(at=after(3)) == 1
    pay(invoice, TOTAL)
    outbox.deliver_due(at=after(3))
    assert (steps(invoice)["first"], mails()) == ("overtaken", [])
    with consortium_scope(Scope.COMMAND):
        row = Reminder.objects.get(step="first")
        values = {f.attname: getattr(row, f.attname) for f in Reminder._meta.concrete_fields if f.attname != "id"}
        with pytest.raises(DatabaseError, match="Nobody is reminded"), transaction.atomic():
            Reminder.objects.create(**values | {"step": "second", "status": "wanted", "ended_at": None})
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            Reminder.objects.filter(pk=row.pk).update(due=1)


def test_a_debit_on_its_way_and_an_arrangement_keep_everybody_quiet(cast: Cast, invoice: Invoice) -> None:
    with consortium_scope(Scope.STAFF):
        payment = Payment.objects.create(
            institution=cast.university, invoice=invoice, provider="stripe", amount=TOTAL, currency="CAD",
            idempotency_key="k", created_at=after(1),
        )  # fmt: skip
        Payment.objects.filter(pk=payment.pk).update(status="pending")
    assert run(after(3)) == 0
    with consortium_scope(Scope.STAFF):
        Payment.objects.filter(pk=payment.pk).update(status="failed")
        parts = [(DUE_ON + timedelta(days=10), Decimal("1367.90")), (DUE_ON + timedelta(days=25), Decimal(1000))]
        with pytest.raises(Invalid, match="is open"):
            arrange([invoice], parts[:1], reason="Budget year.", by=cast.staff, at=after(4))
        arrangement = arrange([invoice], parts, reason="Budget year.", by=cast.staff, at=after(4))
        with pytest.raises(Invalid, match="another arrangement"):
            arrange([invoice], parts, reason="Again.", by=cast.staff, at=after(4))
        with pytest.raises(DatabaseError, match="its parts come to"):
            _one_part_more(arrangement)
    pay(invoice, Decimal("1367.90"))
    assert run(after(15)) == 0
    with consortium_scope(Scope.JOB):
        assert (review_arrangements(at=after(28)), review_arrangements(at=after(29))) == (0, 1)
        arrangement.refresh_from_db()
        assert arrangement.status == "broken"
    outbox.deliver_due(at=after(29))
    assert cast.staff.email in {mail.recipient for mail in mails("billing_arrangement")}
    assert run(after(30)) == 1
    assert steps(invoice)["copied"] == "written"
    with pytest.raises(Forbidden):
        cancel_arrangement(arrangement, by=cast.owner, at=after(57))


def test_an_agreement_has_its_own_calendar_and_staff_see_what_goes_out_tomorrow(
    cast: Cast, invoice: Invoice, at: datetime
) -> None:
    agreement = agreed(cast, at=at)
    staff = signed_in(cast.staff)
    wanted = {"agreement": agreement.pk, "courtesy": 2, "first": 10, "second": 20, "copied": 40, "human": 80}
    page = "/en/staff/billing/reminder/tools/calendar/"
    assert staff.post(page, wanted | {"second": 10, "reason": "x"}).status_code == 422
    assert staff.post(page, wanted | {"reason": "Their treasurer asked for it."}).status_code == 302
    with consortium_scope(Scope.STAFF):
        assert days_for(invoice) == ReminderDays(2, 10, 20, 40, 80)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            ReminderCalendar.objects.update(first=1)
        with pytest.raises(Forbidden):
            set_calendar(agreement, ReminderDays(), quiet_until=None, reason="x", by=cast.owner, at=at)
        [planned] = planned_on(date(2026, 11, 11), at=after(3))
        assert (planned.step, planned.due, planned.because) == (Step.FIRST, TOTAL, "")
    assert "finance@people.example" in text_of(staff.get("/en/staff/billing/reminder/tools/plan/?day=2026-11-11"))
    assert staff.get("/en/staff/billing/reminder/tools/plan/?day=x").status_code == 422
    assert (run(after(3)), run(after(10))) == (0, 1)
    with consortium_scope(Scope.STAFF):
        quiet, later = DUE_ON + timedelta(days=25), datetime.now(UTC) + timedelta(minutes=1)
        set_calendar(agreement, ReminderDays(), quiet_until=quiet, reason="Strike.", by=cast.staff, at=later)
        [planned] = planned_on(DUE_ON + timedelta(days=18), at=after(11))
        assert "quiet until" in planned.because
    assert (run(after(18)), run(after(26))) == (0, 1)


def test_without_finance_people_the_payer_s_inbox_is_reminded(cast: Cast, invoice: Invoice) -> None:
    with consortium_scope(Scope.COMMAND):
        Seat.objects.filter(role="finance").update(ended_at=after(0))
    run(after(3))
    assert [mail.recipient for mail in mails()] == ["payables@cedar.example"]


def _one_part_more(arrangement: PaymentArrangement) -> None:
    with transaction.atomic():
        arrangement.parts.create(institution_id=arrangement.institution_id, due_on=DUE_ON, amount=1)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


# --- Promise 16 -----------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 25)),
        st.tuples(st.just("remind"), st.just(0)),
        st.tuples(st.just("deliver"), st.just(0)),
        st.tuples(st.just("pay"), st.sampled_from([10, 600, 1400, 3000])),
        st.tuples(st.just("dispute"), st.integers(1, 3)),
        st.tuples(st.just("withdraw"), st.just(0)),
    ),
    min_size=4,
    max_size=14,
)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_in_any_order_nobody_is_asked_for_what_is_not_due_nor_twice(
    cast: Cast, invoice: Invoice, acts: list[tuple[str, int]]
) -> None:
    with suppress(Undone), transaction.atomic():
        _act_out(invoice, acts)
        raise Undone


class Undone(Exception):
    """Takes an example back."""


def _act_out(invoice: Invoice, acts: list[tuple[str, int]]) -> None:
    at, seen = after(-12), 0
    for act, number in acts:
        rest, held = _rest(invoice)
        if act == "wait":
            at += timedelta(days=number)
        elif act == "remind":
            remind_due(at=at)
        elif act == "deliver":
            outbox.deliver_due(at=at)
        elif act == "pay" and rest > 0:
            pay(invoice, min(Decimal(number), rest))
        elif act == "dispute" and rest > 0:
            _dispute(invoice, number, at)
        elif act == "withdraw":
            _withdraw(invoice, at)
        with consortium_scope(Scope.JOB):
            written = list(Reminder.objects.filter(invoice=invoice, status="written").order_by("ended_at", "id"))
        if len(written) > seen:
            assert act == "deliver"
            assert rest - held > 0
            assert all(each.due == rest - held for each in written[seen:] if each.ended_at is not None)
        seen = len(written)
    with consortium_scope(Scope.JOB):
        taken = Reminder.objects.filter(invoice=invoice)
        assert taken.count() == taken.values("step").distinct().count()
        assert len(mails()) <= 2 * seen


def _rest(invoice: Invoice) -> tuple[Decimal, Decimal]:
    with consortium_scope(Scope.JOB):
        balance = InvoiceBalance.objects.get(pk=invoice.pk)
        rest = balance.due
        held = sum((row.amount for row in disputes.disputes_of(invoice) if row.ended_at is None), Decimal(0))
        return rest, min(rest, held)


def _dispute(invoice: Invoice, position: int, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        line = InvoiceLine.objects.get(invoice=invoice, position=position)
        if not line.disputes.filter(ended_at=None).exists():
            open_dispute(line, net=line.net, text="x", name="Ada", email="a@b.example", language="en", at=at)


def _withdraw(invoice: Invoice, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        for row in disputes.disputes_of(invoice):
            if row.ended_at is None:
                disputes.withdraw_dispute(row, at=at)


@pytest.mark.usefixtures("committed_db")
def test_reminders_and_a_payment_at_once_one_step_is_taken_and_none_after_the_money() -> None:
    cast = make_cast(after(-30))
    invoice = make_invoice(cast)
    gate = Barrier(5)

    def remind() -> int:
        try:
            gate.wait()
            return remind_due(at=after(3))
        finally:
            connection.close()

    def paying() -> int:
        try:
            gate.wait()
            pay(invoice, TOTAL)
            return 0
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        done = [pool.submit(remind) for _ in range(4)] + [pool.submit(paying)]
        taken = sum(each.result() for each in done)
    assert taken <= 1
    outbox.deliver_due(at=after(3))
    assert mails() == [], "the money came first, or while the mail was still to be written"
    assert set(steps(invoice).values()) <= {"passed", "overtaken"}


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("point", ["reminder.recorded", "reminder.before_commit", "delivery.before_commit"])
def test_a_worker_that_dies_leaves_no_half_and_the_next_one_sends_it_once(point: str) -> None:
    cast = make_cast(after(-30))
    invoice = make_invoice(cast)
    arm(point)
    with pytest.raises(SimulatedCrash):
        run(after(3))
    disarm()
    assert mails() == []
    run(after(3))
    outbox.deliver_due(at=after(3) + timedelta(minutes=5))
    run(after(4))
    assert steps(invoice) == {"courtesy": "passed", "first": "written"}
    assert [mail.recipient for mail in mails()] == ["finance@people.example"]
