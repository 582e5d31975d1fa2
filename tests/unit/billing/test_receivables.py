"""What members owed at the end of any day, from the documents, beside the books, down to one member's account."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from billing import ledger
from billing.models import Invoice
from billing.payments import start_payment
from billing.receivables import ages, agreement, open_items
from billing.recoveries import recover
from billing.write_offs import approve_write_off, propose_write_off
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import StaffSeat
from members.roles import StaffRole
from tests.cast import Cast, make_person
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, TOTAL

NOTHING = Decimal(0)
ISSUED, DUE = date(2026, 10, 2), date(2026, 11, 1)


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with open_till(tmp_path) as opened:
        yield opened


@pytest.fixture
def invoices(cast: Cast) -> list[Invoice]:
    """Cedar's two invoices and Maple's, each in the books."""
    made = [
        make_invoice(cast, number="ICC-2026-0007"),
        make_invoice(cast, number="ICC-2026-0008"),
        make_invoice(cast, number="ICC-2026-0009", institution=cast.other_university),
    ]
    with consortium_scope(Scope.COMMAND):
        for invoice in made:
            assert invoice.issued_at is not None
            ledger.post_invoice(invoice, at=invoice.issued_at)
    return made


def owed(cast: Cast, on: date) -> dict[str, tuple[Decimal, ...]]:
    """By member, after seeing that the books say the same on that day."""
    with consortium_scope(Scope.STAFF):
        items = open_items(cast.issuer, on=on)
        assert [check.difference for check in agreement(cast.issuer, items, on=on)] in ([], [NOTHING])
        return {age.member: age.amounts for age in ages(items)}


def test_every_day_of_the_past_says_what_was_open_then_and_the_books_agree(
    cast: Cast, invoices: list[Invoice], till: Till, at: datetime
) -> None:
    assert owed(cast, ISSUED - timedelta(days=1)) == {}
    none = (NOTHING,) * 4
    two, three = TOTAL + TOTAL, TOTAL + TOTAL + TOTAL
    before = {"Cedar University": (two, *none), "Maple University": (TOTAL, *none), "All members": (three, *none)}
    assert owed(cast, ISSUED) == owed(cast, DUE) == before
    assert owed(cast, DUE + timedelta(days=30))["All members"] == (NOTHING, three, NOTHING, NOTHING, NOTHING)
    assert owed(cast, DUE + timedelta(days=31))["All members"] == (NOTHING, NOTHING, three, NOTHING, NOTHING)
    assert owed(cast, DUE + timedelta(days=91))["All members"] == (*none, three)
    pays_late = start_payment(invoices[1], return_url=RETURN, at=at, gateway=till.gateway)
    till.card(start_payment(invoices[0], return_url=RETURN, at=at, gateway=till.gateway))
    till.hear_new()
    noor = make_person("noor", is_staff=True)
    StaffSeat.objects.create(user=noor, role=StaffRole.FINANCE)
    with consortium_scope(Scope.STAFF):
        row = propose_write_off(invoices[1], reason="Gone.", tax_effect="kept", by=cast.staff, at=at)
        row = approve_write_off(row, by=noor, at=at)
    far = date(2099, 1, 1)
    assert owed(cast, far) == {"Maple University": (*none, TOTAL), "All members": (*none, TOTAL)}
    assert owed(cast, ISSUED) == before
    till.card(pays_late)
    till.hear_new()
    with consortium_scope(Scope.STAFF):
        recover(row, amount=Decimal("1000.00"), by=noor, at=at + timedelta(days=1))
    assert owed(cast, far)["All members"] == (*none, TOTAL)


def test_the_page_can_be_shared_leads_to_the_member_and_is_for_staff_alone(cast: Cast, invoices: list[Invoice]) -> None:
    browser, page = signed_in(cast.staff), "/en/staff/billing/report/receivables-by-age"
    asked = f"?issuer={cast.issuer.pk}&on=2026-11-30&currency=CAD"
    html = text_of(browser.get(f"{page}/{asked}"))
    assert "4,735.80" in html
    assert html.count("7,103.70") == 4  # the total by age and in all, the documents, the books
    member = f"{page}/{cast.university.pk}/"
    assert f'href="/en/staff/billing/report/receivables-by-age/{cast.university.pk}/?issuer=' in html
    told = text_of(browser.get(member + asked))
    assert told.count("ICC-2026-0007") == told.count("ICC-2026-0008") == 2
    assert "ICC-2026-0009" not in told
    sheet = browser.get(f"{page}.csv{asked}").content.decode("utf-8-sig")
    assert '"Maple University","ICC-2026-0009","2026-11-01","29","CAD","2367.90"' in sheet
    assert "Nothing was open" in text_of(browser.get(f"{page}/?issuer={cast.issuer.pk}&on=2026-11-30&currency=USD"))
    wrong = browser.get(f"{page}/?issuer={cast.issuer.pk}&on=yesterday")
    assert wrong.status_code == 422
    assert "yesterday" in text_of(wrong)
    assert browser.get(f"{page}.csv?issuer={cast.issuer.pk}&on=yesterday").status_code == 404
    assert text_of(browser.get(f"{page}/"))
    assert signed_in(cast.owner).get(f"{page}/").status_code == 302
