"""The beginning of every money story: two members, their accounts, a rate, rules, and a bill whose sums fit in a head.

September 2026, USD 1.00 = CAD 1.40. Cedar (BC, dues 12,000.00, 280 active users) used three times the memory that
Maple (Quebec, joined on 16 July, dues 6,000.00, 4 active users) used.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

from billing.accounts import Payer, open_billing_account
from billing.bills import import_bill
from billing.closing import allocate_pools, begin_closing, draft_invoices
from billing.facts import MemberFacts
from billing.fx import record_rate
from billing.invoicing import approve_invoice, issue_invoice
from billing.matching import MATCHED_VALUE, By, Destination, Kind, MatchRule
from billing.models import BillImport, BillingPeriod, Invoice
from billing.periods import open_period
from billing.rules import add_rule
from consortium.kernel.audit import System
from consortium.kernel.dated import since
from members.models import BankDetails, Institution, Issuer, TaxRegistration
from members.schedule import HubLimits, Schedule, ServiceLevel, Slab
from tests.cast import Cast
from tests.unit.billing.bills import bill_bytes

MONTH = "2026-09"
RUN = System("billing run")
SLABS = (
    Slab(up_to=10, unit_price=Decimal("10.00")),
    Slab(up_to=100, unit_price=Decimal("5.00")),
    Slab(up_to=1_000, unit_price=Decimal("2.50")),
    Slab(up_to=None, unit_price=Decimal("0.00")),
)
CEDAR = '{"university": "cedar", "hub": "cedar-lab"}'
MAPLE = '{" university": "maple"}'


def schedule(dues: str, *, tier: str = "medium", currency: str = "CAD") -> Schedule:
    """A schedule whose only interesting parts are its dues and slabs."""
    return Schedule(
        tier=tier,
        tier_name_en=f"{tier} institution",
        tier_name_fr=f"établissement {tier}",
        dues=Decimal(dues),
        currency=currency,
        slabs=SLABS,
        included_support_hours=Decimal(2),
        support_hourly_rate=Decimal("120.00"),
        creditable_monthly_fee=Decimal("500.00"),
        entitlements=HubLimits(
            hubs=2, environments=("python",), memory_limit_bytes=2**31, max_servers=50, regions=("ca",)
        ),
        service_level=ServiceLevel(availability=Decimal("0.995")),
    )


def facts(institution: Institution, *, dues: str, joined: date, memory: str, users: int) -> MemberFacts:
    """What the use case would read of one member."""
    return MemberFacts(
        institution_id=institution.pk,
        slug=institution.slug,
        zone=institution.zone,
        agreement_id=uuid4(),
        currency="CAD",
        schedule=schedule(dues),
        starts_on=joined,
        memory_gib_seconds=Decimal(memory),
        server_seconds=int(Decimal(memory)) * 2,
        active_users=users,
    )


def both(cast: Cast) -> list[MemberFacts]:
    """Cedar and Maple, with memory three to one."""
    return [
        facts(cast.university, dues="12000.00", joined=date(2025, 1, 1), memory="5400000.5", users=280),
        facts(cast.other_university, dues="6000.00", joined=date(2026, 7, 16), memory="1800000.1666", users=4),
    ]


def three_to_one(cast: Cast) -> list[MemberFacts]:
    """Cedar and Maple, with memory of exactly three to one."""
    return [
        facts(cast.university, dues="12000.00", joined=date(2025, 1, 1), memory="5400000", users=280),
        facts(cast.other_university, dues="6000.00", joined=date(2026, 7, 16), memory="1800000", users=4),
    ]


def set_up(cast: Cast, at: datetime) -> BillingPeriod:
    """Accounts, registrations, bank details, the rate and the rules. Needs a scope; returns the open month."""
    issuer = cast.issuer
    register(issuer)
    for institution, province in ((cast.university, "BC"), (cast.other_university, "QC")):
        open_account(institution, issuer, province=province, at=at)
    record_rate(
        base="USD", quote="CAD", on=date(2026, 9, 30), rate=Decimal("1.40"), source="Bank of Canada", by=RUN, at=at
    )
    own = Destination(Kind.DIRECT, MATCHED_VALUE)
    add_rule(issuer=issuer, rule=MatchRule(By.TAG, own, tag_key="university", name="tagged"), by=RUN, at=at)
    rest = Destination(Kind.POOL, "shared")
    add_rule(issuer=issuer, rule=MatchRule(By.EVERYTHING, rest, name="the rest"), by=RUN, at=at)
    return open_period(issuer, MONTH)


def open_account(institution: Institution, issuer: Issuer, *, province: str, at: datetime, po: bool = False) -> None:
    """A billing account in Canadian dollars."""
    payer = Payer(
        name=f"{institution.name_en}, accounts payable",
        address="1 Campus Road",
        email=f"ap@{institution.slug}.example",
        province=province,
        po_required=po,
    )
    open_billing_account(institution=institution, issuer=issuer, payer=payer, by=RUN, at=at)


def bill_file(folder: Path, *rows: tuple[str, str], name: str = "bill.csv", **cells: str) -> Path:
    """A bill for September 2026 with (cost, tags) per row; "tax" as tags makes a tax row."""
    month = {"BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z", **cells}
    changes = [
        month | {"BilledCost": cost} | ({"ChargeCategory": "Tax", "Tags": ""} if tags == "tax" else {"Tags": tags})
        for cost, tags in rows
    ]
    path = folder / name
    path.write_bytes(bill_bytes(*changes))
    return path


STORY_ROWS = (
    ("60.00000000000", CEDAR),
    ("40.005", CEDAR),
    ("50", MAPLE),
    ("2.9E+2", ""),
    ("10.00", ""),
    ("22.50", "tax"),
)


def slugs(cast: Cast) -> dict[str, UUID]:
    """The names that rows may carry."""
    cedar, maple = cast.university.pk, cast.other_university.pk
    return {"cedar": cedar, "cedar-lab": cedar, "maple": maple}


def take_in(path: Path, cast: Cast, at: datetime, *, charged: str = MONTH) -> BillImport:
    """Import a bill, registering its account."""
    return import_bill(
        path, issuer=cast.issuer, charged_month=charged, by=RUN, at=at, slugs=slugs(cast), create_account=True
    )


def drafted(period: BillingPeriod, members: Sequence[MemberFacts], at: datetime) -> list[Invoice]:
    """Close the month as far as its drafts."""
    begin_closing(period, members, by=RUN, at=at)
    allocate_pools(period, members, at=at)
    return draft_invoices(period, members, by=RUN, at=at)


def issued(drafts: Sequence[Invoice], at: datetime) -> list[Invoice]:
    """Approve and issue."""
    return [issue_invoice(approve_invoice(draft, by=RUN, at=at), by=RUN, at=at) for draft in drafts]


def register(issuer: Issuer, *, currencies: Sequence[str] = ("CAD",)) -> None:
    TaxRegistration.objects.create(
        issuer=issuer, tax="GST", jurisdiction="CA", number="123456789 RT0001", valid=since(date(2020, 1, 1))
    )
    TaxRegistration.objects.create(
        issuer=issuer, tax="QST", jurisdiction="CA-QC", number="1234567890 TQ0001", valid=since(date(2020, 1, 1))
    )
    BankDetails.objects.bulk_create(
        BankDetails(
            issuer=issuer,
            currency=currency,
            bank="Example Bank",
            holder="Interactive Computing Consortium",
            account_number="0001234",
            routing="00010-001",
            valid=since(date(2020, 1, 1)),
        )
        for currency in currencies
    )
