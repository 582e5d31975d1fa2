"""What the stories of joining need again and again: terms, a complete application, an agreement in each state."""

from datetime import date, datetime
from decimal import Decimal

from consortium.kernel import outbox
from consortium.kernel.audit import System
from members.agreements import countersign_agreement, publish_template, sign_agreement
from members.models import Agreement, AgreementTemplate, Application, Institution, Issuer, User
from members.onboarding import approve_application, save_application, start_application, submit_application
from members.schedule import GIB, Credit, HubLimits, ScheduleTemplate, ServiceLevel, Slab, Tier

FIRST_DAY = date(2026, 10, 1)

TERMS = ScheduleTemplate(
    currency="CAD",
    slabs=(Slab(up_to=10, unit_price=Decimal("10.00")), Slab(up_to=None, unit_price=Decimal("2.50"))),
    included_support_hours=Decimal(4),
    support_hourly_rate=Decimal("120.00"),
    creditable_monthly_fee=Decimal("500.00"),
    entitlements=HubLimits(
        hubs=2, environments=("standard", "r"), memory_limit_bytes=4 * GIB, max_servers=100, regions=("local",)
    ),
    service_level=ServiceLevel(
        availability=Decimal("0.995"), credits=(Credit(below=Decimal("0.99"), credit=Decimal("0.10")),)
    ),
    tiers=(
        Tier(code="small", name_en="small", name_fr="petite", fte_up_to=10_000, dues=Decimal("6000.00")),
        Tier(code="large", name_en="large", name_fr="grande", fte_up_to=None, dues=Decimal("18000.00")),
    ),
    term_months=12,
)

ANSWERS: dict[str, object] = {
    "legal_name": "The Governors of Birch University",
    "legal_name_fr": "Le conseil des gouverneurs de l'Université Birch",
    "address": "1 Birch Road",
    "city": "Birchville",
    "province": "NS",
    "postal_code": "B3H 4R2",
    "country": "CA",
    "fte": 9_000,
    "staff_fte": 1_200,
    "signatory_name": "Alma Birch",
    "signatory_title": "Vice-President",
    "signatory_email": "vp@birch.example",
    "administrators": [{"name": "Ben Registrar", "email": "registrar@birch.example", "role": "owner"}],
    "finance_email": "ap@birch.example",
    "technical_email": "it@birch.example",
    "privacy_email": "privacy@birch.example",
    "email_domains": ["birch.example"],
    "sign_on": "none",
    "purpose": "First-year statistics.",
    "po_required": True,
    "currency": "CAD",
    "language": "en",
}


def make_template(issuer: Issuer, at: datetime, terms: ScheduleTemplate = TERMS) -> AgreementTemplate:
    """Publish bilingual clauses with those terms."""
    return publish_template(
        issuer=issuer,
        title_en="Service agreement",
        title_fr="Entente de service",
        clauses_en="## 1. What this is\n\nThe consortium runs **hubs**.",
        clauses_fr="## 1. Objet\n\nLe consortium exploite des **environnements**.",
        schedule=terms,
        by=System("test"),
        at=at,
    )


def make_applicant_university() -> Institution:
    """A university that has not joined."""
    return Institution.objects.create(
        slug="birch",
        name_en="Birch University",
        name_fr="Université Birch",
        city="Birchville",
        province="NS",
        zone="America/Halifax",
        domain="birch.example",
    )


def submitted(institution: Institution, *, by: User, at: datetime, **changes: object) -> Application:
    """A complete application, submitted."""
    application = start_application(institution=institution, by=by, at=at)
    save_application(application, values=ANSWERS | changes, by=by, at=at)
    submit_application(application, by=by, at=at)
    return application


def offered(institution: Institution, *, by: User, staff: User, at: datetime, **changes: object) -> Agreement:
    """An agreement that waits for the member's signature."""
    application = submitted(institution, by=by, at=at, **changes)
    return approve_application(application, starts_on=FIRST_DAY, by=staff, at=at)


def signed(institution: Institution, *, by: User, staff: User, at: datetime) -> Agreement:
    """An agreement that waits for the consortium's signature."""
    agreement = offered(institution, by=by, staff=staff, at=at)
    sign_agreement(agreement, name="Alma Birch", title="Vice-President", language="en", consent=True, by=by, at=at)
    return agreement


def in_force(institution: Institution, *, by: User, staff: User, at: datetime) -> Agreement:
    """An agreement that both sides have signed."""
    agreement = signed(institution, by=by, staff=staff, at=at)
    countersign_agreement(agreement, name="Sam Staff", title="Director", by=staff, at=at)
    return agreement


def deliver(at: datetime) -> None:
    """Let the outbox do what is due."""
    while outbox.deliver_due(at=at):
        pass
