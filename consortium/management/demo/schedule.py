"""The full schedule that the demonstration's consortium offers. Every figure is invented."""

from decimal import Decimal

from members.schedule import Credit, HubLimits, ScheduleTemplate, ServiceLevel, Slab, Tier
from members.schedule_terms import (
    GIB,
    Allocation,
    DataProtection,
    EventHubs,
    Exit,
    Lapse,
    OrderRule,
    Recovery,
    Renewal,
    Responsibility,
    Severity,
    Subprocessor,
    TaxFacts,
)

SLABS = (
    Slab(up_to=10, unit_price=Decimal("10.00")),
    Slab(up_to=100, unit_price=Decimal("5.00")),
    Slab(up_to=1_000, unit_price=Decimal("2.50")),
    Slab(up_to=10_000, unit_price=Decimal("1.25")),
    Slab(up_to=None, unit_price=Decimal("0.00")),
)
SEVERITIES = (
    Severity(
        code="outage",
        name_en="Nobody can work",
        name_fr="Personne ne peut travailler",
        response_hours=1,
        update_hours=2,
        around_the_clock=True,
    ),
    Severity(
        code="impaired",
        name_en="Some cannot work, or work slowly",
        name_fr="Certains ne peuvent pas travailler, ou travaillent lentement",
        response_hours=4,
        update_hours=8,
    ),
    Severity(
        code="question",
        name_en="A question or a wish",
        name_fr="Une question ou un souhait",
        response_hours=16,
        update_hours=40,
    ),
)
LEVEL = ServiceLevel(
    availability=Decimal("0.999"),
    credits=(
        Credit(below=Decimal("0.999"), credit=Decimal("0.10")),
        Credit(below=Decimal("0.990"), credit=Decimal("0.25")),
        Credit(below=Decimal("0.950"), credit=Decimal(1)),
    ),
    severities=SEVERITIES,
)
TIERS = (
    Tier(code="small", name_en="Small", name_fr="Petite", fte_up_to=10_000, dues=Decimal("12000.00")),
    Tier(code="medium", name_en="Medium", name_fr="Moyenne", fte_up_to=30_000, dues=Decimal("24000.00")),
    Tier(code="large", name_en="Large", name_fr="Grande", fte_up_to=None, dues=Decimal("36000.00")),
)
# (English, French, the consortium's part, the member's part)
DUTIES = (
    ("Running hubs, clusters and their updates", "Exploitation des hubs, des grappes et des mises à jour",
     "leads", "informed"),
    ("Sign-on of the university's people", "Authentification des personnes de l'université", "helps", "leads"),
    ("Choosing and testing environments", "Choix et essai des environnements", "helps", "leads"),
    ("Help for teachers and students", "Aide au corps enseignant et aux étudiants", "helps", "leads"),
    ("Help for the university's technical people", "Aide à l'équipe technique de l'université", "leads", "none"),
    ("Backups of homes and tests of restoring them", "Copies de sauvegarde des dossiers et essais de restauration",
     "leads", "informed"),
    ("Watching the cost and asking for limits", "Suivi du coût et demande de limites", "helps", "leads"),
    ("Answering requests about personal data", "Réponse aux demandes sur les renseignements personnels",
     "helps", "leads"),
    ("Telling of a breach", "Signalement d'une atteinte", "leads", "helps"),
)  # fmt: skip

SCHEDULE = ScheduleTemplate(
    currency="CAD",
    slabs=SLABS,
    included_support_hours=Decimal(10),
    support_hourly_rate=Decimal("120.00"),
    creditable_monthly_fee=Decimal("500.00"),
    entitlements=HubLimits(
        hubs=2,
        environments=("standard", "r", "data-science"),
        memory_limit_bytes=4 * GIB,
        max_servers=200,
        regions=("local",),
        home_limit_bytes=10 * GIB,
    ),
    service_level=LEVEL,
    tiers=TIERS,
    term_months=36,
    renewal=Renewal(months=36),
    max_price_increase=Decimal("0.05"),
    event_hubs=EventHubs(included_per_year=2, price_each=Decimal("250.00")),
    order_rule=OrderRule(),
    tax=TaxFacts(
        note_en="The place of supply is the province of the contracting address; the decision stands on each invoice.",
        note_fr="Le lieu de fourniture est la province de l'adresse au contrat ; chaque facture porte la décision.",
    ),
    recovery=Recovery(home_rpo_hours=24, home_rto_hours=8),
    responsibilities=tuple(
        Responsibility.model_validate({"task_en": english, "task_fr": french, "consortium": ours, "member": theirs})
        for english, french, ours, theirs in DUTIES
    ),
    data_protection=DataProtection(
        hub_regions=("Canada",),
        backup_regions=("Canada",),
        log_regions=("Canada",),
        law_en="The public-sector privacy law of the Member's province, before any other.",
        law_fr="La loi de la province du Membre sur la vie privée dans le secteur public, avant toute autre.",
    ),
    subprocessors=(
        Subprocessor(
            name="Demonstration Cloud",
            purpose_en="Servers and storage of hubs",
            purpose_fr="Serveurs et stockage des hubs",
            region="Canada",
        ),
        Subprocessor(
            name="Demonstration Payments",
            purpose_en="Card payments of invoices; no data of students",
            purpose_fr="Paiements de factures par carte ; aucune donnée d'étudiants",
            region="Canada",
        ),
    ),
    allocation=Allocation(
        policy_en="In proportion to the memory that the servers of each member held, hour by hour.",
        policy_fr="En proportion de la mémoire que les serveurs de chaque membre ont occupée, heure par heure.",
    ),
    lapse=Lapse(),
    exit=Exit(formats=("values.yaml", "tar.gz", "CSV", "PDF")),
)
