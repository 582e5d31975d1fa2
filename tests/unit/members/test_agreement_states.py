"""The machine of agreements: whatever the table does not have, code refuses, and PostgreSQL too."""

from datetime import date

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from consortium.kernel.states import TransitionRefused
from members import agreements
from members.models import Agreement, Signature, User
from members.states import AGREEMENT
from tests.unit.members.agreement_story import BUILDERS, Place

STATES = [state.value for state in AGREEMENT.states]


def test_the_story_knows_every_state() -> None:
    assert set(BUILDERS) == set(STATES)


@pytest.mark.parametrize("was", STATES)
def test_a_move_outside_the_table_is_refused_by_code_and_by_postgresql(place: Place, was: str) -> None:
    agreement = BUILDERS[was](place)
    assert agreement.status == was
    for to in STATES:
        if to == was or AGREEMENT.allows(was, to):
            continue
        with pytest.raises(TransitionRefused):
            AGREEMENT.move(agreement, to)
        with pytest.raises(DatabaseError, match="may not become"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE members_agreement SET status = %s WHERE id = %s", [to, agreement.pk])
    assert Agreement.objects.get(pk=agreement.pk).status == was


CHANGES = ["clauses_fr = 'x'", "schedule = '{}'", "starts_on = '2020-01-01'", "kind = 'renewal'", "follows_id = id"]


@pytest.mark.parametrize("state", [name for name in STATES if name not in ("draft", "offered")])
def test_from_the_first_signature_on_sql_changes_nothing_in_the_text(place: Place, state: str) -> None:
    agreement = BUILDERS[state](place)
    for change in CHANGES:
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE members_agreement SET {change} WHERE id = %s", [agreement.pk])


@pytest.mark.parametrize("state", ["draft", "offered", "signed", "ended", "superseded"])
def test_only_what_is_live_can_be_cut_short(place: Place, state: str) -> None:
    agreement = BUILDERS[state](place)
    with pytest.raises(DatabaseError), transaction.atomic():
        Agreement.objects.filter(pk=agreement.pk).update(covered_until="2026-12-01")


@pytest.mark.parametrize(("was", "to"), [("offered", "signed"), ("draft", "announced")])
def test_nothing_is_signed_or_announced_without_its_signature(place: Place, was: str, to: str) -> None:
    agreement = BUILDERS[was](place)
    with pytest.raises(IntegrityError), transaction.atomic():
        Agreement.objects.filter(pk=agreement.pk).update(status=to)


def counter_signature(place: Place, agreement: Agreement, signer: User, sha256: str, side: str = "consortium") -> None:
    Signature.objects.create(
        institution=place.birch, agreement=agreement, side=side, signer=signer, name="Sam", title="D", language="en",
        consent="x", content_sha256=sha256, at=place.at,
    )  # fmt: skip


def test_postgresql_wants_both_signatures_over_one_content_by_two_people(place: Place) -> None:
    agreement = BUILDERS["signed"](place)
    rows = Agreement.objects.filter(pk=agreement.pk)
    with pytest.raises(IntegrityError, match="both sides"), transaction.atomic():
        rows.update(status="in_force")
    theirs = Signature.objects.get(agreement=agreement)
    for signer, sha256, said in (
        (place.cast.staff, "0" * 64, "both sides"),
        (place.cast.stranger, theirs.content_sha256, "one person"),
    ):
        with transaction.atomic():
            counter_signature(place, agreement, signer, sha256)
            with pytest.raises(IntegrityError, match=said), transaction.atomic():
                rows.update(status="in_force")
            transaction.set_rollback(True)


def test_two_terms_of_one_member_never_overlap(place: Place) -> None:
    first = BUILDERS["in_force"](place)
    copy = agreements.draft_change(
        first, kind="amendment", starts_on=date(2027, 9, 30), by=place.cast.staff, at=place.at
    )  # its last day
    for side, signer in (("member", place.cast.stranger), ("consortium", place.cast.staff)):
        counter_signature(place, copy, signer, "0" * 64, side)
    rows = Agreement.objects.filter(pk=copy.pk)
    rows.update(status="offered")
    rows.update(status="signed")
    with pytest.raises(IntegrityError, match="agreement_terms_apart"), transaction.atomic():
        rows.update(status="in_force")
    Agreement.objects.filter(pk=first.pk).update(covered_until="2027-09-30")
    rows.update(status="in_force")
