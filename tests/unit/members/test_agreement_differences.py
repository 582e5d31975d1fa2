"""Differences: what people read when a text or a schedule has changed."""

from hypothesis import given
from hypothesis import strategies as st

from members import agreements
from members.agreement_pages import revision_comparisons
from members.agreements.differences import Line, difference, paragraphs, text_changes
from tests.unit.members.agreement_story import BUILDERS, Place, edit

lines = st.lists(st.text(alphabet="abc é", min_size=1, max_size=12), min_size=1, max_size=8)


def told(found: tuple[Line, ...], *kinds: str) -> list[str]:
    """The lines of those kinds, made of the fragments of those kinds."""
    return [
        "".join(part.text for part in line.fragments if part.kind in kinds)
        for line in found
        if line.kind in (*kinds, "changed")
    ]


def test_a_changed_word_shows_within_its_line_and_far_lines_are_left_out() -> None:
    old = "One\nTwo\nThe member pays within 30 days of the invoice.\nFour\nFive\nSix"
    found = text_changes(old, old.replace("30", "45"))
    assert [line.kind for line in found] == ["gap", "same", "changed", "same", "gap"]
    assert [(part.kind, part.text) for part in found[2].fragments] == [
        ("same", "The member pays within "),
        ("removed", "30"),
        ("added", "45"),
        ("same", " days of the invoice."),
    ]


@given(lines)
def test_a_text_has_no_difference_with_itself(text: list[str]) -> None:
    assert text_changes("\n".join(text), "\n".join(text)) == ()


@given(lines, lines)
def test_every_changed_line_of_both_texts_is_told(old: list[str], new: list[str]) -> None:
    found = text_changes("\n".join(old), "\n".join(new))
    before, after = told(found, "same", "removed"), told(found, "same", "added")
    shown = {line for line in before if line.strip()}
    assert {line for line in old if line.strip() and line not in new} <= shown
    assert {line for line in new if line.strip() and line not in old} <= {line for line in after if line.strip()}


def test_clauses_are_compared_as_they_are_read_not_as_they_are_broken() -> None:
    source = "## 1. Fees\n\nThe member\npays.\n\n- one\n- two\n  and more\n"
    assert paragraphs(source) == ["1. Fees", "The member pays.", "- one", "- two and more"]
    assert paragraphs("# 1. Fees\nThe member pays.\n\n- one\n- two and more") == paragraphs(source)


def test_a_schedule_differs_in_words_in_both_languages(place: Place) -> None:
    agreement = BUILDERS["draft"](place)
    edit(
        agreement, by=place.cast.staff, at=place.at,
        terms={"dues": "7000.00", "recovery": {"home_rpo_hours": 24, "home_rto_hours": 8}},
    )  # fmt: skip
    english, french = revision_comparisons(agreement, one=1, two=2)
    assert [(each.label, each.before, each.after) for each in english.schedule] == [
        ("Yearly dues (small)", "6,000.00\N{NO-BREAK SPACE}CAD", "7,000.00\N{NO-BREAK SPACE}CAD"),
        ("Work lost from homes after a failure, at most (RPO)", "", "24 hours"),
        ("Homes are back after a failure within (RTO)", "", "8 hours"),
    ]
    assert french.schedule[0].after == "7\N{NO-BREAK SPACE}000,00\N{NO-BREAK SPACE}CAD"
    assert not english.clauses


def test_a_change_of_one_language_alone_shows_there(place: Place) -> None:
    agreement = BUILDERS["draft"](place)
    edit(agreement, by=place.cast.staff, at=place.at, title_fr="Convention de service")
    english, french = revision_comparisons(agreement, one=1, two=2)
    assert english.is_empty
    assert french.title == ("Entente de service", "Convention de service")


def test_an_amendment_is_compared_with_what_it_replaces(place: Place) -> None:
    first = BUILDERS["in_force"](place)
    change = agreements.draft_change(
        first, kind="amendment", starts_on=first.starts_on, by=place.cast.staff, at=place.at
    )
    assert difference(first, change, language="en").is_empty
    edit(change, by=place.cast.staff, at=place.at, terms={"payment_days": 45})
    (row,) = difference(first, change, language="fr").schedule
    assert row.after == "45 jours"
