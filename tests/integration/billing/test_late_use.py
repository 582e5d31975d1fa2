"""Use that came late: October was closed with three people; two more were seen later, and one was nobody after all."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.files.storage import default_storage

from billing.models import Invoice, InvoiceLine, MemberCharge, PeriodBasis
from billing.periods import open_period
from consortium.kernel.periods import Month, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.close_period import close_period
from provisioning.models import Hub, HubDay, HubDayUser
from tests.cast import Cast
from tests.integration.billing.stories import RUN
from tests.integration.billing.test_service_credits import billable
from tests.unit.provisioning.service_stories import promised_hub

OCTOBER, NOVEMBER, DECEMBER = Month(2026, 10), Month(2026, 11), Month(2026, 12)
DAY = date(2026, 10, 31)


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_storage, "location", str(tmp_path / "files"))


@pytest.fixture
def hub(cast: Cast) -> Iterator[Hub]:
    """Cedar's hub; the first ten people of a month are 10.00 each."""
    hub = promised_hub(cast, at=datetime(2026, 10, 1, 7, 0, tzinfo=UTC))
    with consortium_scope(Scope.STAFF):
        billable(cast)
        yield hub


def seen(hub: Hub, *people: int) -> None:
    """The last day of October, rolled up again with these people."""
    HubDay.objects.update_or_create(
        hub=hub, day=DAY, defaults={
            "institution_id": hub.institution_id, "zone": hub.zone, "server_seconds": 3600, "active_users": len(people),
            "memory_gib_seconds": 3600, "rolled_at": datetime(2026, 11, 1, tzinfo=UTC),
        },
    )  # fmt: skip
    HubDayUser.objects.filter(hub=hub).delete()
    HubDayUser.objects.bulk_create(
        HubDayUser(institution_id=hub.institution_id, hub=hub, day=DAY, pseudonym=f"{number:032x}") for number in people
    )


def closed(cast: Cast, month: Month) -> list[tuple[str, Decimal]]:
    """The lines of Cedar's invoice but its dues, the month closed three days after its end."""
    period = open_period(cast.issuer, str(month))
    close_period(period.pk, by=RUN, early=False, at=month_period(month, hub_zone()).end + timedelta(days=3))
    invoice = Invoice.objects.get(period=period)
    rows = InvoiceLine.objects.filter(invoice=invoice).exclude(kind="dues").order_by("position")
    return list(rows.values_list("kind", "net"))


def hub_zone() -> str:
    return "America/Vancouver"


def test_what_is_known_late_goes_on_the_next_invoice_once_and_can_go_back(cast: Cast, hub: Hub) -> None:
    seen(hub, 1, 2, 3)
    assert closed(cast, OCTOBER) == [("active_users", Decimal("30.00"))]
    seen(hub, 1, 2, 3, 4, 5)
    assert closed(cast, OCTOBER) == [("active_users", Decimal("30.00"))], "a closed month stands"
    assert closed(cast, NOVEMBER) == [("adjustment", Decimal("20.00"))]
    assert closed(cast, NOVEMBER) == [("adjustment", Decimal("20.00"))]
    number = Invoice.objects.get(period__month="2026-10").number
    charge = MemberCharge.objects.get()
    assert charge.description_en == f"Active users of October 2026 known later, invoice {number}: 5 instead of 3"
    assert charge.evidence["tax_as"], "taxed as October's users were"
    seen(hub, 1, 2, 3, 4)
    assert closed(cast, DECEMBER) == [("adjustment", Decimal("-10.00"))]
    assert PeriodBasis.objects.get(period__month="2026-10").active_users == 3
