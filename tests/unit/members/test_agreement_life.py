"""An agreement's years: renewals, reminders, amendments, new prices, suspension, notice; time is an argument."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Job, OutgoingMail
from members import agreements
from members.agreements import lifecycle
from members.agreements.prices import IncreaseTooLarge, NoticeTooShort, NotOnlyPrices
from members.entitlements import AgreementSuspended, NoAgreement, entitlements, entitlements_between
from members.models import Agreement, AgreementEvent, Membership
from tests.cast import make_cast
from tests.unit.members.agreement_story import (
    BUILDERS,
    Place,
    agreements_soonest,
    edit,
    make_owner,
    noon,
    sign_both,
)
from tests.unit.members.story import deliver, make_applicant_university, make_template

LAST_DAY = date(2027, 9, 30)  # of the first agreement, which begins on 1 October 2026


def mails(at: datetime, *templates: str) -> Counter[str]:
    deliver(at)
    return Counter(OutgoingMail.objects.filter(template__in=templates).values_list("template", flat=True))


def live_through(days: range, start: date) -> list[tuple[date, int]]:
    """Run the daily duty on each day, twice; returns the days on which it did something."""
    done = []
    for offset in days:
        day = start + timedelta(days=offset)
        count = lifecycle.run_due(at=noon(day))
        assert lifecycle.run_due(at=noon(day)) == 0  # a replay does nothing
        if count:
            done.append((day, count))
    return done


def test_a_year_without_a_renewal_offers_reminds_and_ends_each_once(place: Place) -> None:
    agreement = BUILDERS["in_force"](place)
    steps = live_through(range(64), date(2027, 7, 31))
    assert [day for day, _count in steps] == [
        date(2027, 8, 2),  # 60 days before 1 October
        date(2027, 9, 1),
        date(2027, 9, 17),
        date(2027, 9, 29),
        date(2027, 10, 1),
    ]
    agreement.refresh_from_db()
    renewal = Agreement.objects.get(follows=agreement)
    assert (agreement.status, renewal.kind, renewal.status) == ("ended", "renewal", "offered")
    assert (renewal.starts_on, renewal.ends_on) == (date(2027, 10, 1), date(2028, 10, 1))
    assert Membership.objects.get(institution=place.birch).status == "leaving"
    templates = ("members_offer", "members_agreement_ends", "members_ended")
    assert mails(noon(date(2027, 10, 2)), *templates) == {
        "members_offer": 2,  # the first agreement and its renewal
        "members_agreement_ends": 3,
        "members_ended": 2,  # the owner and the staff
    }
    with pytest.raises(NoAgreement):
        entitlements(place.birch.pk, at=noon(date(2027, 10, 1)))


def test_a_renewal_that_is_signed_takes_over_on_its_day_without_a_gap(place: Place) -> None:
    first = BUILDERS["in_force"](place)
    lifecycle.run_due(at=noon(date(2027, 8, 10)))
    renewal = Agreement.objects.get(follows=first)
    sign_both(renewal, place, at=noon(date(2027, 8, 20)))
    first.refresh_from_db()
    assert (first.status, renewal.status) == ("in_force", "in_force")
    assert live_through(range(36), date(2027, 8, 27)) == [(date(2027, 10, 1), 1)]  # and no reminder
    first.refresh_from_db()
    assert first.status == "superseded"
    for day, version in ((LAST_DAY, 1), (date(2027, 10, 1), 2)):
        assert entitlements(place.birch.pk, at=noon(day)).agreement_version == version
    assert Membership.objects.get(institution=place.birch).status == "active"


def test_a_duty_that_slept_for_weeks_reminds_once_and_not_of_what_is_past(place: Place) -> None:
    agreement = BUILDERS["in_force"](place)
    lifecycle.run_due(at=noon(date(2027, 9, 20)))
    assert AgreementEvent.objects.filter(agreement=agreement, kind="reminded").count() == 2
    assert mails(noon(LAST_DAY), "members_agreement_ends") == {"members_agreement_ends": 1}


def test_an_open_agreement_is_never_renewed(place: Place) -> None:
    agreement = BUILDERS["draft"](place)
    edit(agreement, by=place.cast.staff, at=place.at, ends_on=None, terms={"term_months": None})
    sign_both(agreement, place)
    assert live_through(range(0, 800, 100), date(2027, 1, 1)) == []


def test_an_agreement_that_says_none_is_not_renewed_but_reminded(place: Place) -> None:
    agreement = BUILDERS["draft"](place)
    edit(agreement, by=place.cast.staff, at=place.at, terms={"renewal": {"mode": "none"}})
    sign_both(agreement, place)
    live_through(range(0, 40, 3), date(2027, 8, 27))
    assert not Agreement.objects.filter(follows=agreement).exists()
    assert mails(noon(LAST_DAY), "members_agreement_ends") == {"members_agreement_ends": 3}


def test_an_amendment_of_a_later_day_leaves_the_days_before_to_the_old_text(place: Place) -> None:
    first = BUILDERS["in_force"](place)
    change = agreements.draft_change(
        first, kind="amendment", starts_on=date(2027, 1, 1), by=place.cast.staff, at=place.at
    )
    edit(change, by=place.cast.staff, at=place.at, terms={"dues": "7000.00"})
    sign_both(change, place)
    first.refresh_from_db()
    assert (first.status, first.covered_until) == ("in_force", date(2027, 1, 1))
    for day, dues in ((date(2026, 12, 31), "6000.00"), (date(2027, 1, 1), "7000.00")):
        assert str(entitlements(place.birch.pk, at=noon(day)).schedule.dues) == dues
    assert live_through(range(10), date(2026, 12, 27)) == [(date(2027, 1, 1), 1)]
    year = {"first_day": date(2026, 10, 1), "next_day": date(2027, 10, 1)}
    covering = entitlements_between(issuer_id=place.cast.issuer.pk, **year)
    assert [(each.starts_on, each.ends_on) for each in covering] == [
        (date(2026, 10, 1), date(2027, 1, 1)),
        (date(2027, 1, 1), date(2027, 10, 1)),
    ]


def test_announced_prices_hold_from_their_day_without_the_members_signature(place: Place) -> None:
    change = BUILDERS["announced"](place)
    first = change.follows
    assert first is not None
    assert mails(place.at, "members_prices") == {"members_prices": 1}
    assert live_through(range(5), date(2027, 3, 30)) == [(date(2027, 4, 1), 1)]
    change.refresh_from_db()
    first.refresh_from_db()
    assert (first.status, first.covered_until, change.status) == ("superseded", date(2027, 4, 1), "in_force")
    assert str(entitlements(place.birch.pk, at=noon(date(2027, 4, 1))).schedule.dues) == "6300.00"
    assert Job.objects.filter(kind="render_agreement", unique_key=str(change.pk)).exists()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"terms": {"dues": "6300.00", "notice_days": 10}}, NotOnlyPrices),
        ({"clauses_en": "You pay more."}, NotOnlyPrices),
        ({"terms": {"dues": "6300.00"}, "starts_on": date(2026, 12, 1)}, NoticeTooShort),
        ({"terms": {"dues": "6600.01"}}, IncreaseTooLarge),
        ({"terms": {"slabs": [{"up_to": 5, "unit_price": "10.00"}, {"up_to": None, "unit_price": "3.00"}]}},
         IncreaseTooLarge),
    ],
)  # fmt: skip
def test_only_prices_change_by_notice_in_time_and_within_what_was_agreed(
    place: Place, change: dict[str, Any], error: type[Exception]
) -> None:
    agreement = BUILDERS["draft"](place)
    edit(agreement, by=place.cast.staff, at=place.at, terms={"max_price_increase": "0.10"})
    sign_both(agreement, place)
    draft = agreements.draft_change(
        agreement, kind="prices", starts_on=date(2027, 4, 1), by=place.cast.staff, at=place.at
    )
    edit(draft, by=place.cast.staff, at=place.at, **change)
    with pytest.raises(error):
        agreements.announce_prices(draft, name="Sam", title="Director", by=place.cast.staff, at=place.at)
    with pytest.raises(Invalid):
        agreements.offer_agreement(draft, by=place.cast.staff, at=place.at)


def test_notice_before_new_prices_means_that_they_never_hold(place: Place) -> None:
    change = BUILDERS["announced"](place)
    first = change.follows
    assert first is not None
    agreements.give_notice(
        first, side="member", last_day=date(2027, 3, 31), reason="Too dear.", by=place.cast.stranger, at=place.at
    )
    change.refresh_from_db()
    assert change.status == "withdrawn"
    live_through(range(5), date(2027, 3, 30))
    first.refresh_from_db()
    assert first.status == "ended"


def test_while_suspended_nothing_new_is_entitled_but_the_bill_goes_on(place: Place) -> None:
    agreement = BUILDERS["suspended"](place)
    with pytest.raises(AgreementSuspended):
        entitlements(place.birch.pk, at=place.at)
    month = {"first_day": date(2026, 10, 1), "next_day": date(2026, 11, 1)}
    assert [each.status for each in entitlements_between(issuer_id=place.cast.issuer.pk, **month)] == ["suspended"]
    with pytest.raises(Forbidden):
        agreements.resume_agreement(agreement, reason="", by=place.cast.stranger, at=place.at)
    agreements.resume_agreement(agreement, reason="Paid.", by=place.cast.staff, at=place.at)
    assert entitlements(place.birch.pk, at=place.at)
    assert mails(place.at, "members_suspended", "members_resumed") == {"members_suspended": 1, "members_resumed": 1}


@pytest.mark.parametrize("side", ["member", "consortium"])
def test_either_side_ends_it_with_the_notice_that_was_agreed(place: Place, side: str) -> None:
    agreement = BUILDERS["in_force"](place)
    by = place.cast.stranger if side == "member" else place.cast.staff
    soonest = agreements_soonest(agreement, place.at)
    for wrong in (soonest - timedelta(days=1), LAST_DAY + timedelta(days=1)):
        with pytest.raises(Invalid) as refused:
            agreements.give_notice(agreement, side=side, last_day=wrong, reason="R", by=by, at=place.at)
        assert refused.value.field == "last_day"
    agreements.give_notice(agreement, side=side, last_day=soonest, reason="R", by=by, at=place.at)
    assert (agreement.status, agreement.covers_until) == ("terminating", soonest + timedelta(days=1))
    assert Membership.objects.get(institution=place.birch).status == "leaving"
    assert entitlements(place.birch.pk, at=noon(soonest)).status == "terminating"
    assert mails(place.at, "members_notice") == {"members_notice": 2}
    live_through(range(3), soonest)
    agreement.refresh_from_db()
    assert agreement.status == "ended"
    with pytest.raises(NoAgreement):
        entitlements(place.birch.pk, at=noon(soonest + timedelta(days=1)))


def test_only_the_side_that_gave_notice_takes_it_back(place: Place) -> None:
    agreement = BUILDERS["terminating"](place)
    with pytest.raises(Forbidden):
        agreements.withdraw_notice(agreement, side="consortium", reason="", by=place.cast.staff, at=place.at)
    with pytest.raises(Forbidden):
        agreements.withdraw_notice(agreement, side="member", reason="", by=place.cast.outsider, at=place.at)
    agreements.withdraw_notice(agreement, side="member", reason="We stay.", by=place.cast.stranger, at=place.at)
    assert (agreement.status, agreement.covered_until) == ("in_force", None)
    assert Membership.objects.get(institution=place.birch).status == "active"
    with pytest.raises(Invalid):
        agreements.withdraw_notice(agreement, side="member", reason="", by=place.cast.stranger, at=place.at)


def test_notice_outlasts_a_suspension(place: Place) -> None:
    agreement = BUILDERS["terminating"](place)
    agreements.suspend_agreement(agreement, reason="Unpaid.", by=place.cast.staff, at=place.at)
    with pytest.raises(Invalid):
        agreements.give_notice(
            agreement, side="consortium", last_day=LAST_DAY, reason="R", by=place.cast.staff, at=place.at
        )
    agreements.resume_agreement(agreement, reason="", by=place.cast.staff, at=place.at)
    assert agreement.status == "terminating"


@pytest.mark.parametrize("state", ["offered", "ended", "superseded"])
def test_notice_needs_an_agreement_in_force(place: Place, state: str) -> None:
    agreement = BUILDERS[state](place)
    with pytest.raises(TransitionRefused):
        agreements.give_notice(
            agreement, side="member", last_day=LAST_DAY, reason="R", by=place.cast.stranger, at=place.at
        )


def test_the_past_keeps_its_answers_after_the_end(place: Place) -> None:
    agreement = BUILDERS["ended"](place)
    assert entitlements(place.birch.pk, at=noon(date(2026, 11, 1))).agreement_id == agreement.pk


def test_every_step_of_the_calendar_is_in_the_audit_trail(place: Place) -> None:
    BUILDERS["announced"](place)
    live_through(range(0, 200, 7), date(2027, 3, 25))
    actions = set(AuditEvent.objects.filter(actor_kind="agreements").values_list("action", flat=True))
    assert {
        "members.agreement_began",
        "members.agreement_superseded",
        "members.agreement_drafted",
        "members.agreement_offered",
        "members.agreement_reminded",
        "members.agreement_ended",
    } <= actions


def test_one_agreement_that_cannot_be_read_does_not_hold_the_others_up(place: Place) -> None:
    broken = agreements.draft_agreement(
        institution=place.cast.university, template=place.template, fte=1, po_required=False,
        starts_on=date(2026, 1, 1), by=place.cast.staff, at=place.at,
    )  # fmt: skip
    make_owner(place.cast.stranger, place.cast.university, place.at)
    Agreement.objects.filter(pk=broken.pk).update(schedule={"no": "schedule"}, ends_on=date(2027, 9, 1))
    broken.refresh_from_db()
    sign_both(broken, place)
    BUILDERS["in_force"](place)
    assert lifecycle.run_due(at=noon(date(2027, 8, 10))) == 1


@pytest.mark.usefixtures("committed_db")
def test_four_calendars_at_once_offer_one_renewal_and_send_one_reminder(at: datetime) -> None:
    cast = make_cast(at)
    with consortium_scope(Scope.COMMAND):
        place = Place(cast, make_applicant_university(), make_template(cast.issuer, at), at)
        BUILDERS["in_force"](place)

    def run(_number: int) -> int:
        try:
            return lifecycle.run_due(at=noon(date(2027, 9, 5)))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == 2
    with consortium_scope(Scope.COMMAND):
        assert Agreement.objects.filter(kind="renewal").count() == 1
        assert AgreementEvent.objects.filter(kind="reminded").count() == 1
