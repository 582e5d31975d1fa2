"""What a consortium has before its first member: issuer, bank, agreement template, prices, catalogue, rules, rates."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from billing.fx import record_rate
from billing.matching import By, Destination, Kind, MatchRule
from billing.models import AllocationPolicy, MatchingRule
from billing.rules import add_rule
from consortium.kernel.audit import System
from consortium.kernel.dated import since
from consortium.kernel.periods import Month
from consortium.management.demo.clusters import tell_clusters
from consortium.management.demo.schedule import SCHEDULE
from members.bank_details import BankPlace, found_bank_details
from members.directory import load_directory
from members.models import AgreementTemplate, Issuer, TaxRegistration
from provisioning.catalogue import load_catalogue

SETUP = System("demo")
HERE = Path(__file__).parent
GIB = 1024**3
RATES = (Decimal("1.3712"), Decimal("1.3805"), Decimal("1.3767"), Decimal("1.3694"), Decimal("1.3731"))
SOURCE = "Demonstration rate, monthly"


def lay_foundation(*, at: datetime, first_month: Month, this_month: Month) -> Issuer:
    """Make what is missing, and return the issuer. Needs a consortium scope."""
    issuer = _issuer(first_month.first_day, at)
    load_directory(by=SETUP, at=at)
    load_catalogue(at=at)
    tell_clusters(by=SETUP, at=at)
    _template(issuer, at)
    _rules(issuer, first_month.first_day, at)
    month, turn = first_month, 0
    while month <= this_month:
        rate = RATES[turn % len(RATES)]
        record_rate(base="USD", quote="CAD", on=month.first_day, rate=rate, source=SOURCE, by=SETUP, at=at)
        month, turn = month.next(), turn + 1
    return issuer


def _issuer(first: date, at: datetime) -> Issuer:
    issuer, made = Issuer.objects.get_or_create(
        slug="icc",
        defaults={
            "name_en": "Interactive Computing Consortium",
            "name_fr": "Consortium de calcul interactif",
            "address": "Demonstration address\nVancouver BC\nCanada",
            "email": "billing@consortium.example",
            "zone": "America/Vancouver",
        },
    )
    if made:
        valid = since(first)
        bank = {"bank": "Demonstration Bank", "holder": issuer.name_en, "routing": "00010-999 · DEMOCAVV"}
        numbers = {"CAD": "1000-4417", "USD": "1000-4425"}
        places = {currency: BankPlace(account_number=number, **bank) for currency, number in numbers.items()}
        found_bank_details(issuer, places, first=first, by=SETUP, at=at)
        for tax, where, number in (("GST", "CA", "70000 0000 RT0001"), ("QST", "CA-QC", "1200000000 TQ0001")):
            TaxRegistration.objects.create(issuer=issuer, tax=tax, jurisdiction=where, number=number, valid=valid)
    return issuer


def _template(issuer: Issuer, at: datetime) -> None:
    AgreementTemplate.objects.get_or_create(
        issuer=issuer,
        version=1,
        defaults={
            "title_en": "Service agreement",
            "title_fr": "Entente de service",
            "clauses_en": (HERE / "agreement_en.md").read_text(encoding="utf-8"),
            "clauses_fr": (HERE / "agreement_fr.md").read_text(encoding="utf-8"),
            "schedule": SCHEDULE.as_json(),
            "created_at": at,
        },
    )


def _rules(issuer: Issuer, first: date, at: datetime) -> None:
    if not MatchingRule.objects.filter(issuer=issuer).exists():
        tagged = MatchRule(
            by=By.TAG, tag_key="university", destination=Destination(Kind.DIRECT, "*"), name="Tagged with a university"
        )
        rest = MatchRule(
            by=By.EVERYTHING, destination=Destination(Kind.POOL, "shared"), name="Everything else is shared"
        )
        for rule in (tagged, rest):
            add_rule(issuer=issuer, rule=rule, by=SETUP, at=at)
    for key in ("shared", "tax"):
        AllocationPolicy.objects.get_or_create(
            issuer=issuer,
            pool_key=key,
            version=1,
            defaults={"method": "proportional", "basis": "memory_gib_seconds", "valid": since(first)},
        )
