"""Entitlements: what an agreement in force covers, from its first day to its last, and not more."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from members.entitlements import EntitlementExceeded, NoAgreement, check_hub, entitlements
from members.models import Institution
from members.schedule import GIB
from tests.cast import Cast
from tests.unit.members.story import in_force, offered, signed

pytestmark = pytest.mark.usefixtures("scope", "terms")


def test_the_agreement_in_force_says_what_is_covered(cast: Cast, birch: Institution, at: datetime) -> None:
    agreement = in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    entitled = entitlements(birch.pk, at=at)
    assert (entitled.agreement_id, entitled.agreement_version, entitled.zone) == (agreement.pk, 1, "America/Halifax")
    assert (entitled.hubs, entitled.environments, entitled.regions) == (2, ("standard", "r"), ("local",))
    assert (entitled.currency, entitled.creditable_monthly_fee) == ("CAD", Decimal("500.00"))
    assert entitled.service_level.availability == Decimal("0.995")


@pytest.mark.parametrize("step", [offered, signed])
def test_before_both_have_signed_nothing_is_covered(cast: Cast, birch: Institution, at: datetime, step: object) -> None:
    step(birch, by=cast.stranger, staff=cast.staff, at=at)  # type: ignore[operator] # one of the story's steps
    with pytest.raises(NoAgreement):
        entitlements(birch.pk, at=at)


@pytest.mark.parametrize(
    ("instant", "covered"),
    [
        (datetime(2026, 10, 1, 2, 59, 59, tzinfo=UTC), False),  # 30 September, 23:59:59 in Halifax
        (datetime(2026, 10, 1, 3, 0, tzinfo=UTC), True),
        (datetime(2027, 10, 1, 2, 59, 59, tzinfo=UTC), True),
        (datetime(2027, 10, 1, 3, 0, tzinfo=UTC), False),
    ],
)
def test_the_term_is_cut_at_midnight_in_the_agreements_zone(
    cast: Cast, birch: Institution, at: datetime, instant: datetime, covered: bool
) -> None:
    in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    if covered:
        assert entitlements(birch.pk, at=instant)
    else:
        with pytest.raises(NoAgreement):
            entitlements(birch.pk, at=instant)


FITS: dict[str, object] = {
    "environment": "r",
    "memory_bytes": 4 * GIB,
    "max_servers": 100,
    "region": "local",
    "existing": 1,
}


@pytest.mark.parametrize(
    ("wish", "field", "said"),
    [
        ({"existing": 2}, "hubs", "covers 2 hubs and you have 2"),
        ({"environment": "gpu"}, "environment", "gpu"),
        ({"memory_bytes": 4 * GIB + GIB // 2}, "memory", "4.5 GiB"),
        ({"max_servers": 101}, "max_servers", "100 servers"),
        ({"region": "moon"}, "region", "moon"),
    ],
)
def test_a_wish_beyond_the_agreement_is_refused_with_its_reason(
    cast: Cast, birch: Institution, at: datetime, wish: dict[str, object], field: str, said: str
) -> None:
    in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    entitled = entitlements(birch.pk, at=at)
    check_hub(entitled, **FITS)  # type: ignore[arg-type] # spelled out above
    with pytest.raises(EntitlementExceeded) as refused:
        check_hub(entitled, **FITS | wish)  # type: ignore[arg-type] # spelled out above
    assert refused.value.field == field
    assert said in refused.value.message
