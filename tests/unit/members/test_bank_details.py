"""Our bank details change by two people, from a day on, and everybody in finance is told."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.outbox import deliver_due
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import OutgoingMail
from members.bank_details import (
    BankDetailsHeld,
    BankPlace,
    TwoPeople,
    confirm_bank_details,
    found_bank_details,
    propose_bank_details,
    withdraw_bank_details,
)
from members.models import BankDetails, BankDetailsChange, StaffSeat, User
from members.roles import StaffRole
from tests.cast import Cast, make_person
from tests.integration.members.browser import signed_in, text_of

SETUP = System("set-up")
OLD = BankPlace(bank="Old Bank", holder="Consortium", account_number="1000-4417", routing="00010-999")
NEW = BankPlace(bank="New Bank", holder="Consortium", account_number="2000-7731", routing="00020-111")
FIRST = date(2020, 1, 1)
CHANGES_ON = date(2026, 11, 2)


@pytest.fixture
def noor(cast: Cast) -> User:
    """Another person of the consortium's finance."""
    person = make_person("noor", is_staff=True)
    StaffSeat.objects.create(user=person, role=StaffRole.FINANCE)
    return person


@pytest.fixture
def details(cast: Cast, at: datetime) -> BankDetails:
    """What holds since 2020."""
    with consortium_scope(Scope.COMMAND):
        return found_bank_details(cast.issuer, {"CAD": OLD}, first=FIRST, by=SETUP, at=at)[0]


def proposed(cast: Cast, at: datetime, *, on: date = CHANGES_ON, currency: str = "CAD") -> BankDetailsChange:
    return propose_bank_details(
        cast.issuer, NEW, currency=currency, effective_on=on, reason="Called the branch.", by=cast.staff, at=at
    )


def refused(statement: str, *parameters: Any, words: str) -> None:
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        spoken(statement, *parameters)


def spoken(statement: str, *parameters: Any) -> None:
    """Run SQL as far as the checks of a commit."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.usefixtures("scope")
def test_one_proposes_another_confirms_and_all_of_finance_is_told(
    cast: Cast, noor: User, details: BankDetails, at: datetime
) -> None:
    change = proposed(cast, at)
    with pytest.raises(BankDetailsHeld, match="waits for a second person"):
        proposed(cast, at)
    assert BankDetails.objects.get() == details
    with pytest.raises(TwoPeople, match="another person"):
        confirm_bank_details(change, by=cast.staff, at=at)
    with pytest.raises(Forbidden):
        confirm_bank_details(change, by=cast.owner, at=at)
    made = confirm_bank_details(change, by=noor, at=at)
    assert confirm_bank_details(change, by=noor, at=at) == made
    rows = BankDetails.objects.filter(issuer=cast.issuer, currency="CAD")
    assert rows.get(valid__contains=date(2026, 11, 1)).account_number == "1000-4417"
    assert rows.get(valid__contains=CHANGES_ON).account_number == "2000-7731"
    with pytest.raises(TransitionRefused):
        withdraw_bank_details(change, by=noor, at=at)
    with consortium_scope(Scope.JOB):
        deliver_due(at=at)
    with consortium_scope(Scope.JOB):
        mails = OutgoingMail.objects.filter(template="members_bank_details").order_by("pk")
        told = {cast.staff.email, noor.email, cast.issuer.email}
        assert [mails.filter(subject__contains=step).count() for step in ("proposed", "confirmed")] == [3, 3]
        assert set(mails.values_list("recipient", flat=True)) == told
        assert all("2000-7731" not in mail.body and "7731" in mail.body for mail in mails)


@pytest.mark.usefixtures("scope")
def test_what_cannot_be_proposed_says_why(cast: Cast, noor: User, details: BankDetails, at: datetime) -> None:
    with pytest.raises(Invalid, match="has passed"):
        proposed(cast, at, on=date(2026, 10, 14))
    with pytest.raises(Forbidden):
        propose_bank_details(
            cast.issuer, NEW, currency="CAD", effective_on=CHANGES_ON, reason="x", by=cast.finance, at=at
        )
    with pytest.raises(Invalid, match="how you checked"):
        propose_bank_details(
            cast.issuer, NEW, currency="CAD", effective_on=CHANGES_ON, reason=" ", by=cast.staff, at=at
        )
    with pytest.raises(BankDetailsHeld):
        found_bank_details(cast.issuer, {"USD": NEW}, first=FIRST, by=SETUP, at=at)
    change = proposed(cast, at)
    with pytest.raises(Invalid, match="has passed"):
        confirm_bank_details(change, by=noor, at=at + timedelta(days=30))
    withdraw_bank_details(change, by=cast.staff, at=at)
    with pytest.raises(TransitionRefused):
        confirm_bank_details(change, by=noor, at=at)
    confirm_bank_details(proposed(cast, at), by=noor, at=at)
    with pytest.raises(Invalid, match="begin on 2 November 2026"):
        proposed(cast, at, on=CHANGES_ON)
    assert confirm_bank_details(proposed(cast, at, currency="EUR"), by=noor, at=at).currency == "EUR"


@pytest.mark.usefixtures("scope")
def test_postgresql_wants_two_people_too(cast: Cast, noor: User, details: BankDetails, at: datetime) -> None:
    copied = (
        "INSERT INTO members_bankdetails (issuer_id, currency, bank, holder, account_number, routing, valid, change_id)"
        " SELECT issuer_id, %s, bank, holder, '666', routing, daterange(%s, NULL), %s FROM members_bankdetails LIMIT 1"
    )
    refused(copied, "EUR", CHANGES_ON, None, words="two people change them")
    refused("UPDATE members_bankdetails SET account_number = '666'", words="change by two people")
    refused(
        "UPDATE members_bankdetails SET valid = daterange('2020-01-01', '2026-11-02')", words="change by two people"
    )
    refused("DELETE FROM members_bankdetails", words="never deleted")
    change = proposed(cast, at)
    refused(copied, "CAD", CHANGES_ON, change.pk, words="not what two people confirmed")
    moved = "UPDATE members_bankdetailschange SET status = 'confirmed', decided_at = now(), decided_by_id = %s"
    refused(moved, cast.staff.pk, words="bankchange_two_people")
    refused(moved, noor.pk, words="no details came of it")
    refused("UPDATE members_bankdetailschange SET account_number = '666'", words="frozen")
    confirm_bank_details(change, by=noor, at=at)
    refused("DELETE FROM members_bankdetailschange", words="frozen")
    refused(copied, "EUR", CHANGES_ON, change.pk, words="not what two people confirmed")


def test_the_number_is_typed_again_by_another_person_on_the_page(cast: Cast, noor: User, details: BankDetails) -> None:
    first, second = signed_in(cast.staff), signed_in(noor)
    page = "/en/staff/members/bankdetailschange/"
    wanted = {
        "issuer": str(cast.issuer.pk), "currency": "CAD", "bank": "New Bank", "holder": "Consortium",
        "account_number": "2000-7731", "routing": "00020-111", "effective_on": "2020-01-01", "reason": "Called.",
    }  # fmt: skip
    answer = first.post(page + "add/", wanted)
    assert answer.status_code == 422
    assert "2000-7731" in text_of(answer)
    later = (datetime.now(UTC).date() + timedelta(days=40)).isoformat()
    assert first.post(page + "add/", wanted | {"effective_on": later}).status_code == 302
    change = BankDetailsChange.objects.get()
    assert "2000-7731" not in text_of(second.get(f"{page}{change.pk}/change/"))
    act = f"{page}{change.pk}/act/confirm/"
    assert "1000-4417" in text_of(second.get(act))
    assert first.post(act, {"account_number": "2000-7731"}).status_code == 422
    assert second.post(act, {"account_number": "2000-7732"}).status_code == 422
    assert second.post(act, {"account_number": " 2000-7731 "}).status_code == 302
    assert "2000-7731" in text_of(second.get(f"{page}{change.pk}/change/"))
    assert "2000-7731" in text_of(second.get(f"/en/staff/members/issuer/{cast.issuer.pk}/change/"))
    assert second.post(f"{page}add/", {}).status_code == 422
    assert signed_in(cast.owner).get(page).status_code == 302
