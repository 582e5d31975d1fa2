"""The questions of an application: which are needed, how far a task is, and what PostgreSQL holds."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, transaction
from hypothesis import given
from hypothesis import strategies as st

from consortium.kernel.errors import Invalid
from members.access import belongs_to, suffixes
from members.answers import (
    ANSWERS,
    REQUIRED,
    SECTIONS,
    Progress,
    missing_answers,
    missing_in,
    postal_address,
    progress_of,
    section_of,
)
from members.directory import ror_id
from members.journey import steps_of, suggest_tier
from members.models import Application, Institution
from members.nominees import clean_nominees
from members.onboarding import ask_applicant, decline_application, start_application
from tests.cast import Cast, make_institution
from tests.unit.members.story import ANSWERS as COMPLETE
from tests.unit.members.story import submitted

EMPTY: dict[str, Any] = dict.fromkeys(ANSWERS, "") | {
    "fte": None,
    "staff_fte": None,
    "administrators": [],
    "email_domains": [],
    "po_required": False,
    "country": "CA",
    "currency": "CAD",
    "language": "en",
}
WHOLE: dict[str, Any] = EMPTY | COMPLETE


@given(gaps=st.sets(st.sampled_from(REQUIRED)))
def test_what_is_missing_is_what_was_left_out(gaps: set[str]) -> None:
    application = SimpleNamespace(**WHOLE | {name: EMPTY[name] for name in gaps})
    expected = gaps - {"country", "currency", "language"}  # these are never empty
    if "sign_on" in gaps or WHOLE["sign_on"] == "none":
        expected.discard("sign_on_id")
    assert set(missing_answers(application)) == expected
    for section in SECTIONS:
        done = progress_of(application, section) is Progress.DONE
        assert done == (not expected & set(section.fields))


def test_a_new_draft_is_begun_nowhere_and_a_word_begins_a_task() -> None:
    blank = SimpleNamespace(**EMPTY)
    assert {progress_of(blank, section) for section in SECTIONS} == {Progress.NOT_STARTED}
    begun = SimpleNamespace(**EMPTY | {"city": "Birchville"})
    identity = section_of("identity")
    assert identity is not None
    assert progress_of(begun, identity) is Progress.IN_PROGRESS


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"sign_on": "saml"}, ("sign_on_id",)),
        ({"sign_on": "federation", "sign_on_id": "https://idp.birch.example"}, ()),
        ({"province": ""}, ("province",)),
        ({"province": "", "country": "US"}, ()),
    ],
)
def test_some_answers_ask_for_another(changes: dict[str, str], missing: tuple[str, ...]) -> None:
    application = SimpleNamespace(**WHOLE | changes)
    assert sum((missing_in(application, section) for section in SECTIONS), ()) == missing


def test_the_address_is_written_as_on_an_envelope() -> None:
    assert postal_address(SimpleNamespace(**WHOLE)) == "1 Birch Road\nBirchville NS  B3H 4R2"
    abroad = SimpleNamespace(**WHOLE | {"province": "", "country": "US", "postal_code": "10001"})
    assert postal_address(abroad) == "1 Birch Road\nBirchville  10001\nUS"


@given(labels=st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=1, max_size=5))
def test_a_host_belongs_to_itself_and_to_all_above_it_alone(labels: list[str]) -> None:
    host = ".".join(labels)
    assert all(belongs_to(host, domain) for domain in suffixes(host))
    assert not belongs_to(f"x{host}", host)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("03rmrcq20", "03rmrcq20"),
        (" https://ror.org/03RMRCQ20/ ", "03rmrcq20"),
        ("03rmrcq21", ""),  # its check digits do not hold
        ("3rmrcq20", ""),
        ("03rmlcq20", ""),  # no such sign
        ("", ""),
    ],
)
def test_a_ror_id_is_read_and_checked(text: str, found: str) -> None:
    assert ror_id(text) == found


@pytest.mark.parametrize(
    "value",
    [
        "Ben",
        [{"name": "Ben", "email": "ben", "role": "owner"}],
        [{"name": "", "email": "ben@birch.example", "role": "owner"}],
        [{"name": "Ben", "email": "ben@birch.example", "role": "king"}],
        [{"name": "B", "email": f"{e}@birch.example", "role": "owner"} for e in ("ben", "BEN")],
        [{"name": "B", "email": f"b{n}@birch.example", "role": "owner"} for n in range(6)],
        ["Ben"],
    ],
)
def test_what_is_no_list_of_administrators_is_refused(value: object) -> None:
    with pytest.raises(Invalid) as refused:
        clean_nominees(value)
    assert refused.value.field == "administrators"


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize(
    "values",
    [
        {"province": "ZZ"},
        {"country": "Ca"},
        {"sign_on": "magic"},
        {"administrators": {}},
        {"administrators": [{}] * 6},
        {"email_domains": ["a.example"] * 21},
    ],
)
def test_postgresql_refuses_what_is_no_answer(
    cast: Cast, birch: Institution, at: datetime, values: dict[str, object]
) -> None:
    draft = start_application(institution=birch, by=cast.stranger, at=at)
    with pytest.raises(IntegrityError), transaction.atomic():
        Application.objects.filter(pk=draft.pk).update(**values)


@pytest.mark.usefixtures("scope")
def test_postgresql_freezes_what_was_submitted_until_a_question(cast: Cast, birch: Institution, at: datetime) -> None:
    application = submitted(birch, by=cast.stranger, at=at)
    row = Application.objects.filter(pk=application.pk)
    for change in (lambda: row.update(legal_name="Other"), row.delete):
        with pytest.raises((IntegrityError, InternalError)), transaction.atomic():
            change()
    ask_applicant(application, text="Is the name right?", by=cast.staff, at=at)
    row.update(legal_name="Other")


@pytest.mark.usefixtures("scope", "terms")
@pytest.mark.parametrize(("fte", "code", "dues"), [(1, "small", "6000.00"), (10_001, "large", "18000.00")])
def test_a_size_leads_to_a_tier_and_its_dues(fte: int, code: str, dues: str) -> None:
    suggestion = suggest_tier(fte, "CAD")
    assert suggestion is not None
    assert (suggestion.tier.code, str(suggestion.dues)) == (code, dues)
    assert suggest_tier(None, "CAD") is None
    assert suggest_tier(fte, "USD") is None  # nothing is published in it


@pytest.mark.usefixtures("scope")
def test_the_way_ahead_says_how_long_reviews_have_taken(cast: Cast, at: datetime) -> None:
    draft = start_application(institution=make_institution("rowan"), by=cast.stranger, at=at)
    assert "ten working days" in steps_of(draft, None)[1].hint
    for days, slug in ((2, "ash"), (4, "elm"), (40, "oak")):
        application = submitted(make_institution(slug), by=cast.stranger, at=at)
        decline_application(application, reason="Later.", by=cast.staff, at=at + timedelta(days=days))
    steps = steps_of(draft, None)
    assert steps[1].hint == "Usually 4 days."  # the middle one: a single long review says little
    assert [step.status for step in steps[:2]] == ["Now", "Ahead"]
    assert steps_of(application, None) == []
