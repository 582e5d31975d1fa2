"""Charges beside the monthly prices, and prepaid credit: once, on the right month, with their taxes."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from billing import closing, ledger
from billing.member_charges import Charge, ChargeInvalid, cancel_charge, record_charge
from billing.models import (
    BillingPeriod,
    MemberCharge,
    PrepaidUse,
)
from billing.periods import PeriodClosed
from billing.prepaid import record_prepaid
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.integration.billing.paperwork import TODAY, account_of, refused
from tests.integration.billing.stories import (
    MONTH,
    RUN,
    drafted,
    issued,
    three_to_one,
)


def event_hub(source: UUID, **changes: Any) -> Charge:
    wanted: dict[str, Any] = {
        "kind": "event", "description_en": "Event hub, 2 days", "description_fr": "Carrefour d’événement, 2 jours",
        "quantity": Decimal(2), "unit": "day", "unit_price": Decimal("150.00"), "currency": "CAD",
        "source_type": "event", "source_id": source,
    }  # fmt: skip
    return Charge(**wanted | changes)


def charged(cast: Cast, charge: Charge, at: datetime, month: str = MONTH) -> MemberCharge:
    return record_charge(institution=cast.university, issuer=cast.issuer, month=month, charge=charge, by=RUN, at=at)


def test_an_event_and_a_service_credit_stand_on_the_invoice_with_their_taxes(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        charged(cast, event_hub(uuid4()), at)
        credit_ = event_hub(uuid4(), kind="sla_credit", quantity=Decimal(1), unit="", unit_price=Decimal("-50.00"))
        charged(cast, credit_, at)
        cedar, _ = issued(drafted(period, three_to_one(cast), at), at)
        assert [(line.kind, line.net) for line in cedar.lines.all()][-2:] == [
            ("event", Decimal("300.00")), ("sla_credit", Decimal("-50.00")),
        ]  # fmt: skip
        assert cedar.net_total == Decimal("2728.64")
        assert cedar.tax_total == Decimal("136.43")
        assert ledger.receivables_agree(cast.issuer)


def test_the_same_is_charged_once_and_a_late_fact_becomes_an_adjustment(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    source = uuid4()
    with consortium_scope(Scope.JOB):
        first = charged(cast, event_hub(source), at)
        assert charged(cast, event_hub(source), at).pk == first.pk
        issued(drafted(period, three_to_one(cast), at), at)
        late = charged(cast, event_hub(uuid4()), at)
        assert (late.month, late.kind) == ("2026-10", "adjustment")
        assert late.description_en == "Adjustment for 2026-09: Event hub, 2 days"
        with pytest.raises(PeriodClosed):
            cancel_charge(first, by=RUN, at=at)
        refused("UPDATE billing_membercharge SET cancelled_at = now() WHERE id = %s", first.pk, words="is closing")
        refused("UPDATE billing_membercharge SET month = '2026-09'", words="is refused|never changed")
        refused("DELETE FROM billing_membercharge WHERE id = %s", late.pk, words="never changed")


@pytest.mark.parametrize(
    "changes",
    [
        {"unit_price": Decimal("-1.00")},
        {"kind": "sla_credit"},
        {"unit_price": Decimal(0)},
        {"unit_price": Decimal("0.0001")},
        {"description_fr": " "},
        {"kind": "gift"},
    ],
)
def test_a_charge_with_the_wrong_sign_or_words_is_refused(cast: Cast, at: datetime, changes: dict[str, Any]) -> None:
    with consortium_scope(Scope.JOB), pytest.raises(ChargeInvalid):
        charged(cast, event_hub(uuid4(), **changes), at)


def test_prepaid_credit_pays_first_after_the_taxes_and_never_twice(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        record_prepaid(
            account_of(cast), amount=Decimal("2700.00"), reference="EFT 77", received_on=TODAY, by=RUN, at=at
        )
        before = closing.preview(period, three_to_one(cast), at=at)
        cedar, _ = issued(drafted(period, three_to_one(cast), at), at)
        cedar.refresh_from_db()
        assert (cedar.lines.last().net, cedar.tax_total, cedar.total, cedar.status) == (  # type: ignore[union-attr]
            Decimal("-2602.57"), Decimal("123.93"), Decimal("0.00"), "paid",
        )  # fmt: skip
        assert before.drafts[0].total == cedar.total
        assert closing.preview(period, three_to_one(cast), at=at).drafts[0].total == cedar.total
        assert PrepaidUse.objects.get().amount == Decimal("2602.57")
        balances = {row.code: row.balance for row in ledger.trial_balance(cast.issuer) if row.currency == "CAD"}
        assert (balances["1000"], balances["2200"]) == (Decimal("2700.00"), Decimal("-97.43"))
        refused(
            "INSERT INTO billing_prepaiduse (institution_id, billing_account_id, invoice_id, amount, currency)"
            " SELECT institution_id, billing_account_id, id, 97.44, 'CAD' FROM billing_invoice WHERE total > 0"
            " AND institution_id <> %s", cast.university.pk, words="would be used|violates",
        )  # fmt: skip
