"""Countersigning opens a billing account that says what the application said."""

from datetime import datetime

import pytest

from consortium.usecases.join import countersign
from members.agreements import sign_agreement
from members.models import Institution
from tests.cast import Cast
from tests.unit.members.story import offered

pytestmark = pytest.mark.usefixtures("scope", "terms")


@pytest.mark.parametrize(
    ("changes", "address", "province", "country"),
    [
        ({}, "1 Birch Road\nBirchville NS  B3H 4R2", "NS", "CA"),
        ({"finance_address": "Accounts payable\nPO Box 1"}, "Accounts payable\nPO Box 1", "NS", "CA"),
        ({"province": "PE", "postal_code": "C1A 4P3"}, "1 Birch Road\nBirchville PE  C1A 4P3", "PE", "CA"),
        ({"province": "", "country": "US", "postal_code": "10001"}, "1 Birch Road\nBirchville  10001\nUS", "", "US"),
    ],
)
def test_invoices_go_where_the_application_says_and_are_taxed_there(
    cast: Cast,
    birch: Institution,
    at: datetime,
    changes: dict[str, str],
    address: str,
    province: str,
    country: str,
) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at, **changes)
    sign_agreement(agreement, name="Alma Birch", title="VP", language="en", consent=True, by=cast.stranger, at=at)
    account = countersign(agreement, name="Sam", title="Director", by=cast.staff, at=at)
    assert (account.address, account.province, account.country) == (address, province, country)
    assert account.email == "ap@birch.example"
