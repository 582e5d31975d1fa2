"""From overdue to hubs and back: proposed by the agreement's ladder, confirmed by a person, lifted when it is paid."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.arrangements import arrange
from billing.disputes import open_dispute
from billing.models import HubStop, Invoice, InvoiceLine, LapseStep
from billing.models.standing import RUNGS
from billing.standing import ReadOnly, dismiss_step, refuse_read_only
from consortium.kernel import outbox
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import Job, OutgoingMail
from consortium.usecases.enforce_standing import carry_out, confirm_rung, enforce_standing, standing_of
from consortium.usecases.request_hub import request_hub
from members import agreements
from members.models import Agreement
from members.schedule_terms import Lapse
from provisioning.holds import hold_hub, release_hub
from provisioning.lifecycle import RESUME, SUSPEND
from provisioning.models import EventWindow, Hub
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.agreed import agreed
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.test_reminding import pay
from tests.unit.provisioning.stories import WISH, running_hub

DUE_ON = date(2026, 11, 1)
TOTAL = Decimal("2367.90")
START = datetime(2026, 10, 15, 16, tzinfo=UTC)


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    """Without TLS."""
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def agreement(cast: Cast) -> Agreement:
    """With a ladder of 60, 14, 14 and 60 days."""
    return agreed(cast, at=START, lapse=Lapse())


@pytest.fixture
def hub(cast: Cast, agreement: Agreement) -> Hub:
    return running_hub(cast, at=START)


@pytest.fixture
def invoice(cast: Cast) -> Invoice:
    return make_invoice(cast)


def after(days: int) -> datetime:
    day = DUE_ON + timedelta(days=days)
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def run(days: int) -> None:
    """The hourly task, then the sweeper."""
    enforce_standing(at=after(days))
    outbox.deliver_due(at=after(days))


def waiting() -> LapseStep:
    with consortium_scope(Scope.COMMAND):
        return LapseStep.objects.select_related("agreement", "institution").get(status="proposed")


def confirmed(cast: Cast, rung: str, days: int) -> None:
    """The rung is proposed on its day and not before, and a person confirms it."""
    run(days - 1)
    with consortium_scope(Scope.STAFF):
        assert not LapseStep.objects.filter(status="proposed").exists(), f"{rung} was proposed too early"
    run(days)
    step = waiting()
    assert step.rung == rung
    with consortium_scope(Scope.STAFF):
        confirm_rung(step, reason=f"Unpaid: {rung}.", by=cast.staff, at=after(days))


def code(cast: Cast, days: int) -> str:
    with institution_scope(cast.university.pk):
        return standing_of(cast.university, at=after(days)).code


def wanted(kind: str) -> int:
    with consortium_scope(Scope.COMMAND):
        return Job.objects.filter(kind=kind).count()


def settle(hub: Hub, status: str) -> None:
    """The job of an act has done its work."""
    with consortium_scope(Scope.COMMAND):
        Hub.objects.filter(pk=hub.pk).update(status=status)
        for job in Job.objects.filter(kind__in=[SUSPEND, RESUME], state="queued"):
            Job.objects.filter(pk=job.pk).update(state="running")
            Job.objects.filter(pk=job.pk).update(state="succeeded")


def mails(template: str) -> list[OutgoingMail]:
    with consortium_scope(Scope.COMMAND):
        return list(OutgoingMail.objects.filter(template=template).order_by("recipient"))


def test_the_ladder_is_walked_by_its_days_stops_hubs_and_is_lifted_when_it_is_paid(
    cast: Cast, hub: Hub, invoice: Invoice
) -> None:
    assert [code(cast, days) for days in (-16, -10, 0, 1)] == ["current", "due_soon", "due_soon", "overdue"]
    confirmed(cast, "notice", 60)
    assert (code(cast, 60), wanted(SUSPEND)) == ("escalated", 0)
    confirmed(cast, "read_only", 74)
    with institution_scope(cast.university.pk), pytest.raises(ReadOnly):
        request_hub(institution=cast.university, wish=WISH, by=cast.technical, at=after(75))
    assert wanted(SUSPEND) == 0
    confirmed(cast, "suspended", 88)
    assert (code(cast, 88), wanted(SUSPEND)) == ("suspended", 1)
    owner = signed_in(cast.owner)
    assert "Your hubs are suspended" in text_of(owner.get("/en/i/cedar/"))
    assert "Unpaid: suspended." in text_of(owner.get("/fr/i/cedar/"))
    run(89)
    assert wanted(SUSPEND) == 1, "once"
    settle(hub, "suspended")
    pay(invoice, TOTAL)
    run(90)
    assert (code(cast, 90), wanted(RESUME)) == ("current", 1)
    with consortium_scope(Scope.COMMAND):
        assert set(LapseStep.objects.values_list("status", flat=True)) == {"lifted"}
        assert HubStop.objects.get().woken_at == after(90)
    outbox.deliver_due(at=after(90))
    told = {mail.recipient for mail in mails("billing_lapse")}
    assert told == {cast.owner.email, cast.finance.email}
    assert len(mails("billing_lapse")) == 6
    assert len(mails("billing_lapse_lifted")) == 2, "one mail for all rungs"
    assert len(mails("billing_lapse_proposed")) == 3
    with institution_scope(cast.university.pk):
        refuse_read_only(cast.university.pk)


def test_the_last_rung_retires_what_is_suspended(cast: Cast, hub: Hub, invoice: Invoice) -> None:
    for rung, days in (("notice", 60), ("read_only", 74), ("suspended", 88)):
        confirmed(cast, rung, days)
    settle(hub, "suspended")
    confirmed(cast, "retired", 148)
    with consortium_scope(Scope.COMMAND):
        assert Hub.objects.get(pk=hub.pk).status == "retiring"


def test_postgresql_refuses_a_rung_without_the_one_before_early_or_without_a_ladder(
    cast: Cast, agreement: Agreement, invoice: Invoice
) -> None:
    def attempt(rung: str, days: int, **more: Any) -> None:
        values: dict[str, Any] = {"institution": cast.university, "agreement": agreement, "overdue_since": DUE_ON}
        with transaction.atomic():
            step = LapseStep.objects.create(**values | more, rung=rung, proposed_at=after(days))
            LapseStep.objects.filter(pk=step.pk).update(
                status="confirmed", confirmed_by=cast.staff, confirmed_at=after(days), reason="x",
                confirmed_on=DUE_ON + timedelta(days=days),
            )  # fmt: skip

    with consortium_scope(Scope.STAFF):
        for rung in RUNGS[1:]:
            with pytest.raises(DatabaseError, match="comes before it"):
                attempt(rung, 400)
        with pytest.raises(DatabaseError, match="gives 60 days"):
            attempt("notice", 59)
        attempt("notice", 60)
        with pytest.raises(DatabaseError, match="gives 14 days"):
            attempt("read_only", 73)
        attempt("read_only", 74)
        with pytest.raises(DatabaseError, match="lapsestep_once"):
            attempt("read_only", 75)
        LapseStep.objects.filter(rung="read_only").update(status="lifted", ended_at=after(80))
        with pytest.raises(DatabaseError, match="comes before it"):
            attempt("suspended", 100)
        with pytest.raises(DatabaseError, match="may not become"), transaction.atomic():
            LapseStep.objects.filter(rung="read_only").update(status="confirmed")
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            LapseStep.objects.filter(rung="notice").update(reason="Something else.")


def test_only_a_person_of_finance_decides_and_what_was_paid_meanwhile_is_not_confirmed(
    cast: Cast, agreement: Agreement, invoice: Invoice
) -> None:
    run(60)
    step = waiting()
    with consortium_scope(Scope.STAFF):
        with pytest.raises(Forbidden):
            confirm_rung(step, reason="x", by=cast.owner, at=after(60))
        with pytest.raises(Invalid):
            confirm_rung(step, reason=" ", by=cast.staff, at=after(60))
        dismiss_step(step, reason="Their budget passes next week.", by=cast.staff, at=after(60))
    run(61)
    with consortium_scope(Scope.STAFF):
        assert LapseStep.objects.count() == 1, "laid aside for thirty days"
    run(91)
    step = waiting()
    pay(invoice, TOTAL)
    with consortium_scope(Scope.STAFF), pytest.raises(Invalid, match="paid, arranged or disputed"):
        confirm_rung(step, reason="x", by=cast.staff, at=after(91))
    run(92)
    with consortium_scope(Scope.STAFF):
        assert set(LapseStep.objects.values_list("status", flat=True)) == {"dismissed"}


def test_a_dispute_keeps_the_next_rung_away_and_lifts_none_an_arrangement_lifts_them(
    cast: Cast, hub: Hub, invoice: Invoice
) -> None:
    confirmed(cast, "notice", 60)
    with institution_scope(cast.university.pk):
        for line in InvoiceLine.objects.filter(invoice=invoice):
            open_dispute(line, net=line.net, text="x", name="Ada", email="a@b.example", language="en", at=after(61))
    run(80)
    with consortium_scope(Scope.STAFF):
        assert list(LapseStep.objects.values_list("rung", "status")) == [("notice", "confirmed")]
        invoice.disputes.update(status="released", ended_at=after(81))
        parts = [(DUE_ON + timedelta(days=100), TOTAL)]
        arrange([invoice], parts, reason="Budget year.", by=cast.staff, at=after(81))
    assert code(cast, 81) == "escalated"
    run(82)
    assert code(cast, 82) == "arranged"
    assert "You pay in parts" in text_of(signed_in(cast.owner).get("/en/i/cedar/"))


def test_what_cannot_be_stopped_now_is_stopped_later_and_an_operator_s_own_stop_stays(
    cast: Cast, hub: Hub, agreement: Agreement
) -> None:
    with consortium_scope(Scope.STAFF):
        hold_hub(hub, reason="An exam.", until=after(30), by=cast.staff, at=after(1))
        agreements.suspend_agreement(agreement, reason="Misuse.", by=cast.staff, at=after(1))
    assert code(cast, 1) == "suspended"
    assert (carry_out(at=after(1)), wanted(SUSPEND)) == (0, 0)
    with consortium_scope(Scope.STAFF):
        release_hub(hub, by=cast.staff, at=after(2))
    assert (carry_out(at=after(2)), carry_out(at=after(2)), wanted(SUSPEND)) == (1, 0, 1)
    with consortium_scope(Scope.STAFF):
        agreements.resume_agreement(agreement, reason="Mended.", by=cast.staff, at=after(3))
    assert (carry_out(at=after(3)), wanted(RESUME)) == (0, 0), "it is still being stopped"
    settle(hub, "suspended")
    assert (carry_out(at=after(3)), carry_out(at=after(3)), wanted(RESUME)) == (1, 0, 1)
    with consortium_scope(Scope.COMMAND):
        Job.objects.filter(kind=RESUME).update(state="running")
        Job.objects.filter(kind=RESUME).update(state="succeeded")
    assert carry_out(at=after(4)) == 0, "an operator's own stop is nobody else's"


def test_a_hub_in_a_booked_event_is_stopped_when_the_event_is_over(cast: Cast, hub: Hub, invoice: Invoice) -> None:
    for rung, days in (("notice", 60), ("read_only", 74)):
        confirmed(cast, rung, days)
    with consortium_scope(Scope.COMMAND):
        EventWindow.objects.create(
            institution=cast.university,
            hub=hub,
            kind="exam",
            title="Final exam",
            expected_users=40,
            starts_at=after(87),
            ends_at=after(89),
            price=0,
            currency="CAD",
            booked_at=after(70),
            booked_by=cast.technical,
        )
    confirmed(cast, "suspended", 88)
    assert (wanted(SUSPEND), code(cast, 88)) == (0, "suspended")
    run(90)
    assert wanted(SUSPEND) == 1


def test_many_invoices_cost_a_standing_no_more_queries_than_one(
    cast: Cast, agreement: Agreement, django_assert_num_queries: Any
) -> None:
    def ask() -> str:
        with institution_scope(cast.university.pk):
            return standing_of(cast.university, at=after(5)).code

    make_invoice(cast, number="ICC-2026-0100")
    with CaptureQueriesContext(connection) as first:
        assert ask() == "overdue"
    for number in range(8):
        make_invoice(cast, number=f"ICC-2026-02{number:02}")
    with django_assert_num_queries(len(first)):
        assert ask() == "overdue"


def test_staff_confirm_with_everything_in_front_of_them(cast: Cast, hub: Hub, invoice: Invoice) -> None:
    run(60)
    staff = signed_in(cast.staff)
    assert "Steps of a ladder to confirm" in text_of(staff.get("/en/staff/"))
    page = f"/en/staff/billing/lapsestep/{waiting().pk}/act/confirm/"
    shown = text_of(staff.get(page))
    assert "ICC-2026-0007" in shown
    assert hub.name in shown
    assert staff.post(page, {"reason": "Unpaid.", "typed": "maple"}).status_code == 422
    assert staff.post(page, {"reason": "Unpaid.", "typed": "cedar"}).status_code in (302, 422)
    assert "Cedar University" in text_of(staff.get("/en/staff/billing/lapsestep/tools/members/"))
    agree = "/en/staff/billing/paymentarrangement/tools/agree/"
    wrong = {"invoices": [invoice.pk], "reason": "x", "day_1": "2030-01-01", "amount_1": "1.00"}
    assert staff.post(agree, wrong).status_code == 422
    assert staff.post(agree, wrong | {"amount_1": "2367.90"}).status_code == 302
