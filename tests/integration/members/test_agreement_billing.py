"""What the use cases read of agreements: entitlements, whatever their state, and each member once in a month."""

from datetime import date, datetime
from typing import Any

import pytest

from billing.models import BillingAccount
from consortium.kernel import jobs
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent
from consortium.usecases.adopt_terms import adopt_terms
from consortium.usecases.join import countersign
from consortium.usecases.month_facts import member_facts
from members import agreements
from members.agreements import lifecycle
from members.models import Agreement, Institution
from tests.cast import Cast
from tests.unit.members.agreement_story import BUILDERS, Place, edit, noon, sign_both


@pytest.fixture
def place(cast: Cast, birch: Institution, terms: Any, at: datetime) -> Place:
    return Place(cast, birch, terms, at)


def facts_of(place: Place, month: str) -> list[tuple[str, date, date | None, str]]:
    return [
        (fact.slug, fact.starts_on, fact.ends_on, str(fact.schedule.dues))
        for fact in member_facts(place.cast.issuer, Month.parse(month))
    ]


@pytest.mark.parametrize("state", ["in_force", "suspended", "terminating", "ended"])
def test_whoever_is_covered_is_billed_until_the_day_that_ends_it(place: Place, state: str) -> None:
    with consortium_scope(Scope.JOB):
        agreement = BUILDERS[state](place)
        end = agreement.covers_until
        assert facts_of(place, "2026-11") == [("birch", date(2026, 10, 1), end, "6000.00")]
        assert facts_of(place, "2026-09") == []
        assert end is not None
        assert facts_of(place, str(Month.of(end).next())) == []


@pytest.mark.parametrize("state", ["draft", "offered", "signed", "withdrawn"])
def test_nobody_is_billed_before_both_have_signed(place: Place, state: str) -> None:
    with consortium_scope(Scope.JOB):
        BUILDERS[state](place)
        assert facts_of(place, "2026-11") == []


def amended(place: Place, starts_on: date) -> Agreement:
    first = BUILDERS["in_force"](place)
    change = agreements.draft_change(first, kind="amendment", starts_on=starts_on, by=place.cast.staff, at=place.at)
    edit(change, by=place.cast.staff, at=place.at, terms={"dues": "7000.00"})
    return sign_both(change, place)


def test_an_amendment_that_begins_with_a_month_is_billed_from_it(place: Place) -> None:
    with consortium_scope(Scope.JOB):
        amended(place, date(2027, 1, 1))
        for _ in range(2):  # before the calendar has moved the states, and after
            assert facts_of(place, "2026-12") == [("birch", date(2026, 10, 1), date(2027, 1, 1), "6000.00")]
            assert facts_of(place, "2027-01") == [("birch", date(2027, 1, 1), date(2027, 10, 1), "7000.00")]
            lifecycle.run_due(at=noon(date(2027, 2, 1)))


def test_an_amendment_within_a_month_waits_for_an_operator(place: Place) -> None:
    with consortium_scope(Scope.JOB):
        amended(place, date(2027, 1, 15))
        with pytest.raises(jobs.NeedsOperator, match="birch changed its agreement within 2027-01"):
            facts_of(place, "2027-01")


def test_countersigning_a_later_version_opens_no_second_account(place: Place) -> None:
    with consortium_scope(Scope.COMMAND):
        first = BUILDERS["signed"](place)
        account = countersign(first, name="Sam", title="Director", by=place.cast.staff, at=place.at)
        BillingAccount.objects.filter(pk=account.pk).update(name="Birch, accounts payable")
        change = agreements.draft_change(
            first, kind="amendment", starts_on=date(2027, 1, 1), by=place.cast.staff, at=place.at
        )
        agreements.offer_agreement(change, by=place.cast.staff, at=place.at)
        agreements.sign_agreement(
            change, name="Alma", title="VP", language="en", consent=True, by=place.cast.stranger, at=place.at
        )
        again = countersign(change, name="Sam", title="Director", by=place.cast.staff, at=place.at)
        assert again.pk == account.pk
        assert BillingAccount.objects.count() == 1


def test_the_billing_account_follows_an_amendment_from_its_first_day(place: Place) -> None:
    with consortium_scope(Scope.COMMAND):
        first = BUILDERS["signed"](place)
        account = countersign(first, name="Sam", title="Director", by=place.cast.staff, at=place.at)
        change = agreements.draft_change(
            first, kind="amendment", starts_on=date(2027, 1, 1), by=place.cast.staff, at=place.at
        )
        edit(change, by=place.cast.staff, at=place.at, terms={"payment_days": 45, "po_required": True})
        sign_both(change, place)
        assert adopt_terms(at=noon(date(2026, 12, 31))) == 0
        assert adopt_terms(at=noon(date(2027, 1, 1))) == 1
        account.refresh_from_db()
        assert (account.payment_days, account.po_required) == (45, True)
        assert adopt_terms(at=noon(date(2027, 1, 2))) == 0
        assert AuditEvent.objects.filter(action="billing.account_terms_adopted").count() == 1
