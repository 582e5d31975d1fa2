"""The verb `close_period`: what a treasurer's script reads, and what stops it; and who may let large invoices out."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from billing import runs
from billing.facts import MemberFacts
from billing.invoicing import FourEyes
from billing.models import BillingPeriod, BillingRun, Invoice
from billing.runs import RunNotReady, TotalsMismatch
from consortium.kernel import crash, jobs
from consortium.kernel.errors import Forbidden
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document, Job
from consortium.usecases import close_period as usecase
from consortium.usecases.close_period import approve_and_issue, prepare_period, request_preparation
from members.models import StaffSeat, User
from tests.cast import Cast, make_cast, make_person
from tests.integration.billing.stories import MONTH, RUN, STORY_ROWS, bill_file, facts, set_up, take_in, three_to_one

DAY = datetime(2026, 10, 15, 16, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(default_storage, "location", str(tmp_path / "files"))
    yield
    crash.disarm()


@pytest.fixture
def world(committed_db: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cast:
    """September with its bill, committed; what the use case would read is the story's."""
    people = make_cast(DAY)
    with consortium_scope(Scope.JOB):
        set_up(people, DAY)
        take_in(bill_file(tmp_path, *STORY_ROWS), people, DAY)
    told(monkeypatch, three_to_one(people))
    return people


def told(monkeypatch: pytest.MonkeyPatch, members: list[MemberFacts]) -> None:
    """Let agreements and meters say this, on the story's day."""
    for module in (usecase, "consortium.management.commands.close_period"):
        name = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{name}.member_facts", lambda *_, **__: members)
        monkeypatch.setattr(f"{name}.now", lambda: DAY)
    monkeypatch.setattr(usecase, "roll_recent", lambda at: None)
    monkeypatch.setattr(jobs, "_hint", [])


def closed(*words: str, month: str = MONTH) -> tuple[int, dict[str, Any]]:
    """Run the verb; returns its exit status and its JSON."""
    out, status = StringIO(), 0
    try:
        call_command("close_period", month, "--json", *words, stdout=out, stderr=StringIO())
    except SystemExit as end:
        status = int(end.code or 0)
    except CommandError as error:
        status = error.returncode
    return status, json.loads(out.getvalue())


def test_the_dry_run_says_to_the_cent_what_the_close_then_does(world: Cast) -> None:
    status, before = closed("--dry-run")
    assert (status, before["ok"], before["job"]) == (0, True, None)
    with consortium_scope(Scope.JOB):
        assert not Invoice.objects.exists()
        assert BillingPeriod.objects.get(month=MONTH).status == "open"
    status, after = closed()
    assert (status, after["ok"], after["preflight"], after["parked"]) == (0, True, [], [])
    assert [(each["institution"], each["total"]) for each in before["invoices"]] == [
        (each["institution"], each["total"]) for each in after["invoices"]
    ]
    assert after["invoices"] == [
        {"institution": "cedar", "number": "ICC-2026-000001", "total": "2602.57", "currency": "CAD"},
        {"institution": "maple", "number": "ICC-2026-000002", "total": "788.59", "currency": "CAD"},
    ]
    assert after["job"]["state"] == "succeeded"
    again_status, again = closed()
    assert (again_status, again["invoices"]) == (0, after["invoices"])
    with consortium_scope(Scope.JOB):
        assert Document.objects.filter(kind="invoice").count() == Document.objects.filter(kind="ubl").count() == 2
        assert not Document.objects.filter(kind="facturx").exists()


@pytest.mark.parametrize("month", ["2026-13", "September", "2026-9"])
def test_a_month_that_is_none_is_bad_input(world: Cast, month: str) -> None:
    status, result = closed(month=month)
    assert (status, result["ok"], result["error"]["code"]) == (2, False, "bad_input")


def test_unknown_names_are_bad_input_with_the_known_ones(world: Cast) -> None:
    assert closed("--issuer", "nobody")[1]["error"]["message"].endswith("Known: icc.")
    assert closed("--approved-by", "owner@people.example")[0] == 2


def test_what_nobody_would_pay_blocks_until_somebody_answers_for_it(world: Cast, tmp_path: Path) -> None:
    from billing.models import MatchingRule  # noqa: PLC0415
    from billing.rules import retire_rule  # noqa: PLC0415

    with consortium_scope(Scope.JOB):
        retire_rule(MatchingRule.objects.get(name="the rest"), by=RUN, at=DAY)
        take_in(bill_file(tmp_path, ("1.00", ""), name="odd.csv", BillingAccountId="9"), world, DAY)
    status, result = closed()
    assert (status, result["ok"]) == (3, False)
    assert [each["code"] for each in result["preflight"] if each["blocking"]] == ["unattributed"]
    status, result = closed("--accept", "unattributed")
    assert (status, [each["code"] for each in result["parked"]]) == (0, ["unattributed"])
    assert len(result["invoices"]) == 2


def test_a_month_that_still_runs_is_closed_only_early(world: Cast) -> None:
    status, result = closed(month="2026-10")
    assert (status, result["ok"]) == (3, False)
    assert "month_not_over" in [each["code"] for each in result["preflight"]]


@pytest.mark.parametrize("point", ["closing.begun", "close.allocated", "close.drafted", "close.issued"])
def test_a_close_that_dies_anywhere_goes_on_and_ends_the_same(
    point: str, world: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash.arm(point)
    with pytest.raises(crash.SimulatedCrash):
        closed()
    crash.disarm()
    with consortium_scope(Scope.JOB):
        Job.objects.update(lease_until=DAY)
    status, result = closed()
    assert (status, [each["number"] for each in result["invoices"]]) == (0, ["ICC-2026-000001", "ICC-2026-000002"])
    with consortium_scope(Scope.JOB):
        assert Document.objects.filter(kind="invoice").count() == 2


# --- Two pairs of eyes ----------------------------------------------------------------------------------------------


def colleague() -> User:
    second = make_person("colleague", is_staff=True)
    StaffSeat.objects.create(user=second, role="finance")
    return second


@pytest.fixture
def large(world: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Cedar owes 50,000.00 and more, Maple little."""
    members = three_to_one(world)
    rich = facts(world.university, dues="600000.00", joined=date(2025, 1, 1), memory="5400000", users=280)
    told(monkeypatch, [rich, members[1]])
    return world


def prepared(cast: Cast) -> BillingRun:
    with consortium_scope(Scope.STAFF):
        request_preparation(issuer=cast.issuer, month=_month(), early=False, by=cast.staff, at=DAY)
        job = Job.objects.get()
    jobs.run(job.pk)
    with consortium_scope(Scope.STAFF):
        return BillingRun.objects.select_related("period__issuer").get()


def _month() -> Month:
    return Month.parse(MONTH)


def test_large_invoices_wait_for_a_second_person_and_all_others_go_out(large: Cast) -> None:
    status, result = closed("--prepared-by", large.staff.email)
    assert (status, [each["institution"] for each in result["invoices"]]) == (0, ["maple"])
    assert [each["code"] for each in result["parked"]] == ["four_eyes"]


def test_the_second_person_lets_the_large_ones_out(large: Cast) -> None:
    second = colleague()
    status, result = closed("--prepared-by", large.staff.email, "--approved-by", second.email)
    assert (status, [each["institution"] for each in result["invoices"]]) == (0, ["cedar", "maple"])
    with consortium_scope(Scope.JOB):
        invoice = Invoice.objects.get(institution=large.university)
        assert (invoice.drafted_by, invoice.approved_by) == (large.staff, second)


def test_what_is_approved_is_what_was_prepared(large: Cast) -> None:
    run = prepared(large)
    assert (run.status, run.invoices, run.needs_second) == ("prepared", 2, True)
    with consortium_scope(Scope.STAFF):
        for typed in ("", "1.00", "53,898.59 CAD", "53898.59 USD", "many"):
            with pytest.raises(TotalsMismatch):
                approve_and_issue(run, totals=typed, by=colleague_of(run), at=DAY)
        with pytest.raises(FourEyes):
            approve_and_issue(run, totals=_typed(run), by=large.staff, at=DAY)
        with pytest.raises(Forbidden):
            approve_and_issue(run, totals=_typed(run), by=large.owner, at=DAY)
        job = approve_and_issue(run, totals=_typed(run), by=colleague_of(run), at=DAY)
    assert jobs.run(job.pk)
    with consortium_scope(Scope.STAFF):
        run.refresh_from_db()
        assert run.status == "finished"
        assert {invoice.status for invoice in Invoice.objects.all()} == {"issued"}
        assert sum(invoice.total for invoice in Invoice.objects.all()) == Decimal(run.totals["CAD"])


def colleague_of(run: BillingRun) -> User:
    return User.objects.filter(email="colleague@people.example").first() or colleague()


def _typed(run: BillingRun) -> str:
    return f"{run.totals['CAD']} CAD"


def test_postgresql_refuses_one_person_on_both_sides(large: Cast) -> None:
    run = prepared(large)
    with consortium_scope(Scope.STAFF):
        for statement, words in (
            ("UPDATE billing_billingrun SET status = 'approved', approved_at = now(), approved_by_id = prepared_by_id",
             "four_eyes"),
            ("UPDATE billing_billingrun SET status = 'approved', approved_at = now()", "four_eyes"),
            ("UPDATE billing_billingrun SET needs_second = false", "is frozen"),
            ("UPDATE billing_billingrun SET status = 'finished'", "may not become"),
            ("UPDATE billing_invoice SET status = 'approved', approved_by_id = drafted_by_id WHERE total > 25000",
             "invoice_four_eyes"),
            ("UPDATE billing_invoice SET status = 'approved' WHERE total > 25000", "invoice_four_eyes"),
        ):  # fmt: skip
            with pytest.raises(IntegrityError, match=words), transaction.atomic():
                connection.cursor().execute(statement)
        assert runs.run_of(run.period) == run


def test_a_run_that_is_given_up_leaves_the_month_open_and_its_drafts_discarded(large: Cast) -> None:
    run = prepared(large)
    with consortium_scope(Scope.STAFF):
        runs.withdraw_run(run, by=large.staff, at=DAY)
        run.refresh_from_db()
        assert run.status == "withdrawn"
        assert BillingPeriod.objects.get(month=MONTH).status == "open"
        assert {invoice.status for invoice in Invoice.objects.all()} == {"discarded"}
        with pytest.raises(RunNotReady):
            approve_and_issue(run, totals=_typed(run), by=colleague(), at=DAY)
    again = prepare_period(run.period_id, by=large.staff, early=False, at=DAY)
    assert (again.number, again.totals) == (2, run.totals)
