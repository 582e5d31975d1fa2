"""Staff and agreements: drafts are edited and compared in the admin site, and every act is its own page."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from members import agreements
from members.agreements.drafting import TEXTS
from members.agreements.ending import earliest_last_day
from members.models import Agreement, AgreementRevision, AgreementTemplate, Institution, StaffSeat
from members.schedule import Schedule, ScheduleTemplate
from members.schedule_form import initial_of
from tests.cast import Cast
from tests.integration.members.browser import signed_in
from tests.unit.members.agreement_story import BUILDERS, Place, edit, sign_both

ROOT = "/en/staff/members"


@pytest.fixture
def place(cast: Cast, birch: Institution, terms: Any) -> Place:
    return Place(cast, birch, terms, now())


def built(place: Place, state: str) -> Agreement:
    with consortium_scope(Scope.COMMAND):
        return BUILDERS[state](place)


def now_is(agreement: Agreement) -> Agreement:
    with consortium_scope(Scope.COMMAND):
        return Agreement.objects.get(pk=agreement.pk)


def act(browser: Client, agreement: Agreement, act_name: str, /, **form: str) -> int:
    return browser.post(f"{ROOT}/agreement/{agreement.pk}/act/{act_name}/", form).status_code


def draft_form(agreement: Agreement, **changes: Any) -> dict[str, Any]:
    assert agreement.ends_on is not None
    shown = initial_of(Schedule.parse(agreement.schedule))
    return {
        **{name: "on" if value is True else value for name, value in shown.items() if value is not False},
        **{name: getattr(agreement, name) for name in TEXTS},
        "starts_on": str(agreement.starts_on),
        "ends_on": str(agreement.ends_on - timedelta(days=1)),
        "note": "As agreed by telephone",
    } | changes  # fmt: skip


def test_a_reviewer_edits_a_draft_and_sees_the_difference(place: Place) -> None:
    agreement, browser = built(place, "draft"), signed_in(place.cast.staff)
    url = f"{ROOT}/agreement/{agreement.pk}/edit/"
    assert "250000" not in browser.get(url).content.decode()
    form = draft_form(agreement, notice_days="120", clauses_fr=agreement.clauses_fr + "\n\nPlus un mot.")
    saved = browser.post(url, form, follow=True)
    html = saved.content.decode()
    assert saved.status_code == 200
    for words in ("<del>90 days</del>", "<ins>120 days</ins>", "<ins>Plus un mot.</ins>", "As agreed by telephone"):
        assert words in html
    assert now_is(agreement).schedule["notice_days"] == 120
    assert now_is(agreement).ends_on == agreement.ends_on
    assert browser.get(f"{ROOT}/agreement/{agreement.pk}/changes/?from=1&to=99").status_code == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ends_on": "2020-01-01"}, "must not come before the first day"),
        ({"starts_on": "soon"}, "Enter a valid date"),
        ({"slabs": "10 | free"}, "Line 1, unit_price"),
        ({"clauses_en": ""}, "This field is required"),
        ({"dues": ""}, "Field required"),
    ],
)
def test_a_mistake_is_named_and_what_was_typed_stays(place: Place, change: dict[str, str], said: str) -> None:
    agreement, browser = built(place, "draft"), signed_in(place.cast.staff)
    form = draft_form(agreement, title_en="A title that stays", **change)
    answer = browser.post(f"{ROOT}/agreement/{agreement.pk}/edit/", form)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert said in html
    assert "A title that stays" in html
    with consortium_scope(Scope.COMMAND):
        assert AgreementRevision.objects.count() == 1


@pytest.mark.parametrize("state", ["offered", "signed", "in_force", "ended"])
def test_what_is_no_draft_is_not_edited_in_the_admin_site(place: Place, state: str) -> None:
    agreement, browser = built(place, state), signed_in(place.cast.staff)
    url = f"{ROOT}/agreement/{agreement.pk}"
    assert browser.post(f"{url}/edit/", draft_form(agreement, notice_days="1")).status_code == 403
    assert browser.post(f"{url}/change/", draft_form(agreement, status="draft")).status_code == 403
    assert now_is(agreement).schedule == agreement.schedule
    html = browser.get(f"{url}/change/").content.decode()
    assert "/edit/" not in html


@pytest.mark.parametrize("role", ["finance", "operator", "auditor"])
def test_other_staff_compare_and_do_not_edit(place: Place, role: str) -> None:
    agreement = built(place, "draft")
    StaffSeat.objects.filter(user=place.cast.staff).exclude(role=role).delete()
    browser, url = signed_in(place.cast.staff), f"{ROOT}/agreement/{agreement.pk}"
    assert browser.get(f"{url}/changes/").status_code == 200
    assert browser.post(f"{url}/edit/", draft_form(agreement)).status_code == 403
    for name in ("offer", "withdraw", "comment"):
        assert act(browser, agreement, name, text="x", reason="x") == 403
    assert browser.get(f"{ROOT}/agreementtemplate/{place.template.pk}/next/").status_code == 403


def test_staff_offer_a_draft_and_take_the_offer_back(place: Place) -> None:
    agreement, browser = built(place, "draft"), signed_in(place.cast.staff)
    assert act(browser, agreement, "announce", name="Sam", title="D") == 403  # no new prices
    assert act(browser, agreement, "offer") == 302
    assert now_is(agreement).status == "offered"
    assert act(browser, agreement, "withdraw", reason="") == 422
    assert act(browser, agreement, "withdraw", reason="A mistake.") == 302


def test_staff_lead_an_agreement_through_its_life_by_acts(place: Place) -> None:
    in_force, browser = built(place, "in_force"), signed_in(place.cast.staff)
    assert act(browser, in_force, "suspend", reason="Unpaid.") == 302
    assert act(browser, in_force, "resume", reason="Paid.") == 302
    assert act(browser, in_force, "notice", last_day="2020-01-01", reason="R") == 422
    with consortium_scope(Scope.COMMAND):
        soonest = earliest_last_day(in_force, at=now())
    assert act(browser, in_force, "notice", last_day=str(soonest), reason="R") == 302
    assert act(browser, in_force, "notice", last_day=str(soonest), reason="R") == 403
    assert act(browser, in_force, "unnotice", reason="R") == 302
    assert act(browser, in_force, "comment", text="Hello") == 302
    assert now_is(in_force).status == "in_force"


def test_an_amendment_and_new_prices_begin_as_drafts(place: Place) -> None:
    agreement, browser = built(place, "in_force"), signed_in(place.cast.staff)
    assert act(browser, agreement, "amend", starts_on="2027-01-01") == 302
    assert act(browser, agreement, "amend", starts_on="2027-01-01") == 422  # one is under way
    assert act(browser, agreement, "renew") == 302
    assert act(browser, agreement, "prices", starts_on="2027-06-01") == 302
    with consortium_scope(Scope.COMMAND):
        drafts = {row.kind: row for row in Agreement.objects.filter(follows=agreement)}
        edit(drafts["prices"], by=place.cast.staff, at=now(), terms={"dues": "6100.00"})
    assert set(drafts) == {"amendment", "renewal", "prices"}
    assert {row.status for row in drafts.values()} == {"draft"}
    page = browser.get(f"{ROOT}/agreement/{drafts['prices'].pk}/act/announce/").content.decode()
    assert "6,000.00\N{NO-BREAK SPACE}CAD → 6,100.00\N{NO-BREAK SPACE}CAD" in page
    assert act(browser, drafts["prices"], "offer") == 403
    assert act(browser, drafts["prices"], "announce", name="Sam", title="Director") == 302
    assert now_is(drafts["prices"]).status == "announced"


def test_an_announcement_is_taken_back(place: Place) -> None:
    browser, agreement = signed_in(place.cast.staff), built(place, "announced")
    assert act(browser, agreement, "withdraw", reason="Not this year.") == 302
    assert act(browser, agreement, "withdraw", reason="Again.") == 403
    assert browser.get(f"{ROOT}/agreement/{agreement.pk}/change/").status_code == 200


def test_the_next_template_is_published_from_the_last(place: Place) -> None:
    browser = signed_in(place.cast.staff)
    url = f"{ROOT}/agreementtemplate/{place.template.pk}/next/"
    assert "Publish the next version" in browser.get(url.replace("next", "change")).content.decode()
    schedule = ScheduleTemplate.parse(place.template.schedule)
    shown = {name: value for name, value in initial_of(schedule).items() if value is not False}
    form = {**shown, **{name: getattr(place.template, name) for name in TEXTS}}
    bad = browser.post(url, form | {"tiers": "small | small | petite | 10 | 6000.00"})
    assert bad.status_code == 422
    assert "the last one must have no end" in bad.content.decode()
    assert browser.post(url, form | {"notice_days": "180"}).status_code == 302
    newest = AgreementTemplate.objects.order_by("-version").first()
    assert newest is not None
    assert (newest.version, newest.schedule["version"], newest.schedule["notice_days"]) == (2, 2, 180)


def test_days_of_another_version_are_named_and_what_was_typed_stays(place: Place) -> None:
    browser = signed_in(place.cast.staff)
    with consortium_scope(Scope.COMMAND):
        first = BUILDERS["in_force"](place)
        second = agreements.draft_change(
            first, kind="amendment", starts_on=date(2027, 6, 1), by=place.cast.staff, at=place.at
        )
        sign_both(second, place)
        third = agreements.draft_change(
            second, kind="amendment", starts_on=date(2027, 7, 1), by=place.cast.staff, at=place.at
        )
    form = draft_form(third, starts_on="2026-11-01", note="Typed with care")
    answer = browser.post(f"{ROOT}/agreement/{third.pk}/edit/", form)
    html = answer.content.decode()
    assert answer.status_code == 422
    for words in ("Version 2 covers 1 June 2027 to 30 September 2027", "Typed with care", 'value="2026-11-01"'):
        assert words in html


def test_a_member_that_left_is_drafted_anew_from_the_newest_template(place: Place) -> None:
    agreement, browser = built(place, "withdrawn"), signed_in(place.cast.staff)
    assert act(browser, agreement, "redraft", starts_on="2027-01-01") == 302
    with consortium_scope(Scope.COMMAND):
        again = Agreement.objects.get(institution=place.birch, status="draft")
    assert (again.version, again.kind, again.schedule["tier"]) == (2, "first", "small")
    assert again.schedule["po_required"] is True
