"""Closing a month: what stops it, what it parks, and that every step may be started over."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from billing import closing, ledger
from billing.facts import MemberFacts
from billing.fx import record_rate
from billing.invoicing import approve_invoice, issue_invoice
from billing.models import (
    BillingAccount,
    BillingPeriod,
    Invoice,
    LedgerEntry,
    PeriodBasis,
    Pool,
    Share,
)
from billing.periods import PeriodClosed, open_period
from billing.purchase_orders import OrderLine, PurchaseOrderMissing, record_order
from consortium.kernel import crash
from consortium.kernel.dated import since
from consortium.kernel.errors import Forbidden
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent
from members.models import TaxRegistration
from tests.cast import Cast, make_cast, make_institution
from tests.integration.billing.stories import (
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    facts,
    issued,
    schedule,
    set_up,
    take_in,
    three_to_one,
)


def codes(period: BillingPeriod, members: list[MemberFacts], at: datetime) -> dict[str, bool]:
    """What the preflight finds: code and whether it blocks."""
    return {finding.code: finding.blocking for finding in closing.preflight(period, members, at=at)}


def test_a_month_in_order_has_no_findings(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        assert closing.preflight(period, three_to_one(cast), at=at) == []


def test_the_preflight_names_what_is_missing(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    cedar, maple = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        BillingAccount.objects.filter(institution=cast.university).update(province="", po_required=True)
        newcomer = facts(make_institution("willow"), dues="1.00", joined=date(2026, 1, 1), memory="0", users=0)
        found = codes(period, [replace(cedar, gap_seconds=60), maple, newcomer], at)
        assert found == {
            "tax_facts_missing": True,
            "account_missing": True,
            "meter_gaps": False,
            "po_missing": False,
        }


def test_a_rate_that_is_missing_stops_the_close_whatever_staff_accept(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        euros = bill_file(tmp_path, ("1.00", ""), name="eur.csv", BillingCurrency="EUR", BillingAccountId="7")
        take_in(euros, cast, at)
        assert codes(period, members, at) == {"fx_missing": True}
        with pytest.raises(closing.CloseBlocked, match="EUR to CAD"):
            closing.begin_closing(period, members, by=RUN, at=at, accepted={"fx_missing"})


def test_an_account_that_had_a_bill_last_month_is_expected_to_have_one(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        october = open_period(cast.issuer, "2026-10")
        assert codes(october, members, at) == {"bill_missing": False}  # the month still runs
        assert codes(october, members, datetime(2026, 11, 3, tzinfo=UTC)) == {"bill_missing": True}


def test_cost_of_an_institution_without_agreement_stops_the_close(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    cedar, _ = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        assert codes(period, [cedar], at) == {"agreement_missing": True}


def test_a_month_that_still_runs_is_closed_early_only_on_purpose(cast: Cast, at: datetime) -> None:
    with consortium_scope(Scope.JOB):
        set_up(cast, at)
        october = open_period(cast.issuer, "2026-10")
        members = three_to_one(cast)
        with pytest.raises(closing.MonthNotOver):
            closing.begin_closing(october, members, by=RUN, at=at)
        closing.begin_closing(october, members, by=RUN, at=at, early=True)
        closing.allocate_pools(october, members, at=at)
        closing.finish_closing(october, by=RUN, at=at)
        october.refresh_from_db()
        assert (october.status, october.closed_early, october.closed_at) == ("closed", True, at)


def test_only_finance_staff_close(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.STAFF):
        for step in (closing.begin_closing, closing.draft_invoices):
            with pytest.raises(Forbidden):
                step(period, members, by=cast.owner, at=at)
        with pytest.raises(Forbidden):
            closing.finish_closing(period, by=cast.finance, at=at)


def test_steps_out_of_order_are_refused(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        with pytest.raises(closing.PeriodNotClosing):
            closing.allocate_pools(period, members, at=at)
        with pytest.raises(closing.PeriodNotClosing):
            closing.draft_invoices(period, members, by=RUN, at=at)
        with pytest.raises(closing.PeriodNotClosing):
            closing.finish_closing(period, by=RUN, at=at)


def test_use_that_is_measured_again_later_changes_nothing_any_more(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        closing.begin_closing(period, members, by=RUN, at=at)
        later = [replace(each, memory_gib_seconds=Decimal(1), active_users=999) for each in members]
        closing.allocate_pools(period, later, at=at)
        cedar, _ = closing.draft_invoices(period, later, by=RUN, at=at)
        assert cedar.net_total == Decimal("2478.64")
        assert Share.objects.filter(pool__key="shared").order_by("-amount")[0].amount == Decimal("315.00")


def test_a_missing_purchase_order_holds_back_one_invoice_only(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        BillingAccount.objects.filter(institution=cast.other_university).update(po_required=True)
        cedar, maple = drafted(period, members, at)
        issue_invoice(approve_invoice(cedar, by=RUN, at=at), by=RUN, at=at)
        with pytest.raises(PurchaseOrderMissing):
            approve_invoice(maple, by=RUN, at=at)
        closing.finish_closing(period, by=RUN, at=at)
        waiting = closing.parked(period, members, at=at)
        assert [(found.code, found.institution_id) for found in waiting] == [("po_missing", cast.other_university.pk)]
        record_order(
            BillingAccount.objects.get(institution=cast.other_university),
            number="PO-1",
            lines=[OrderLine(description="Computing", amount=Decimal("788.59"))],
            first_day=date(2026, 10, 1),
            last_day=date(2026, 12, 31),
            by=RUN,
            at=at,
        )
        assert issue_invoice(approve_invoice(maple, by=RUN, at=at), by=RUN, at=at).number == "ICC-2026-000002"


def test_credits_above_the_charges_wait(cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path) -> None:
    with consortium_scope(Scope.JOB):
        credit = bill_file(
            tmp_path, ("-9000.00", '{"university": "maple"}'), name="credit.csv", BillingAccountId="0044"
        )
        take_in(credit, cast, at)
        members = three_to_one(cast)
        drafts = drafted(period, members, at)
        assert [draft.institution_id for draft in drafts] == [cast.university.pk]
        assert [found.code for found in closing.parked(period, members, at=at)] == ["nothing_due"]


def test_a_member_is_billed_for_its_part_of_the_month(cast: Cast, at: datetime) -> None:
    joined = date(2026, 9, 16)
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        members = [facts(cast.university, dues="12000.00", joined=joined, memory="0", users=0)]
        (draft,) = drafted(period, members, at)
        # 107 of 365 days from 16 September on, in four instalments.
        assert draft.net_total == Decimal("879.46")
        assert draft.period_start == datetime(2026, 9, 16, 7, 0, tzinfo=UTC)
        assert draft.period_end == datetime(2026, 10, 1, 7, 0, tzinfo=UTC)


def test_a_member_in_another_currency_is_invoiced_in_its_own(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    cedar, maple = three_to_one(cast)
    members = [cedar, replace(maple, currency="USD", schedule=schedule("6000.00", currency="USD"))]
    with consortium_scope(Scope.JOB):
        assert codes(period, members, at) == {"fx_missing": True, "account_missing": True}
        day, rate = date(2026, 9, 30), Decimal("0.71")
        record_rate(base="CAD", quote="USD", on=day, rate=rate, source="Bank of Canada", by=RUN, at=at)
        BillingAccount.objects.filter(institution=cast.other_university).update(currency="USD")
        _, abroad = drafted(period, members, at)
        assert abroad.currency == "USD"
        # Its own hubs were billed in US dollars; its share of the pool, 105.00 CAD, is worth 74.55 USD.
        assert [(line.kind, line.net) for line in abroad.lines.all()][2:4] == [
            ("direct_cost", Decimal("50.00")),
            ("shared_cost", Decimal("74.55")),
        ]
        shared = abroad.lines.filter(kind="shared_cost").first()
        assert shared is not None
        assert (shared.fx_rate, shared.fx_currency) == (rate, "CAD")


def test_giving_up_discards_the_drafts_and_a_new_run_splits_again(
    cast: Cast, period: BillingPeriod, at: datetime, tmp_path: Path
) -> None:
    members = three_to_one(cast)
    with consortium_scope(Scope.JOB):
        drafted(period, members, at)
        reopened = closing.reopen(period, by=RUN, at=at)
        assert (reopened.status, reopened.run) == ("open", 1)
        assert set(Invoice.objects.values_list("status", flat=True)) == {"discarded"}
        take_in(bill_file(tmp_path, ("100.00", ""), name="restated.csv"), cast, at)
        cedar, _ = drafted(period, members, at)
        assert cedar.lines.get(kind="shared_cost").net == Decimal("105.00")
        assert Pool.objects.filter(run=2).count() == 1
        issued([cedar], at)
        with pytest.raises(PeriodClosed):
            closing.reopen(period, by=RUN, at=at)


def test_a_registration_that_begins_later_charges_nothing_and_says_so(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        TaxRegistration.objects.update(valid=since(date(2027, 1, 1)))
        cedar, maple = drafted(period, three_to_one(cast), at)
        assert cedar.tax_total == maple.tax_total == Decimal(0)
        assert set(maple.line_taxes.values_list("tax", "reason")) == {
            ("GST", "not_registered"),
            ("QST", "not_registered"),
        }


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_billingperiod SET status = 'open'",
        "UPDATE billing_billingperiod SET closed_early = true",
        "DELETE FROM billing_billingperiod",
        "UPDATE billing_pool SET rounded_total = 0",
        "UPDATE billing_share SET amount = 0",
        "UPDATE billing_periodbasis SET active_users = 0",
        "DELETE FROM billing_periodbasis",
    ],
)
def test_postgresql_refuses_to_change_a_closed_month(
    statement: str, cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        drafted(period, three_to_one(cast), at)
        closing.finish_closing(period, by=RUN, at=at)
        with pytest.raises(IntegrityError), transaction.atomic():
            connection.cursor().execute(statement)


POINTS = (
    "closing.begun",
    "closing.pools_allocated",
    "closing.drafted",
    "invoice.approved",
    "invoice.numbered",
    "invoice.before_commit",
    "closing.bills_posted",
    "closing.before_commit",
)


def close(period_id: UUID, members: list[MemberFacts], at: datetime) -> None:
    """What the job does, each step a transaction of its own."""

    def current() -> BillingPeriod:
        return BillingPeriod.objects.select_related("issuer").get(pk=period_id)

    with consortium_scope(Scope.JOB):
        closing.begin_closing(current(), members, by=RUN, at=at)
    with consortium_scope(Scope.JOB):
        closing.allocate_pools(current(), members, at=at)
    with consortium_scope(Scope.JOB):
        drafts = closing.draft_invoices(current(), members, by=RUN, at=at)
    for draft in drafts:
        with consortium_scope(Scope.JOB):
            approve_invoice(draft, by=RUN, at=at)
        with consortium_scope(Scope.JOB):
            issue_invoice(draft, by=RUN, at=at)
    with consortium_scope(Scope.JOB):
        closing.finish_closing(current(), by=RUN, at=at)


@pytest.mark.slow
def test_a_run_that_dies_anywhere_goes_on_and_doubles_nothing(committed_db: str, at: datetime, tmp_path: Path) -> None:
    cast = make_cast(at)
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
    members = three_to_one(cast)
    for point in POINTS:
        crash.arm(point)
        with pytest.raises(crash.SimulatedCrash):
            close(period.pk, members, at)
        crash.disarm()
    close(period.pk, members, at)
    close(period.pk, members, at)  # and once more, after the end
    with consortium_scope(Scope.JOB):
        invoices = Invoice.objects.order_by("number")
        assert [(row.number, row.total) for row in invoices] == [
            ("ICC-2026-000001", Decimal("2602.57")),
            ("ICC-2026-000002", Decimal("788.59")),
        ]
        assert (Pool.objects.count(), PeriodBasis.objects.count(), LedgerEntry.objects.count()) == (2, 2, 3)
        assert ledger.is_balanced()
        assert ledger.receivables_agree(cast.issuer)
        assert AuditEvent.objects.filter(action="billing.period_closed").count() == 1
        assert BillingPeriod.objects.get(month=MONTH).run == 1
