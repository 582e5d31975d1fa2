"""What a university accrues before its year-end: dues as agreed, the rest as lately, per payer and purchase order."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client
from django.urls import reverse

from billing import closing
from billing.accrual_estimates import EstimateInvalid, estimates, next_year_end
from billing.models import BillingAccount
from billing.purchase_orders import OrderLine, record_order
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from members.models import Agreement, AgreementTemplate
from tests.cast import Cast
from tests.integration.billing.stories import (
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    issued,
    schedule,
    set_up,
    take_in,
    three_to_one,
)
from tests.signatures import put_in_force

NOW = datetime(2026, 10, 15, 16, 0, tzinfo=UTC)


@pytest.fixture
def invoiced(cast: Cast, at: datetime, tmp_path: Path) -> Cast:
    """Cedar's September is invoiced: dues 1,000.00, the rest 1,478.64. Its agreement began in 2025."""
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        issued(drafted(period, three_to_one(cast), at), at)
        closing.finish_closing(period, by=RUN, at=at)
        agree(cast, "12000.00", starts_on=date(2025, 1, 1), at=at)
    return cast


def agree(cast: Cast, dues: str, *, starts_on: date, at: datetime) -> None:
    """Cedar's agreement in force, past the offers and signatures that other stories tell."""
    terms = schedule(dues).as_json()
    template = AgreementTemplate.objects.create(
        issuer=cast.issuer, version=1, title_en="A", title_fr="E", clauses_en="x", clauses_fr="x", schedule={},
        created_at=at,
    )  # fmt: skip
    row = Agreement.objects.create(
        institution=cast.university, issuer=cast.issuer, template=template, version=1, title_en="A", title_fr="E",
        clauses_en="x", clauses_fr="x", schedule=terms, currency="CAD", zone=cast.university.zone, starts_on=starts_on,
        created_at=at,
    )  # fmt: skip
    put_in_force(row, at=at)


def test_months_that_are_not_invoiced_are_dues_and_the_average(invoiced: Cast) -> None:
    with institution_scope(invoiced.university.pk):
        (one,) = estimates(invoiced.university.pk, until=date(2026, 12, 15), at=NOW)
    assert [(str(each.month), each.dues, each.other, each.days) for each in one.months] == [
        ("2026-10", Decimal("1000.00"), Decimal("1478.64"), 31),
        ("2026-11", Decimal("1000.00"), Decimal("1478.64"), 30),
        ("2026-12", Decimal("483.87"), Decimal("715.47"), 15),  # 15 of 31 days
    ]
    assert one.net == Decimal("6156.62")
    assert one.tax == Decimal("307.83")  # GST in British Columbia: 307.831
    assert (one.total, one.basis) == (Decimal("6464.45"), ("2026-09",))


def test_what_is_invoiced_is_not_accrued_again(invoiced: Cast) -> None:
    with institution_scope(invoiced.university.pk):
        (one,) = estimates(invoiced.university.pk, until=date(2026, 9, 30), at=NOW)
        assert not one.months
        assert one.total == 0


def test_each_purchase_order_is_named(invoiced: Cast) -> None:
    with consortium_scope(Scope.JOB):
        account = BillingAccount.objects.get(institution=invoiced.university)
        lines = [OrderLine(description="Hubs", amount=Decimal("50000.00"))]
        first, last = date(2026, 4, 1), date(2027, 3, 31)
        record_order(account, number="PO-77", lines=lines, first_day=first, last_day=last, by=RUN, at=NOW)
    with institution_scope(invoiced.university.pk):
        (one,) = estimates(invoiced.university.pk, until=date(2026, 10, 31), at=NOW)
        assert (one.po_number, one.net) == ("PO-77", Decimal("2478.64"))


def test_another_university_sees_nothing_of_it(invoiced: Cast) -> None:
    with institution_scope(invoiced.other_university.pk):
        assert estimates(invoiced.university.pk, until=date(2026, 12, 31), at=NOW) == []


def test_nobody_estimates_years_ahead(invoiced: Cast) -> None:
    with institution_scope(invoiced.university.pk), pytest.raises(EstimateInvalid):
        estimates(invoiced.university.pk, until=date(2029, 1, 1), at=NOW)


@pytest.mark.parametrize(
    ("today", "end"),
    [
        (date(2026, 3, 31), date(2026, 3, 31)),
        (date(2026, 4, 1), date(2027, 3, 31)),
        (date(2027, 2, 1), date(2027, 3, 31)),
    ],
)
def test_the_next_year_end_is_the_last_of_march(today: date, end: date) -> None:
    assert next_year_end(today) == end


@pytest.fixture
def client(invoiced: Cast, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Cedar's finance person at a browser."""
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)
    Authenticator.objects.create(user=invoiced.finance, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(invoiced.finance, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_the_page_and_its_csv_show_the_same(invoiced: Cast, client: Client) -> None:
    page = client.get(reverse("accrual", args=["cedar"]), {"until": "2026-12-15"})
    text = page.content.decode()
    assert (page.status_code, text.count("<h1")) == (200, 1)
    assert "6,464.45\N{NO-BREAK SPACE}CAD" in text
    assert 'aria-label="Not invoiced yet, up to 15 December 2026"' in text
    assert "the average of what was invoiced for September 2026." in text
    sheet = client.get(reverse("accrual_csv", args=["cedar"]), {"until": "2026-12-15"}).content.decode("utf-8-sig")
    assert '"2026-12","15/31","483.87","715.47","1199.34","CAD"' in sheet
    french = client.get("/fr/i/cedar/invoices/accrual/?until=2026-12-15").content.decode()
    assert "Estimation des charges à payer" in french
    assert "6\N{NO-BREAK SPACE}464,45" in french or "6\N{NARROW NO-BREAK SPACE}464,45" in french


def test_a_day_that_is_none_keeps_what_was_typed(invoiced: Cast, client: Client) -> None:
    for typed in ("tomorrow", "2031-01-01"):
        page = client.get(reverse("accrual", args=["cedar"]), {"until": typed})
        assert (page.status_code, f'value="{typed}"' in page.content.decode()) == (422, True)


def test_an_outsider_finds_no_page(invoiced: Cast, client: Client) -> None:
    assert client.get(reverse("accrual", args=["maple"])).status_code == 404
    assert client.get(reverse("accrual_csv", args=["maple"])).status_code == 404
