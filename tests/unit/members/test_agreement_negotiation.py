"""Negotiation: drafts are edited and compared, offers sent back, and nothing is lost or signed unread."""

from datetime import date
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from members import agreements
from members.agreement_pages import agreement_timeline, comparisons, readable
from members.agreements.history import offered_revisions
from members.models import Agreement, AgreementEvent, AgreementRevision
from members.queries import agreements_of, standing
from members.schedule import ScheduleInvalid
from tests.unit.members.agreement_story import BUILDERS, Place, edit, sign_both


def test_each_saved_state_is_a_revision_and_the_first_is_the_template(place: Place) -> None:
    agreement = BUILDERS["draft"](place)
    edit(agreement, by=place.cast.staff, at=place.at, note="Longer notice", terms={"notice_days": 120})
    edit(agreement, by=place.cast.staff, at=place.at, clauses_fr="## 1. Objet\n\nAutre chose.")
    rows = list(AgreementRevision.objects.filter(agreement=agreement))
    assert [(row.number, row.note) for row in rows] == [(1, ""), (2, "Longer notice"), (3, "")]
    assert rows[0].clauses_en == place.template.clauses_en
    assert rows[1].schedule["notice_days"] == 120
    assert rows[2].content_sha256 == agreements.content_sha256(Agreement.objects.get(pk=agreement.pk))
    with pytest.raises(DatabaseError), transaction.atomic():
        AgreementRevision.objects.filter(number=1).update(note="rewritten")


def test_an_offer_goes_back_with_a_reason_and_comes_again_changed(place: Place) -> None:
    agreement = BUILDERS["offered"](place)
    seen = agreements.content_sha256(agreement)
    agreements.request_changes(agreement, reason="120 days of notice.", by=place.cast.stranger, at=place.at)
    assert agreement.status == "draft"
    assert standing(agreement).owner == "The consortium"
    assert agreements_of(place.birch).get() == agreement  # still seen, with the text that was offered
    edit(agreement, by=place.cast.staff, at=place.at, terms={"notice_days": 120})
    assert readable(agreement).schedule["notice_days"] == 90
    with pytest.raises(TransitionRefused):
        sign_both_by_owner(place, agreement, agreements.content_sha256(agreement))
    agreements.offer_agreement(agreement, by=place.cast.staff, at=place.at)
    (comparison,) = comparisons(agreement)
    english, french = comparison.differences
    assert [(each.label, each.before, each.after) for each in english.schedule] == [
        ("Notice to end it", "90 days", "120 days")
    ]
    assert french.schedule[0].after == "120 jours"
    with pytest.raises(agreements.ContentChanged):
        sign_both_by_owner(place, agreement, seen)
    sign_both_by_owner(place, agreement, agreements.content_sha256(agreement))
    titles = [event.title for event in agreement_timeline(agreement, language="en")]
    assert "Sent back with a wish for change" in titles
    assert titles.count("Offered for signature") == 2
    assert [revision.number for revision in offered_revisions(agreement)] == [1, 2]


def sign_both_by_owner(place: Place, agreement: Agreement, seen: str) -> None:
    agreements.sign_agreement(
        agreement, name="Alma", title="VP", language="en", consent=True, seen_sha256=seen,
        by=place.cast.stranger, at=place.at,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["finance", "outsider", "viewer", "staff"])
def test_only_an_owner_sends_an_offer_back(place: Place, name: str) -> None:
    agreement = BUILDERS["offered"](place)
    with pytest.raises(Forbidden):
        agreements.request_changes(agreement, reason="No.", by=place.cast.person(name), at=place.at)
    with pytest.raises(Invalid):
        agreements.request_changes(agreement, reason="  ", by=place.cast.stranger, at=place.at)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ends_on": date(2026, 9, 1)}, "ends_on"),
        ({"terms": {"dues": "many"}}, "dues"),
        ({"terms": {"surprise": 1}}, "surprise"),
        ({"clauses_fr": " "}, "clauses_fr"),
        ({"title_en": "x" * 201}, "title_en"),
    ],
)
def test_a_wrong_edit_is_refused_by_name_and_changes_nothing(place: Place, change: dict[str, Any], field: str) -> None:
    agreement = BUILDERS["draft"](place)
    with pytest.raises(Invalid) as refused:
        edit(agreement, by=place.cast.staff, at=place.at, **change)
    assert refused.value.field == field
    assert AgreementRevision.objects.filter(agreement=agreement).count() == 1


def test_an_edit_that_changes_nothing_is_no_revision(place: Place) -> None:
    agreement = BUILDERS["draft"](place)
    with pytest.raises(Invalid, match="Nothing was changed"):
        edit(agreement, by=place.cast.staff, at=place.at)


@pytest.mark.parametrize("state", ["offered", "signed", "in_force", "withdrawn"])
def test_only_a_draft_is_edited_and_only_by_staff(place: Place, state: str) -> None:
    agreement = BUILDERS[state](place)
    with pytest.raises(agreements.NotADraft):
        edit(agreement, by=place.cast.staff, at=place.at, title_en="Other")
    with pytest.raises(Forbidden):
        edit(agreement, by=place.cast.stranger, at=place.at, title_en="Other")


def test_an_amendment_may_not_take_days_that_are_past_history(place: Place) -> None:
    first = BUILDERS["in_force"](place)
    second = agreements.draft_change(
        first, kind="amendment", starts_on=date(2027, 1, 1), by=place.cast.staff, at=place.at
    )
    sign_both(second, place)
    third = agreements.draft_change(
        second, kind="amendment", starts_on=date(2027, 2, 1), by=place.cast.staff, at=place.at
    )
    with pytest.raises(agreements.TermsOverlap) as refused:
        edit(third, by=place.cast.staff, at=place.at, starts_on=date(2026, 11, 1))
    assert refused.value.field == "starts_on"
    assert "Version 2" in refused.value.message
    with pytest.raises(agreements.OpenVersion):
        agreements.draft_change(second, kind="amendment", starts_on=date(2027, 3, 1), by=place.cast.staff, at=place.at)


def test_remarks_reach_the_other_side_and_stay(place: Place) -> None:
    agreement = BUILDERS["in_force"](place)
    agreements.comment(agreement, side="member", text="A third hub?", by=place.cast.stranger, at=place.at)
    agreements.comment(agreement, side="consortium", text="Gladly.", by=place.cast.staff, at=place.at)
    with pytest.raises(Forbidden):
        agreements.comment(agreement, side="consortium", text="No.", by=place.cast.stranger, at=place.at)
    assert [event.text for event in AgreementEvent.objects.filter(kind="commented")] == ["A third hub?", "Gladly."]
    with pytest.raises(DatabaseError), transaction.atomic():
        AgreementEvent.objects.all().delete()


def test_a_template_version_does_not_move_what_was_drafted(place: Place) -> None:
    agreement = BUILDERS["draft"](place)
    assert agreement.template.version == 1
    with pytest.raises(ScheduleInvalid):
        edit(agreement, by=place.cast.staff, at=place.at, terms={"slabs": []})
