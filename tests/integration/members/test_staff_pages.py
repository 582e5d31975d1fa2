"""The admin site: reviewers decide by acts that say what will happen; other staff only look."""

from datetime import datetime

import pytest
from django.test import Client

from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent
from members.models import Agreement, Application, Institution, Membership, StaffSeat, User
from tests.cast import Cast
from tests.integration.members.browser import signed_in
from tests.unit.members.story import signed, submitted

LISTS = [
    "accessrequest",
    "agreement",
    "agreementtemplate",
    "application",
    "diligencedocument",
    "domain",
    "institution",
    "bankdetailschange",
    "issuer",
    "membership",
    "seat",
    "signon",
    "signontest",
    "staffseat",
    "user",
]


@pytest.fixture
def waiting(cast: Cast, birch: Institution, terms: object, at: datetime) -> Application:
    with consortium_scope(Scope.COMMAND):
        return submitted(birch, by=cast.stranger, at=at)


def act(browser: Client, model: str, row: Application | Agreement, act_name: str, /, **form: str) -> int:
    return browser.post(f"/en/staff/members/{model}/{row.pk}/act/{act_name}/", form).status_code


@pytest.mark.parametrize("model", LISTS)
def test_every_list_and_row_opens(cast: Cast, waiting: Application, model: str, at: datetime) -> None:
    browser = signed_in(cast.staff)
    assert browser.get(f"/en/staff/members/{model}/").status_code == 200
    rows = {
        "application": waiting.pk,
        "institution": cast.university.pk,
        "issuer": cast.issuer.pk,
        "user": cast.owner.pk,
    }
    if model in rows:
        assert browser.get(f"/fr/staff/members/{model}/{rows[model]}/change/").status_code == 200


@pytest.mark.parametrize("name", ["owner", "outsider", "stranger"])
def test_nobody_but_staff_enters(cast: Cast, waiting: Application, name: str) -> None:
    browser = signed_in(cast.person(name))
    assert browser.get("/en/staff/members/application/").status_code == 302
    assert act(browser, "application", waiting, "approve", starts_on="2026-10-01") == 302
    with consortium_scope(Scope.COMMAND):
        assert Application.objects.get().status == "submitted"


def test_a_reviewer_asks_then_sees_the_preview_and_approves(cast: Cast, waiting: Application) -> None:
    browser, url = signed_in(cast.staff), f"/en/staff/members/application/{waiting.pk}/act/approve/"
    preview = browser.get(url).content.decode()
    for words in ("6,000.00", "stranger@people.example", "verify the person first"):
        assert words in preview
    assert act(browser, "application", waiting, "approve", starts_on="soon") == 422
    assert act(browser, "application", waiting, "note", text="Called them.") == 302
    assert act(browser, "application", waiting, "approve", starts_on="2026-10-01") == 302
    with consortium_scope(Scope.COMMAND):
        assert Agreement.objects.get().status == "offered"
    assert act(browser, "application", waiting, "approve", starts_on="2026-10-01") == 403  # no such act any more


def test_declining_asks_for_the_reason(cast: Cast, waiting: Application) -> None:
    browser = signed_in(cast.staff)
    assert act(browser, "application", waiting, "decline", reason=" ") == 422
    assert act(browser, "application", waiting, "decline", reason="Not now.") == 302
    with consortium_scope(Scope.COMMAND):
        assert Application.objects.get().decision_reason == "Not now."


@pytest.mark.parametrize("role", ["finance", "operator", "auditor"])
def test_other_staff_look_and_do_not_act(cast: Cast, waiting: Application, role: str) -> None:
    StaffSeat.objects.filter(user=cast.staff).exclude(role=role).delete()
    browser = signed_in(cast.staff)
    page = browser.get(f"/en/staff/members/application/{waiting.pk}/change/")
    assert page.status_code == 200
    assert "/act/approve/" not in page.content.decode()
    assert act(browser, "application", waiting, "approve", starts_on="2026-10-01") == 403
    assert browser.post(f"/en/staff/members/institution/{cast.university.pk}/change/", {}).status_code == 403


def test_countersigning_activates_the_membership(cast: Cast, birch: Institution, terms: object, at: datetime) -> None:
    with consortium_scope(Scope.COMMAND):
        agreement = signed(birch, by=cast.stranger, staff=cast.staff, at=at)
    browser = signed_in(cast.staff)
    assert "Alma Birch" in browser.get(f"/en/staff/members/agreement/{agreement.pk}/act/countersign/").content.decode()
    assert act(browser, "agreement", agreement, "countersign", name="Sam", title="Director") == 302
    with consortium_scope(Scope.COMMAND):
        assert Membership.objects.get(institution=birch).status == "active"


def test_nothing_is_deleted_or_edited_behind_the_acts(cast: Cast, waiting: Application) -> None:
    browser = signed_in(cast.staff)
    for path in (f"application/{waiting.pk}/delete/", f"institution/{cast.university.pk}/delete/", "application/add/"):
        assert browser.post(f"/en/staff/members/{path}", {"post": "yes"}).status_code == 403
    assert (
        browser.post(f"/en/staff/members/application/{waiting.pk}/change/", {"status": "approved"}).status_code == 403
    )
    with consortium_scope(Scope.COMMAND):
        assert Application.objects.get().status == "submitted"


def test_a_change_by_hand_is_in_the_audit_trail(cast: Cast) -> None:
    browser, row = signed_in(cast.staff), cast.university
    kept = {
        name: getattr(row, name)
        for name in ("slug", "ror", "name_en", "name_fr", "city", "province", "country", "domain")
    }
    form = kept | {"zone": "America/Vancouver", "language": "fr", "latitude": "49.26", "longitude": "-123.25"}
    assert browser.post(f"/en/staff/members/institution/{row.pk}/change/", form).status_code == 302
    with consortium_scope(Scope.COMMAND):
        event = AuditEvent.objects.get(action="members.institution_changed")
    assert (event.actor_id, event.institution_id, event.after) == (cast.staff.pk, row.pk, {"fields": "language"})


def test_only_a_superuser_hands_out_staff_roles(cast: Cast) -> None:
    form = {"user": str(cast.stranger.pk), "role": "auditor"}
    assert signed_in(cast.staff).post("/en/staff/members/staffseat/add/", form).status_code == 403
    root = User.objects.create_superuser("root@people.example")
    assert signed_in(root).post("/en/staff/members/staffseat/add/", form).status_code == 302
    assert StaffSeat.objects.filter(user=cast.stranger, role="auditor").exists()
