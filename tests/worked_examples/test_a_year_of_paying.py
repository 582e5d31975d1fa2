"""Forty members, thirteen months, 520 invoices, every way of paying and failing: at the end all is explained.

What members owe is what the books say, is open invoices less credit that is on none; nobody was reminded after paying;
no hub was stopped but down its ladder, step by step, and it came back when all was paid.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from django.db.models import Sum

from billing.books_check import check_books
from billing.models import (
    Application,
    HubStop,
    Invoice,
    InvoiceBalance,
    LapseStep,
    LedgerLeg,
    MemberCredit,
    MemberCreditUse,
    Payment,
    Reminder,
)
from billing.payments import amount_due
from billing.reminding import remind_due
from consortium.kernel import outbox
from consortium.kernel.money import exact_sum
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Delivery, Job
from consortium.usecases.enforce_standing import carry_out, confirm_rung, enforce_standing
from provisioning.lifecycle import RESUME, SUSPEND
from provisioning.models import Hub
from tests.cast import make_cast
from tests.unit.billing.checkout import open_till
from tests.unit.provisioning.stories import running_hub
from tests.worked_examples.paying_year import (
    FIRST,
    MEMBERS,
    MONTHS,
    WAYS,
    Year,
    at_noon,
    bill,
    by_card,
    due_on,
    found,
)

pytestmark = pytest.mark.slow

SMALL = Decimal(150)  # what credit has left of an invoice is not paid in parts
STOPS_PAYING, PAYS_AGAIN = date(2026, 12, 31), date(2027, 6, 20)
# Their mails carry documents, whose making is another story's.
WITH_DOCUMENTS = ("billing.mail_invoice", "billing.mail_receipt", "billing.mail_credit_note")


class Script:
    """What happens on which day, in order; what happens may put more on the calendar."""

    def __init__(self, year: Year, hub: Hub) -> None:
        self.year, self.hub, self.order = year, hub, count()
        self.calendar: list[tuple[date, int, Callable[[date], object]]] = []
        self.unpaid: list[Invoice] = []
        month = FIRST
        for _ in range(MONTHS):
            self.on(month.next().first_day + timedelta(days=1), partial(self.close, month))
            month = month.next()
        self.on(PAYS_AGAIN, self.pay_all)

    def on(self, day: date, happens: Callable[[date], object]) -> None:
        """Put something on the calendar."""
        heapq.heappush(self.calendar, (day, next(self.order), happens))

    def run(self) -> None:
        """Let the days pass."""
        while self.calendar:
            day, _order, happens = heapq.heappop(self.calendar)
            happens(day)

    def close(self, month: Month, day: date) -> None:
        """Bill the month; say when each invoice will be paid, and when the portal will look."""
        number = (day.year - FIRST.year) * 12 + day.month
        invoices = bill(self.year, month, at_noon(day))
        for index, invoice in enumerate(invoices):
            if invoice.institution_id == self.hub.institution_id and STOPS_PAYING < day < PAYS_AGAIN:
                self.unpaid.append(invoice)
                continue
            left = due_on(invoice)
            if left == 0:  # paid from credit as it was issued
                continue
            way = WAYS[(index + number) % len(WAYS)] if left > SMALL else by_card
            self.on(day + timedelta(days=8), partial(way, self.year, invoice))
        self.on(day + timedelta(days=14), lambda day: self.year.statement(at_noon(day)))
        due = invoices[0].due_on
        assert due is not None
        for offset in (-7, 3, 15, 30, 60):
            self.on(due + timedelta(days=offset), self.remind)
        self.on(due + timedelta(days=21), lambda day: self.year.statement(at_noon(day)))
        for offset in (61, 76, 91):
            self.on(due + timedelta(days=offset), self.look_at_standing)

    def remind(self, day: date) -> None:
        """The portal reminds, and its mails are written; a second run does nothing."""
        remind_due(at=at_noon(day))
        assert remind_due(at=at_noon(day)) == 0
        with consortium_scope(Scope.JOB):
            Delivery.objects.filter(receiver__in=WITH_DOCUMENTS, done_at=None).update(done_at=at_noon(day))
        while outbox.deliver_due(at=at_noon(day)):
            pass

    def look_at_standing(self, day: date) -> None:
        """The portal proposes, a person confirms, hubs follow."""
        enforce_standing(at=at_noon(day))
        with consortium_scope(Scope.STAFF):
            for step in LapseStep.objects.select_related("agreement", "institution").filter(status="proposed"):
                confirm_rung(step, reason="Spoken with.", by=self.year.cast.staff, at=at_noon(day))
        carry_out(at=at_noon(day))
        with consortium_scope(Scope.COMMAND):  # the worker does what was wanted of the hub
            for job in Job.objects.filter(kind__in=[SUSPEND, RESUME], state="queued"):
                Hub.objects.filter(pk=self.hub.pk).update(status="suspended" if job.kind == SUSPEND else "running")
                for state in ("running", "succeeded"):
                    Job.objects.filter(pk=job.pk).update(state=state)

    def pay_all(self, day: date) -> None:
        """Cedar pays whatever is open."""
        for invoice in self.unpaid:
            by_card(self.year, invoice, day)
        self.look_at_standing(day + timedelta(days=1))


@pytest.fixture
def script(committed_db: str, tmp_path: Path) -> Iterator[Script]:
    """The year, played to its end."""
    cast = make_cast(at_noon(FIRST.first_day))
    with open_till(tmp_path) as till:
        year = found(cast, till)
        script = Script(year, running_hub(cast, at=at_noon(FIRST.first_day)))
        script.run()
        with consortium_scope(Scope.COMMAND):
            yield script


def test_a_year_of_paying_and_failing_ends_exact(script: Script) -> None:
    assert Invoice.objects.count() == MEMBERS * MONTHS
    assert Counter(Invoice.objects.values_list("status", flat=True)) == {"paid": MEMBERS * MONTHS}
    every_way_was_taken()
    balances_are_the_books(script)
    no_cent_is_lost()
    nobody_was_reminded_after_paying()
    hubs_were_stopped_by_the_ladder_alone(script)


def every_way_was_taken() -> None:
    """Cards, debits, transfers, cheques; declined, returned, short, double."""
    methods = set(Payment.objects.filter(status="succeeded").values_list("method", flat=True))
    assert {"card", "acss_debit", "bank_transfer", "cheque"} <= methods
    assert Payment.objects.filter(status="failed").count() >= 30
    assert MemberCredit.objects.count() >= 60


def balances_are_the_books(script: Script) -> None:
    """Member by member: open invoices less unapplied credit is what the books say; and so for all together."""
    assert check_books(at=at_noon(date(2028, 1, 1))).faults == []
    for institution in script.year.members:
        open_ = exact_sum(amount_due(each) for each in InvoiceBalance.objects.filter(institution=institution))
        held = exact_sum(MemberCredit.objects.filter(institution=institution).values_list("amount", flat=True))
        used = exact_sum(MemberCreditUse.objects.filter(institution=institution).values_list("amount", flat=True))
        legs = LedgerLeg.objects.filter(entry__institution_id=institution.pk)
        of_books = legs.filter(account__code__in=["1100", "2200"]).aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
        assert open_ - (held - used) == of_books, institution


def no_cent_is_lost() -> None:
    """Whatever arrived is on an invoice or is the member's credit."""
    arrived = exact_sum(Payment.objects.filter(status="succeeded").values_list("amount", flat=True))
    applied = exact_sum(Application.objects.exclude(payment=None).values_list("amount", flat=True))
    paid_beyond = MemberCredit.objects.filter(source_type="billing.Payment")
    assert arrived == applied + exact_sum(paid_beyond.values_list("amount", flat=True))


def nobody_was_reminded_after_paying() -> None:
    """Every reminder that went out was written while something was due, and no step twice."""
    last = dict(Application.objects.order_by("at").values_list("invoice_id", "at"))
    written = Reminder.objects.filter(status="written")
    assert written.count() >= 120
    assert [each for each in written if each.at > last[each.invoice_id]] == []
    steps = Counter(written.values_list("invoice_id", "step"))
    assert set(steps.values()) == {1}


def hubs_were_stopped_by_the_ladder_alone(script: Script) -> None:
    """One hub, Cedar's, after notice and read-only; and it runs again."""
    steps = LapseStep.objects.order_by("confirmed_at")
    assert {step.institution_id for step in steps} == {script.hub.institution_id}
    assert [step.rung for step in steps] == ["notice", "read_only", "suspended"]
    (stop,) = HubStop.objects.all()
    assert (stop.hub_id, stop.cause) == (script.hub.pk, "ladder")
    assert {step.status for step in steps} == {"lifted"}
