"""A September with costs for pages: agreements in force, use measured, a bill in; Cedar used three times Maple's."""

from datetime import date, datetime
from pathlib import Path

from billing.models import BillImport
from consortium.usecases.import_bill import import_bill
from members.models import Agreement, AgreementTemplate, Institution, Issuer
from provisioning.catalogue import load_catalogue
from provisioning.models import Cluster, Hub, HubDay
from tests.cast import Cast
from tests.integration.billing.stories import RUN, STORY_ROWS, bill_file, schedule, set_up
from tests.signatures import put_in_force

MEMORY = {"cedar": 5_400_000, "maple": 1_800_000}
DUES = {"cedar": "12000.00", "maple": "6000.00"}


def story_of_costs(cast: Cast, at: datetime, folder: Path) -> BillImport:
    """Everything that the page of September needs. Needs a consortium scope."""
    set_up(cast, at)
    cluster = load_catalogue(at)
    for institution in (cast.university, cast.other_university):
        agree(institution, cast.issuer, at=at)
        use(institution, cluster, at=at)
    return import_bill(bill_file(folder, *STORY_ROWS), issuer=cast.issuer, by=RUN, at=at, create_account=True)


def agree(institution: Institution, issuer: Issuer, *, at: datetime) -> Agreement:
    """An agreement in force since January 2025."""
    template, _ = AgreementTemplate.objects.get_or_create(
        issuer=issuer,
        version=1,
        defaults={
            "title_en": "-",
            "title_fr": "-",
            "clauses_en": "-",
            "clauses_fr": "-",
            "schedule": {},
            "created_at": at,
        },
    )
    agreement = Agreement.objects.create(
        institution=institution,
        issuer=issuer,
        template=template,
        version=1,
        title_en="Service agreement",
        title_fr="Entente de service",
        clauses_en="-",
        clauses_fr="-",
        currency="CAD",
        zone=institution.zone,
        starts_on=date(2025, 1, 1),
        schedule=schedule(DUES[institution.slug]).as_json(),
        created_at=at,
    )
    put_in_force(agreement, at=at)
    return agreement


def use(institution: Institution, cluster: Cluster, *, at: datetime) -> HubDay:
    """One day of use of one hub, in September."""
    hub = Hub.objects.create(
        institution=institution,
        cluster=cluster,
        slug=f"{institution.slug}-lab",
        name="Lab",
        agreement_id=institution.pk,
        zone=institution.zone,
        requested_at=at,
    )
    return HubDay.objects.create(
        institution=institution,
        hub=hub,
        day=date(2026, 9, 10),
        zone=institution.zone,
        server_seconds=MEMORY[institution.slug] * 2,
        memory_gib_seconds=MEMORY[institution.slug],
        rolled_at=at,
    )
