"""Service credits on invoices: October missed its promise, staff answer a question later, and taxes change between.

Cedar (BC) owes 6,000.00 a year; its agreement promises 99.5 % and credits 10 % of 500.00 below 99 %. The hub was down
for eight hours of October 2026, which has 744 in Vancouver: 98.925 %. The credit is 50.00 and takes 2.50 of GST along.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction

from billing.closing import preflight
from billing.member_charges import record_charge, support_hours
from billing.models import BillingAccount, BillingPeriod, Invoice, InvoiceLine, MemberCharge
from billing.periods import open_period
from billing.prices import Support
from billing.service_credits import Missed, credit_service
from consortium.kernel.dated import since
from consortium.kernel.periods import Month, Period, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases.close_period import close_period
from consortium.usecases.month_facts import member_facts
from members.models import BankDetails, TaxRegistration
from provisioning.models import Hub, HubPause, ServiceStatement
from provisioning.pauses import note_pause
from provisioning.service_level.incidents import open_incident, update_incident
from provisioning.service_level.questions import accept, ask
from provisioning.service_level.statements import make_due_statements, make_statement
from tests.cast import Cast
from tests.integration.billing.stories import RUN, open_account
from tests.unit.members import story
from tests.unit.provisioning.service_stories import promised_hub, visited

OCTOBER, NOVEMBER, DECEMBER = Month(2026, 10), Month(2026, 11), Month(2026, 12)
MONTH = month_period(OCTOBER, "America/Vancouver")
STARTED = datetime(2026, 10, 1, 7, 0, tzinfo=UTC)
NOON = datetime(2026, 10, 12, 19, 0, tzinfo=UTC)
DOWN = Period(NOON, NOON + timedelta(hours=8))


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents of this test alone."""
    monkeypatch.setattr(default_storage, "location", str(tmp_path / "files"))


@pytest.fixture
def hub(cast: Cast) -> Iterator[Hub]:
    """Cedar's hub, with all that an invoice needs; staff's eyes."""
    hub = promised_hub(cast, at=STARTED)
    with consortium_scope(Scope.STAFF):
        billable(cast)
        yield hub


def billable(cast: Cast) -> None:
    """A billing account, the issuer's registration and bank."""
    open_account(cast.university, cast.issuer, province="BC", at=STARTED)
    TaxRegistration.objects.create(
        issuer=cast.issuer, tax="GST", jurisdiction="CA", number="123456789 RT0001", valid=since(date(2020, 1, 1))
    )
    BankDetails.objects.create(
        issuer=cast.issuer, currency="CAD", bank="Example Bank", holder="Consortium", account_number="1",
        routing="2", valid=since(date(2020, 1, 1)),
    )  # fmt: skip


def closed(cast: Cast, month: Month, *, at: datetime | None = None) -> Invoice:
    """Cedar's invoice of the month, closed three days after its end."""
    period = open_period(cast.issuer, str(month))
    after = at or month_period(month, "America/Vancouver").end + timedelta(days=3)
    close_period(period.pk, by=RUN, early=False, at=after)
    return Invoice.objects.get(period=period, institution=cast.university)


def credited(invoice: Invoice) -> list[tuple[str, Decimal, list[tuple[str, Decimal, Decimal]]]]:
    """The lines beside dues and users: kind, net, and each tax that is charged, with its rate and amount."""
    lines = InvoiceLine.objects.filter(invoice=invoice, kind__in=["sla_credit", "adjustment"]).order_by("position")
    return [
        (
            line.kind,
            line.net,
            [(tax.tax, tax.rate, tax.amount) for tax in line.taxes.filter(rate__gt=0).order_by("tax")],
        )
        for line in lines
    ]


def excused(cast: Cast, statement: ServiceStatement, *, at: datetime) -> ServiceStatement:
    """The outage was the university's own sign-on: staff enter it, then answer the question by counting again."""
    question = ask(statement, interval=DOWN, text="Was it our sign-on?", by=cast.owner, at=at)
    # The incident is written as it should have been then.
    incident = open_incident(
        title_en="Sign-on down", title_fr="Connexion en panne", text_en="x", text_fr="x", hub_slugs=[],
        started_at=DOWN.start, excluded_as="sign_on", by=cast.staff, at=DOWN.start,
    )  # fmt: skip
    update_incident(incident, status="resolved", text_en="x", text_fr="x", by=cast.staff, at=DOWN.end)
    return accept(question, answer="It was.", by=cast.staff, at=at)


def test_a_missed_month_is_credited_on_its_own_invoice_once(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH, down=DOWN)
    invoice = closed(cast, OCTOBER)
    assert credited(invoice) == [("sla_credit", Decimal("-50.00"), [("GST", Decimal(5), Decimal("-2.50"))])]
    # A joiner's dues from 1 October: 92 days of 365, in three instalments; October's is 504.11. Nobody was active.
    assert (invoice.net_total, invoice.tax_total, invoice.total) == (
        Decimal("454.11"), Decimal("22.71"), Decimal("476.82"),
    )  # fmt: skip
    [charge] = MemberCharge.objects.all()
    assert charge.description_en == (
        "Service credit, cedar-stats, October 2026: 98.925% instead of 99.50%, 10% of $500.00"
    )
    assert (charge.evidence["fee"], charge.evidence["version"]) == ("500.00", 1)
    closed(cast, OCTOBER)
    assert MemberCharge.objects.count() == Invoice.objects.count() == 1
    assert credited(closed(cast, NOVEMBER)) == []


def test_what_is_known_late_stands_beside_the_invoice_of_its_month_at_that_months_tax(cast: Cast, hub: Hub) -> None:
    october = closed(cast, OCTOBER, at=MONTH.end + timedelta(hours=2))
    assert credited(october) == []
    visited(hub, MONTH, down=DOWN)
    # The payer has moved to Nova Scotia since: what is charged bears 14 %, what is given back the 5 % that it bore.
    BillingAccount.objects.update(province="NS")
    november = closed(cast, NOVEMBER)
    assert credited(november) == [("sla_credit", Decimal("-50.00"), [("GST", Decimal(5), Decimal("-2.50"))])]
    assert (november.net_total, november.tax_total) == (Decimal("454.11"), Decimal("70.58") - Decimal("2.50"))
    line = november.lines.get(kind="sla_credit")
    assert f"invoice {october.number}" in line.description_en
    assert f"facture {october.number}" in line.description_fr
    assert line.evidence["invoice"] == october.number


def test_a_question_that_is_right_is_set_off_in_the_next_month_and_back_again(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH, down=DOWN)
    october = closed(cast, OCTOBER)
    statement = ServiceStatement.objects.get(hub=hub, month="2026-10")
    newer = excused(cast, statement, at=datetime(2026, 11, 9, 18, 0, tzinfo=UTC))
    assert (newer.version, newer.credit) == (2, Decimal(0))
    november = closed(cast, NOVEMBER)
    assert credited(november) == [("adjustment", Decimal("50.00"), [("GST", Decimal(5), Decimal("2.50"))])]
    assert f"invoice {october.number}: statement no. 2" in november.lines.get(kind="adjustment").description_en
    make_statement(hub, month=OCTOBER, at=datetime(2026, 12, 9, tzinfo=UTC), reason="Looked at once more")
    assert credited(closed(cast, DECEMBER)) == [], "a third version that says the same owes nothing"
    sums = MemberCharge.objects.values_list("net", flat=True)
    assert sum(sums) == 0


@pytest.mark.parametrize(("credit", "net"), [("500.00", "-500.00"), ("800.00", "-500.00"), ("0.00", None)])
def test_never_more_than_the_fee_is_credited_for_one_hub_and_month(
    cast: Cast, hub: Hub, credit: str, net: str | None
) -> None:
    missed = Missed(
        statement_id=uuid4(), versions=(), number=1, hub="cedar-stats", month="2026-10",
        availability=Decimal("0.90000"), target=Decimal("0.995"), share=Decimal(1), credit=Decimal(credit),
        fee=Decimal("500.00"), currency="CAD",
    )  # fmt: skip
    place = {"institution": cast.university, "issuer": cast.issuer, "month": "2026-10"}
    first, again = (credit_service(missed, **place, by=RUN, at=STARTED) for _ in range(2))  # type: ignore[arg-type]
    assert (str(first.net) if first else None) == net
    assert (again and again.pk) == (first and first.pk)


def test_a_credit_that_is_larger_than_its_months_charges_waits_for_a_month_with_charges(
    cast: Cast, at: datetime
) -> None:
    small = story.TERMS.tiers[0].model_copy(update={"dues": Decimal("120.00")})
    hub = promised_hub(
        cast, at=STARTED, terms=story.TERMS.model_copy(update={"tiers": (small, *story.TERMS.tiers[1:])})
    )
    with consortium_scope(Scope.STAFF):
        billable(cast)
        visited(hub, MONTH, down=DOWN)
        period = open_period(cast.issuer, "2026-10")
        close_period(period.pk, by=RUN, early=False, at=MONTH.end + timedelta(days=3))
        assert not Invoice.objects.exists(), "10.09 of dues are less than 50.00"
        hours = support_hours(
            Decimal(5), support=Support(included_hours=Decimal(4), hourly_rate=Decimal("120.00")), currency="CAD",
            source_id=uuid4(),
        )  # fmt: skip
        assert hours is not None
        record_charge(
            institution=cast.university, issuer=cast.issuer, month="2026-11", charge=hours, by=RUN, at=at
        )  # fmt: skip
        november = closed(cast, NOVEMBER)
        assert [each[:2] for each in credited(november)] == [("sla_credit", Decimal("-50.00"))]
        assert credited(closed(cast, NOVEMBER)) == credited(november), "closed again it is not given again"
        assert InvoiceLine.objects.filter(kind="sla_credit").count() == 1


def test_the_preflight_says_whose_month_is_not_told(cast: Cast, hub: Hub) -> None:
    period = open_period(cast.issuer, "2026-10")
    early, late = MONTH.end + timedelta(hours=2), MONTH.end + timedelta(hours=8)
    assert codes(period, at=early) == set(), "statements are not due yet"
    assert codes(period, at=late) == {"sla_statement_missing"}
    make_due_statements(at=late)
    assert codes(period, at=late) == {"sla_insufficient"}, "nobody looked at the hub"
    assert credited(closed(cast, OCTOBER)) == []


def codes(period: BillingPeriod, *, at: datetime) -> set[str]:
    facts = member_facts(period.issuer, OCTOBER, at=at)
    return {each.code for each in preflight(period, facts, at=at) if each.code.startswith("sla")}


def test_the_time_of_a_suspension_is_not_measured(cast: Cast, hub: Hub) -> None:
    visited(hub, MONTH, down=DOWN, silent=Period(NOON + timedelta(days=5), NOON + timedelta(days=15)))
    note_pause(hub, to="suspended", at=NOON + timedelta(days=5))
    note_pause(hub, to="retiring", at=NOON + timedelta(days=6))
    note_pause(hub, to="running", at=NOON + timedelta(days=15))
    statement = make_statement(hub, month=OCTOBER, at=MONTH.end + timedelta(days=1))
    assert statement is not None
    # 8 of 504 promised hours: 98.413 %. With the ten days in it, it would have been too little to tell.
    assert (statement.result, statement.unknown_seconds, str(statement.availability)) == ("missed", 0, "0.98413")
    assert statement.excluded_seconds == 240 * 3600
    [pause] = HubPause.objects.all()
    assert (pause.reason, pause.ended_at) == ("suspended", NOON + timedelta(days=15))
    for change in ({"ended_at": None}, {"started_at": NOON}, {"reason": "retired"}):
        with pytest.raises(IntegrityError, match="history"), transaction.atomic():
            HubPause.objects.filter(pk=pause.pk).update(**change)
    with pytest.raises(IntegrityError, match="history"), transaction.atomic():
        pause.delete()
